"""The table of detectors, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.anomalies.change import Change
from warpgauge.analyzer.anomalies.host import HostSaturated, MemoryPressure
from warpgauge.analyzer.anomalies.imbalance.detector import Imbalance
from warpgauge.analyzer.anomalies.multivariate import Multivariate
from warpgauge.analyzer.anomalies.straggler.close_up import CloseUp
from warpgauge.analyzer.anomalies.straggler.detector import Straggler
from warpgauge.analyzer.bottlenecks.bound import Bound
from warpgauge.analyzer.bottlenecks.idle_allocated import IdleAllocated
from warpgauge.analyzer.bottlenecks.input_bound import InputBound
from warpgauge.analyzer.bottlenecks.oversized import Oversized
from warpgauge.analyzer.bottlenecks.serving_bound import ServingBound
from warpgauge.analyzer.bottlenecks.thermal_limited import ThermalLimited
from warpgauge.analyzer.health.counter_drift import CounterDrift
from warpgauge.analyzer.health.device_state import DeviceState
from warpgauge.analyzer.health.ecc import EccDegradation
from warpgauge.analyzer.health.hang import Hang
from warpgauge.analyzer.health.links import LinkErrors
from warpgauge.analyzer.health.memory_leak import MemoryLeak
from warpgauge.analyzer.health.pcie import PcieDowntrained
from warpgauge.analyzer.health.row_remap import RowRemap
from warpgauge.analyzer.health.telemetry_gap import TelemetryGap
from warpgauge.analyzer.health.throttle import HardwareThrottle
from warpgauge.analyzer.health.xid import XidEvents
from warpgauge.core.xid import with_overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.anomalies.forest import Forests
    from warpgauge.analyzer.detection import Detector
    from warpgauge.analyzer.detection.usage import Usage

__all__ = ["CLOSE_DETECTORS", "DETECTORS", "detectors_with"]

DETECTORS: Final[tuple[Detector, ...]] = (
    DeviceState(),
    TelemetryGap(),
    XidEvents(),
    EccDegradation(),
    RowRemap(),
    LinkErrors(),
    CounterDrift(),
    HardwareThrottle(),
    PcieDowntrained(),
    Hang(),
    MemoryLeak(),
    ThermalLimited(),
    Straggler(),
    Imbalance(),
    CloseUp(),
    IdleAllocated(),
    Oversized(),
    InputBound(),
    Bound(),
    ServingBound(),
    HostSaturated(),
    MemoryPressure(),
    Change(),
    Multivariate(),
)


CLOSE_DETECTORS: Final[tuple[Detector, ...]] = (CloseUp(),)
"""Those of the table that look at the last seconds, and so are asked each second where there is something to see."""


def detectors_with(
    xid_overrides: Sequence[str], forests: Forests | None = None, usage: Usage | None = None
) -> tuple[Detector, ...]:
    """The table with what this site decided about XIDs (`analyzer.xid_overrides`), and with what goes on between ticks.

    That is forests that learn, and what jobs used over days.

    Raises:
        ConfigError: an override is malformed.

    """
    ours: dict[type, Detector] = {}
    if xid_overrides:
        ours[XidEvents] = XidEvents(with_overrides(xid_overrides))
    if usage is not None:
        ours[Oversized] = Oversized(usage)
    if forests is not None:
        ours[Multivariate] = Multivariate(forests)
    return tuple(ours.get(type(detector), detector) for detector in DETECTORS)
