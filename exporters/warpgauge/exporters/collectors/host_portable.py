"""The host's figures where there is no /proc (macOS, Windows), through psutil: the one file that imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psutil as real_psutil

from warpgauge.core.catalog import host
from warpgauge.core.sample import Sample, Unavailable
from warpgauge.exporters.collectors.host_filesystems import Mount, Size, SizeProbe, to_samples
from warpgauge.exporters.collectors.host_subject import DISK, FILESYSTEM, LOAD, MEMORY, NETWORK, SWAP_TRAFFIC, Subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from warpgauge.core.catalog import Metric

__all__ = ["Portable", "ProcessReading", "process_readings", "size_of", "user_of_process"]

# psutil's names for node_exporter's modes; what a system does not count is absent.
_MODES: Final = {
    "user": "user",
    "nice": "nice",
    "system": "system",
    "idle": "idle",
    "iowait": "iowait",
    "irq": "irq",
    "softirq": "softirq",
    "steal": "steal",
    "interrupt": "irq",  # Windows
    "dpc": "softirq",  # Windows: deferred procedure calls
}


class Portable:
    """Reads the host through psutil; each method gives the samples of one subject."""

    def __init__(self, psutil: ModuleType | None, size: Callable[[str], Size] | None = None) -> None:
        self._psutil: Any = psutil or real_psutil
        self._probe = SizeProbe(size or size_of)

    def hung(self) -> list[str]:
        """Paths of file systems that do not answer."""
        return sorted(self._probe.hung())

    def check(self) -> str | None:
        """Always None: psutil knows every system that Python runs on."""
        return None

    def subjects(self) -> tuple[Subject, ...]:
        """Everything this system can be asked."""
        return tuple(
            Subject(name, rows, read, (real_psutil.Error,))
            for name, rows, read in (
                ("cpu", (host.CPU_SECONDS,), self.cpu),
                ("cpu count", (host.CPU_COUNT, host.BOOT_TIME), self.count_and_boot_time),
                ("frequency", (host.CPU_FREQUENCY,), self.frequency),
                ("load", LOAD, self.load),
                ("memory", (*MEMORY, *SWAP_TRAFFIC), self.memory),
                ("pressure", (host.PRESSURE_SECONDS,), self.pressure),
                ("disks", DISK, self.disks),
                ("filesystems", FILESYSTEM, self.filesystems),
                ("network", NETWORK, self.network),
            )
        )

    def cpu(self) -> list[Sample]:
        """Seconds per CPU and mode."""
        return [
            Sample(host.CPU_SECONDS, (str(cpu), _MODES[mode]), float(seconds))
            for cpu, modes in enumerate(self._psutil.cpu_times(percpu=True))
            for mode, seconds in modes._asdict().items()
            if mode in _MODES
        ]

    def count_and_boot_time(self) -> list[Sample]:
        """How many CPUs are online, and since when."""
        return [
            Sample(host.CPU_COUNT, (), float(len(self._psutil.cpu_times(percpu=True)))),
            Sample(host.BOOT_TIME, (), float(self._psutil.boot_time())),
        ]

    def frequency(self) -> list[Sample]:
        """Frequency of each CPU, where the system tells it."""
        read = getattr(self._psutil, "cpu_freq", None)  # absent on some platforms
        answers = read(percpu=True) if read else []
        if not answers:
            return [Sample(host.CPU_FREQUENCY, ("",), Unavailable("the system does not tell CPU frequencies"))]
        return [Sample(host.CPU_FREQUENCY, (str(cpu),), one.current * 1e6) for cpu, one in enumerate(answers)]

    def load(self) -> list[Sample]:
        """The three load averages (psutil emulates them on Windows)."""
        return [Sample(row, (), value) for row, value in zip(LOAD, self._psutil.getloadavg(), strict=True)]

    def memory(self) -> list[Sample]:
        """Memory and swap."""
        memory, swap = self._psutil.virtual_memory(), self._psutil.swap_memory()
        values: list[tuple[Metric, float]] = [
            (host.MEMORY_TOTAL, memory.total),
            (host.MEMORY_AVAILABLE, memory.available),
            (host.MEMORY_FREE, memory.free),
            (host.SWAP_TOTAL, swap.total),
            (host.SWAP_FREE, swap.free),
            (host.SWAP_IN, swap.sin),
            (host.SWAP_OUT, swap.sout),
        ]
        return [Sample(row, (), float(value)) for row, value in values]

    def disks(self) -> list[Sample]:
        """Traffic of every disk; busy time only where the system counts it."""
        samples: list[Sample] = []
        for device, one in self._psutil.disk_io_counters(perdisk=True).items():
            busy = getattr(one, "busy_time", None)
            values: list[tuple[Metric, float | Unavailable]] = [
                (host.DISK_READ, float(one.read_bytes)),
                (host.DISK_WRITTEN, float(one.write_bytes)),
                (host.DISK_READS, float(one.read_count)),
                (host.DISK_WRITES, float(one.write_count)),
                (host.DISK_IO_TIME, Unavailable("the system counts no busy time") if busy is None else busy / 1000),
            ]
            samples += [Sample(row, (device,), value) for row, value in values]
        return samples

    def network(self) -> list[Sample]:
        """Traffic of every interface."""
        samples: list[Sample] = []
        for device, one in self._psutil.net_io_counters(pernic=True).items():
            values = (
                (host.NETWORK_RECEIVE, one.bytes_recv),
                (host.NETWORK_TRANSMIT, one.bytes_sent),
                (host.NETWORK_RECEIVE_ERRORS, one.errin),
                (host.NETWORK_TRANSMIT_ERRORS, one.errout),
            )
            samples += [Sample(row, (device,), float(value)) for row, value in values]
        return samples

    def pressure(self) -> list[Sample]:
        """Only Linux has it."""
        gone = Unavailable("pressure stall information exists on Linux only")
        return [Sample(host.PRESSURE_SECONDS, ("", ""), gone)]

    def filesystems(self) -> list[Sample]:
        """Sizes of the physical file systems."""
        found = (Mount(one.device, one.mountpoint, one.fstype) for one in self._psutil.disk_partitions(all=False))
        paths = {mount: mount.mountpoint for mount in found}
        return to_samples(paths, self._probe.sizes(paths.values()))


def size_of(path: str, psutil: ModuleType | None = None) -> Size:
    """Size of the file system at a path; may block for ever on a dead network mount."""
    source: Any = psutil or real_psutil
    usage = source.disk_usage(path)
    return Size(float(usage.total), float(usage.free))


class ProcessReading(NamedTuple):
    """One process at one moment."""

    pid: int
    started: float  # with the pid the identity of a process; seconds or ticks, only compared
    command: str
    cpu_seconds: float
    memory_bytes: int


def process_readings(psutil: ModuleType | None = None) -> list[ProcessReading]:
    """Every process that this user may look at; one that vanishes meanwhile is left out."""
    source: Any = psutil or real_psutil
    return [
        ProcessReading(
            info["pid"],
            info["create_time"],
            info["name"],
            info["cpu_times"].user + info["cpu_times"].system,
            info["memory_info"].rss,
        )
        for process in source.process_iter(["pid", "create_time", "name", "cpu_times", "memory_info"])
        # psutil puts None where access was denied.
        if all((info := process.info)[key] is not None for key in ("name", "cpu_times", "memory_info"))
    ]


def user_of_process(pid: int, psutil: ModuleType | None = None) -> str:
    """Name of the process's user, empty when it is gone or not ours to see."""
    source: Any = psutil or real_psutil
    try:
        return str(source.Process(pid).username())
    except source.Error:
        return ""
