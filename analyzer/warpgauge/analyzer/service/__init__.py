"""The running service: its loops, its HTTP interface, and the documents that it gives."""
