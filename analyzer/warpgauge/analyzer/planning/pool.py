"""The words of the planner: nodes with their devices, and pods with what they ask for.

Units are the schedulers' own integers: milli-CPU, MiB and milli-GPU (1000 is one whole device).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["ANYWHERE", "MILLI", "Location", "Node", "Place", "Pod", "Request"]

MILLI: Final = 1000  # of one whole GPU


class Location(StrEnum):
    """What kind of site a node stands in."""

    CLOUD = "cloud"
    EDGE = "edge"
    ONPREM = "onprem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pod may run; an empty set allows all."""

    locations: frozenset[Location] = frozenset()
    zones: frozenset[str] = frozenset()
    highest_price_per_hour: float | None = None
    least_uplink_bytes_per_second: float | None = None


ANYWHERE: Final = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine: its capacity, and where it stands. None is unknown, which is not 0."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpu_count: int
    model: str = ""
    location: Location | None = None
    zone: str | None = None
    price_per_hour: float | None = None
    uplink_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a pod asks for: `gpu_count` devices with `gpu_milli` of each; a share is one device with less than 1000.

    Pods with equal requests are alike to every policy.
    """

    cpu_milli: int
    memory_mib: int = 0
    gpu_count: int = 0
    gpu_milli: int = 0
    models: frozenset[str] = frozenset()  # empty: any
    place: Place = ANYWHERE

    @property
    def total_gpu_milli(self) -> int:
        """Milli-GPU over all its devices."""
        return self.gpu_count * self.gpu_milli

    @property
    def is_share(self) -> bool:
        """Whether it asks for a part of one device."""
        return self.gpu_count == 1 and self.gpu_milli < MILLI

    def allows(self, node: Node) -> bool:
        """Whether the node's kind and place are allowed, however full it is; what is unknown fails a limit."""
        place, price, uplink = self.place, node.price_per_hour, node.uplink_bytes_per_second
        return (
            (self.gpu_count == 0 or not self.models or node.model in self.models)
            and (not place.locations or node.location in place.locations)
            and (not place.zones or node.zone in place.zones)
            and (place.highest_price_per_hour is None or (price is not None and price <= place.highest_price_per_hour))
            and (
                place.least_uplink_bytes_per_second is None
                or (uplink is not None and uplink >= place.least_uplink_bytes_per_second)
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One piece of work.

    `lost_gpu_seconds` is what moving it would throw away (time since its last checkpoint x its devices), None if that
    is unknown. A pod of a gang runs only together with all others of the gang.
    """

    name: str
    request: Request
    is_movable: bool = False
    tenant: str = ""
    gang: str = ""
    lost_gpu_seconds: float | None = None
