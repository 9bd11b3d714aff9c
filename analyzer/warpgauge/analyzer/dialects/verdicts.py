"""Which verdicts the series of a dialect can support: what the detectors read, against what the dialect maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.anomalies.change import SIGNALS
from warpgauge.core.catalog import Metric, device, host, serving, training
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from warpgauge.analyzer.dialects.dialect import Dialect

__all__ = ["VERDICTS", "Verdict", "missing_for"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Kinds that one detector raises and what it cannot do without: of each group any one metric is enough."""

    kinds: tuple[FindingKind, ...]
    needs: tuple[tuple[Metric, ...], ...]

    def missing(self, metrics: AbstractSet[Metric]) -> tuple[Metric, ...]:
        """The first metric of each group of which there is none."""
        return tuple(dict.fromkeys(group[0] for group in self.needs if not metrics & set(group)))


_ACTIVITY: Final = (device.GRAPHICS_ENGINE_ACTIVE, device.COMPUTE_ACTIVE, device.UTILIZATION)
_THROTTLING: Final = (device.THROTTLE_ACTIVE, device.THROTTLE_SECONDS)

VERDICTS: Final[tuple[Verdict, ...]] = (
    Verdict((FindingKind.IDLE_ALLOCATED,), (_ACTIVITY, (device.WORKLOAD_INFO,))),
    Verdict(
        (FindingKind.OVERSIZED,),
        ((device.MEMORY_USED,), (device.MEMORY_TOTAL,), (device.COMPUTE_ACTIVE,), (device.WORKLOAD_INFO,)),
    ),
    Verdict((FindingKind.THERMAL_LIMITED,), (_THROTTLING, (device.CLOCK,))),
    Verdict((FindingKind.INPUT_BOUND,), ((training.PHASE_SECONDS,),)),
    Verdict((FindingKind.STRAGGLER,), ((training.PHASE_SECONDS, device.CLOCK), (device.WORKLOAD_INFO,))),
    Verdict((FindingKind.NOISY_NEIGHBOR,), ((training.PHASE_SECONDS,), (host.PRESSURE_SECONDS, device.PROCESSES))),
    Verdict((FindingKind.WORKLOAD_IMBALANCE,), ((training.PHASE_SECONDS,), (training.STEP_SECONDS,))),
    Verdict((FindingKind.DEVICE_LOST, FindingKind.DEVICE_HUNG), ((device.DEVICE_STATE,),)),
    Verdict((FindingKind.HOST_SATURATED,), ((host.CPU_SECONDS,),)),
    Verdict((FindingKind.MEMORY_PRESSURE,), ((host.MEMORY_TOTAL,), (host.MEMORY_AVAILABLE,))),
    Verdict((FindingKind.TELEMETRY_GAP,), ()),
    Verdict((FindingKind.NETWORK_BOUND,), ((training.PHASE_SECONDS,),)),
    Verdict(
        (FindingKind.HOST_BOUND, FindingKind.LAUNCH_BOUND, FindingKind.INTERCONNECT_BOUND),
        ((training.PHASE_SECONDS, device.GRAPHICS_ENGINE_ACTIVE), (training.PHASE_SECONDS, device.COMPUTE_ACTIVE)),
    ),
    Verdict((FindingKind.POWER_LIMITED,), (_THROTTLING, (device.POWER_LIMIT,))),
    Verdict((FindingKind.MEMORY_CAPACITY_BOUND,), ((device.MEMORY_USED,),)),
    Verdict((FindingKind.KV_CACHE_BOUND,), ((serving.WAITING,), (serving.KV_CACHE,))),
    Verdict((FindingKind.QUEUE_BOUND,), ((serving.WAITING,),)),
    Verdict((FindingKind.XID,), ((device.XID_EVENTS,),)),
    Verdict((FindingKind.ECC_DEGRADATION,), ((device.ECC_ERRORS,),)),
    Verdict((FindingKind.ROW_REMAP,), ((device.ROW_REMAP_FAILED, device.ROW_REMAP_PENDING, device.ROW_REMAP_BANKS),)),
    Verdict((FindingKind.LINK_ERRORS,), ((device.LINK_ERRORS, device.LINK_STATE),)),
    Verdict(
        (FindingKind.PCIE_DOWNTRAINED,),
        (
            (device.PCIE_LINK_GENERATION, device.PCIE_LINK_WIDTH),
            (device.PCIE_LINK_GENERATION_MAX, device.PCIE_LINK_WIDTH_MAX),
            _ACTIVITY,
        ),
    ),
    Verdict((FindingKind.HARDWARE_THROTTLE,), (_THROTTLING,)),
    Verdict((FindingKind.HANG,), ((device.POWER,), (device.UTILIZATION, training.STEP_SECONDS))),
    Verdict((FindingKind.MEMORY_LEAK,), ((device.MEMORY_USED, host.MEMORY_AVAILABLE),)),
    Verdict((FindingKind.LEVEL_SHIFT, FindingKind.DRIFT, FindingKind.SPIKE), (tuple(one.metric for one in SIGNALS),)),
)


def missing_for(dialect: Dialect, verdict: Verdict) -> tuple[Metric, ...]:
    """What a fleet with this dialect alone lacks for a verdict; nothing if it is supported."""
    return verdict.missing(dialect.metrics)
