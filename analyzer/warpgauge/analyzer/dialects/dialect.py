"""What a dialect is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from warpgauge.core.catalog import Metric, host

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Dialect", "Mapped", "is_counted"]

_VIRTUAL_INTERFACE: Final = re.compile(
    r"lo|veth.*|docker\d+|br-.*|virbr.*|cali.*|cni\d*|flannel.*|cilium.*|lxc.*|tap.*"
)
_VIRTUAL_DISK: Final = re.compile(r"loop\d+|ram\d+|zram\d+|dm-\d+|md\d+|fd\d+|sr\d+")
_INTERFACE_METRICS: Final = frozenset(
    {host.NETWORK_RECEIVE, host.NETWORK_TRANSMIT, host.NETWORK_RECEIVE_ERRORS, host.NETWORK_TRANSMIT_ERRORS}
)
_DISK_METRICS: Final = frozenset({host.DISK_READ, host.DISK_WRITTEN, host.DISK_READS, host.DISK_WRITES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A series in the words of the catalog: our value = their value x `factor`."""

    metric: Metric
    labels: Mapping[str, str]
    part: str = ""  # a histogram's suffix
    factor: float = 1.0
    mask: int = 0  # their value is a set of bits: ours is 1 while any of these is set, else 0
    most: float = math.inf  # a larger value of ours is a marker for "not available" and is dropped
    is_shared: bool = False  # several series of theirs say the same of one thing: they count as one
    is_last_code: bool = False  # their value is the code of the last event: a change is an event


class Dialect(Protocol):
    """How one exporter names things; `names` are all it knows, so that a Prometheus can be asked for them."""

    @property
    def name(self) -> str:
        """The exporter's name."""

    @property
    def names(self) -> frozenset[str]:
        """Names of series that the frame has a place for, and of those that tell whose node it is."""

    @property
    def metrics(self) -> frozenset[Metric]:
        """What its series can say, if all of them are there."""

    def knows(self, name: str) -> bool:
        """Whether the exporter has a series of this name, used or not."""

    def map(self, name: str, labels: Mapping[str, str]) -> tuple[Mapped, ...]:
        """What a series with one of `names` says; nothing when its labels tell that it does not count."""


def is_counted(metric: Metric, device: str) -> bool:
    """Whether an interface or disk belongs in a node's sum: bytes that pass a virtual one are counted elsewhere."""
    if metric in _INTERFACE_METRICS:
        return not _VIRTUAL_INTERFACE.fullmatch(device)
    if metric in _DISK_METRICS:
        return not _VIRTUAL_DISK.fullmatch(device)
    return True
