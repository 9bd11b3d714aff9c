"""Whether the ports of this machine carry traffic: one that is down holds up every job that reduces over it."""

from __future__ import annotations

from pathlib import Path

from warpgauge.exporters.collectors import infiniband_sysfs as sysfs
from warpgauge.exporters.doctor.check import Check, Verdict

__all__ = ["infiniband"]


def infiniband(sys_root: str | Path = "/sys") -> Check | None:
    """How many of the InfiniBand and RoCE ports are active; None where there is no port."""
    ports = sysfs.ports(Path(sys_root))
    if not ports:
        return None
    states = {f"{port.device}/{port.number}": sysfs.state(port.text("state", [])) or "unreadable" for port in ports}
    idle = {name: state for name, state in states.items() if state != "active"}
    if not idle:
        return Check("InfiniBand", Verdict.OK, f"{len(states)} ports, all active")
    which = ", ".join(f"{name} is {state}" for name, state in idle.items())
    mend = "plug in the cable, start a subnet manager, or leave it if the port is not used"
    return Check("InfiniBand", Verdict.WARN, f"of {len(states)} ports, {which}", mend)
