"""Who holds a job in lockstep back: one rank, a host, a link, a switch or a neighbor; over minutes and close up."""
