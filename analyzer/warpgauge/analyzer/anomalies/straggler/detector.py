"""Ranks, hosts and links that all others of a job wait for.

Peers are the ranks of the same job, pipeline stage and device model; the same shift on all of them is the workload and
raises nothing. Where the device's clock timed the steps, the culprit is the rank that computes longest and waits least
(TraceML, C4D); without trusted phases it is a device whose SM clock stays below that of its peers while it works just
as much. Where all ranks of a host are slow the host is; who sends longer than its peers has a slow link, and hosts that
do so together share a switch; a rank that became slow with a load beside it has a noisy neighbor. A rank whose slowness
has a name already (heat) is left to that finding.

How long it must last depends on the evidence (`sequential.py`): a rank that takes twice as long among even peers is
named after two samples, and 30 s at least; one that takes a tenth longer after six; one sample is never enough. Peers
that scatter, and imbalance that moves from rank to rank, make each sample count for less. What five minutes show needs
the same evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.anomalies.straggler.candidates import candidates_of
from warpgauge.analyzer.anomalies.straggler.close_up import closely_seen
from warpgauge.analyzer.anomalies.straggler.lag import Limits, read_lag
from warpgauge.analyzer.anomalies.straggler.named import with_processes
from warpgauge.analyzer.anomalies.straggler.place import scopes_of
from warpgauge.analyzer.anomalies.straggler.reading import (
    LEAST_ACTIVITY,
    LEAST_COVERAGE,
    LEAST_EXPLAINED,
    MOST_BUCKETS,
    WINDOW_SECONDS,
    read,
    read_phases,
)
from warpgauge.analyzer.anomalies.straggler.screening import HOLD_EFFECT, LEAST_PEERS, screened
from warpgauge.analyzer.anomalies.straggler.sequential import (
    EFFECT,
    EVIDENCE,
    HOLD_EVIDENCE,
    LEAST_SAMPLES,
    LEAST_SECONDS,
    LOOK_SECONDS,
    NOISE,
    read_early,
)
from warpgauge.analyzer.anomalies.straggler.worker import (
    CRITICAL_SLOWDOWN,
    FEW_PEERS,
    HOLD_Z,
    RAISE_EFFECT,
    RAISE_Z,
    SUPPORTING_CLOCK_RATIO,
    worker_candidates,
)
from warpgauge.analyzer.bottlenecks.thermal_limited import read_thermal
from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, Strength
from warpgauge.analyzer.detection.phases import BUCKETS
from warpgauge.analyzer.detection.wording import span
from warpgauge.core.catalog import device, training
from warpgauge.core.finding import FindingKind, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.anomalies.straggler.reading import Reading
    from warpgauge.analyzer.anomalies.straggler.sequential import EarlyLag
    from warpgauge.analyzer.detection import ProcessReading
    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Frame

__all__ = [
    "CRITICAL_SLOWDOWN",
    "EFFECT",
    "EVIDENCE",
    "FEW_PEERS",
    "HOLD_EFFECT",
    "HOLD_EVIDENCE",
    "HOLD_Z",
    "LEAST_ACTIVITY",
    "LEAST_EXPLAINED",
    "LEAST_SAMPLES",
    "LEAST_SECONDS",
    "LOOK_SECONDS",
    "NOISE",
    "RAISE_EFFECT",
    "RAISE_Z",
    "SUPPORTING_CLOCK_RATIO",
    "Straggler",
]

GAINFUL: Final = (FindingKind.STRAGGLER, FindingKind.NOISY_NEIGHBOR, FindingKind.NETWORK_BOUND)

_HOLDS: Final = Limits(effect=HOLD_EFFECT, z=HOLD_Z, share=1 / BUCKETS)
_EARLY_PARTS: Final = 2
_EARLY_COVERAGE: Final = 0.5  # of a few columns: a scrape that was missed may be one of them


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One window: its length, its parts and how many must agree, what opens a finding, and in which phases."""

    seconds: float
    parts: int
    most: int
    raises: Limits
    phases: frozenset[str]
    read: Callable[[Frame, Group], Reading | None]

    @classmethod
    def of_seconds(cls, seconds: float) -> _Look:
        """A look at what a sequential test is sure about: it has settled how often, links need the longer look."""

        def read(frame: Frame, group: Group) -> Reading | None:
            return read_phases(frame, group, seconds, _EARLY_PARTS, least_coverage=_EARLY_COVERAGE)

        return cls(
            seconds=seconds, parts=_EARLY_PARTS, most=_EARLY_PARTS, read=read, phases=frozenset(),
            raises=Limits(effect=RAISE_EFFECT, z=RAISE_Z, share=1.0),
        )  # fmt: skip


_STANDING: Final = _Look(
    seconds=WINDOW_SECONDS, parts=BUCKETS, most=MOST_BUCKETS, read=read, phases=frozenset({training.TRANSFER}),
    raises=Limits(effect=RAISE_EFFECT, z=RAISE_Z, share=MOST_BUCKETS / BUCKETS),
)  # fmt: skip


