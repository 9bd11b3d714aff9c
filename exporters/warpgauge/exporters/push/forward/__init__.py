"""Fluentd's forward protocol, as the sender: nothing counts as delivered but what the receiver acknowledged."""
