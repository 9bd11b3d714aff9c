"""One rank that all others of its job wait for.

Peers are the ranks of the same job, pipeline stage and device model; the same shift on all of them is the workload and
raises nothing. Where the device's clock timed the steps, the culprit is the rank that computes longest and waits least
(TraceML, C4D); without trusted phases it is a device whose SM clock stays below that of its peers while it works just
as much. A rank whose slowness has a name already (heat) is left to that finding, and imbalance that moves from rank to
rank stays below the persistence that is asked for here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.activity import read_activity
from warpgauge.analyzer.anomalies.peers import Group, Groups, peer_groups
from warpgauge.analyzer.bottlenecks.thermal_limited import clock_signal, read_thermal, sm_clock
from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, Strength
from warpgauge.analyzer.evidence import measured
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.phases import BUCKETS, in_buckets, mean_per_step, per_step, phase_rate
from warpgauge.analyzer.schema import TableName
from warpgauge.analyzer.slowdown import impact_of
from warpgauge.analyzer.windows import Array, Mask, confidence, coverage, mean, median, onset_time, ratio, robust_z
from warpgauge.analyzer.wording import count, device_name, gigahertz, percent, span, times
from warpgauge.core.catalog import device, training
from warpgauge.core.finding import Evidence, FindingKind, Impact, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.rolling import Columns

__all__ = ["Straggler"]

WINDOW_SECONDS: Final = 300.0
LEAST_PEERS: Final = 4
FEW_PEERS: Final = 8  # below, never more than a warning
RAISE_EFFECT: Final = 0.10  # Megatron-LM's sniff test and Greyhound ask for a tenth, too
HOLD_EFFECT: Final = 0.06
RAISE_Z: Final = 3.5
HOLD_Z: Final = 2.5
MOST_BUCKETS: Final = BUCKETS - 1
LEAST_EXPLAINED: Final = 0.5  # of the extra compute time must be missing from its waiting
LEAST_ACTIVITY: Final = 0.8  # of the peers': a device with less to do clocks down by itself
SUPPORTING_CLOCK_RATIO: Final = 0.95
CRITICAL_SLOWDOWN: Final = 1.2
LEAST_COVERAGE: Final = 0.8

_COMPUTE: Final = channel(training.PHASE_SECONDS, "compute")
_ROUNDING: Final = 1e-6  # sums in another order differ by less


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How slow each member of a group is: 1.3 = needs 1.3 times as long as the median member."""

    slowness: Array  # [member]
    z: Array  # [member], `robust_z` of the slowness
    buckets: Array  # [member, bucket]
    covered: float
    rests_on_phases: bool
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


class Straggler:
    """Names ranks that hold their job back."""

    name = "straggler"

    def detect(self, frame: Frame) -> Detection:
        """Judge every group of at least four peers that reports device-timed steps or SM clocks."""
        thermal = read_thermal(frame).is_limited
        screening = _screened(frame, thermal)
        found: list[Candidate] = []
        for group in screening.suspects:
            reading = _read(frame, group)
            found += _candidates(frame, group, reading, thermal) if reading is not None else ()
        return Detection(
            candidates=tuple(found),
            judged=self._judged(screening.judged),
            not_judged=self._not(screening.small, screening.blind),
        )

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Screening:
    """All groups at a glance: how many members there are of each sort, and the groups worth a close look."""

    suspects: tuple[Group, ...]
    judged: int
    small: int
    blind: int


