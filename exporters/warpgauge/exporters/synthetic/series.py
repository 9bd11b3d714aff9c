"""What stands on a node's page: catalog rows with labels, each with a way to read its present value from the model."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from warpgauge.core.catalog import device, host, own, training
from warpgauge.core.device import DeviceKind, DeviceState
from warpgauge.exporters.synthetic.board_series import of_board
from warpgauge.exporters.synthetic.gpu import TIMED_REASONS
from warpgauge.exporters.synthetic.host import CPU_MODES, PRESSURES
from warpgauge.exporters.synthetic.job import TrainingJob
from warpgauge.exporters.synthetic.one_series import Series, still
from warpgauge.exporters.synthetic.serving_series import of_server
from warpgauge.exporters.synthetic.sessions import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.exporters.synthetic.gpu import Gpu
    from warpgauge.exporters.synthetic.host import Host
    from warpgauge.exporters.synthetic.node import Node
    from warpgauge.exporters.synthetic.workload import Workload

__all__ = ["of_node"]

Key = TypeVar("Key")

_COLLECTORS: Final = ("nvml", "host", "training")
_DRIVER: Final = ("nvidia", "580.95.05", "13.580.95.05", "13.0")
_PYTHON: Final = "3.11"  # not this process's: the same seed gives the same page on any Python
_KERNEL: Final = ("Linux", "6.8.0-79-generic", "x86_64")
_PCI_BUSES: Final = ("1b", "43", "52", "61", "9d", "c3", "d1", "df")
_NUMA_NODES: Final = 2
_DISKS: Final = ("nvme0n1",)
_ROOT: Final = ("/dev/nvme0n1p2", "/", "ext4")
_SCRATCH: Final = ("/dev/nvme0n1p3", "/scratch", "xfs")
_NETWORK: Final = ("eth0",)
_MOVING_MODES: Final = frozenset({"user", "system", "idle"})
_UNUSED_MODES: Final = frozenset({"nice", "irq", "steal"})  # by this model: they stay what they were
_GIVEN_REASONS: Final = frozenset({"idle", "sw_power_cap", "hw_slowdown", "sw_thermal", "hw_thermal"})  # by this model
_CLOCK_OF_PHASE: Final = {"compute": "device", "communication": "device"}  # timed by CUDA events; others by the host


class Simulated(Protocol):
    """What a page needs to know of a simulated fleet."""

    @property
    def time(self) -> float:
        """Seconds since the epoch."""

    @property
    def jobs(self) -> Sequence[Workload]:
        """All jobs there ever are."""


def of_node(fleet: Simulated, node: Node) -> Iterator[Series]:
    """Every series on a node's page, family by family."""
    yield from _own(fleet)
    yield from _host(node.host)
    yield still(device.DRIVER_INFO, _DRIVER)
    for gpu in node.gpus:
        yield from _identity(gpu, len(node.gpus))
        yield from _activity(gpu)
        yield from _electrical(gpu)
        yield from _limits(gpu)
        yield from _errors(gpu)
        yield from of_board(gpu)
    yield from _jobs(fleet, node)


def _one() -> float:
    return 1.0


def _own(fleet: Simulated) -> Iterator[Series]:
    yield still(own.AGENT_INFO, (version("warpgauge"), _PYTHON))
    for collector in _COLLECTORS:
        yield still(own.COLLECTOR_UP, (collector,))
        yield Series(own.COLLECTOR_LAST_SUCCESS, (collector,), lambda: fleet.time)
    for mode in own.GPM_MODE.states:
        yield still(own.GPM_MODE, (mode,), float(mode == "auto_reading"))


