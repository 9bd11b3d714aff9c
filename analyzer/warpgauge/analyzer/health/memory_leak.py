"""Memory that grows without end, on a device or on a machine, and when it will be full.

The frame is cut into six parts. A leak raises the lowest value of every part over that of the part before, by about
as much each time; a plateau stops, a warm-up slows down, a sawtooth (garbage collection, a cache that is dropped)
falls back, and none of these is a leak. Neither is a cache that fills for hours, ever slower, if all that is to come
as it slows still fits. What is said is when the memory is full if it goes on like this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.wording import count, device_name, gibibytes, span
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.health.judging import detection, on_device
from warpgauge.core.catalog import device, host
from warpgauge.core.finding import FindingKind, Scope, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Detection
    from warpgauge.analyzer.detection.windows import Array
    from warpgauge.analyzer.frame import Doubles, Frame, Ints
    from warpgauge.analyzer.frame.rolling import Window

__all__ = ["MemoryLeak"]

PARTS: Final = 6
LEAST_SECONDS: Final = 1800.0  # of history; a warm-up ends sooner
LEAST_GROWTH: Final = 0.03  # of the memory, over the frame; less is enough where it is full before morning
HOLD_GROWTH: Final = 0.02
HELD_SHARE: Final = 0.9  # of the time the present job must have held the device
LEAST_RISE: Final = HOLD_GROWTH * (PARTS - 1) / PARTS  # from the lowest of the first part to that of the last one
EVEN_SHARE: Final = 0.5  # the slowest part grows at least half as much as the mean one
LEAST_CORRELATION: Final = 0.9  # with time: noise of some percent also has rising minima now and then
SLOWING: Final = 0.8  # of the rate a sixth into the frame, a sixth before its end: noise bends a steady leak by less
LEAST_COVERAGE: Final = 0.8
LONGEST_SECONDS: Final = 86_400.0  # until full: what fills later is for another day
WARNING_SECONDS: Final = 12 * 3600.0  # a run that nobody looks after from evening to morning
CRITICAL_SECONDS: Final = 1800.0
CONFIDENCE: Final = 0.75
_ROUNDING: Final = 1e-6
_USED: Final = channel(device.MEMORY_USED)
_AVAILABLE: Final = channel(host.MEMORY_AVAILABLE)


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

    @property
    def raises(self) -> bool:
        return self.growth >= LEAST_GROWTH or self.left_seconds < WARNING_SECONDS


class MemoryLeak:
    """Names jobs on devices, and machines, that will run out of memory."""

    name = "memory_leak"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device and machine with enough history."""
        on_device, on_host = _DeviceMemory(frame), _HostMemory(frame)
        since = frame.allocated_since
        on_devices = [
            _of_device(frame, trend)
            for trend in _trends(frame, on_device)
            if not since[trend.row] > frame.now - HELD_SHARE * trend.seconds  # else it is a start, not a leak
        ]
        on_hosts = [_of_host(frame, trend) for trend in _trends(frame, on_host)]
        has_history = frame.columns * frame.step_seconds >= LEAST_SECONDS
        is_judged = np.concatenate([one.covered >= LEAST_COVERAGE for one in (on_device, on_host)]) & has_history
        what = "devices and machines, for memory that grows without end"
        missing = (device.MEMORY_USED, host.MEMORY_AVAILABLE)
        return detection(
            frame,
            self.name,
            what,
            [*on_devices, *on_hosts],
            is_judged,
            seconds=max(frame.columns * frame.step_seconds, LEAST_SECONDS),
            needs=missing,
        )


class _DeviceMemory:
    """Memory in use on each device, in bytes."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.total: Doubles = _device_total(frame)

    @property
    def covered(self) -> Array:
        """[device], share of the frame that was measured."""
        return self._window(self._frame.columns).coverage

    def least(self, columns: int) -> Array:
        """[device], least use in the newest columns."""
        return self._window(columns).least

    def of(self, rows: Ints) -> Array:
        """[device, column] of some."""
        return self._frame.values(device.MEMORY_USED, rows=rows)

    def _window(self, columns: int) -> Window:
        return self._frame.window(_USED, columns * self._frame.step_seconds)


class _HostMemory:
    """Memory of each machine that is not available, in bytes."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.total: Doubles = frame.latest(host.MEMORY_TOTAL, seconds=LEAST_SECONDS).astype(np.float64)

    @property
    def covered(self) -> Array:
        """[node], share of the frame that was measured."""
        return np.asarray(np.where(np.isfinite(self.total), self._window(self._frame.columns).coverage, 0.0))

    def least(self, columns: int) -> Array:
        """[node], least use in the newest columns."""
        return np.asarray(self.total - self._window(columns).peak)

    def of(self, rows: Ints) -> Array:
        """[node, column] of some."""
        return np.asarray(self.total[rows, None] - self._frame.values(host.MEMORY_AVAILABLE, rows=rows))

    def _window(self, columns: int) -> Window:
        return self._frame.window(_AVAILABLE, columns * self._frame.step_seconds)