def _screened(frame: Frame, thermal: Mask) -> _Screening:
    """Sort the groups by what `_read` would make of them, from window means alone.

    A group is a suspect if any member, not slowed down by heat, is so much slower than the median that it may hold a
    finding; no other can.
    """
    groups = peer_groups(frame)
    is_small = groups.sizes < LEAST_PEERS
    by_phases, by_clock = _has_phases(frame, groups) & ~is_small, _has_clock(frame, groups) & ~is_small
    by_clock &= ~by_phases
    compute = groups.of_ranks(mean_per_step(frame, "compute", WINDOW_SECONDS))
    clock = groups.of_devices(frame.window(clock_signal(frame), WINDOW_SECONDS).mean)
    is_hot = groups.of_devices(thermal) == 1
    slowness = (
        ratio(compute, groups.spread(groups.median(compute))),
        ratio(groups.spread(groups.median(clock)), clock),
    )
    longest, slowest = (groups.greatest(np.where(is_hot, 1.0, one)) for one in slowness)
    suspects = np.where(by_phases, longest, np.where(by_clock, slowest, 1.0)) >= 1 + HOLD_EFFECT - _ROUNDING
    is_judged = by_phases | by_clock
    return _Screening(
        suspects=tuple(groups.groups[at] for at in np.flatnonzero(suspects)),
        judged=int(groups.sizes[is_judged].sum()),
        small=int(groups.sizes[is_small].sum()),
        blind=int(groups.sizes[~is_judged & ~is_small].sum()),
    )


def _has_phases(frame: Frame, groups: Groups) -> Mask:
    """[group], whether `_by_phases` gives a reading."""
    covered = groups.of_ranks(frame.window(_COMPUTE, WINDOW_SECONDS).coverage)
    compute = groups.of_ranks(mean_per_step(frame, "compute", WINDOW_SECONDS))
    is_timed = groups.of_ranks(frame.has_device_clock)
    on_cpus = groups.greatest(groups.devices.astype(np.float64)) < 0
    is_trusted = on_cpus | (groups.least(is_timed) == 1)
    return np.asarray(is_trusted & (groups.least(covered) >= LEAST_COVERAGE) & np.isfinite(groups.least(compute)))


def _has_clock(frame: Frame, groups: Groups) -> Mask:
    """[group], whether `_by_clock` gives a reading."""
    covered = groups.of_devices(frame.window(clock_signal(frame), WINDOW_SECONDS).coverage)
    return np.asarray(groups.least(covered) >= LEAST_COVERAGE)


def _read(frame: Frame, group: Group) -> _Reading | None:
    by_phases = _by_phases(frame, group) if min(group.ranks) >= 0 else None
    return by_phases or (_by_clock(frame, group) if min(group.devices) >= 0 else None)


def _by_phases(frame: Frame, group: Group) -> _Reading | None:
    """Compute seconds per step; a host's clock says nothing about an accelerator, so it is believed on CPUs only."""
    rows = list(group.ranks)
    if max(group.devices) >= 0 and not frame.has_device_clock[rows].all():
        return None
    covered = float(coverage(phase_rate(frame, "compute", rows, WINDOW_SECONDS)).min())
    compute, buckets = per_step(frame, "compute", rows, WINDOW_SECONDS)
    communication = mean_per_step(frame, "communication", WINDOW_SECONDS)[rows]
    if covered < LEAST_COVERAGE or not np.isfinite(compute).all():
        return None
    slowness = ratio(compute, median(compute))
    return _Reading(
        slowness=slowness,
        z=robust_z(slowness),
        buckets=ratio(buckets, median(buckets.T)),
        covered=covered,
        rests_on_phases=True,
        compute=compute,
        communication=communication if np.isfinite(communication).all() else None,
    )


def _by_clock(frame: Frame, group: Group) -> _Reading | None:
    """How far the SM clock stays below that of the peers; 1 for devices that have less to do than these."""
    rows = list(group.devices)
    clock = sm_clock(frame, rows, WINDOW_SECONDS)
    covered = float(coverage(clock).min())
    if covered < LEAST_COVERAGE:
        return None
    worked = read_activity(frame, WINDOW_SECONDS).mean[rows]
    works = ~(worked < LEAST_ACTIVITY * median(worked))
    slowness = np.where(works, ratio(median(mean(clock)), mean(clock)), 1.0)
    buckets = in_buckets(clock)
    return _Reading(
        slowness=slowness,
        z=robust_z(slowness),
        buckets=ratio(median(buckets.T), buckets),
        covered=covered,
        rests_on_phases=False,
    )