def _host(machine: Host) -> Iterator[Series]:
    yield still(host.HOST_INFO, (machine.name, *_KERNEL))
    yield still(host.BOOT_TIME, (), machine.boot_time)
    yield still(host.CPU_COUNT, (), float(machine.cpu_count))
    for cpu in range(machine.cpu_count):
        for position, mode in enumerate(CPU_MODES, start=cpu * len(CPU_MODES)):
            read = partial(_rounded, machine.cpu_seconds, position)
            is_still, is_constant = mode not in _MOVING_MODES, mode in _UNUSED_MODES
            yield Series(host.CPU_SECONDS, (str(cpu), mode), read, is_still=is_still, is_constant=is_constant)
        yield Series(host.CPU_FREQUENCY, (str(cpu),), partial(_megahertz, machine.cpu_hertz, cpu), is_still=True)
    for position, row in enumerate((host.LOAD1, host.LOAD5, host.LOAD15)):
        yield Series(row, (), partial(_rounded, machine.loads, position))
    yield from _host_memory(machine)
    yield from _host_disk(machine)
    yield Series(host.NETWORK_RECEIVE, _NETWORK, lambda: float(int(machine.network_receive_bytes)))
    yield Series(host.NETWORK_TRANSMIT, _NETWORK, lambda: float(int(machine.network_transmit_bytes)))
    errors = Series(host.NETWORK_RECEIVE_ERRORS, _NETWORK, lambda: float(machine.network_receive_errors), is_still=True)
    yield errors
    yield still(host.NETWORK_TRANSMIT_ERRORS, _NETWORK, 0.0)


def _rounded(values: list[float], position: int) -> float:
    """Hundredths, as the kernel counts them (USER_HZ is 100); `round(x, 2)` gives the same in three times the time."""
    return round(values[position] * 100.0) / 100.0


def _megahertz(values: list[float], position: int) -> float:
    return round(values[position], -6)


def _host_memory(machine: Host) -> Iterator[Series]:
    yield Series(host.MEMORY_TOTAL, (), lambda: machine.memory_total_bytes)
    yield Series(host.MEMORY_AVAILABLE, (), lambda: _pages(machine.memory_available_bytes))
    yield Series(host.MEMORY_FREE, (), lambda: _pages(machine.memory_free_bytes))
    for row in (host.SWAP_TOTAL, host.SWAP_FREE, host.SWAP_IN, host.SWAP_OUT):
        yield still(row, (), 0.0)
    for key in PRESSURES:
        yield Series(host.PRESSURE_SECONDS, key, partial(_of, machine.pressure_seconds, key))


def _of(seconds: dict[Key, float], key: Key) -> float:
    return round(seconds[key], 6)


def _pages(size: float) -> float:
    return float(int(size / 4096.0)) * 4096.0


def _host_disk(machine: Host) -> Iterator[Series]:
    yield Series(host.DISK_READ, _DISKS, lambda: float(int(machine.disk_read_bytes / 512.0)) * 512.0)
    yield Series(host.DISK_WRITTEN, _DISKS, lambda: float(int(machine.disk_written_bytes / 512.0)) * 512.0)
    yield Series(host.DISK_READS, _DISKS, lambda: machine.disk_reads)
    yield Series(host.DISK_WRITES, _DISKS, lambda: machine.disk_writes)
    yield Series(host.DISK_IO_TIME, _DISKS, lambda: round(machine.disk_busy_seconds, 3))
    for labels, size, used in (
        (_ROOT, machine.root_bytes, machine.root_used_ratio),
        (_SCRATCH, machine.scratch_bytes, machine.scratch_used_ratio),
    ):
        yield still(host.FILESYSTEM_SIZE, labels, size)
        yield still(host.FILESYSTEM_AVAILABLE, labels, _pages(size * (1.0 - used)))


