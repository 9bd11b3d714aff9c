"""A job that holds a whole device and would do with a part of it, by all that it used in a week.

The rule and its head-rooms are `planning/sizing.py`. A frame holds an hour, so what a job used is summed up beside it
(`usage.py`); where nobody keeps that, nothing is said.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import job_scope
from warpgauge.analyzer.detection.usage import alone
from warpgauge.analyzer.detection.windows import confidence
from warpgauge.analyzer.detection.wording import device_name, gibibytes, percent, span
from warpgauge.analyzer.planning.mig_profiles import profiles_of
from warpgauge.analyzer.planning.sizing import (
    COMPUTE_HEADROOM,
    LEAST_OBSERVED_SECONDS,
    MEMORY_HEADROOM,
    Demand,
    Profile,
    right_size,
)
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.detection.usage import Usage, Used
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import JobKey
    from warpgauge.core.finding import Evidence

__all__ = ["Oversized"]

LEAST_COVERAGE: Final = 0.8
_ACTIVITY_SHARE: Final = 0.95
_SLOW_SECONDS: Final = 300.0


class Oversized:
    """Names jobs that would fit a MIG instance; with a `usage` that goes on from tick to tick it can."""

    name = "oversized"

    def __init__(self, usage: Usage | None = None) -> None:
        self._usage = usage
        self._said: tuple[tuple[int, int], Detection] | None = None

    def detect(self, frame: Frame) -> Detection:
        """Judge jobs of one whole device that can be cut, once they were seen for long enough.

        What was said stands until the usage is read anew, some minutes later; but nothing of a job that is gone.
        """
        if self._usage is None:
            return Detection()
        self._usage.take(frame)
        state = (self._usage.version, frame.generation)
        if self._said is None or self._said[0] != state:
            self._said = (state, self._judge(frame, self._usage))
        detection = self._said[1]
        here = tuple(one for one in detection.candidates if (one.scope.cluster, one.scope.job_id) in frame.jobs)
        return replace(detection, candidates=here)

    def _judge(self, frame: Frame, usage: Usage) -> Detection:
        held = alone(frame)
        totals = frame.latest(device.MEMORY_TOTAL, seconds=_SLOW_SECONDS, rows=list(held.values()))
        candidates, judged, young, unseen = [], 0, 0, 0
        for (key, row), total in zip(held.items(), totals.tolist(), strict=True):
            entity = frame.devices.entities[row]
            profiles = () if math.isnan(total) else profiles_of(entity.model, total)
            if not profiles:
                continue
            used = usage.by_key.get((key[0], entity.node, entity.uuid, key[1]))
            if used is None:
                unseen += 1
            elif used.until - used.since < LEAST_OBSERVED_SECONDS or used.covered < LEAST_COVERAGE:
                young += 1
            else:
                judged += 1
                whole = Profile(name="the whole device", memory_bytes=int(total), compute_ratio=1.0)
                verdict = right_size(_demand(used), whole, profiles)
                if verdict.profile is not None:
                    candidates.append(_candidate(frame, key, row, used, verdict.profile))
        return Detection(
            candidates=tuple(candidates), judged=self._judged(judged), not_judged=self._not_judged(young, unseen)
        )

    def _judged(self, entities: int) -> Judgement | None:
        what = "jobs that hold one device, for whether a part of it would do"
        return (
            Judgement(detector=self.name, what=what, entities=entities, window_seconds=LEAST_OBSERVED_SECONDS)
            if entities
            else None
        )

    def _not_judged(self, young: int, unseen: int) -> tuple[NotJudged, ...]:
        lacks = (
            (young, f"measured for less than {span(LEAST_OBSERVED_SECONDS)}", ()),
            (unseen, "memory or SM activity was not measured", (device.MEMORY_USED.name, device.COMPUTE_ACTIVE.name)),
        )
        return tuple(
            NotJudged(
                detector=self.name, what="whether a part of a device would do", why=why, missing=missing, entities=n
            )
            for n, why, missing in lacks
            if n
        )


def _demand(used: Used) -> Demand:
    """The peak of memory stands for its 99th percentile, which it is never below."""
    return Demand(
        memory_bytes_p99=int(used.peak_bytes),
        sm_active_ratio_p95=used.activity_at(_ACTIVITY_SHARE),
        observed_seconds=used.until - used.since,
    )


def _candidate(frame: Frame, key: JobKey, row: int, used: Used, profile: Profile) -> Candidate:
    entity = frame.devices.entities[row]
    return Candidate(
        kind=FindingKind.OVERSIZED,
        scope=job_scope(frame, key, [row]),
        severity=Severity.INFO,
        since=used.since,
        confidence=_confidence(used, profile),
        evidence=_evidence(frame, row, used, profile),
        summary=_summary(frame, key[1], row, used),
        remedy=f"Give job {key[1]} a {profile.name} instance in place of the whole {device_name(entity)}: it has"
        f" {gibibytes(profile.memory_bytes)} and {percent(profile.compute_ratio)} of the SMs.",
        simulated=entity.simulated,
    )


def _confidence(used: Used, profile: Profile) -> float:
    """Of how much is left beyond the head-room, and how much longer than a week it was seen."""
    active = used.activity_at(_ACTIVITY_SHARE)
    return confidence(
        profile.memory_bytes / (used.peak_bytes * MEMORY_HEADROOM) - 1,
        profile.compute_ratio / (active * COMPUTE_HEADROOM) - 1,
        (used.until - used.since) / LEAST_OBSERVED_SECONDS - 1,
        covered=used.covered,
    )


def _evidence(frame: Frame, row: int, used: Used, profile: Profile) -> tuple[Evidence, ...]:
    seconds, samples = round(used.until - used.since, 3), round(used.seconds / frame.step_seconds)
    memory = measured(
        device.MEMORY_USED,
        used.peak_bytes,
        baseline=_total(frame, row),
        threshold=float(profile.memory_bytes),
        window_seconds=seconds,
        samples=samples,
    )
    activity = measured(
        device.COMPUTE_ACTIVE,
        used.activity_at(_ACTIVITY_SHARE),
        baseline=1.0,
        threshold=profile.compute_ratio,
        window_seconds=seconds,
        samples=samples,
    )
    return (memory, activity)


def _summary(frame: Frame, job: str, row: int, used: Used) -> str:
    entity, active = frame.devices.entities[row], used.activity_at(_ACTIVITY_SHARE)
    return (
        f"Job {job} used at most {gibibytes(used.peak_bytes)} of {gibibytes(_total(frame, row))} of"
        f" {device_name(entity)} in the last {span(used.until - used.since)}, and at most {percent(active)} of its SMs"
        f" for {percent(_ACTIVITY_SHARE)} of that time."
    )


def _total(frame: Frame, row: int) -> float:
    return float(frame.latest(device.MEMORY_TOTAL, seconds=_SLOW_SECONDS, rows=[row])[0])
