"""One machine: turns what its jobs ask for into the counters a kernel would show."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

    from warpgauge.exporters.synthetic.workload import Demand

__all__ = ["CPU_MODES", "PRESSURES", "Host"]

CPU_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
PRESSURES: Final = (("cpu", "some"), ("io", "some"), ("io", "full"), ("memory", "some"), ("memory", "full"))

_GB: Final = 1e9
_USER, _NICE, _SYSTEM, _IDLE, _IOWAIT, _IRQ, _SOFTIRQ, _STEAL = range(len(CPU_MODES))
_CPU_BUSIEST: Final = 0.985  # the kernel's own work always leaves a little
_SYSTEM_CORES: Final = 0.7  # daemons, kubelet or slurmd, monitoring
_NETWORK_BYTES: Final = 60e3  # per second, of the same daemons
_DISK_BYTES: Final = 120e3
_DISK_BANDWIDTH: Final = 12e9
_BLOCK_BYTES: Final = 256e3  # mean size of one disk operation
_MOST_SOFTIRQ_CORES: Final = 16.0  # as many queues as the network card spreads its work over
_ALL_CORE_DROP_HERTZ: Final = 0.5e9
_BYTES_PER_SOFTIRQ_SECOND: Final = 4e9
_LOAD_SECONDS: Final = (60.0, 300.0, 900.0)


class Host:
    """Counters of one machine with `cpu_count` logical CPUs; `advance` moves them through one interval."""

    cpu_count: Final = 64
    memory_total_bytes: Final = 2048.0 * 1024.0**3
    frequency_max_hertz: Final = 3.6e9
    root_bytes: Final = 879e9
    scratch_bytes: Final = 15.2e12

    def __init__(self, *, name: str, random: Random, begin: float) -> None:
        self.name = name
        self.boot_time = float(int(begin - random.uniform(4.0, 60.0) * 86_400.0))
        self._random = random
        self._weights = [random.uniform(0.8, 1.2) for _ in range(self.cpu_count)]
        up = begin - self.boot_time
        # cpu 0: user nice system idle iowait irq softirq steal, then cpu 1 ...
        self.cpu_seconds = [
            share * up for _ in self._weights for share in (0.3, 0.0, 0.02, 0.67, 0.001, 0.0, 0.004, 0.0)
        ]
        self.cpu_hertz = [self.frequency_max_hertz] * self.cpu_count
        self.loads = [8.0, 8.0, 8.0]
        self.starvation_ratio = 1.0  # what all ask for relative to what there is, where strangers ask as well
        self.memory_used_bytes = 14 * _GB
        self.memory_cached_bytes = random.uniform(0.25, 0.5) * self.memory_total_bytes
        self.disk_read_bytes = random.uniform(1e12, 9e13)
        self.disk_written_bytes = random.uniform(1e12, 9e12)
        self.disk_busy_seconds = up * 0.01
        self.network_receive_bytes = random.uniform(1e12, 9e13)
        self.network_transmit_bytes = random.uniform(1e12, 9e12)
        self.network_receive_errors = 0
        self.pressure_seconds = dict.fromkeys(PRESSURES, 0.0)
        self.foreign_cores = 0.0  # a cause: what programs beside the jobs would like to have
        self.foreign_bytes = 0.0
        self.frame_errors_per_second = 0.0
        self.slow_ratio = 1.0  # how much longer its cores take: a power profile, a memory channel that is missing
        self.root_used_ratio = random.uniform(0.2, 0.5)
        self.scratch_used_ratio = random.uniform(0.15, 0.6)

    @property
    def disk_reads(self) -> float:
        """Read operations so far."""
        return float(int(self.disk_read_bytes / _BLOCK_BYTES))

    @property
    def disk_writes(self) -> float:
        """Write operations so far."""
        return float(int(self.disk_written_bytes / _BLOCK_BYTES))

    @property
    def memory_available_bytes(self) -> float:
        """What programs could still take; the page cache counts as available."""
        return self.memory_total_bytes - self.memory_used_bytes

    @property
    def memory_free_bytes(self) -> float:
        """What holds nothing at all."""
        return max(2 * _GB, self.memory_available_bytes - self.memory_cached_bytes)

    def advance(self, seconds: float, demand: Demand) -> None:
        """Serve `demand` for `seconds`."""
        noise = 1.0 + self._random.gauss(0.0, 0.05)
        disk = demand.disk_read_bytes + demand.disk_written_bytes
        network = demand.network_receive_bytes + demand.network_transmit_bytes
        user = demand.user_seconds + self.foreign_cores * seconds + _SYSTEM_CORES * 0.6 * noise * seconds
        system = demand.system_seconds + _SYSTEM_CORES * 0.4 * noise * seconds
        iowait = min(2.0, disk / _DISK_BANDWIDTH / seconds) * seconds * 0.5
        softirq = (
            min(_MOST_SOFTIRQ_CORES, (network + 0.1 * disk) / _BYTES_PER_SOFTIRQ_SECOND / seconds + 0.05) * seconds
        )
        self._spend(seconds, user, system, iowait, softirq)
        self._follow(seconds, (user + system) / seconds + 0.3)
        self._press(seconds, (user + system) / seconds / self.cpu_count, iowait / seconds)
        self.memory_used_bytes = 14 * _GB * (1.0 + 0.01 * (noise - 1.0)) + demand.memory_bytes
        self.memory_used_bytes = min(self.memory_used_bytes + self.foreign_bytes, 0.995 * self.memory_total_bytes)
        self.starvation_ratio = max(1.0, (user + system) / seconds / self.cpu_count) if self.foreign_cores else 1.0
        self.disk_read_bytes += demand.disk_read_bytes + 0.2 * _DISK_BYTES * seconds
        self.disk_written_bytes += demand.disk_written_bytes + _DISK_BYTES * noise * seconds
        self.disk_busy_seconds += min(seconds, disk / _DISK_BANDWIDTH + 0.002 * seconds)
        self.network_receive_bytes += demand.network_receive_bytes + _NETWORK_BYTES * noise * seconds
        self.network_transmit_bytes += demand.network_transmit_bytes + _NETWORK_BYTES * noise * seconds
        if self.frame_errors_per_second:
            expected = seconds * self.frame_errors_per_second
            self.network_receive_errors += int(expected) + (self._random.random() < expected % 1.0)

    def _spend(self, seconds: float, user: float, system: float, iowait: float, softirq: float) -> None:
        """Spread core-seconds over the CPUs by weight; what one CPU cannot hold spills to the next."""
        shift = self._random.randrange(self.cpu_count)
        rest = len(self._weights)
        weight_left = sum(self._weights)
        counters, total = self.cpu_seconds, user + system
        user_ratio, system_ratio = 1.0 - system / total, system / total
        waited, interrupted = iowait / rest, softirq / rest
        most = seconds * _CPU_BUSIEST - waited - interrupted
        slower = _ALL_CORE_DROP_HERTZ / seconds
        for position, weight in enumerate(self._weights[shift:] + self._weights[:shift]):
            busy = total * weight / weight_left
            busy = min(busy, most)
            total -= busy
            weight_left -= weight
            at = position * len(CPU_MODES)
            counters[at + _USER] += busy * user_ratio
            counters[at + _SYSTEM] += busy * system_ratio
            counters[at + _IOWAIT] += waited
            counters[at + _SOFTIRQ] += interrupted
            counters[at + _IDLE] += seconds - busy - waited - interrupted
            self.cpu_hertz[position] = self.frequency_max_hertz - slower * busy

    def _follow(self, seconds: float, runnable: float) -> None:
        for position, memory in enumerate(_LOAD_SECONDS):
            self.loads[position] += (runnable - self.loads[position]) * (1.0 - exp(-seconds / memory))

    def _press(self, seconds: float, busy_ratio: float, iowait_cores: float) -> None:
        """Tasks wait for a CPU only when nearly all are taken; for the disk as long as it is the slowest part."""
        self.pressure_seconds["cpu", "some"] += seconds * min(1.0, busy_ratio**6)
        self.pressure_seconds["io", "some"] += seconds * min(1.0, 0.3 * iowait_cores)
        self.pressure_seconds["io", "full"] += seconds * min(1.0, 0.05 * iowait_cores)
