"""Small frames with a known story: a lockstep job on sound devices, and whatever a test changes about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.frame_builder import FrameBuilder
from warpgauge.core.catalog import device, host, training

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from warpgauge.analyzer.frame import Frame

MAX_HERTZ = 1.98e9
COLLECTIVE_SECONDS = 0.1
JOB = "train"


def since(columns: int, last: int, during: float, before: float = 0.0) -> NDArray[np.float64]:
    """`before`, then `during` for the last so many columns."""
    values = np.full(columns, before)
    values[columns - last :] = during
    return values


def in_columns(columns: int, chosen: slice, during: float, otherwise: float) -> NDArray[np.float64]:
    """`during` in the chosen columns."""
    values = np.full(columns, otherwise)
    values[chosen] = during
    return values


@dataclass(kw_only=True)
class Lockstep:
    """A job whose ranks wait for the slowest. Mappings hold what differs, by rank; the rest is sound."""

    ranks: int = 8
    per_node: int = 4
    columns: int = 90
    compute: Mapping[int, ArrayLike] = field(default_factory=dict)  # seconds per step, else 1.0
    input: Mapping[int, ArrayLike] = field(default_factory=dict)  # seconds per step, else 0.01
    checkpoint: ArrayLike = 0.0  # seconds per step
    transfer: Mapping[int, ArrayLike] = field(default_factory=dict)  # seconds per step; without any nobody times it
    has_devices: bool = True  # else the ranks run on CPUs, timed by the host
    unknown: Collection[int] = ()  # ranks of whose devices nobody told yet
    step_seconds: float = 10.0  # of a column
    pressure: Mapping[str, ArrayLike] = field(default_factory=dict)  # by node, time in which tasks waited for a CPU
    stages: Mapping[int, int] = field(default_factory=dict)
    paused: ArrayLike = False  # columns without steps, as in an evaluation
    gap: ArrayLike = False  # columns without any sample
    late: Mapping[str, int] = field(default_factory=dict)  # by node, how many of the newest columns have not come yet
    clock_of_phases: str = "device"
    has_phases: bool = True
    has_device_metrics: bool = True
    sm_hertz: Mapping[int, ArrayLike] = field(default_factory=dict)
    limit_watts: Mapping[int, float] = field(default_factory=dict)  # of boards whose own is 700 W; else nobody tells
    throttled: Mapping[int, Mapping[str, ArrayLike]] = field(default_factory=dict)
    activity: Mapping[int, ArrayLike] = field(default_factory=dict)  # else 0.95
    processes: Mapping[int, ArrayLike] = field(default_factory=dict)  # on the device; else nobody counts them
    guests: Mapping[int, Sequence[str]] = field(default_factory=dict)  # other jobs on the device
    held: ArrayLike = 1.0  # NaN while the job does not have its devices yet
    cpu: ArrayLike = 0.4
    busy: Mapping[str, ArrayLike] = field(default_factory=dict)  # CPU of nodes that differ
    simulated: bool = False

    def frame(self) -> Frame:
        """Everything above as a frame."""
        builder = FrameBuilder(columns=self.columns, step_seconds=self.step_seconds)
        missing = np.broadcast_to(np.asarray(self.gap), (self.columns,))
        if self.has_devices:
            known = [rank for rank in range(self.ranks) if rank not in self.unknown]
            for rank in known:
                self._device(builder, rank, missing)
            builder.job(JOB, [self.place(rank) for rank in known], held=self._known(self.held, missing))
            for rank, jobs in self.guests.items():
                for job in jobs:
                    builder.job(job, [self.place(rank)], user="eve")
        self._steps(builder, missing)
        for node, waited in self.pressure.items():
            builder.rate(host.PRESSURE_SECONDS, self._known(waited, missing), resource="cpu", scope="some", node=node)
        for node in sorted({self.place(rank)[0] for rank in range(self.ranks)}):
            add_host(builder, node, busy=self._known(self.busy.get(node, self.cpu), missing))
        return builder.build()

    def place(self, rank: int) -> tuple[str, str]:
        """Node and UUID of a rank."""
        return f"n{rank // self.per_node}", f"GPU-{rank}"

    def _known(self, values: ArrayLike, missing: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.where(missing, np.nan, np.broadcast_to(np.asarray(values, dtype=float), (self.columns,)))

    def _device(self, builder: FrameBuilder, rank: int, missing: NDArray[np.bool_]) -> None:
        node, uuid = self.place(rank)
        add_device(
            builder,
            node,
            uuid,
            index=rank % self.per_node,
            activity=self._known(self.activity.get(rank, 0.95), missing) if self.has_device_metrics else None,
            sm_hertz=self._known(self.sm_hertz.get(rank, MAX_HERTZ), missing) if self.has_device_metrics else None,
            throttled=self.throttled.get(rank, {}),
            simulated=self.simulated,
        )
        for limit, watts in (("enforced", self.limit_watts.get(rank, 700.0)), ("default", 700.0)):
            if self.limit_watts:
                labels = {"node": node, "uuid": uuid, "index": str(rank % self.per_node)}
                builder.gauge(device.POWER_LIMIT, watts, limit=limit, **labels)
        if rank in self.processes:
            labels = {"node": node, "uuid": uuid, "index": str(rank % self.per_node)}
            builder.gauge(device.PROCESSES, self.processes[rank], **labels)

    def _steps(self, builder: FrameBuilder, missing: NDArray[np.bool_]) -> None:
        shape = (self.ranks, self.columns)
        compute, waits, sends = np.ones(shape), np.full(shape, 0.01), np.zeros(shape)
        for rank in range(self.ranks):
            compute[rank] = self.compute.get(rank, 1.0)
            waits[rank] = self.input.get(rank, 0.01)
            sends[rank] = self.transfer.get(rank, 0.002 if self.transfer else 0.0)
        latest = (compute + waits + sends).max(axis=0)
        proper = latest + COLLECTIVE_SECONDS
        checkpoint = np.broadcast_to(np.asarray(self.checkpoint, dtype=float), (self.columns,))
        step = proper + checkpoint
        works = np.where(np.broadcast_to(np.asarray(self.paused), (self.columns,)), 0.0, 1.0)
        for rank in range(self.ranks):
            is_missing = missing | (np.arange(self.columns) >= self.columns - self.late.get(self.place(rank)[0], 0))
            labels = {
                "job_id": JOB,
                "rank": str(rank),
                "stage": str(self.stages.get(rank, "")),
                "node": self.place(rank)[0],
            }
            builder.rate(training.STEP_SECONDS, self._known(works / step, is_missing), part="count", **labels)
            builder.rate(training.STEP_SECONDS, self._known(works, is_missing), part="sum", **labels)
            spent = {
                "input": waits[rank],
                "compute": compute[rank],
                "communication": proper - waits[rank] - compute[rank] - sends[rank],
                "checkpoint": checkpoint,
                **({training.TRANSFER: sends[rank]} if self.transfer else {}),
            }
            for phase, seconds in spent.items() if self.has_phases else ():
                share = self._known(works * seconds / step, is_missing)
                is_asynchronous = self.has_devices and phase in {"compute", "communication", training.TRANSFER}
                clock = self.clock_of_phases if is_asynchronous else "host"
                builder.rate(training.PHASE_SECONDS, share, phase=phase, clock=clock, **labels)


def add_device(
    builder: FrameBuilder,
    node: str,
    uuid: str,
    *,
    index: int = 0,
    activity: ArrayLike | None = 0.95,
    sm_hertz: ArrayLike | None = MAX_HERTZ,
    throttled: Mapping[str, ArrayLike] | None = None,
    memory_bytes: float = 60 * 2.0**30,
    state: Mapping[str, ArrayLike] | None = None,
    simulated: bool = False,
) -> None:
    """A device with the metrics that detectors read; None leaves one out, NaN columns are gaps."""
    builder.device(node, uuid, index=index, simulated=simulated)
    labels: dict[str, Any] = {"node": node, "uuid": uuid, "index": str(index)}
    if activity is not None:
        builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, activity, **labels)
    if sm_hertz is not None:
        builder.gauge(device.CLOCK, sm_hertz, clock="sm", **labels)
        builder.gauge(device.CLOCK_MAX, MAX_HERTZ, clock="sm", **labels)
    for reason in ("sw_power_cap", "sw_thermal", "hw_thermal", "hw_slowdown", "hw_power_brake"):
        builder.gauge(device.THROTTLE_ACTIVE, (throttled or {}).get(reason, 0.0), reason=reason, **labels)
    builder.gauge(device.MEMORY_USED, memory_bytes, **labels)
    builder.gauge(device.TEMPERATURE, 87.0 if throttled else 61.0, sensor="core", **labels)
    for name in ("ok", "released", "denied", "lost", "needs_reset", "hung"):
        builder.gauge(device.DEVICE_STATE, (state or {"ok": 1.0}).get(name, 0.0), state=name, **labels)


def add_host(builder: FrameBuilder, node: str, *, busy: ArrayLike, cpus: int = 2, available: ArrayLike = 0.6) -> None:
    """A machine: `busy` is the share of its CPUs, `available` that of its 16 GiB; silent while both are NaN."""
    level, left = (np.broadcast_to(np.asarray(one, dtype=float), (builder.columns,)) for one in (busy, available))
    heard = np.where(np.isnan(level) & np.isnan(left), np.nan, 1.0)
    for cpu in range(cpus):
        for mode, share in (
            ("user", 0.7 * level),
            ("system", 0.3 * level),
            ("idle", 0.9 * (1 - level)),
            ("iowait", 0.1 * (1 - level)),
        ):
            builder.rate(host.CPU_SECONDS, share, node=node, cpu=str(cpu), mode=mode)
    builder.gauge(host.CPU_COUNT, cpus * heard, node=node)
    builder.gauge(host.LOAD1, cpus * level, node=node)
    total = 16 * 2.0**30
    builder.gauge(host.MEMORY_TOTAL, total * heard, node=node)
    builder.gauge(host.MEMORY_AVAILABLE, left * total, node=node)
