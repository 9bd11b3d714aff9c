"""Memory that grows without end, on a device or on a machine, and when it will be full.

The frame is cut into six parts. A leak raises the lowest value of every part over that of the part before, by about
as much each time; a plateau stops, a warm-up slows down, a sawtooth (garbage collection, a cache that is dropped)
falls back, and none of these is a leak. What is said is when the memory is full if it goes on like this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.evidence import measured
from warpgauge.analyzer.health.judging import detection, on_device
from warpgauge.analyzer.wording import count, device_name, gibibytes, span
from warpgauge.core.catalog import device, host
from warpgauge.core.finding import FindingKind, Scope, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.detection import Detection
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.windows import Array

__all__ = ["MemoryLeak"]

PARTS: Final = 6
LEAST_SECONDS: Final = 1800.0  # of history; a warm-up ends sooner
LEAST_GROWTH: Final = 0.03  # of the memory, over the frame
HOLD_GROWTH: Final = 0.02
HELD_SHARE: Final = 0.9  # of the time the present job must have held the device
EVEN_SHARE: Final = 0.5  # the slowest part grows at least half as much as the mean one
LEAST_CORRELATION: Final = 0.9  # with time: noise of some percent also has rising minima now and then
LEAST_COVERAGE: Final = 0.8
LONGEST_SECONDS: Final = 86_400.0  # until full: what fills later is for another day
WARNING_SECONDS: Final = 6 * 3600.0
CRITICAL_SECONDS: Final = 1800.0
CONFIDENCE: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trend:
    """A row whose memory grows: now, in all, per second, over so many seconds."""

    row: int
    used: float
    total: float
    per_second: float
    seconds: float

    @property
    def left_seconds(self) -> float:
        return (self.total - self.used) / self.per_second

    @property
    def severity(self) -> Severity:
        if self.left_seconds < CRITICAL_SECONDS:
            return Severity.CRITICAL
        return Severity.WARNING if self.left_seconds < WARNING_SECONDS else Severity.INFO

    @property
    def growth(self) -> float:
        return self.per_second * self.seconds / self.total


class MemoryLeak:
    """Names jobs on devices, and machines, that will run out of memory."""

    name = "memory_leak"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device and machine with enough history."""
        device_total = frame.latest(device.MEMORY_TOTAL, seconds=LEAST_SECONDS).astype(np.float64)
        used = frame.values(device.MEMORY_USED)
        since = frame.allocated_since
        on_devices = [
            _of_device(frame, trend)
            for trend in _trends(frame, used, device_total)
            if not since[trend.row] > frame.now - HELD_SHARE * trend.seconds  # else it is a start, not a leak
        ]
        host_total = frame.latest(host.MEMORY_TOTAL, seconds=LEAST_SECONDS).astype(np.float64)
        taken = host_total[:, None] - frame.values(host.MEMORY_AVAILABLE)
        on_hosts = [_of_host(frame, trend) for trend in _trends(frame, taken, host_total)]
        is_judged = np.concatenate([_covered(used), _covered(taken)]) & (
            frame.columns * frame.step_seconds >= LEAST_SECONDS
        )
        what = "devices and machines, for memory that grows without end"
        missing = (device.MEMORY_USED, host.MEMORY_AVAILABLE)
        return detection(
            self.name,
            what,
            [*on_devices, *on_hosts],
            is_judged,
            seconds=frame.columns * frame.step_seconds,
            missing=missing,
        )


def _covered(used: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(used).mean(axis=1) >= LEAST_COVERAGE)


