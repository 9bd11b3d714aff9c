"""A machine without CPU or memory to spare.

Both detectors ask for the node's busiest processes, so that the finding names who it is. All CPUs must be busy: one
full core of two is a program at work, not a saturated machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, ProcessReading, Strength
from warpgauge.analyzer.detection.cpu import busy_ratio
from warpgauge.analyzer.detection.evidence import measured, whose_process
from warpgauge.analyzer.detection.windows import Array, Mask, confidence, mean, onset_times, ratio
from warpgauge.analyzer.detection.wording import count, gibibytes, percent, span
from warpgauge.core.catalog import host
from warpgauge.core.finding import Evidence, FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import NodeEntity
    from warpgauge.core.catalog import Metric

__all__ = ["HostSaturated", "MemoryPressure"]

WINDOW_SECONDS: Final = 50.0
RAISE_COLUMNS: Final = 4  # of the five of ten seconds: raised after 40 to 50 s
RECENT_COLUMNS: Final = 3
HOLD_COLUMNS: Final = 2  # of the recent ones: gone 20 to 30 s after the load went
RAISE_BUSY: Final = 0.90
HOLD_BUSY: Final = 0.80
RAISE_AVAILABLE: Final = 0.05
HOLD_AVAILABLE: Final = 0.08
CRITICAL_AVAILABLE: Final = 0.02
RAISE_STALLED: Final = 0.10  # PSI memory, all tasks at once: systemd-oomd kills at 0.6 for 30 s
HOLD_STALLED: Final = 0.05
RAISE_SWAP_IN: Final = 16.0 * 2**20  # bytes per second, and only with little memory left
SWAP_AVAILABLE: Final = 0.15
NAMED_PROCESSES: Final = 3
LEAST_SHARE: Final = 0.05  # a process below is no culprit


def _often(condition: Mask) -> Mask:
    """Whether the condition held in enough columns of the window to raise a finding."""
    return np.asarray(condition.sum(axis=1) >= RAISE_COLUMNS)


def _still(condition: Mask) -> Mask:
    """Whether the condition held in enough of the newest columns to keep a finding."""
    return np.asarray(condition[:, -RECENT_COLUMNS:].sum(axis=1) >= HOLD_COLUMNS)


def _node_scope(entity: NodeEntity) -> Scope:
    return Scope(cluster=entity.cluster, node=entity.node)


class HostSaturated:
    """Names machines all of whose CPUs are busy."""

    name = "host_saturated"

    def detect(self, frame: Frame) -> Detection:
        """Judge every node whose CPU modes are measured."""
        busy = busy_ratio(frame, WINDOW_SECONDS)
        is_judged = np.isfinite(busy).sum(axis=1) >= RAISE_COLUMNS
        raises = _often(busy >= RAISE_BUSY)
        holds = raises | _still(busy >= HOLD_BUSY)
        rows = np.flatnonzero(is_judged & holds).tolist()
        return Detection(
            candidates=tuple(
                _saturated(one, is_raised=bool(raises[one.row])) for one in _loads(frame, rows, busy[rows])
            ),
            judged=_judged(self.name, "machines, for CPUs that are all busy", is_judged),
            not_judged=_not_judged(self.name, "whether machines are saturated", is_judged, host.CPU_SECONDS.name),
        )

    def explain(self, candidate: Candidate, processes: Sequence[ProcessReading]) -> Candidate:
        """Name the processes that use the CPUs."""
        busiest = sorted(processes, key=lambda process: -process.cpu_ratio)
        return _explained(
            candidate,
            [process for process in busiest if process.cpu_ratio >= LEAST_SHARE],
            share=lambda process: process.cpu_ratio,
            words=lambda process: f"{percent(process.cpu_ratio)} of all CPUs",
            evidence=lambda process: _of_process(host.PROCESS_CPU, process.cpu_ratio, process),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """The CPUs of one machine."""

    row: int
    entity: NodeEntity
    since: float
    level: float
    covered: float  # share of the window in which they were measured
    samples: int
    cpus: float
    stalled: float
    load1: float


def _loads(frame: Frame, rows: Sequence[int], busy: Array) -> Iterator[_Load]:
    """Of some machines, whose busy share is given [machine, column]."""
    if not rows:
        return
    is_there = np.isfinite(busy)
    stalled = mean(frame.values(host.PRESSURE_SECONDS, "cpu", "some", seconds=WINDOW_SECONDS, rows=rows))
    columns = (
        onset_times(frame, (busy_ratio(frame, rows=rows) - HOLD_BUSY) / (1 - HOLD_BUSY)),
        mean(busy),
        is_there.mean(axis=1),
        is_there.sum(axis=1),
        frame.latest(host.CPU_COUNT, seconds=_SLOW_SECONDS, rows=rows),
        stalled,
        frame.latest(host.LOAD1, rows=rows),
    )
    for row, since, level, covered, samples, cpus, waiting, load1 in zip(
        rows, *(column.tolist() for column in columns), strict=True
    ):
        yield _Load(
            row=row, entity=frame.nodes.entities[row], since=since, level=level,
            covered=covered, samples=samples, cpus=cpus, stalled=waiting, load1=load1,
        )  # fmt: skip


def _saturated(one: _Load, *, is_raised: bool) -> Candidate:
    all_cpus = "all CPUs" if np.isnan(one.cpus) else f"all {count(int(one.cpus), 'CPU')}"
    waiting = "" if np.isnan(one.stalled) else f"; tasks waited for a CPU {percent(one.stalled)} of that time"
    return Candidate(
        kind=FindingKind.HOST_SATURATED,
        scope=_node_scope(one.entity),
        severity=Severity.WARNING,
        since=one.since,
        confidence=confidence((one.level - RAISE_BUSY) / (1 - RAISE_BUSY), covered=one.covered),
        evidence=_saturation_evidence(one),
        summary=f"{one.entity.node}: {all_cpus} were {percent(one.level)} busy in the last {span(WINDOW_SECONDS)}"
        f"{waiting}.",
        remedy="Find out what runs there; end it, move it elsewhere, or lower its priority (renice, a CPU limit)"
        " so that what feeds the devices gets its turn.",
        simulated=one.entity.simulated,
        strength=Strength.RAISE if is_raised else Strength.HOLD,
        needs_processes=True,
    )


_SLOW_SECONDS: Final = 300.0


def _saturation_evidence(one: _Load) -> tuple[Evidence, ...]:
    first = measured(
        host.CPU_SECONDS,
        one.level,
        unit="ratio",
        threshold=RAISE_BUSY,
        window_seconds=WINDOW_SECONDS,
        samples=one.samples,
    )
    return (first, *_known(((host.PRESSURE_SECONDS, one.stalled, "ratio"), (host.LOAD1, one.load1, None))))


def _known(rows: Sequence[tuple[Metric, float, str | None]]) -> list[Evidence]:
    return [
        measured(metric, value, unit=unit, window_seconds=WINDOW_SECONDS)
        for metric, value, unit in rows
        if not np.isnan(value)
    ]


class MemoryPressure:
    """Names machines that run out of memory."""

    name = "memory_pressure"

    def detect(self, frame: Frame) -> Detection:
        """Judge every node whose memory is measured."""
        reading = _MemoryReading(frame)
        is_judged = np.isfinite(reading.available).sum(axis=1) >= RAISE_COLUMNS
        raises, holds = reading.is_past_raise(), reading.is_past_hold()
        rows = np.flatnonzero(is_judged & (raises | holds)).tolist()
        return Detection(
            candidates=tuple(_short_of_memory(one, is_raised=bool(raises[one.row])) for one in reading.of(rows)),
            judged=_judged(self.name, "machines, for memory that runs out", is_judged),
            not_judged=_not_judged(self.name, "whether memory runs out", is_judged, host.MEMORY_AVAILABLE.name),
        )

    def explain(self, candidate: Candidate, processes: Sequence[ProcessReading]) -> Candidate:
        """Name the processes that hold the memory."""
        largest = sorted(processes, key=lambda process: -process.memory_bytes)
        return _explained(
            candidate,
            largest,
            share=lambda process: process.memory_bytes,
            words=lambda process: gibibytes(process.memory_bytes),
            evidence=lambda process: _of_process(host.PROCESS_MEMORY, process.memory_bytes, process),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """The memory of one machine."""

    row: int
    entity: NodeEntity
    since: float
    available: float  # share of it
    total: float
    covered: float  # share of the window in which it was measured
    samples: int
    stalled: float  # share of time in which all tasks waited for it, NaN if the kernel does not tell
    swap_in: float

    @property
    def level(self) -> float:
        """Share of time in which all tasks waited for memory; 0 if the kernel does not tell."""
        return 0.0 if np.isnan(self.stalled) else self.stalled

    def evidence(self) -> tuple[Evidence, ...]:
        """What speaks for it."""
        first = measured(
            host.MEMORY_AVAILABLE,
            self.available * self.total,
            baseline=self.total,
            threshold=RAISE_AVAILABLE * self.total,
            window_seconds=WINDOW_SECONDS,
            samples=self.samples,
        )
        support = (
            (host.PRESSURE_SECONDS, self.stalled, "ratio"),
            (host.SWAP_IN, self.swap_in, "bytes_per_second"),
        )
        return (first, *_known(support))


def _short_of_memory(one: _Memory, *, is_raised: bool) -> Candidate:
    level = one.level
    stalls = f", all tasks waited for memory {percent(level)} of the time" if level >= HOLD_STALLED else ""
    margin = max((RAISE_AVAILABLE - one.available) / RAISE_AVAILABLE, level / RAISE_STALLED - 1)
    return Candidate(
        kind=FindingKind.MEMORY_PRESSURE,
        scope=_node_scope(one.entity),
        severity=Severity.CRITICAL if one.available < CRITICAL_AVAILABLE else Severity.WARNING,
        since=one.since,
        confidence=confidence(margin, covered=one.covered),
        evidence=one.evidence(),
        summary=f"{one.entity.node} runs out of memory: {percent(one.available)} of {gibibytes(one.total)} left"
        f"{stalls}.",
        remedy="End or shrink what holds the memory before the kernel kills something; give jobs a memory limit.",
        simulated=one.entity.simulated,
        strength=Strength.RAISE if is_raised else Strength.HOLD,
        needs_processes=True,
    )


class _MemoryReading:
    """Memory left, stalls and swapping of all nodes over the window, [node, column]."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.available = self._available(WINDOW_SECONDS)
        self._stalled = frame.values(host.PRESSURE_SECONDS, "memory", "full", seconds=WINDOW_SECONDS)
        self._swap_in = frame.values(host.SWAP_IN, seconds=WINDOW_SECONDS)

    def _available(self, seconds: float | None, rows: Sequence[int] | slice = slice(None)) -> Array:
        total = self._frame.values(host.MEMORY_TOTAL, seconds=seconds, rows=rows)
        return ratio(self._frame.values(host.MEMORY_AVAILABLE, seconds=seconds, rows=rows), total)

    def is_past_raise(self) -> Mask:
        swaps = (self._swap_in >= RAISE_SWAP_IN) & (self.available < SWAP_AVAILABLE)
        return _often((self.available < RAISE_AVAILABLE) | (self._stalled >= RAISE_STALLED) | swaps)

    def is_past_hold(self) -> Mask:
        return _still((self.available < HOLD_AVAILABLE) | (self._stalled >= HOLD_STALLED))

    def of(self, rows: Sequence[int]) -> Iterator[_Memory]:
        """What there is to say of some nodes."""
        if not rows:
            return
        frame, available = self._frame, self.available[rows]
        is_there = np.isfinite(available)
        columns = (
            self._since(rows),
            mean(available),
            frame.latest(host.MEMORY_TOTAL, rows=rows),
            is_there.mean(axis=1),
            is_there.sum(axis=1),
            mean(self._stalled[rows]),
            mean(self._swap_in[rows]),
        )
        for row, since, left, total, covered, samples, stalled, swap_in in zip(
            rows, *(column.tolist() for column in columns), strict=True
        ):
            yield _Memory(
                row=row, entity=frame.nodes.entities[row], since=since, available=left,
                total=total, covered=covered, samples=samples, stalled=stalled, swap_in=swap_in,
            )  # fmt: skip

    def _since(self, rows: Sequence[int]) -> Array:
        """[node], of some."""
        excess = (HOLD_AVAILABLE - self._available(None, rows)) / HOLD_AVAILABLE
        stalled = self._frame.values(host.PRESSURE_SECONDS, "memory", "full", rows=rows)
        return onset_times(self._frame, np.fmax(excess, (stalled - HOLD_STALLED) / HOLD_STALLED))


