"""A machine without CPU or memory to spare.

Both detectors ask for the node's busiest processes, so that the finding names who it is. All CPUs must be busy: one
full core of two is a program at work, not a saturated machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.cpu import busy_ratio
from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, ProcessReading, Strength
from warpgauge.analyzer.evidence import measured
from warpgauge.analyzer.windows import Array, Mask, confidence, mean, onset_times, ratio
from warpgauge.analyzer.wording import count, gibibytes, percent, span
from warpgauge.core.catalog import host
from warpgauge.core.finding import Evidence, FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.analyzer.frame import Frame
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


def _node_scope(frame: Frame, row: int) -> Scope:
    entity = frame.nodes.entities[row]
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
        onsets = onset_times(frame, (busy_ratio(frame, rows=rows) - HOLD_BUSY) / (1 - HOLD_BUSY)) if rows else ()
        return Detection(
            candidates=tuple(
                self._candidate(frame, row, busy[row], float(since), raises=bool(raises[row]))
                for row, since in zip(rows, onsets, strict=True)
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
            evidence=lambda process: measured(host.PROCESS_CPU, process.cpu_ratio),
        )

    def _candidate(self, frame: Frame, row: int, busy: Array, since: float, *, raises: bool) -> Candidate:
        level = float(mean(busy))
        cpus = float(frame.latest(host.CPU_COUNT, seconds=_SLOW_SECONDS, rows=[row])[0])
        all_cpus = "all CPUs" if np.isnan(cpus) else f"all {count(int(cpus), 'CPU')}"
        stalled = float(mean(frame.values(host.PRESSURE_SECONDS, "cpu", "some", seconds=WINDOW_SECONDS, rows=row)))
        waiting = "" if np.isnan(stalled) else f"; tasks waited for a CPU {percent(stalled)} of the time"
        entity = frame.nodes.entities[row]
        return Candidate(
            kind=FindingKind.HOST_SATURATED,
            scope=_node_scope(frame, row),
            severity=Severity.WARNING,
            since=since,
            confidence=confidence((level - RAISE_BUSY) / (1 - RAISE_BUSY), covered=float(np.isfinite(busy).mean())),
            evidence=_saturation_evidence(frame, row, level, busy, stalled),
            summary=f"{entity.node}: {all_cpus} {percent(level)} busy for {span(frame.now - since)}{waiting}.",
            remedy="Find out what runs there; end it, move it elsewhere, or lower its priority (renice, a CPU limit)"
            " so that what feeds the devices gets its turn.",
            simulated=entity.simulated,
            strength=Strength.RAISE if raises else Strength.HOLD,
            needs_processes=True,
        )


_SLOW_SECONDS: Final = 300.0


def _saturation_evidence(frame: Frame, row: int, level: float, busy: Array, stalled: float) -> tuple[Evidence, ...]:
    first = measured(
        host.CPU_SECONDS,
        level,
        unit="ratio",
        threshold=RAISE_BUSY,
        window_seconds=WINDOW_SECONDS,
        samples=int(np.isfinite(busy).sum()),
    )
    support = (
        (host.PRESSURE_SECONDS, stalled, "ratio"),
        (host.LOAD1, float(frame.latest(host.LOAD1, rows=[row])[0]), None),
    )
    return (first, *_known(support))


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
        onsets = reading.since(rows) if rows else ()
        return Detection(
            candidates=tuple(
                self._candidate(frame, row, reading, float(since), raises=bool(raises[row]))
                for row, since in zip(rows, onsets, strict=True)
            ),
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
            evidence=lambda process: measured(host.PROCESS_MEMORY, process.memory_bytes),
        )

    def _candidate(self, frame: Frame, row: int, reading: _MemoryReading, since: float, *, raises: bool) -> Candidate:
        entity = frame.nodes.entities[row]
        available = float(mean(reading.available[row]))
        total = float(frame.latest(host.MEMORY_TOTAL, rows=[row])[0])
        margin = max((RAISE_AVAILABLE - available) / RAISE_AVAILABLE, reading.level(row) / RAISE_STALLED - 1)
        return Candidate(
            kind=FindingKind.MEMORY_PRESSURE,
            scope=_node_scope(frame, row),
            severity=Severity.CRITICAL if available < CRITICAL_AVAILABLE else Severity.WARNING,
            since=since,
            confidence=confidence(margin, covered=float(np.isfinite(reading.available[row]).mean())),
            evidence=reading.evidence(row),
            summary=f"{entity.node} runs out of memory: {percent(available)} of {gibibytes(total)} left"
            f"{reading.stall_words(row)}, for {span(frame.now - since)}.",
            remedy="End or shrink what holds the memory before the kernel kills something; give jobs a memory limit.",
            simulated=entity.simulated,
            strength=Strength.RAISE if raises else Strength.HOLD,
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

    def since(self, rows: list[int]) -> Array:
        """[node], of some."""
        excess = (HOLD_AVAILABLE - self._available(None, rows)) / HOLD_AVAILABLE
        stalled = self._frame.values(host.PRESSURE_SECONDS, "memory", "full", rows=rows)
        return onset_times(self._frame, np.fmax(excess, (stalled - HOLD_STALLED) / HOLD_STALLED))

    def level(self, row: int) -> float:
        """Share of time in which all tasks waited for memory; 0 if the kernel does not tell."""
        return float(np.nan_to_num(mean(self._stalled[row])))

    def stall_words(self, row: int) -> str:
        level = self.level(row)
        return f", all tasks waited for memory {percent(level)} of the time" if level >= HOLD_STALLED else ""

    def evidence(self, row: int) -> tuple[Evidence, ...]:
        total = float(self._frame.latest(host.MEMORY_TOTAL, rows=[row])[0])
        first = measured(
            host.MEMORY_AVAILABLE,
            float(mean(self.available[row])) * total,
            baseline=total,
            threshold=RAISE_AVAILABLE * total,
            window_seconds=WINDOW_SECONDS,
            samples=int(np.isfinite(self.available[row]).sum()),
        )
        support = (
            (host.PRESSURE_SECONDS, float(mean(self._stalled[row])), "ratio"),
            (host.SWAP_IN, float(mean(self._swap_in[row])), "bytes_per_second"),
        )
        return (first, *_known(support))


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


def _process_name(process: ProcessReading) -> str:
    user = f", user {process.user}" if process.user else ""
    return f"{process.command} (pid {process.pid}{user})"