def _trends(frame: Frame, used: Array, total: Array) -> list[_Trend]:
    """Rows that grow evenly through all parts of the frame."""
    seconds = frame.columns * frame.step_seconds
    if seconds < LEAST_SECONDS or not len(used):
        return []
    width = frame.columns // PARTS
    newest, oldest = (np.fmin.reduce(part, axis=1) for part in (used[:, -width:], used[:, :width]))
    grows = np.flatnonzero((newest - oldest) / total >= HOLD_GROWTH * (PARTS - 1) / PARTS)
    parts = used[grows, : PARTS * width].reshape(len(grows), PARTS, width)
    steps = np.diff(np.fmin.reduce(parts, axis=2), axis=1)
    is_even = (steps >= EVEN_SHARE * steps.mean(axis=1, keepdims=True)).all(axis=1)
    found = []
    for at in np.flatnonzero(is_even).tolist():
        row, step = int(grows[at]), float(steps[at].mean())
        known = np.isfinite(used[row])
        if not (known.mean() >= LEAST_COVERAGE and _correlation(used[row]) >= LEAST_CORRELATION):
            continue
        trend = _Trend(
            row=row,
            used=float(used[row][known][-1]),
            total=float(total[row]),
            per_second=step / (width * frame.step_seconds),
            seconds=seconds,
        )
        if trend.growth >= HOLD_GROWTH and 0 < trend.left_seconds <= LONGEST_SECONDS:
            found.append(trend)
    return found


def _correlation(values: Array) -> float:
    """How much a series is a straight line, 1 for a rising one."""
    known = np.flatnonzero(np.isfinite(values))
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(known, values[known].astype(np.float64))[0, 1])


def _words(trend: _Trend) -> str:
    return (
        f"grew evenly by {gibibytes(trend.per_second * 3600)} an hour over {span(trend.seconds)}, to"
        f" {gibibytes(trend.used)} of {gibibytes(trend.total)}; at this rate it is full in {span(trend.left_seconds)}"
    )


def _of_device(frame: Frame, trend: _Trend) -> Candidate:
    entity = frame.devices.entities[trend.row]
    job = frame.device_job[trend.row]
    owner = f", held by job {job[1]}," if job else ""
    return on_device(
        frame,
        trend.row,
        FindingKind.MEMORY_LEAK,
        trend.severity,
        since=frame.now - trend.seconds,
        confidence=CONFIDENCE,
        evidence=[
            measured(
                device.MEMORY_USED,
                trend.used,
                baseline=trend.used - trend.per_second * trend.seconds,
                threshold=trend.total,
                window_seconds=trend.seconds,
                samples=frame.columns,
            )
        ],
        summary=f"{device_name(entity)}: its memory{owner} {_words(trend)}.",
        remedy="Save a checkpoint before then. Look for tensors kept across steps (losses summed with their graph,"
        " growing caches, ever longer sequences): torch.cuda.memory_summary() and a memory snapshot name them.",
        raises=trend.growth >= LEAST_GROWTH,
    )


def _of_host(frame: Frame, trend: _Trend) -> Candidate:
    entity = frame.nodes.entities[trend.row]
    devices = sum((one.cluster, one.node) == (entity.cluster, entity.node) for one in frame.devices.entities)
    also = f" ({count(devices, 'device')})" if devices else ""
    return Candidate(
        kind=FindingKind.MEMORY_LEAK,
        scope=Scope(cluster=entity.cluster, node=entity.node),
        severity=trend.severity,
        since=frame.now - trend.seconds,
        confidence=CONFIDENCE,
        evidence=(
            measured(
                host.MEMORY_AVAILABLE,
                trend.total - trend.used,
                baseline=trend.total - trend.used + trend.per_second * trend.seconds,
                threshold=0.0,
                window_seconds=trend.seconds,
                samples=frame.columns,
            ),
        ),
        summary=f"{entity.node}{also}: memory in use {_words(trend)}.",
        remedy="Find the process that grows (ps --sort=-rss, smem) and restart it in time; a data loader that keeps"
        " what it read is the usual one. Give jobs a memory limit so that only the one at fault is ended.",
        simulated=entity.simulated,
        strength=Strength.RAISE if trend.growth >= LEAST_GROWTH else Strength.HOLD,
    )
