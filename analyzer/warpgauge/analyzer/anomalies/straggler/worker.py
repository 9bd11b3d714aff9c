"""One slow rank: from the reading of its group to a candidate with its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.straggler.neighbor import neighbor_of
from warpgauge.analyzer.anomalies.straggler.place import Place
from warpgauge.analyzer.anomalies.straggler.power_limit import lowered_limit
from warpgauge.analyzer.anomalies.straggler.reading import MOST_BUCKETS, slowness_over_time
from warpgauge.analyzer.anomalies.straggler.screening import HOLD_EFFECT
from warpgauge.analyzer.anomalies.straggler.words import neighbor_remedy, worker_remedy
from warpgauge.analyzer.bottlenecks.thermal_limited import clock_signal
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.slowdown import impact_of
from warpgauge.analyzer.detection.windows import Array, Mask, confidence, mean, median, onset_time
from warpgauge.analyzer.detection.wording import count, gigahertz, percent, times
from warpgauge.core.catalog import device, training
from warpgauge.core.finding import Evidence, FindingKind, Impact, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.anomalies.straggler.neighbor import Neighbor
    from warpgauge.analyzer.anomalies.straggler.power_limit import LoweredLimit
    from warpgauge.analyzer.anomalies.straggler.reading import Reading
    from warpgauge.analyzer.frame import Frame

__all__ = ["worker_candidates"]

FEW_PEERS: Final = 8  # below, never more than a warning
RAISE_EFFECT: Final = 0.10  # Megatron-LM's sniff test and Greyhound ask for a tenth, too
RAISE_Z: Final = 3.5
HOLD_Z: Final = 2.5
SUPPORTING_CLOCK_RATIO: Final = 0.95
_LEAST_BY_CLOCK: Final = 0.5  # of the extra time, by the clock
CRITICAL_SLOWDOWN: Final = 1.2


def worker_candidates(
    frame: Frame, group: Group, reading: Reading, has_named_cause: Mask, *, most: int = MOST_BUCKETS
) -> list[Candidate]:
    """A candidate for each member that is slow beyond the hold thresholds and has no named cause.

    One that is slow in `most` parts of the window opens a finding.
    """
    holds = reading.passes(HOLD_EFFECT, HOLD_Z, 1) & ~has_named_cause
    if not holds.any():
        return []
    raises = reading.passes(RAISE_EFFECT, RAISE_Z, most)
    return [
        _candidate(frame, group, reading, int(member), Strength.RAISE if raises[member] else Strength.HOLD)
        for member in np.flatnonzero(holds)
    ]


def _candidate(frame: Frame, group: Group, reading: Reading, member: int, strength: Strength) -> Candidate:
    slowness = float(reading.slowness[member])
    effect = slowness - 1
    since = onset_time(frame, (slowness_over_time(frame, group, reading, member) - 1) / effect - 1 / 2)
    impact = _impact(frame, group, reading, member, frame.now - since)
    is_severe = (impact.slowdown_ratio or 1) >= CRITICAL_SLOWDOWN and len(group.devices) >= FEW_PEERS
    z = float(reading.z[member])
    place = Place(frame=frame, group=group, member=member)
    clocks = _clocks(place, reading.seconds)
    neighbor = _neighbor(place, reading, since, clocks)
    lowered = None if neighbor else lowered_limit(frame, group, [member])
    return Candidate(
        kind=FindingKind.NOISY_NEIGHBOR if neighbor else FindingKind.STRAGGLER,
        scope=place.scope,
        severity=Severity.CRITICAL if is_severe else Severity.WARNING,
        since=since,
        confidence=confidence(effect / RAISE_EFFECT - 1, z / RAISE_Z - 1, covered=reading.covered),
        evidence=(*_evidence(place, reading, clocks), *(neighbor.evidence if neighbor else ())),
        summary=_summary(place, reading, impact, clocks)
        + (f" {neighbor.words[0].upper()}{neighbor.words[1:]}." if neighbor else "")
        + (f" {lowered.words}" if lowered else ""),
        remedy=_remedy(place, neighbor, lowered),
        impact=impact,
        simulated=place.simulated,
        strength=strength,
        needs_processes=neighbor is not None and neighbor.is_on_cpus,
    )


def _remedy(place: Place, neighbor: Neighbor | None, lowered: LoweredLimit | None) -> str:
    if neighbor:
        return neighbor_remedy(place.rank_words)
    moves = worker_remedy(place.rank_words, place.name, on_cpu=place.device < 0)
    return lowered.before(moves) if lowered else moves


def _neighbor(place: Place, reading: Reading, since: float, clocks: tuple[float, float]) -> Neighbor | None:
    """Who shares the place with a rank that computes longer.

    A device whose clock is low enough to explain it has that for a reason; a little lower it is by the load as well,
    for who works all the time while its peers wait draws more power than they.
    """
    own, peers = clocks
    explained = peers / own - 1 if own < SUPPORTING_CLOCK_RATIO * peers else 0.0
    if reading.compute is None or explained >= _LEAST_BY_CLOCK * (float(reading.slowness[place.member]) - 1):
        return None
    rows = place.group.rank_rows
    step = float(median(mean(place.frame.values(training.STEP_SECONDS, "mean", seconds=reading.seconds, rows=rows))))
    extra = float(reading.compute[place.member]) - float(median(reading.compute))
    return neighbor_of(place, since, extra_seconds=extra, step_seconds=step)


def _impact(frame: Frame, group: Group, reading: Reading, member: int, seconds: float) -> Impact:
    job = frame.jobs[group.key]
    devices = max(len(job.devices), len(job.ranks))
    steps = mean(frame.values(training.STEP_SECONDS, "mean", seconds=reading.seconds, rows=job.ranks))
    step = float(median(steps)) if len(job.ranks) else float("nan")
    if reading.compute is None or not step > 0:
        method = "SM clock of the peers against its own; holds if all wait for it"
        return impact_of(float(reading.slowness[member]), devices=devices, seconds=seconds, method=method)
    others = np.delete(reading.compute, member)
    extra = max(float(reading.compute[member]) - float(others.max()), 0.0)
    method = "step time with the compute time of the next slowest rank"
    return impact_of(step / max(step - extra, step / 100), devices=devices, seconds=seconds, method=method)


def _clocks(place: Place, seconds: float) -> tuple[float, float]:
    """SM clock of the culprit and the median of its peers, NaN where not measured."""
    if not place.group.all_have_devices:
        return float("nan"), float("nan")
    frame, devices = place.frame, place.group.device_rows
    clock = frame.window(clock_signal(frame), seconds).mean[devices]
    return float(clock[place.member]), float(median(clock))


def _summary(place: Place, reading: Reading, impact: Impact, clocks: tuple[float, float]) -> str:
    own, peers = clocks
    is_slow_clocked = own < SUPPORTING_CLOCK_RATIO * peers
    clock = f" Its SM clock is {gigahertz(own)}, that of its peers {gigahertz(peers)}." if is_slow_clocked else ""
    head = f"{place.subject} holds job {place.group.key[1]} back: "
    if not reading.rests_on_phases:
        return f"{head}it works as much as its peers at {percent(own / peers)} of their SM clock.{clock}"
    words = f"it computes {times(float(reading.slowness[place.member]))} as long per step as the median of"
    cost = f", and {count(len(place.group.devices) - 1, 'peer')} wait for it"
    slower = f"; steps take {times(impact.slowdown_ratio or 1)} as long as without it."
    return f"{head}{words} {len(place.group.devices)} ranks{cost}{slower}{clock}"


def _evidence(place: Place, reading: Reading, clocks: tuple[float, float]) -> tuple[Evidence, ...]:
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
                    window_seconds=reading.seconds,
                )
            )
    own, peers = clocks
    if own < SUPPORTING_CLOCK_RATIO * peers:  # a clock like that of its peers supports nothing
        rows.append(
            measured(
                device.CLOCK,
                own,
                baseline=peers,
                window_seconds=reading.seconds,
            )
        )
    return tuple(rows)
