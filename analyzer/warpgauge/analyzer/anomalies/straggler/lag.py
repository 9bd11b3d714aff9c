"""How far each member of a group of peers lags behind the others, and in which phase of its steps.

In lockstep a rank's step is what it does itself (compute, input, sending, other work) and its wait for the others. Who
does more than its peers waits less by as much; who waits because of others does not lag. So the lag of a rank is what
it does itself beyond the median of its peers, as far as it does not wait (TraceML, C4D), in seconds per step.

Ranks differ in how long they compute, for good, and that hides a slow loader or link which none of its peers has. So
a lag is held against the spread of the peers in its own phase as well, and where the time before is known against the
spread of how they changed since.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.phases import in_buckets
from warpgauge.analyzer.detection.windows import Array, Mask, median, ratio, total
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.frame import Frame, Ints

__all__ = ["OWN_PHASES", "Lag", "Limits", "are_timed_by_device", "read_lag"]

OWN_PHASES: Final = ("input", "compute", training.TRANSFER, "other")
"""What a rank does itself; the rest of its step it waits for others, or saves a checkpoint."""

_LEAST_EXPLAINED: Final = 0.5  # of the lag must be missing from the wait
_NOISE_SHARE: Final = 0.02  # of a step: the MAD of healthy peers is often 0
_MAD_TO_SIGMA: Final = 1.4826
_LEAST_PAST: Final = 8  # columns in which all members report, to know what is usual
_LEAST_REST: Final = 0.01  # of a step that is left without the lag, so that a ratio stays finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a lag counts."""

    effect: float  # of the job's slowdown: 0.1 = steps take 1.1 times as long
    z: float
    share: float  # of the parts of the window in which it must show


@dataclass(frozen=True, kw_only=True)
class Lag:
    """A group of peers over a window; all per step, in seconds."""

    own: Mapping[str, Array]  # phase -> [member]
    wait: Array  # [member], communication
    step: Array  # [member]
    steps: Array  # [member], how many there were in the window
    read_parts: Callable[[], Array]
    covered: float  # share of the window in which all members report
    usual: Array | None = None  # [member], the lag in the time before, where that is known

    @cached_property
    def parts(self) -> Array:
        """[member, part], the lag in each part of the window as a ratio, NaN without steps; few are asked for it."""
        return self.read_parts()

    @cached_property
    def extra(self) -> Array:
        """[member], what it does itself beyond the median of its peers."""
        return np.asarray(np.sum([self.extra_in(phase) for phase in self.own], axis=0))

    def extra_in(self, phase: str) -> Array:
        """[member], the same in one phase."""
        values = self.own[phase]
        return np.asarray(values - median(values))

    @cached_property
    def slowdown(self) -> Array:
        """[member], by how much its lag makes steps longer: 1.4 = the job needs 1.4 times as long."""
        return _slowdown(self.extra, self.step)

    @cached_property
    def z(self) -> Array:
        """[member], the lag in robust standard deviations of the peers'.

        All in all, in one phase, or by how much it grew: where it stands out most.
        """
        extras = [self.extra, *map(self.extra_in, self.own)]
        if self.usual is not None:
            extras.append(self.extra - self.usual)
        return np.asarray(np.max([self._apart(one) for one in extras], axis=0))

    def _apart(self, extra: Array) -> Array:
        spread = _MAD_TO_SIGMA * median(np.abs(extra - median(extra)))
        return np.asarray(extra / (spread + _NOISE_SHARE * median(self.step)))

    def phase_of(self, member: int) -> str:
        """The phase in which most of a member's lag lies."""
        return max(self.own, key=lambda phase: float(self.extra_in(phase)[member]))

    def passes(self, limits: Limits) -> Mask:
        """[member], who lags beyond the limits and waits less than its peers by most of it."""
        unwaited = median(self.wait) - self.wait
        is_far = (self.slowdown >= 1 + limits.effect) & (self.z >= limits.z)
        known = np.isfinite(self.parts)
        often = (self.parts >= 1 + limits.effect).sum(axis=1) >= limits.share * np.maximum(known.sum(axis=1), 1)
        return np.asarray(is_far & often & (unwaited >= _LEAST_EXPLAINED * self.extra))


