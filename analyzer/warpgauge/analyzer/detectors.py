"""The table of detectors, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.anomalies.host import HostSaturated, MemoryPressure
from warpgauge.analyzer.anomalies.straggler import Straggler
from warpgauge.analyzer.bottlenecks.bound import Bound
from warpgauge.analyzer.bottlenecks.idle_allocated import IdleAllocated
from warpgauge.analyzer.bottlenecks.input_bound import InputBound
from warpgauge.analyzer.bottlenecks.thermal_limited import ThermalLimited
from warpgauge.analyzer.health.device_state import DeviceState
from warpgauge.analyzer.health.telemetry_gap import TelemetryGap

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Detector

__all__ = ["DETECTORS"]

DETECTORS: Final[tuple[Detector, ...]] = (
    DeviceState(),
    TelemetryGap(),
    ThermalLimited(),
    Straggler(),
    IdleAllocated(),
    InputBound(),
    Bound(),
    HostSaturated(),
    MemoryPressure(),
)
