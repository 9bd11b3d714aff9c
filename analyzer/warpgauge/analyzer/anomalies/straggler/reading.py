"""How slow each member of a group is: by compute time per step where it may be trusted, else by the SM clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.thermal_limited import clock_signal, sm_clock
from warpgauge.analyzer.detection.activity import read_activity
from warpgauge.analyzer.detection.phases import BUCKETS, in_buckets, per_step, phase_rate, whole_per_step
from warpgauge.analyzer.detection.windows import Array, Mask, coverage, mean, median, ratio, robust_z
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns

__all__ = ["Reading", "read", "read_phases", "slowness_over_time"]

WINDOW_SECONDS: Final = 300.0
MOST_BUCKETS: Final = BUCKETS - 1
LEAST_EXPLAINED: Final = 0.5  # of the extra compute time must be missing from its waiting
LEAST_ACTIVITY: Final = 0.8  # of the peers': a device with less to do clocks down by itself
LEAST_COVERAGE: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How slow each member of a group is: 1.3 = needs 1.3 times as long as the median member."""

    slowness: Array  # [member]
    z: Array  # [member], `robust_z` of the slowness
    buckets: Array  # [member, bucket]
    covered: float
    rests_on_phases: bool
    seconds: float = WINDOW_SECONDS  # of the newest columns that were read
    compute: Array | None = None  # [member], seconds per step
    communication: Array | None = None

    def passes(self, effect: float, z: float, buckets: int) -> Mask:
        """Members slower than the rest by the effect, beyond chance, most of the time."""
        is_far = (self.slowness >= 1 + effect) & (self.z >= z)
        often = (self.buckets >= 1 + effect).sum(axis=1) >= buckets
        waits_least = np.ones(len(self.slowness), dtype=bool)
        if self.compute is not None and self.communication is not None:
            extra = self.compute - median(self.compute)
            unwaited = median(self.communication) - self.communication
            waits_least = unwaited >= LEAST_EXPLAINED * extra
        return np.asarray(is_far & often & waits_least)


def read(frame: Frame, group: Group) -> Reading | None:
    """How slow each member is, None if nothing tells."""
    return read_phases(frame, group, WINDOW_SECONDS, BUCKETS) or (
        _by_clock(frame, group) if group.all_have_devices else None
    )


def read_phases(
    frame: Frame, group: Group, seconds: float, parts: int, *, least_coverage: float = LEAST_COVERAGE
) -> Reading | None:
    """Compute seconds per step over the newest seconds and in parts of them, None if nothing tells.

    A host's clock says nothing about an accelerator, so it is believed on CPUs only.
    """
    if not group.all_report:
        return None
    rows = group.rank_rows
    if not group.is_on_cpus and not frame.has_device_clock[rows].all():
        return None
    steps = frame.values(training.STEP_SECONDS, "count", seconds=seconds, rows=rows)
    spent = phase_rate(frame, "compute", rows, seconds)
    covered = float(coverage(spent).min())
    if covered < least_coverage:
        return None
    compute, buckets = per_step(spent, steps, parts)
    if not np.isfinite(compute).all():
        return None
    communication = whole_per_step(phase_rate(frame, "communication", rows, seconds), steps)
    slowness = ratio(compute, median(compute))
    return Reading(
        slowness=slowness,
        z=robust_z(slowness),
        buckets=ratio(buckets, median(buckets.T)),
        covered=covered,
        rests_on_phases=True,
        seconds=seconds,
        compute=compute,
        communication=communication if np.isfinite(communication).all() else None,
    )


def _by_clock(frame: Frame, group: Group) -> Reading | None:
    """How far the SM clock stays below that of the peers; 1 for devices that have less to do than these."""
    rows = group.device_rows
    clock = sm_clock(frame, rows, WINDOW_SECONDS)
    covered = float(coverage(clock).min())
    if covered < LEAST_COVERAGE:
        return None
    worked = read_activity(frame, WINDOW_SECONDS).mean[rows]
    works = ~(worked < LEAST_ACTIVITY * median(worked))
    slowness = np.where(works, ratio(median(mean(clock)), mean(clock)), 1.0)
    buckets = in_buckets(clock)
    return Reading(
        slowness=slowness,
        z=robust_z(slowness),
        buckets=ratio(median(buckets.T), buckets),
        covered=covered,
        rests_on_phases=False,
    )


def slowness_over_time(frame: Frame, group: Group, reading: Reading, member: int) -> Array:
    """How slow a member was, [column of the whole frame], for the onset."""
    rows = group.rank_rows if reading.rests_on_phases else group.device_rows

    def by_phases(columns: Columns) -> Array:
        compute = columns.of(training.PHASE_SECONDS, "compute")[:, rows]
        per_step = ratio(compute, columns.of(training.STEP_SECONDS, "count")[:, rows])
        return ratio(per_step[:, member], median(per_step))

    def by_clock(columns: Columns) -> Array:
        clock = clock_signal(frame).read(columns)[:, rows]
        return ratio(median(clock), clock[:, member])

    if reading.rests_on_phases:
        return frame.trace(TableName.RANKS, ("compute", group, member), by_phases)
    return frame.trace(TableName.DEVICES, (clock_signal(frame).name, group, member), by_clock)