def are_timed_by_device(frame: Frame, group: Group) -> bool:
    """Whether compute and sending may be believed: the device's clock timed them, or there is no device."""
    return group.is_on_cpus or bool(frame.has_device_clock[group.rank_rows].all())


def read_lag(
    frame: Frame, group: Group, seconds: float, *, parts: int, past_seconds: float | None = None
) -> Lag | None:
    """The lag of each member over the newest seconds, None where steps or waits are not known of all of them.

    Of ranks on accelerators that only the host timed nothing but the wait for input counts. What is usual is read from
    the whole frame but its newest `past_seconds`, where these are given.
    """
    if not group.all_report:
        return None
    rows = group.rank_rows
    steps = frame.values(training.STEP_SECONDS, "count", seconds=seconds, rows=rows).astype(np.float64)
    together = np.isfinite(steps).all(axis=0)  # who is compared is compared over the same time
    steps = np.where(together, steps, np.nan)
    whole = frame.values(training.STEP_SECONDS, "sum", seconds=seconds, rows=rows).astype(np.float64)
    whole = np.where(together, whole, np.nan)
    phases = OWN_PHASES if are_timed_by_device(frame, group) else ("input",)
    told = [one for one in phases if frame.has(training.PHASE_SECONDS, one)]
    spent = {one: _spent(frame, one, seconds, rows, steps) for one in (*told, "communication")}
    count = total(steps)
    if not (count > 0).all() or not np.isfinite(spent["communication"]).any(axis=1).all():
        return None
    own = {one: values for one, values in spent.items() if one != "communication" and np.isfinite(values).any()}
    return Lag(
        own={one: ratio(total(values), count) for one, values in own.items()},
        wait=ratio(total(spent["communication"]), count),
        step=ratio(total(whole), count),
        steps=count * frame.step_seconds,
        read_parts=lambda: _in_parts(own, steps, whole, parts),
        covered=float(together.mean()),
        usual=None if past_seconds is None else _usual(frame, rows, list(own), past_seconds),
    )


def _usual(frame: Frame, rows: Ints, phases: list[str], past_seconds: float) -> Array | None:
    """[member], the lag of most columns before the newest seconds, None where they are too few."""
    before = slice(None, -max(round(past_seconds / frame.step_seconds), 1))
    steps = frame.values(training.STEP_SECONDS, "count", rows=rows)[:, before].astype(np.float64)
    spent = [frame.values(training.PHASE_SECONDS, one, rows=rows)[:, before] for one in phases]
    each = ratio(np.sum(np.nan_to_num(spent), axis=0), steps)
    known = each[:, np.isfinite(each).all(axis=0)]
    return median(known - median(known.T)) if known.shape[1] >= _LEAST_PAST else None


def _spent(frame: Frame, phase: str, seconds: float, rows: Ints, steps: Array) -> Array:
    """[member, column], seconds per second in a phase, where steps are known."""
    values = frame.values(training.PHASE_SECONDS, phase, seconds=seconds, rows=rows)
    return np.where(np.isfinite(steps), values, np.nan).astype(np.float64)


def _in_parts(own: Mapping[str, Array], steps: Array, whole: Array, parts: int) -> Array:
    """[member, part], the lag as a ratio."""
    count, seconds = in_buckets(steps, parts), in_buckets(whole, parts)
    lag = np.zeros_like(count)
    for values in own.values():
        each = ratio(np.nan_to_num(in_buckets(values, parts)), count)
        lag += each - median(each.T)
    return _slowdown(lag, ratio(seconds, count))


def _slowdown(extra: Array, step: Array) -> Array:
    return ratio(step, np.maximum(step - extra, _LEAST_REST * step))
