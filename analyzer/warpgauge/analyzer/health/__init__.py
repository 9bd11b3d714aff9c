"""Which devices and nodes fail, or fell silent."""
