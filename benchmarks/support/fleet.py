"""A fleet as columns: devices in nodes of 8 and jobs of 64, with faults whose truth is known, job churn and gaps.

All series of a tick are one array, so a hundred thousand devices can be fed. Three of four jobs report step phases.
Healthy values hover around the usual by 1 %. Faults start one after the other within the first half hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.core.catalog import device, host, training
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.catalog import Metric
    from warpgauge.core.finding import Finding

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CHANNELS", "Fleet", "Key", "key_of"]

CLUSTER: Final = "bench"
STEP_MS: Final = 10_000
DEVICES_PER_NODE: Final = 8
DEVICES_PER_JOB: Final = 64
FAULTY_SHARE: Final = 0.01
GAP_SHARE: Final = 0.005
CHURN_SHARE: Final = 0.05  # of all label sets, per hour
TICKS_PER_HOUR: Final = 360
NOISE: Final = 0.01
FOLLOWED: Final = 40
UNPHASED: Final = 4  # every fourth job reports no steps

# (metric, labels that stay apart, a usual value); the first ones are those that detectors read.
CHANNELS: Final[tuple[tuple[Metric, dict[str, str], float], ...]] = (
    (device.GRAPHICS_ENGINE_ACTIVE, {}, 0.9),
    (device.CLOCK, {"clock": "sm"}, 1.9e9),
    (device.THROTTLE_ACTIVE, {"reason": "sw_thermal"}, 0.0),
    (device.DEVICE_STATE, {"state": "lost"}, 0.0),
    (device.DEVICE_STATE, {"state": "hung"}, 0.0),
    (device.DEVICE_STATE, {"state": "ok"}, 1.0),
    (device.CLOCK_MAX, {"clock": "sm"}, 1.98e9),
    (device.COMPUTE_ACTIVE, {}, 0.6),
    (device.UTILIZATION, {"engine": "compute"}, 0.95),
    (device.TEMPERATURE, {"sensor": "core"}, 60.0),
    (device.TEMPERATURE_LIMIT, {"limit": "slowdown"}, 89.0),
    (device.THROTTLE_SECONDS, {"reason": "sw_thermal"}, 0.0),
    (device.THROTTLE_SECONDS, {"reason": "hw_thermal"}, 0.0),
    (device.MEMORY_USED, {}, 7e10),
    (device.MEMORY_TOTAL, {}, 8.5e10),
    (device.POWER, {}, 600.0),
    (device.DEVICE_UP, {}, 1.0),
    (device.PIPE_ACTIVE, {"pipe": "tensor"}, 0.5),
    (device.MEMORY_BANDWIDTH_ACTIVE, {}, 0.4),
    (device.ENERGY, {}, 600.0),
    (device.PCIE_RECEIVE, {}, 1e9),
    (device.PCIE_TRANSMIT, {}, 1e9),
    (device.LINK_RECEIVE, {"link": "0"}, 1e10),
    (device.LINK_TRANSMIT, {"link": "0"}, 1e10),
    (device.COMPUTE_OCCUPANCY, {}, 0.3),
    (device.MEMORY_FREE, {}, 1e10),
)
HOST: Final[tuple[tuple[Metric, dict[str, str], float], ...]] = (
    (host.CPU_SECONDS, {"cpu": "0", "mode": "user"}, 0.4),
    (host.CPU_SECONDS, {"cpu": "0", "mode": "idle"}, 0.6),
    (host.MEMORY_TOTAL, {}, 1e12),
    (host.MEMORY_AVAILABLE, {}, 6e11),
)
STEP: Final[tuple[tuple[Metric, dict[str, str], str, float], ...]] = (  # a step takes a second, and 0.09 s to exchange
    (training.STEP_SECONDS, {}, "count", 1.0),
    (training.STEP_SECONDS, {}, "sum", 1.0),
    (training.PHASE_SECONDS, {"phase": "input", "clock": "host"}, "", 0.01),
    (training.PHASE_SECONDS, {"phase": "compute", "clock": "device"}, "", 0.9),
    (training.PHASE_SECONDS, {"phase": "communication", "clock": "device"}, "", 0.09),
)
CONSTANT: Final = frozenset({device.DEVICE_STATE, device.DEVICE_UP, device.CLOCK_MAX, host.MEMORY_TOTAL})
ACTIVITY: Final = frozenset(
    {
        device.GRAPHICS_ENGINE_ACTIVE,
        device.COMPUTE_ACTIVE,
        device.UTILIZATION,
        device.PIPE_ACTIVE,
        device.MEMORY_BANDWIDTH_ACTIVE,
        device.PCIE_RECEIVE,
        device.PCIE_TRANSMIT,
        device.LINK_RECEIVE,
        device.LINK_TRANSMIT,
        device.COMPUTE_OCCUPANCY,
    }
)
DRAW: Final = frozenset({device.POWER, device.ENERGY})
IDLE_WATTS: Final = 100.0
FAULTS: Final = (
    FindingKind.STRAGGLER,
    FindingKind.THERMAL_LIMITED,
    FindingKind.DEVICE_LOST,
    FindingKind.DEVICE_HUNG,
    FindingKind.TELEMETRY_GAP,
    FindingKind.IDLE_ALLOCATED,
    FindingKind.INPUT_BOUND,
    FindingKind.HOST_SATURATED,
    FindingKind.MEMORY_PRESSURE,
)
_OF_JOBS: Final = frozenset({FindingKind.IDLE_ALLOCATED, FindingKind.INPUT_BOUND})
_OF_NODES: Final = frozenset({FindingKind.HOST_SATURATED, FindingKind.MEMORY_PRESSURE})

Key = tuple[FindingKind, str]
"""A kind and the job, node or device that it is about."""


def key_of(finding: Finding) -> Key:
    """Where a finding says the fault is, as `Fleet.truth` says it."""
    scope = finding.scope
    place = scope.job_id if finding.kind in _OF_JOBS else scope.node if finding.kind in _OF_NODES else scope.uuid
    return (finding.kind, place or "")


@dataclass(slots=True)
class _Growing:
    """Series that come one after the other."""

    ids: list[int] = field(default_factory=list)
    usual: list[float] = field(default_factory=list)
    counts: list[bool] = field(default_factory=list)
    noisy: list[bool] = field(default_factory=list)

    def add(self, number: int, usual: float, *, counts: bool, noisy: bool) -> int:
        self.ids.append(number)
        self.usual.append(usual)
        self.counts.append(counts)
        self.noisy.append(noisy)
        return len(self.ids) - 1


class Fleet:
    """Gives the samples of one tick after the other."""

    def __init__(self, frame: Frame, devices: int, metrics: int, *, seed: int = 42, is_sound: bool = False) -> None:
        self.devices = devices
        self.truth: dict[Key, int] = {}  # and the tick it starts at
        self._frame = frame
        self._metrics = metrics
        self._random = np.random.default_rng(seed)
        self._series = _Growing()
        self._at: dict[tuple[str, int], int] = {}  # (what, device, node or rank) -> position of its first series
        self._runs: dict[int, int] = {}  # job -> how often it started anew
        self._dead: list[int] = []
        for number in range(0, devices, DEVICES_PER_NODE):
            self._add_node(number // DEVICES_PER_NODE)
        for number in range(devices):
            self._add_device(number)
            self._add_work(number)
        self._freeze()
        self._plan_faults(is_sound=is_sound)

    @property
    def followed(self) -> Ints:
        """Ids of the activity of the first devices: the series that peers get."""
        return self._ids[[self._at["device", number] for number in range(min(FOLLOWED, self.devices))]]

    def samples(self, tick: int) -> tuple[Ints, Doubles]:
        """Ids and values of a tick, without those that are missing."""
        self._grow()
        for start, positions, levels in self._faults:
            if start == tick:
                self._levels[positions] = levels
        grown = self._levels * (1.0 + NOISE * self._random.standard_normal(len(self._levels)) * self._noisy)
        self._totals += np.where(self._counts, np.nan_to_num(grown) * STEP_MS / 1000.0, 0.0)
        values = np.where(self._counts, np.where(np.isnan(grown), np.nan, self._totals), grown)
        is_there = ~np.isnan(values) & (self._random.random(len(values)) >= GAP_SHARE)
        return self._ids[is_there], values[is_there]

    def churn(self, tick: int) -> bool:
        """Let the next job without a fault start anew under another id, if it is time; its label sets are new."""
        due = (tick * len(self._ids) * CHURN_SHARE) / TICKS_PER_HOUR
        each = DEVICES_PER_JOB * (1 + len(STEP))
        if not self._restartable or self._restarts * each >= due:
            return False
        job = self._restartable[self._restarts % len(self._restartable)]
        self._restarts += 1
        self._runs[job] = self._runs.get(job, 0) + 1
        self._extend(job)
        return True

    def job_id(self, job: int) -> str:
        """The name of a job's present run."""
        run = self._runs.get(job, 0)
        return f"job-{job}" if run == 0 else f"job-{job}-{run}"

    def _labels(self, number: int) -> dict[str, str]:
        node = f"node-{number // DEVICES_PER_NODE}"
        return {"cluster": CLUSTER, "node": node, "uuid": f"GPU-{number}", "index": str(number % DEVICES_PER_NODE)}

    def _add_node(self, number: int) -> None:
        labels = {"cluster": CLUSTER, "node": f"node-{number}"}
        self._at["node", number] = len(self._series.ids)
        for metric, extra, usual in HOST:
            self._add(metric, labels | extra, "", usual)

    def _add_device(self, number: int) -> None:
        labels = self._labels(number)
        self._frame.series_id(device.DEVICE_INFO, {**labels, "vendor": "nvidia", "model": "H100", "kind": "gpu"})
        self._at["device", number] = len(self._series.ids)
        for metric, extra, usual in CHANNELS[: self._metrics]:
            self._add(metric, labels | extra, "", usual)

    def _add_work(self, number: int) -> None:
        labels = self._labels(number)
        job, rank = number // DEVICES_PER_JOB, str(number % DEVICES_PER_JOB)
        place = {"cluster": CLUSTER, "node": labels["node"], "job_id": self.job_id(job), "rank": rank, "stage": ""}
        self._at["work", number] = self._add(device.WORKLOAD_INFO, labels | place | {"scheduler": "slurm"}, "", 1.0)
        for metric, extra, part, usual in STEP if job % UNPHASED else ():
            self._add(metric, place | extra, part, usual)

    def _add(self, metric: Metric, labels: Mapping[str, str], part: str, usual: float) -> int:
        number = self._frame.series_id(metric, labels, part=part, origin=labels["node"])
        counts = metric.is_cumulative
        is_noisy = metric not in CONSTANT and metric is not device.WORKLOAD_INFO
        return self._series.add(number, usual, counts=counts, noisy=is_noisy)

    def _freeze(self) -> None:
        self._ids = np.array(self._series.ids, dtype=np.int64)
        self._levels = np.array(self._series.usual)
        self._counts = np.array(self._series.counts)
        self._noisy = np.array(self._series.noisy, dtype=np.float64)
        self._totals = np.zeros(len(self._ids))

    def _extend(self, job: int) -> None:
        """End the job's series and name those of its next run."""
        for number in range(job * DEVICES_PER_JOB, min((job + 1) * DEVICES_PER_JOB, self.devices)):
            first = self._at["work", number]
            self._levels[first : first + 1 + (len(STEP) if job % UNPHASED else 0)] = np.nan
            self._add_work(number)

    def _grow(self) -> None:
        """Keep levels and totals of the series that came; apart from `churn`, whose time is the analyzer's."""
        before = len(self._ids)
        new = slice(before, len(self._series.ids))
        if new.start == new.stop:
            return
        self._ids = np.append(self._ids, np.array(self._series.ids[new], dtype=np.int64))
        self._levels = np.append(self._levels, self._series.usual[new])
        self._counts = np.append(self._counts, self._series.counts[new])
        self._noisy = np.append(self._noisy, np.array(self._series.noisy[new], dtype=np.float64))
        self._totals = np.append(self._totals, np.zeros(len(self._ids) - before))

    def _plan_faults(self, *, is_sound: bool) -> None:
        """One fault a job at most, so that the truth is plain; none in a sound fleet."""
        self._faults: list[tuple[int, Ints, Doubles]] = []
        self._restarts = 0
        jobs = self._random.permutation(self.devices // DEVICES_PER_JOB)
        most = 0 if is_sound else len(jobs) * 2 // 3
        wanted = min(max(len(FAULTS), round(FAULTY_SHARE * self.devices)), most)
        for at, job in enumerate(jobs[:wanted]):
            kind = FAULTS[at % len(FAULTS)]
            if kind is FindingKind.INPUT_BOUND and job % UNPHASED == 0:
                kind = FindingKind.IDLE_ALLOCATED
            self._plan(kind, int(job), 60 + 120 * at // max(wanted, 1))
        self._restartable = [int(job) for job in jobs[wanted:]]

    def _plan(self, kind: FindingKind, job: int, start: int) -> None:
        number = job * DEVICES_PER_JOB + int(self._random.integers(DEVICES_PER_JOB))
        node = number // DEVICES_PER_NODE
        place = self.job_id(job) if kind in _OF_JOBS else f"node-{node}" if kind in _OF_NODES else f"GPU-{number}"
        self.truth[kind, place] = start
        changes = dict(self._changes(kind, job, number, node))
        self._faults.append((start, np.array(list(changes), dtype=np.int64), np.array(list(changes.values()))))

    def _changes(self, kind: FindingKind, job: int, number: int, node: int) -> Iterator[tuple[int, float]]:
        """Position and new level of each series that a fault changes."""
        at, work, on_node = self._at["device", number], self._at["work", number] + 1, self._at["node", node]
        members = range(job * DEVICES_PER_JOB, (job + 1) * DEVICES_PER_JOB)
        has_phases = job % UNPHASED != 0
        if kind is FindingKind.STRAGGLER:
            yield at + 1, 1.4e9
            for member in members if has_phases else ():
                first = self._at["work", member] + 1
                yield first, 0.8  # steps take 1.25 s
                yield first + 3, (1.15 if member == number else 0.9) * 0.8
                yield first + 4, (0.09 if member == number else 0.34) * 0.8
        elif kind is FindingKind.THERMAL_LIMITED:
            yield from ((at + 1, 1.4e9), (at + 2, 1.0))
        elif kind in {FindingKind.DEVICE_LOST, FindingKind.DEVICE_HUNG}:
            yield from ((at + 5, 0.0), (at + (3 if kind is FindingKind.DEVICE_LOST else 4), 1.0))
        elif kind is FindingKind.TELEMETRY_GAP:
            yield from ((at + offset, np.nan) for offset in range(self._metrics))
            yield work - 1, np.nan
        elif kind is FindingKind.IDLE_ALLOCATED:
            yield from self._at_rest(members, has_phases=has_phases)
        elif kind is FindingKind.INPUT_BOUND:
            for member in members:
                first = self._at["work", member] + 1
                yield from ((first, 0.8), (first + 2, 0.26 * 0.8), (first + 3, 0.9 * 0.8), (first + 4, 0.09 * 0.8))
        elif kind is FindingKind.HOST_SATURATED:
            yield from ((on_node, 0.99), (on_node + 1, 0.01))
        else:
            yield on_node + 3, 2e10

    def _at_rest(self, members: range, *, has_phases: bool) -> Iterator[tuple[int, float]]:
        """Devices without work: no engine, SM, pipe or memory is active, they draw little, their ranks step no more."""
        levels = [0.0 if one in ACTIVITY else IDLE_WATTS if one in DRAW else None for one, _, _ in CHANNELS]
        for member in members:
            first = self._at["device", member]
            rest = enumerate(levels[: self._metrics], start=first)
            yield from ((at, level) for at, level in rest if level is not None)
            if has_phases:
                yield from ((self._at["work", member] + 1 + offset, 0.0) for offset in range(len(STEP)))
