"""Devices that a job holds and does not use.

Idle is a peak of activity of at most 1 % over half an hour (wseaton/gpu-pruner). Devices that no job holds are free,
not idle; a job that came less than half an hour ago is still starting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, Strength
from warpgauge.analyzer.detection.activity import SIGNALS, Activity, read_activity
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import job_scope
from warpgauge.analyzer.detection.windows import Array, Mask, columns_in, confidence, onset_times_of
from warpgauge.analyzer.detection.wording import count, device_name, gibibytes, listed_of, percent, span
from warpgauge.core.catalog import device
from warpgauge.core.finding import Evidence, FindingKind, Impact, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import JobKey

__all__ = ["IdleAllocated"]

WINDOW_SECONDS: Final = 1800.0
IDLE_ACTIVITY: Final = 0.01
HOLD_SHARE: Final = 0.9  # of the window without work: three minutes of work end the finding
LEAST_COVERAGE: Final = 0.8
HELD_BYTES: Final = 2.0**30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    activity: Activity
    peak: Array  # [device]
    idle_share: Array  # [device]
    covered: Array  # [device]
    memory_bytes: Array  # [device]

    @classmethod
    def of(cls, frame: Frame) -> _Reading:
        """Read activity and memory of all devices."""
        activity = read_activity(frame, WINDOW_SECONDS)
        return cls(
            activity=activity,
            peak=activity.peak,
            idle_share=np.nan_to_num(activity.share_at_most(IDLE_ACTIVITY)),
            covered=activity.coverage,
            memory_bytes=frame.latest(device.MEMORY_USED).astype(np.float64),
        )


class IdleAllocated:
    """Names jobs whose devices stand still."""

    name = "idle_allocated"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device that a job holds and whose activity is measured."""
        reading = _Reading.of(frame)
        is_held = np.isfinite(frame.allocated_since)
        is_measured = reading.activity.signal >= 0
        is_settled = frame.now - frame.allocated_since >= WINDOW_SECONDS
        judged = is_held & (reading.covered >= LEAST_COVERAGE) & is_settled
        return Detection(
            candidates=_candidates(frame, reading, judged),
            judged=self._judged(int(judged.sum())),
            not_judged=self._not_judged(is_held & ~is_measured, is_held & is_measured & ~judged, is_held),
        )

    def _judged(self, entities: int) -> Judgement | None:
        what = "devices held by jobs, for whether they work at all"
        return (
            Judgement(detector=self.name, what=what, entities=entities, window_seconds=WINDOW_SECONDS)
            if entities
            else None
        )

    def _not_judged(self, unmeasured: Mask, young: Mask, is_held: Mask) -> tuple[NotJudged, ...]:
        names = tuple(metric.name for metric, _ in SIGNALS)
        lacks = [
            (int(unmeasured.sum()), "their activity was never measured", names),
            (int(young.sum()), f"held or measured for less than {span(WINDOW_SECONDS)}", ()),
        ]
        if len(is_held) and not is_held.any():
            lacks.append((len(is_held), "nothing tells which job holds a device", (device.WORKLOAD_INFO.name,)))
        return tuple(
            NotJudged(detector=self.name, what="whether held devices stand idle", why=why, missing=missing, entities=n)
            for n, why, missing in lacks
            if n
        )


def _candidates(frame: Frame, reading: _Reading, judged: Mask) -> tuple[Candidate, ...]:
    idle: dict[JobKey, list[int]] = {}
    jobs = frame.device_job
    for row in np.flatnonzero(judged & (reading.idle_share >= HOLD_SHARE)):
        job = jobs[row]
        if job is not None:
            idle.setdefault(job, []).append(int(row))
    return tuple(_candidate(frame, reading, key, rows) for key, rows in idle.items())


def _candidate(frame: Frame, reading: _Reading, key: JobKey, rows: list[int]) -> Candidate:
    since, entities = float(_since(frame, reading.activity, rows).max()), frame.devices.entities
    seconds = frame.now - since
    peak = float(reading.peak[rows].max())
    covered = float(reading.covered[rows].min())
    idle_share = float(reading.idle_share[rows].mean())
    return Candidate(
        kind=FindingKind.IDLE_ALLOCATED,
        scope=job_scope(frame, key, rows),
        severity=Severity.WARNING,
        since=since,
        confidence=confidence(1 - peak / IDLE_ACTIVITY, seconds / WINDOW_SECONDS - 1, covered=covered),
        evidence=_evidence(frame, reading, rows, peak),
        summary=_summary(frame, reading, key, rows),
        remedy=_remedy(frame, key),
        impact=Impact(
            lost_device_seconds=round(idle_share * len(rows) * seconds, 1),
            method="share of time without work x devices x time since the onset",
        ),
        simulated=any(entities[row].simulated for row in rows),
        strength=Strength.RAISE if bool((reading.peak[rows] <= IDLE_ACTIVITY).all()) else Strength.HOLD,
    )


def _since(frame: Frame, activity: Activity, rows: list[int]) -> Array:
    """Onset of each device's idleness; where it did nothing at all for long enough, since its last work."""
    whole = activity.values(rows).T
    onsets = onset_times_of(frame, whole <= IDLE_ACTIVITY, np.isfinite(whole))
    ago = np.argmax(whole[::-1] > IDLE_ACTIVITY, axis=0)  # columns since it last worked, 0 if it never did
    rests = ago * frame.step_seconds >= WINDOW_SECONDS
    onsets = np.where(rests, frame.now - ago * frame.step_seconds, onsets)
    return np.maximum(onsets, frame.allocated_since[rows])


def _summary(frame: Frame, reading: _Reading, key: JobKey, rows: list[int]) -> str:
    entities = frame.devices.entities
    names = listed_of(len(rows), lambda at: device_name(entities[rows[at]]))
    held = len(frame.jobs[key].devices)
    part = "all that it holds" if held == len(rows) else f"{len(rows)} of {count(held, 'device')}"
    memory, peak = reading.memory_bytes[rows], float(reading.peak[rows].max())
    holding = f" while {gibibytes(float(np.nansum(memory)))} of device memory is held" if _is_held(memory) else ""
    if peak > IDLE_ACTIVITY:
        rested = percent(float(reading.idle_share[rows].mean()))
        used = f"hardly uses {names} ({part}): without work for {rested} of"
    else:
        used = f"does not use {names} ({part}): activity peaked at {percent(peak)} in"
    return f"Job {key[1]} {used} the last {span(WINDOW_SECONDS)}{holding}."


def _is_held(memory: Array) -> bool:
    return bool(np.nansum(memory) >= HELD_BYTES)


def _remedy(frame: Frame, key: JobKey) -> str:
    user = frame.jobs[key].user
    owner = f"its owner {user}" if user else "its owner"
    return (
        f"Ask {owner} whether {key[1]} is stuck or forgotten; then end it, or give the idle devices back and start it"
        " smaller."
    )


def _evidence(frame: Frame, reading: _Reading, rows: list[int], peak: float) -> tuple[Evidence, ...]:
    first = measured(
        reading.activity.metric(rows[0]),
        peak,
        unit="ratio",
        threshold=IDLE_ACTIVITY,
        window_seconds=WINDOW_SECONDS,
        samples=round(float(reading.covered[rows].sum()) * columns_in(frame, WINDOW_SECONDS)),
    )
    memory = reading.memory_bytes[rows]
    if not np.isfinite(memory).any():
        return (first,)
    held = measured(device.MEMORY_USED, float(np.nansum(memory)))
    return (first, held)
