"""Whose work a device does: from pids, cgroups, environments and what schedulers publish, to workloads."""