def _identity(gpu: Gpu, gpus: int) -> Iterator[Series]:
    board, ids = gpu.board, _ids(gpu)
    bus = f"0000:{_PCI_BUSES[gpu.index % len(_PCI_BUSES)]}:00.0"
    numa = str(gpu.index * _NUMA_NODES // gpus)
    about = ("nvidia", DeviceKind.GPU.value, board.model, bus, board.architecture, numa, "true")
    yield still(device.DEVICE_INFO, (*ids, *about))
    yield Series(device.DEVICE_UP, ids, lambda: float(gpu.state is DeviceState.OK))
    for state in DeviceState:
        yield Series(device.DEVICE_STATE, (*ids, state.value), partial(_is_in, gpu, state), is_still=True)
    yield Series(device.LAST_SAMPLE, ids, lambda: gpu.answered)
    yield Series(device.PROCESSES, ids, lambda: float(gpu.work.processes), is_still=True)


def _is_in(gpu: Gpu, state: DeviceState) -> float:
    return float(gpu.state is state)


def _ids(gpu: Gpu) -> tuple[str, str]:
    return (gpu.uuid, str(gpu.index))


def _activity(gpu: Gpu) -> Iterator[Series]:
    ids = _ids(gpu)
    yield Series(device.UTILIZATION, (*ids, "compute"), lambda: round(gpu.engine_active_ratio, 2))
    yield still(device.UTILIZATION, (*ids, "encoder"), 0.0)
    yield still(device.UTILIZATION, (*ids, "decoder"), 0.0)
    yield Series(device.COMPUTE_ACTIVE, ids, lambda: round(gpu.sm_active_ratio, 4))
    yield Series(device.GRAPHICS_ENGINE_ACTIVE, ids, lambda: round(gpu.engine_active_ratio, 4))
    yield Series(device.COMPUTE_OCCUPANCY, ids, lambda: round(gpu.occupancy_ratio, 4))
    yield Series(device.PIPE_ACTIVE, (*ids, "tensor"), lambda: round(gpu.tensor_active_ratio, 4))
    yield Series(device.MEMORY_BANDWIDTH_ACTIVE, ids, lambda: round(gpu.dram_active_ratio, 4))
    yield Series(device.MEMORY_TOTAL, ids, lambda: gpu.board.memory_total_bytes)
    yield still(device.MEMORY_RESERVED, ids, gpu.board.memory_reserved_bytes)
    yield Series(device.MEMORY_USED, ids, lambda: gpu.memory_used_bytes)
    yield Series(device.MEMORY_FREE, ids, lambda: gpu.memory_free_bytes)
    yield Series(device.PCIE_TRANSMIT, ids, lambda: float(int(gpu.pcie_transmit_bytes)))
    yield Series(device.PCIE_RECEIVE, ids, lambda: float(int(gpu.pcie_receive_bytes)))


def _electrical(gpu: Gpu) -> Iterator[Series]:
    ids = _ids(gpu)
    yield Series(device.TEMPERATURE, (*ids, "core"), lambda: float(round(gpu.core_celsius)))
    yield Series(device.TEMPERATURE, (*ids, "memory"), lambda: float(round(gpu.memory_celsius)))
    yield Series(device.POWER, ids, lambda: round(gpu.power_watts, 3))
    yield Series(device.ENERGY, ids, lambda: round(gpu.energy_joules, 3))
    yield Series(device.CLOCK, (*ids, "graphics"), lambda: gpu.sm_hertz)
    yield Series(device.CLOCK, (*ids, "sm"), lambda: gpu.sm_hertz)
    yield still(device.CLOCK, (*ids, "memory"), gpu.board.memory_hertz)
    yield Series(device.CLOCK, (*ids, "video"), lambda: gpu.video_hertz)
    for reason in device.THROTTLE_REASONS:
        is_still = reason not in _GIVEN_REASONS
        yield Series(device.THROTTLE_ACTIVE, (*ids, reason), partial(_holds, gpu, reason), is_still=is_still)
    for reason in TIMED_REASONS:
        read = partial(_of, gpu.throttle_seconds, reason)
        yield Series(device.THROTTLE_SECONDS, (*ids, reason), read, is_still=reason not in _GIVEN_REASONS)


def _holds(gpu: Gpu, reason: str) -> float:
    return float(reason in gpu.reasons)


def _limits(gpu: Gpu) -> Iterator[Series]:
    board, ids = gpu.board, _ids(gpu)
    for limit, celsius in (
        ("shutdown", board.shutdown_celsius),
        ("slowdown", board.slowdown_celsius),
        ("max_operating", board.full_clocks_celsius),
        ("memory_max", board.memory_max_celsius),
    ):
        yield still(device.TEMPERATURE_LIMIT, (*ids, limit), celsius)
    for limit in ("enforced", "default", "max"):
        yield still(device.POWER_LIMIT, (*ids, limit), board.power_limit_watts)
    yield still(device.POWER_LIMIT, (*ids, "min"), board.power_min_watts)
    for clock in ("graphics", "sm"):
        yield still(device.CLOCK_MAX, (*ids, clock), board.sm_max_hertz)
    yield still(device.CLOCK_MAX, (*ids, "memory"), board.memory_hertz)
    yield still(device.CLOCK_MAX, (*ids, "video"), board.video_max_hertz)
    for row in (device.PCIE_LINK_GENERATION, device.PCIE_LINK_GENERATION_MAX):
        yield still(row, ids, float(board.pcie_generation))
    yield Series(device.PCIE_LINK_WIDTH, ids, lambda: float(gpu.pcie_lanes), is_still=True)
    yield still(device.PCIE_LINK_WIDTH_MAX, ids, float(board.pcie_width))


def _errors(gpu: Gpu) -> Iterator[Series]:
    ids = _ids(gpu)
    yield Series(device.PCIE_REPLAY, ids, lambda: float(gpu.pcie_replays), is_still=True)
    corrected = (*ids, "corrected")
    yield Series(
        device.ECC_ERRORS, (*corrected, "volatile"), lambda: float(gpu.corrected_errors_volatile), is_still=True
    )
    yield Series(
        device.ECC_ERRORS, (*corrected, "aggregate"), lambda: float(gpu.corrected_errors_aggregate), is_still=True
    )
    for persistence in ("volatile", "aggregate"):
        read = partial(_broken_rows, gpu)  # each of them gave one error that could not be corrected
        yield Series(device.ECC_ERRORS, (*ids, "uncorrected", persistence), read, is_still=True)
    for cause in ("corrected", "uncorrected"):
        yield still(device.ROWS_REMAPPED, (*ids, cause), 0.0)
    yield Series(device.ROW_REMAP_PENDING, ids, lambda: float(gpu.broken_rows > 0), is_still=True)
    yield still(device.ROW_REMAP_FAILED, ids, 0.0)


def _broken_rows(gpu: Gpu) -> float:
    return float(gpu.broken_rows)


def _jobs(fleet: Simulated, node: Node) -> Iterator[Series]:
    here = {gpu.uuid for gpu in node.gpus}
    told: set[tuple[str, ...]] = set()
    for job in fleet.jobs:
        if isinstance(job, Server) and job.seats[0].gpu.uuid in here:
            yield from of_server(job)
        for rank, seat in enumerate(job.seats):
            if seat.gpu.uuid in here:
                workload = _workload(job, rank)
                yield workload
                if workload.labels[2:] not in told:  # several devices of one pod
                    told.add(workload.labels[2:])
                    yield Series(host.WORKLOAD_INFO, workload.labels[2:], _one)
                if isinstance(job, TrainingJob):
                    yield from _rank(job, rank)


def _workload(job: Workload, rank: int) -> Series:
    owner = job.owner
    pod = f"{owner.job_id}-{job.seats[rank].node}" if owner.namespace else ""
    container = "main" if owner.namespace else ""
    shown_rank = str(rank) if job.is_lockstep else ""
    uuid = job.seats[rank].gpu.uuid
    labels = (uuid, "", owner.scheduler, owner.namespace, pod, container, owner.job_id, shown_rank, owner.user)
    return Series(device.WORKLOAD_INFO, labels, _one)


def _rank(job: TrainingJob, rank: int) -> Iterator[Series]:
    if not job.reports_steps:
        return
    ids = (job.owner.job_id, str(rank), str(job.stage_of(rank)))
    yield Series(training.STEP_SECONDS, ids, lambda: job.steps)
    yield still(training.JOB_RANKS, ids, float(len(job.seats)))
    spent = job.phase_seconds[rank]
    for position, phase in enumerate(training.PHASES):
        labels = (*ids, phase, _CLOCK_OF_PHASE.get(phase, "host"))
        yield Series(training.PHASE_SECONDS, labels, partial(_micro, spent, position))


def _micro(values: list[float], position: int) -> float:
    return round(values[position], 6)
