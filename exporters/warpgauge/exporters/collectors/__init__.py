"""The table of collectors: a module is imported when its collector is made, a driver only in its child process."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from warpgauge.core.errors import ConfigError
from warpgauge.exporters.collectors.pci import ACCELERATOR, DISPLAY, Hardware
from warpgauge.exporters.collectors.tpu_inventory import HARDWARE as TPU_HARDWARE

if TYPE_CHECKING:
    from collections.abc import Collection

    from warpgauge.exporters.collectors.collector import Collector

__all__ = ["COLLECTORS", "Entry", "enabled", "make"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a collector lives, and whether it needs a process of its own; known without importing it."""

    target: str  # "module:Class"
    isolated: bool
    help: str
    pci: Hardware | None = None  # what must be plugged in; None: nothing tells before the collector itself is asked


COLLECTORS: Final = {
    "nvml": Entry("warpgauge.exporters.collectors.nvml:NvmlCollector", isolated=True, help="NVIDIA GPUs through NVML"),
    "amd": Entry(
        "warpgauge.exporters.collectors.amd:AmdCollector",
        isolated=True,
        help="AMD GPUs through amdsmi",
        pci=Hardware(0x1002, base_classes=frozenset({DISPLAY, ACCELERATOR})),
    ),
    "tpu": Entry(
        "warpgauge.exporters.collectors.tpu:TpuCollector",
        isolated=True,
        help="Google TPUs through PCI and the metric service of their runtime",
        pci=TPU_HARDWARE,
    ),
    "gaudi": Entry(
        "warpgauge.exporters.collectors.gaudi:GaudiCollector",
        isolated=True,
        help="Intel Gaudi through hl-smi",
        pci=Hardware(0x1DA3, base_classes=frozenset({ACCELERATOR})),
    ),
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
    "serving": Entry(
        "warpgauge.exporters.collectors.serving:ServingCollector",
        isolated=False,
        help="vLLM, SGLang, Triton and TGI of this node, where agent.serving_urls or serving_discovery say so",
    ),
}


def enabled(disabled: Collection[str]) -> list[str]:
    """Names of the collectors that `agent.disabled_collectors` leaves.

    Raises:
        ConfigError: it names one that there is not.

    """
    unknown = [name for name in disabled if name not in COLLECTORS]
    if unknown:
        msg = f"agent.disabled_collectors names {unknown[0]!r}; there are {', '.join(COLLECTORS)}"
        raise ConfigError(msg)
    return [name for name in COLLECTORS if name not in disabled]


def make(name: str, **settings: object) -> Collector:
    """Import and construct a collector; `settings` are its constructor's keywords."""
    module, _, attribute = COLLECTORS[name].target.partition(":")
    constructor: Any = getattr(import_module(module), attribute)
    return cast("Collector", constructor(**settings))
