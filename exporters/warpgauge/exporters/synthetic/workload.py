"""What every job gives the fleet for one interval: work per device, demand per host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.synthetic.gpu import Gpu, Work
    from warpgauge.exporters.synthetic.roster import Owner

__all__ = ["Demand", "Seat", "Workload"]


@dataclass(slots=True)
class Demand:
    """What jobs ask of one host in one interval; core-seconds and bytes in the interval, memory at its end."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    disk_read_bytes: float = 0.0
    disk_written_bytes: float = 0.0
    network_receive_bytes: float = 0.0
    network_transmit_bytes: float = 0.0
    memory_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Seat:
    """A device that a job holds, and the host it sits in."""

    node: int  # index of the node
    gpu: Gpu


class Workload(Protocol):
    """A job. Its seats are in rank order."""

    owner: Owner
    seats: Sequence[Seat]
    is_lockstep: bool

    def advance(self, to: float, demands: Sequence[Demand]) -> list[Work]:
        """Work per seat until `to`; adds what it asks of the hosts to `demands` (one per node)."""