def _device_total(frame: Frame) -> Doubles:
    """[device], bytes; dcgm-exporter tells by default what is used and what is free, and no total."""
    total, used, free = (
        frame.latest(one, seconds=LEAST_SECONDS).astype(np.float64)
        for one in (device.MEMORY_TOTAL, device.MEMORY_USED, device.MEMORY_FREE)
    )
    return np.where(np.isnan(total), used + free, total)


def _trends(frame: Frame, memory: _DeviceMemory | _HostMemory) -> list[_Trend]:
    """Rows that grow evenly through all parts of the frame."""
    seconds = frame.columns * frame.step_seconds
    if seconds < LEAST_SECONDS or not len(memory.total):
        return []
    width = frame.columns // PARTS
    rows = _may_grow(memory, width, frame.columns)
    used, total = memory.of(rows), memory.total[rows]
    newest, oldest = (np.fmin.reduce(part, axis=1) for part in (used[:, -width:], used[:, :width]))
    grows = np.flatnonzero((newest - oldest) / total >= LEAST_RISE)
    parts = used[grows, : PARTS * width].reshape(len(grows), PARTS, width)
    steps = np.diff(np.fmin.reduce(parts, axis=2), axis=1)
    is_even = (steps >= EVEN_SHARE * steps.mean(axis=1, keepdims=True)).all(axis=1)
    found = []
    for at in np.flatnonzero(is_even).tolist():
        own, step = used[grows[at]], float(steps[at].mean())
        known = np.isfinite(own)
        if not (known.mean() >= LEAST_COVERAGE and _correlation(own) >= LEAST_CORRELATION):
            continue
        trend = _Trend(
            row=int(rows[grows[at]]),
            used=float(own[known][-1]),
            total=float(total[grows[at]]),
            per_second=step / (width * frame.step_seconds),
            seconds=seconds,
        )
        if trend.growth < HOLD_GROWTH or not 0 < trend.left_seconds <= LONGEST_SECONDS:
            continue
        if trend.used + _still_to_come(own) >= trend.total:
            found.append(trend)
    return found


def _still_to_come(values: Array) -> float:
    """What growth brings that slows down as a cache does that fills, in the unit of the values; endless if it does not.

    A parabola through [column] tells how fast they grow a sixth after the first and before the last known one; what
    decays exponentially by as much in between adds its rate at the end, divided by the decay.
    """
    known = np.flatnonzero(np.isfinite(values))
    bend, slope, _ = np.polyfit((known - known[0]) / (known[-1] - known[0]), values[known].astype(np.float64), 2)
    early, late = slope + bend / 3, slope + bend * 5 / 3
    if late > SLOWING * early:
        return float("inf")
    if late <= 0:
        return 0.0
    decay = 1.5 * np.log(early / late)
    return float(late * np.exp(-decay / 6) / decay)


def _may_grow(memory: _DeviceMemory | _HostMemory, newest: int, all_columns: int) -> Ints:
    """Rows that rose enough since their lowest value; all others rose less since the frame began."""
    rise = (memory.least(newest) - memory.least(all_columns)) / memory.total
    return np.flatnonzero(rise >= LEAST_RISE * (1 - _ROUNDING))


def _correlation(values: Array) -> float:
    """How much a series is a straight line, 1 for a rising one."""
    known = np.flatnonzero(np.isfinite(values))
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(known, values[known].astype(np.float64))[0, 1])


def _words(trend: _Trend) -> str:
    return (
        f"grew evenly by {gibibytes(trend.per_second * 3600)} an hour over the last {span(trend.seconds)}, to"
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
        raises=trend.raises,
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
        strength=Strength.RAISE if trend.raises else Strength.HOLD,
    )
