"""The table of collectors: a module is imported when its collector is made, a driver only in its child process."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from warpgauge.exporters.collectors.collector import Collector

__all__ = ["COLLECTORS", "Entry", "make"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a collector lives, and whether it needs a process of its own; known without importing it."""

    target: str  # "module:Class"
    isolated: bool
    help: str


COLLECTORS: Final = {
    "nvml": Entry("warpgauge.exporters.collectors.nvml:NvmlCollector", isolated=True, help="NVIDIA GPUs through NVML"),
    "host": Entry(
        "warpgauge.exporters.collectors.host:HostCollector",
        isolated=False,
        help="CPU, memory, disks and network of this machine",
    ),
    "infiniband": Entry(
        "warpgauge.exporters.collectors.infiniband:InfinibandCollector",
        isolated=False,
        help="InfiniBand and RoCE ports",
    ),
    "training": Entry(
        "warpgauge.exporters.collectors.training:TrainingCollector",
        isolated=False,
        help="training steps reported by the step timer",
    ),
    "attribution": Entry(
        "warpgauge.exporters.collectors.attribution:AttributionCollector",
        isolated=False,
        help="which jobs, pods, containers and users have which device",
    ),
}


def make(name: str, **settings: object) -> Collector:
    """Import and construct a collector; `settings` are its constructor's keywords."""
    module, _, attribute = COLLECTORS[name].target.partition(":")
    constructor: Any = getattr(import_module(module), attribute)
    return cast("Collector", constructor(**settings))