def _slowness_over_time(frame: Frame, group: Group, reading: _Reading, member: int) -> Array:
    """How slow a member was, [column of the whole frame], for the onset."""
    rows = list(group.ranks if reading.rests_on_phases else group.devices)

    def by_phases(columns: Columns) -> Array:
        compute = columns.of(training.PHASE_SECONDS, "compute")[:, rows]
        per_step = ratio(compute, columns.of(training.STEP_SECONDS, "count")[:, rows])
        return ratio(per_step[:, member], median(per_step))

    def by_clock(columns: Columns) -> Array:
        clock = clock_signal(frame).read(columns)[:, rows]
        return ratio(median(clock), clock[:, member])

    if reading.rests_on_phases:
        return frame.trace(TableName.RANKS, ("compute", tuple(rows), member), by_phases)
    return frame.trace(TableName.DEVICES, (clock_signal(frame).name, tuple(rows), member), by_clock)


def _candidates(frame: Frame, group: Group, reading: _Reading, thermal: Mask) -> list[Candidate]:
    has_named_cause = np.array([at >= 0 and bool(thermal[at]) for at in group.devices])
    holds = reading.passes(HOLD_EFFECT, HOLD_Z, 1) & ~has_named_cause
    if not holds.any():
        return []
    raises = reading.passes(RAISE_EFFECT, RAISE_Z, MOST_BUCKETS)
    return [
        _candidate(frame, group, reading, int(member), Strength.RAISE if raises[member] else Strength.HOLD)
        for member in np.flatnonzero(holds)
    ]


