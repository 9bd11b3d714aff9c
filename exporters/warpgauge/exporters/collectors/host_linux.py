"""The host on Linux: which file of /proc and /sys fills which rows."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import host, linux
from warpgauge.core.sample import Sample, Unavailable
from warpgauge.exporters.collectors import host_io, host_memory, host_procfs
from warpgauge.exporters.collectors.host_filesystems import SizeProbe, mounts, size_of, to_samples
from warpgauge.exporters.collectors.host_subject import (
    DISK,
    FILESYSTEM,
    LOAD,
    MEMORY,
    NETWORK,
    SWAP_TRAFFIC,
    Subject,
    why,
)
from warpgauge.exporters.proc_file import contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from warpgauge.exporters.collectors.host_filesystems import Size

__all__ = ["Linux"]

_CPU_DIRECTORY: Final = re.compile(r"cpu\d+")
_CGROUP: Final = (
    linux.CGROUP_MEMORY_LIMIT,
    linux.CGROUP_MEMORY_USED,
    linux.CGROUP_CPU_LIMIT,
    linux.CGROUP_THROTTLED,
)
_OWN_PROC: Final = "/proc"


class Linux:
    """Reads the files; each method gives the samples of one subject.

    Where /proc is another one than our own (the host's, mounted into a container), file systems are those that its
    process 1 sees, reached through its root: that takes CAP_SYS_PTRACE, without it they read Unavailable.
    """

    def __init__(self, proc_root: Path, sys_root: Path, size: Callable[[str], Size] | None = None) -> None:
        self._proc = proc_root
        self._sys = sys_root
        self._cpus = sys_root / "devices/system/cpu"
        self._probe = SizeProbe(size or size_of)
        self._before: host_procfs.CpuSeconds = {}
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def hung(self) -> list[str]:
        """Paths of file systems that do not answer."""
        return sorted(self._probe.hung())

    def check(self) -> str | None:
        """None if this /proc can be read, else why not."""
        try:
            self._text("stat")
        except OSError as error:
            return f"cannot read the host: {why(error)}"
        return None

    def subjects(self) -> tuple[Subject, ...]:
        """Everything this system can be asked."""
        return (
            Subject("cpu", (host.CPU_SECONDS,), self.cpu),
            Subject("cpu count", (host.CPU_COUNT, host.BOOT_TIME), self.count_and_boot_time),
            Subject("frequency", (host.CPU_FREQUENCY,), self.frequency),
            Subject("load", LOAD, self.load),
            Subject("memory", MEMORY, self.memory),
            Subject("swap", SWAP_TRAFFIC, self.swap_traffic),
            Subject("huge pages", (linux.HUGE_TOTAL, linux.HUGE_FREE, linux.HUGE_TRANSPARENT), self.huge_pages),
            Subject("NUMA", (linux.NUMA_TOTAL, linux.NUMA_FREE, linux.NUMA_ALLOCATIONS), self.numa),
            Subject("cgroup", _CGROUP, self.cgroup),
            Subject("pressure", (host.PRESSURE_SECONDS,), self.pressure),
            Subject("disks", DISK, self.disks),
            Subject("filesystems", FILESYSTEM, self.filesystems),
            Subject("network", NETWORK, self.network),
        )

    def cpu(self) -> list[Sample]:
        """Seconds per CPU and mode, never falling."""
        text, place = self._text("stat")
        now = host_procfs.cpu_seconds(text, self._ticks_per_second, place=place)
        self._before = host_procfs.never_falling(self._before, now)
        return host_procfs.to_cpu_samples(self._before)

    def count_and_boot_time(self) -> list[Sample]:
        """How many CPUs are online, and since when."""
        text, place = self._text("stat")
        cpus = host_procfs.cpu_seconds(text, self._ticks_per_second, place=place)
        return [Sample(host.CPU_COUNT, (), float(len(cpus))), host_procfs.boot_time(text, place=place)]

    def frequency(self) -> list[Sample]:
        """Frequency of each CPU that cpufreq knows; virtual machines mostly have none."""
        samples = []
        for directory in sorted(self._cpus.iterdir()):
            path = directory / "cpufreq/scaling_cur_freq"
            if _CPU_DIRECTORY.fullmatch(directory.name) and path.exists():
                labels = (directory.name.removeprefix("cpu"),)
                samples.append(Sample(host.CPU_FREQUENCY, labels, _hertz(path.read_text())))
        return samples or [Sample(host.CPU_FREQUENCY, ("",), Unavailable("no cpufreq on this machine"))]

    def load(self) -> list[Sample]:
        """Load averages."""
        text, place = self._text("loadavg")
        return host_procfs.load(text, place=place)

    def memory(self) -> list[Sample]:
        """Memory and swap space."""
        text, place = self._text("meminfo")
        return host_procfs.memory(text, place=place)

    def swap_traffic(self) -> list[Sample]:
        """Bytes to and from swap."""
        text, place = self._text("vmstat")
        return host_procfs.swap_traffic(text, self._page_bytes, place=place)

    def huge_pages(self) -> list[Sample]:
        """Memory in huge pages."""
        text, place = self._text("meminfo")
        return host_memory.huge_pages(text, place=place)

    def numa(self) -> list[Sample]:
        """Memory by NUMA node; a kernel without NUMA has one node or no folder."""
        return host_memory.numa(self._sys / "devices/system/node")

    def cgroup(self) -> list[Sample]:
        """Limits of the agent's own container."""
        return host_memory.cgroup(host_memory.own_cgroup(self._sys, self._proc))

    def pressure(self) -> list[Sample]:
        """Stall time; a resource that this kernel does not account for is Unavailable by itself."""
        samples: list[Sample] = []
        for resource, scopes in host_procfs.PRESSURE_FILES.items():
            try:
                text, place = self._text(f"pressure/{resource}")
                samples += host_procfs.pressure(text, resource, place=place)
            except OSError as error:
                gone = Unavailable(why(error))
                samples += [Sample(host.PRESSURE_SECONDS, (resource, scope), gone) for scope in scopes]
        return samples

    def disks(self) -> list[Sample]:
        """Traffic of the disks."""
        text, place = self._text("diskstats")
        return host_io.disks(text, place=place)

    def network(self) -> list[Sample]:
        """Traffic of the interfaces that process 1 sees."""
        text, place = self._first_text("1/net/dev", "net/dev")
        return host_io.network(text, place=place)

    def filesystems(self) -> list[Sample]:
        """Sizes of the file systems that process 1 has mounted."""
        text, place = self._first_text("1/mounts", "mounts")
        root = "" if str(self._proc) == _OWN_PROC else f"{self._proc}/1/root"
        paths = {mount: root + mount.mountpoint for mount in mounts(text, place=place)}
        return to_samples(paths, self._probe.sizes(paths.values()))

    def _text(self, name: str) -> tuple[str, str]:
        """Contents and path of a file under /proc."""
        path = f"{self._proc}/{name}"
        return contents(path).decode("utf-8", "replace"), path

    def _first_text(self, *names: str) -> tuple[str, str]:
        """The first of these files that can be read (process 1 may be hidden from us)."""
        for name in names[:-1]:
            try:
                return self._text(name)
            except OSError:
                continue
        return self._text(names[-1])


def _hertz(kilohertz: str) -> float | Unavailable:
    try:
        return int(kilohertz) * 1000.0
    except ValueError:  # the kernel writes "<unknown>" (drivers/cpufreq/cpufreq.c)
        return Unavailable(f"cpufreq: {kilohertz.strip()}")
