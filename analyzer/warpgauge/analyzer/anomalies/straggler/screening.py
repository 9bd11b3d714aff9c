"""Which groups of peers may hold a straggler: from window means alone, for all groups at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.anomalies.straggler.reading import LEAST_COVERAGE, WINDOW_SECONDS
from warpgauge.analyzer.bottlenecks.thermal_limited import clock_signal, read_thermal
from warpgauge.analyzer.detection.phases import covered_with_steps, mean_per_step, newest_per_step, phase_rate
from warpgauge.analyzer.detection.windows import Array, Mask, coverage, ratio
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.peers import Group, Groups
    from warpgauge.analyzer.frame import Frame

__all__ = ["Screening", "screened"]

LEAST_PEERS: Final = 4
HOLD_EFFECT: Final = 0.06
EARLY_SECONDS: Final = 60.0  # a rank that became slow a moment ago is lost in the mean of five minutes

_ROUNDING: Final = 1e-6  # sums in another order differ by less
_SLOWNESS: Final = 1 + HOLD_EFFECT - _ROUNDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """All groups at a glance: how many members there are of each sort, and the groups worth a close look."""

    suspects: tuple[Group, ...]
    judged: int
    small: int
    blind: int


def screened(frame: Frame) -> Screening:
    """Sort the groups by what `_read` would make of them, from window means alone.

    A group is a suspect if any member, not slowed down by heat, is so much slower than the median that it may hold a
    finding; no other can. Where nobody is slow nobody asks about heat.
    """
    groups = peer_groups(frame)
    is_small = groups.sizes < LEAST_PEERS
    by_phases, by_clock = _has_phases(frame, groups) & ~is_small, _has_clock(frame, groups) & ~is_small
    by_clock &= ~by_phases
    per_step = mean_per_step(frame, "compute", WINDOW_SECONDS), newest_per_step(frame, "compute", EARLY_SECONDS)
    longer = np.fmax(*(_beyond_median(groups, groups.of_ranks(one)) for one in per_step))
    is_slow = groups.spread(by_phases) & (longer >= _SLOWNESS)
    is_slow |= groups.spread(by_clock) & (_runs_slower(frame, groups) >= _SLOWNESS)
    if is_slow.any():
        is_slow &= ~np.append(read_thermal(frame).is_limited, False)[groups.devices]  # row -1, no device, is the last
    suspects = groups.any_member(is_slow) | (by_phases & _sends_late(frame, groups))
    is_judged = by_phases | by_clock
    return Screening(
        suspects=tuple(groups.groups[at] for at in np.flatnonzero(suspects)),
        judged=int(groups.sizes[is_judged].sum()),
        small=int(groups.sizes[is_small].sum()),
        blind=int(groups.sizes[~is_judged & ~is_small].sum()),
    )


def _beyond_median(groups: Groups, values: Array) -> Array:
    """[member], its value as a multiple of the group's median."""
    return ratio(values, groups.spread(groups.median(values)))


def _runs_slower(frame: Frame, groups: Groups) -> Array:
    """[member], the median clock of the group as a multiple of its own."""
    clock = groups.of_devices(frame.window(clock_signal(frame), WINDOW_SECONDS).mean)
    return ratio(groups.spread(groups.median(clock)), clock)


def _sends_late(frame: Frame, groups: Groups) -> Mask:
    """[group], whether some member sends so much longer than the median that its link may be slow."""
    if not frame.has(training.PHASE_SECONDS, training.TRANSFER):
        return np.zeros(len(groups.sizes), dtype=bool)
    sends, waits, computes = (
        groups.of_ranks(mean_per_step(frame, phase, WINDOW_SECONDS))
        for phase in (training.TRANSFER, "communication", "compute")
    )
    late = groups.greatest(sends) - groups.median(sends)
    step = groups.median(sends + waits + computes)
    return np.asarray(late >= (HOLD_EFFECT / (1 + HOLD_EFFECT) - _ROUNDING) * step / 2)


def _has_phases(frame: Frame, groups: Groups) -> Mask:
    """[group], whether `_by_phases` gives a reading."""
    is_trusted = groups.are_on_cpus | groups.every_rank(frame.has_device_clock)
    is_known = np.isfinite(mean_per_step(frame, "compute", WINDOW_SECONDS))
    is_covered = covered_with_steps(frame, "compute", WINDOW_SECONDS) >= LEAST_COVERAGE
    rest = np.flatnonzero(is_known & ~is_covered)  # few: who began or ended a moment ago
    is_covered[rest] = coverage(phase_rate(frame, "compute", rest, WINDOW_SECONDS)) >= LEAST_COVERAGE
    return is_trusted & groups.every_rank(is_known & is_covered)


def _has_clock(frame: Frame, groups: Groups) -> Mask:
    """[group], whether `_by_clock` gives a reading."""
    return groups.every_device(frame.window(clock_signal(frame), WINDOW_SECONDS).coverage >= LEAST_COVERAGE)