class Straggler:
    """Names ranks that hold their job back."""

    name = "straggler"

    def detect(self, frame: Frame) -> Detection:
        """Judge every group of at least four peers that reports device-timed steps or SM clocks."""
        screening = screened(frame)
        is_closed = closely_seen(frame)
        found = (one for group in screening.suspects for one in _of_group(frame, group))
        return Detection(
            candidates=tuple(one for one in found if not is_closed.get(_rank_key(one.scope), False)),
            judged=self._judged(screening.judged),
            not_judged=self._not(screening.small, screening.blind),
        )

    def explain(self, candidate: Candidate, processes: Sequence[ProcessReading]) -> Candidate:
        """Name the processes that load the CPUs beside the rank."""
        return with_processes(candidate, processes)

    def _judged(self, members: int) -> Judgement | None:
        what = "ranks, for being slower than their peers"
        return (
            Judgement(detector=self.name, what=what, entities=members, window_seconds=WINDOW_SECONDS)
            if members
            else None
        )

    def _not(self, small: int, blind: int) -> tuple[NotJudged, ...]:
        names = (training.PHASE_SECONDS.name, device.CLOCK.name)
        lacks = (
            (small, f"fewer than {LEAST_PEERS} peers in the same job, stage and model", ()),
            (blind, f"neither device-timed steps nor SM clocks for {span(WINDOW_SECONDS * LEAST_COVERAGE)}", names),
        )
        return tuple(
            NotJudged(detector=self.name, what="whether ranks hold their job back", why=why, missing=m, entities=n)
            for n, why, m in lacks
            if n
        )


def _rank_key(scope: Scope) -> tuple[str, str, int]:
    return (scope.cluster or "", scope.job_id or "", -1 if scope.rank is None else scope.rank)


def _of_group(frame: Frame, group: Group) -> Iterator[Candidate]:
    """What five minutes show; where they raise nothing, what the newest samples are already enough for."""
    standing = _standing(frame, group)
    yield from standing
    if any(one.strength is Strength.RAISE for one in standing):
        return
    early = read_early(frame, group)
    if early is None or not early.is_any:
        return
    known = {one.key for one in standing}
    for one in _early(frame, group, early):
        if one.strength is Strength.RAISE or one.key not in known:
            yield one


def _standing(frame: Frame, group: Group) -> list[Candidate]:
    """What five minutes show; it stands until the group's next turn, and the groups of a fleet take turns."""
    kept: dict[str, Any] = frame.of_job(group.key, ("standing", group), dict)
    turn = frame.turn(group.turn)
    if kept.get("turn") != turn:
        shown = list(_within(frame, group, read_thermal(frame).is_limited, _STANDING))
        early = read_early(frame, group) if shown else None
        found = [_supported(frame, group, one, early) for one in shown]
        kept.update(turn=turn, found=found)
    known: list[Candidate] = kept["found"]
    return known


def _supported(frame: Frame, group: Group, one: Candidate, early: EarlyLag | None) -> Candidate:
    """The candidate, which opens no finding if its ranks scatter so much that chance may have made it."""
    if early is None or one.kind is FindingKind.NETWORK_BOUND or one.strength is Strength.HOLD:
        return one
    is_sure = early.raises(_members_at(frame, group, one.scope), is_host=one.scope.rank is None)
    return one if is_sure else replace(one, strength=Strength.HOLD)


def _within(frame: Frame, group: Group, left_out: Mask, look: _Look) -> Iterator[Candidate]:
    """Slow links and hosts, then the slow ranks that no host explains."""
    has_named_cause = np.append(left_out, False)[group.device_rows]  # row -1, no device, is the last
    lag = read_lag(frame, group, look.seconds, parts=look.parts)
    shared = () if lag is None else tuple(
        candidates_of(
            frame, group, lag, raises=look.raises, holds=_HOLDS, seconds=look.seconds,
            phases=look.phases, host_phases={"compute", *look.phases}, left_out=has_named_cause,
        )
    )  # fmt: skip
    yield from shared
    hosts = {one.scope.node for one in shared if one.scope.rank is None}
    reading = look.read(frame, group)
    for candidate in (
        () if reading is None else worker_candidates(frame, group, reading, has_named_cause, most=look.most)
    ):
        if candidate.scope.node not in hosts:
            yield candidate


def _early(frame: Frame, group: Group, early: EarlyLag) -> Iterator[Candidate]:
    """Ranks and hosts about which a sequential test is sure before five minutes are over.

    Where heat or the hardware holds a clock down, what names the cause is waited for.
    """
    is_held = read_thermal(frame).share > 0
    for one in _within(frame, group, is_held, _Look.of_seconds(early.seconds)):
        members, is_host = _members_at(frame, group, one.scope), one.scope.rank is None
        if early.holds(members, is_host=is_host):
            is_sure = early.raises(members, is_host=is_host) and bool(early.is_lasting[members].all())
            is_raised = is_sure and one.strength is Strength.RAISE
            yield replace(one, strength=Strength.RAISE if is_raised else Strength.HOLD)


def _members_at(frame: Frame, group: Group, culprit: Scope) -> Mask:
    """[member], which are the culprit or stand on it."""
    places = scopes_of(frame, group)
    if culprit.rank is not None:
        return np.array([place.rank == culprit.rank for place in places])
    return np.array([place.node == culprit.node or culprit.node is None for place in places])