def _judged(name: str, what: str, is_judged: Mask) -> Judgement | None:
    entities = int(is_judged.sum())
    return Judgement(detector=name, what=what, entities=entities, window_seconds=WINDOW_SECONDS) if entities else None


def _not_judged(name: str, what: str, is_judged: Mask, missing: str) -> tuple[NotJudged, ...]:
    entities = int((~is_judged).sum())
    why = f"not measured for most of the last {span(WINDOW_SECONDS)}"
    return (NotJudged(detector=name, what=what, why=why, missing=(missing,), entities=entities),) if entities else ()


def _explained(
    candidate: Candidate,
    processes: Sequence[ProcessReading],
    *,
    share: Callable[[ProcessReading], float],
    words: Callable[[ProcessReading], str],
    evidence: Callable[[ProcessReading], Evidence],
) -> Candidate:
    """Add the greatest processes, as long as each is at least a tenth of the first, to the words and the evidence."""
    named = [process for process in processes[:NAMED_PROCESSES] if share(process) >= share(processes[0]) / 10]
    if not named:
        return candidate
    culprits = "; ".join(f"{_process_name(process)} uses {words(process)}" for process in named)
    return replace(
        candidate,
        summary=f"{candidate.summary} {culprits}.",
        evidence=(*candidate.evidence, *(evidence(process) for process in named)),
    )


def _of_process(metric: Metric, value: float, process: ProcessReading) -> Evidence:
    command = json.dumps(process.command, ensure_ascii=False)
    labels = f'{{pid="{process.pid}", command={command}}}'
    return measured(metric, value, labels=labels, whose=whose_process(process))


def _process_name(process: ProcessReading) -> str:
    user = f", user {process.user}" if process.user else ""
    job = f", job {process.job}" if process.job else ""
    return f"{process.command} (pid {process.pid}{user}{job})"
