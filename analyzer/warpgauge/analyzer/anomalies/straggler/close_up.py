"""What holds a job back right now, where its steps are read each second: the last seconds instead of the last minutes.

An analyzer beside its agents reads them each second and keeps two minutes of it as a frame of its own with columns of a
second (`frame.close_up`). Windows are counted in steps: as many seconds as twenty steps take, four at least, one minute
at most, so that a job of short steps is judged within seconds and one of long steps not sooner than it can be. Effects
must be larger than those that the wide frame asks for over minutes, or last half a window longer. A lag is weighed
against what was usual in those two minutes, too: ranks that share a core differ all the time. Fleets read every ten
seconds have no such frame, and pay nothing for it.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from warpgauge.analyzer.anomalies.imbalance.moving import moving_candidate
from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.anomalies.straggler.candidates import candidates_of
from warpgauge.analyzer.anomalies.straggler.lag import OWN_PHASES, Limits, read_lag
from warpgauge.analyzer.anomalies.straggler.named import with_processes
from warpgauge.analyzer.bottlenecks.thermal_limited import read_thermal
from warpgauge.analyzer.detection import Detection, Judgement, Strength
from warpgauge.analyzer.detection.windows import mean, median
from warpgauge.core.catalog import training
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.detection import Candidate, ProcessReading
    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.finding import Scope

__all__ = ["CloseUp", "closely_seen"]

GAINFUL: Final = (
    FindingKind.STRAGGLER,
    FindingKind.NOISY_NEIGHBOR,
    FindingKind.INPUT_BOUND,
    FindingKind.NETWORK_BOUND,
    FindingKind.WORKLOAD_IMBALANCE,
)
LEAST_PEERS: Final = 4
LEAST_STEPS: Final = 20.0  # TraceML's least for a verdict that matters
LEAST_SECONDS: Final = 4.0
MOST_SECONDS: Final = 60.0
PARTS: Final = 4  # of which three must agree
RAISE_EFFECT: Final = 0.15  # of the job's slowdown
STAY_EFFECT: Final = 0.10  # the same, of what shows in half a window more
HOLD_EFFECT: Final = 0.08
RAISE_Z: Final = 3.5
HOLD_Z: Final = 1.0
LAST_WINDOWS: Final = 1.5  # a small lag, or a straggler, whose remedy costs most, must last so long
HOLD_WINDOWS: Final = 2  # a finding is held over so many windows
MOVING_WINDOWS: Final = 1.5  # scatter needs more steps than a mean
MOVING_PARTS: Final = 3
MOVING_MOST: Final = 2
OVER_EFFECT: Final = 0.02  # a rank that lags by less is no straggler any more

_RATE_SECONDS: Final = 10.0  # over which the length of a step is taken
_RAISES: Final = Limits(effect=RAISE_EFFECT, z=RAISE_Z, share=0.75)
_STAYS: Final = Limits(effect=STAY_EFFECT, z=RAISE_Z, share=0.75)
_LASTS: Final = Limits(effect=RAISE_EFFECT, z=RAISE_Z, share=1.0)
_HOLDS: Final = Limits(effect=HOLD_EFFECT, z=HOLD_Z, share=0.25)


class _Look(NamedTuple):
    """One window: its length, what counts in it, and which kinds may open a finding from it."""

    windows: float
    limits: Limits
    raised: frozenset[FindingKind]


_NAMED: Final = frozenset({FindingKind.NOISY_NEIGHBOR, FindingKind.INPUT_BOUND, FindingKind.NETWORK_BOUND})
_LOOKS: Final = (
    _Look(1.0, _RAISES, _NAMED),
    _Look(LAST_WINDOWS, _STAYS, _NAMED),
    _Look(LAST_WINDOWS, _LASTS, frozenset({FindingKind.STRAGGLER})),
    _Look(HOLD_WINDOWS, _HOLDS, frozenset()),
)


class CloseUp:
    """Names who holds a job back, from its last steps."""

    name = "close_up"

    def detect(self, frame: Frame) -> Detection:
        """Judge every group of at least four ranks whose steps are read each second."""
        near = frame.close_up
        if near is None:
            return Detection()
        seen = [(group, seconds) for group in _groups(near) if (seconds := _window(near, group)) is not None]
        found = near.once(
            "close up", lambda: tuple(one for group, seconds in seen for one in _judged(near, group, seconds))
        )
        ranks = sum(len(group.ranks) for group, _ in seen)
        what = "ranks whose steps are read each second, for who holds the others back"
        longest = max((seconds for _, seconds in seen), default=0.0)
        judged = Judgement(detector=self.name, what=what, entities=ranks, window_seconds=longest) if ranks else None
        return Detection(candidates=found, judged=judged)

    def explain(self, candidate: Candidate, processes: Sequence[ProcessReading]) -> Candidate:
        """Name the processes that load the CPUs beside the rank."""
        return with_processes(candidate, processes)


def closely_seen(frame: Frame) -> dict[tuple[str, str, int], bool]:
    """Of each rank that is seen closely, (cluster, job, rank): whether nothing more is to be said of it.

    True where its lag is over, or where `CloseUp` has a candidate about it already.
    """
    near = frame.close_up
    if near is None:
        return {}
    found = {(one.scope.cluster, one.scope.job_id, one.scope.rank) for one in CloseUp().detect(frame).candidates}
    known: dict[tuple[str, str, int], bool] = {}
    for group in _groups(near):
        seconds = _window(near, group)
        lag = None if seconds is None else read_lag(near, group, HOLD_WINDOWS * seconds, parts=PARTS)
        for member, row in enumerate(group.ranks) if lag is not None else ():
            key = (*group.key, near.ranks.entities[row].rank)
            known[key] = key in found or bool(lag is not None and lag.slowdown[member] < 1 + OVER_EFFECT)
    return known


def _groups(near: Frame) -> Iterator[Group]:
    return (group for group in peer_groups(near).groups if len(group.ranks) >= LEAST_PEERS and group.all_report)


def _window(near: Frame, group: Group) -> float | None:
    """Seconds that hold enough steps of every rank, None if there were none or that would take too long."""
    rate = near.values(training.STEP_SECONDS, "count", seconds=_RATE_SECONDS, rows=list(group.ranks))
    slowest = float(np.fmin.reduce(mean(rate)))
    if not slowest > 0 or LEAST_STEPS / slowest > MOST_SECONDS:
        return None
    return float(max(ceil(LEAST_STEPS / slowest), LEAST_SECONDS))


def _judged(near: Frame, group: Group, seconds: float) -> Iterator[Candidate]:
    found: dict[tuple[FindingKind, Scope], Candidate] = {}
    for one in (one for look in _LOOKS for one in _lagging(near, group, seconds, look)):
        if one.key not in found or (found[one.key].strength is Strength.HOLD and one.strength is Strength.RAISE):
            found[one.key] = one
    neighbored = {scope for kind, scope in found if kind is FindingKind.NOISY_NEIGHBOR}
    yield from (
        one for (kind, scope), one in found.items() if kind is not FindingKind.STRAGGLER or scope not in neighbored
    )
    moving = moving_candidate(
        near, group, MOVING_WINDOWS * seconds, parts=MOVING_PARTS, most=MOVING_MOST, is_close=True
    )
    if moving is not None:
        yield moving


def _lagging(near: Frame, group: Group, seconds: float, look: _Look) -> Iterator[Candidate]:
    lag = read_lag(near, group, seconds * look.windows, parts=PARTS, past_seconds=seconds * HOLD_WINDOWS)
    if lag is None or float(median(lag.steps)) < LEAST_STEPS / 2:
        return
    for one in candidates_of(
        near, group, lag, raises=look.limits if look.raised else _RAISES, holds=look.limits,
        seconds=seconds * look.windows, phases=OWN_PHASES, left_out=_throttled(near, group),
    ):  # fmt: skip
        yield one if one.kind in look.raised else replace(one, strength=Strength.HOLD)


def _throttled(near: Frame, group: Group) -> Mask:
    """[member], whose slowness has a name already."""
    limited = read_thermal(near).is_limited
    return np.array([at >= 0 and bool(limited[at]) for at in group.devices])
