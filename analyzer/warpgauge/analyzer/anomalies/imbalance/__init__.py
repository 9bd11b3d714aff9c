"""Work that is unevenly shared among the ranks of a job."""