def _candidate(frame: Frame, group: Group, reading: _Reading, member: int, strength: Strength) -> Candidate:
    slowness = float(reading.slowness[member])
    effect = slowness - 1
    since = onset_time(frame, (_slowness_over_time(frame, group, reading, member) - 1) / effect - 1 / 2)
    impact = _impact(frame, group, reading, member, frame.now - since)
    is_severe = (impact.slowdown_ratio or 1) >= CRITICAL_SLOWDOWN and len(group.devices) >= FEW_PEERS
    z = float(reading.z[member])
    place = _Place(frame=frame, group=group, member=member)
    return Candidate(
        kind=FindingKind.STRAGGLER,
        scope=place.scope,
        severity=Severity.CRITICAL if is_severe else Severity.WARNING,
        since=since,
        confidence=confidence(effect / RAISE_EFFECT - 1, z / RAISE_Z - 1, covered=reading.covered),
        evidence=_evidence(place, reading),
        summary=_summary(place, reading, impact, frame.now - since),
        remedy=f"Move {place.rank_words} to a spare device and start the job again from its last checkpoint; then"
        f" inspect {place.name}: clock limits (nvidia-smi -q -d CLOCK,PERFORMANCE), power cabling, PCIe link,"
        " other processes.",
        impact=impact,
        simulated=place.simulated,
        strength=strength,
        fraction=float((reading.buckets[member] >= 1 + RAISE_EFFECT).mean()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The culprit: where it is and what it is called."""

    frame: Frame
    group: Group
    member: int

    @property
    def device(self) -> int:
        return self.group.devices[self.member]

    @property
    def rank(self) -> int:
        return self.group.ranks[self.member]

    @property
    def name(self) -> str:
        if self.device >= 0:
            return device_name(self.frame.devices.entities[self.device])
        return f"its node {self.frame.ranks.entities[self.rank].node}"

    @property
    def rank_words(self) -> str:
        number = self.scope.rank
        return "its rank" if number is None else f"rank {number}"

    @property
    def simulated(self) -> bool:
        frame = self.frame
        return (
            frame.devices.entities[self.device].simulated
            if self.device >= 0
            else frame.ranks.entities[self.rank].simulated
        )

    @property
    def scope(self) -> Scope:
        cluster, job_id = self.group.key
        device_entity = self.frame.devices.entities[self.device] if self.device >= 0 else None
        rank = self.frame.ranks.entities[self.rank] if self.rank >= 0 else None
        node = device_entity.node if device_entity else (rank.node if rank else "")
        return Scope(
            cluster=cluster,
            node=node or None,
            uuid=device_entity.uuid if device_entity else None,
            instance_id=(device_entity.instance_id or None) if device_entity else None,
            job_id=job_id,
            rank=rank.rank if rank and rank.rank >= 0 else None,
            stage=rank.stage if rank else None,
        )


def _impact(frame: Frame, group: Group, reading: _Reading, member: int, seconds: float) -> Impact:
    job = frame.jobs[group.key]
    devices = max(len(job.devices), len(job.ranks))
    steps = mean(frame.values(training.STEP_SECONDS, "mean", seconds=WINDOW_SECONDS, rows=job.ranks))
    step = float(median(steps)) if len(job.ranks) else float("nan")
    if reading.compute is None or not step > 0:
        method = "SM clock of the peers against its own; holds if all wait for it"
        return impact_of(float(reading.slowness[member]), devices=devices, seconds=seconds, method=method)
    others = np.delete(reading.compute, member)
    extra = max(float(reading.compute[member]) - float(others.max()), 0.0)
    method = "step time with the compute time of the next slowest rank"
    return impact_of(step / max(step - extra, step / 100), devices=devices, seconds=seconds, method=method)


def _clocks(place: _Place) -> tuple[float, float]:
    """SM clock of the culprit and the median of its peers, NaN where not measured."""
    if min(place.group.devices) < 0:
        return float("nan"), float("nan")
    frame, devices = place.frame, list(place.group.devices)
    clock = frame.window(clock_signal(frame), WINDOW_SECONDS).mean[devices]
    return float(clock[place.member]), float(median(clock))


def _summary(place: _Place, reading: _Reading, impact: Impact, seconds: float) -> str:
    own, peers = _clocks(place)
    is_slow_clocked = own < SUPPORTING_CLOCK_RATIO * peers
    clock = f" Its SM clock is {gigahertz(own)}, that of its peers {gigahertz(peers)}." if is_slow_clocked else ""
    head = f"{place.name} ({place.rank_words}) holds job {place.group.key[1]} back for {span(seconds)}: "
    if not reading.rests_on_phases:
        return f"{head}it works as much as its peers at {percent(own / peers)} of their SM clock.{clock}"
    words = f"it computes {times(float(reading.slowness[place.member]))} as long per step as the median of"
    cost = f", and {count(len(place.group.devices) - 1, 'peer')} wait for it"
    slower = f"; steps take {times(impact.slowdown_ratio or 1)} as long as without it."
    return f"{head}{words} {len(place.group.devices)} ranks{cost}{slower}{clock}"


def _evidence(place: _Place, reading: _Reading) -> tuple[Evidence, ...]:
    rows: list[Evidence] = []
    phases: Sequence[tuple[str, Array | None]] = (
        ("compute", reading.compute),
        ("communication", reading.communication),
    )
    for phase, values in phases:
        if values is not None:
            center = float(median(values))
            rows.append(
                measured(
                    training.PHASE_SECONDS,
                    float(values[place.member]),
                    labels=f'{{phase="{phase}"}}',
                    unit="seconds per step",
                    baseline=center,
                    threshold=center * (1 + RAISE_EFFECT) if phase == "compute" else None,
                    window_seconds=WINDOW_SECONDS,
                )
            )
    own, peers = _clocks(place)
    if own < SUPPORTING_CLOCK_RATIO * peers:  # a clock like that of its peers supports nothing
        rows.append(
            measured(
                device.CLOCK,
                own,
                baseline=peers,
                window_seconds=WINDOW_SECONDS,
            )
        )
    return tuple(rows)
