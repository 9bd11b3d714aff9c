"""CPU, load, memory and pressure out of the texts that Linux keeps under /proc: text in, samples out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import host
from warpgauge.core.errors import InputError
from warpgauge.core.sample import Sample, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.catalog import Metric

__all__ = [
    "CPU_MODES",
    "PRESSURE_FILES",
    "boot_time",
    "cpu_seconds",
    "integer",
    "load",
    "memory",
    "never_falling",
    "pressure",
    "swap_traffic",
    "to_cpu_samples",
]

CPU_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Columns of /proc/stat, named as node_exporter names them; guest time, which follows, is part of user and nice."""

PRESSURE_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    # "full" of the CPU is undefined for a whole machine and always 0 (kernel: Documentation/accounting/psi.rst).
    "cpu": ("some",),
    "memory": ("some", "full"),
    "io": ("some", "full"),
    "irq": ("full",),
}

_IDLE: Final = CPU_MODES.index("idle")
# A CPU taken offline and back starts again from 0; small steps back of idle and iowait are the kernel's own noise.
# node_exporter (collector/cpu_linux.go, jumpBackSeconds) draws the line at the same 3 s.
_RESTART_SECONDS: Final = 3.0

_MEMORY_ROWS: Final = {
    "MemTotal": host.MEMORY_TOTAL,
    "MemAvailable": host.MEMORY_AVAILABLE,
    "MemFree": host.MEMORY_FREE,
    "SwapTotal": host.SWAP_TOTAL,
    "SwapFree": host.SWAP_FREE,
}
_SWAP_ROWS: Final = {"pswpin": host.SWAP_IN, "pswpout": host.SWAP_OUT}
_PRESSURE_LINE: Final = re.compile(r"(some|full) avg10=\S+ avg60=\S+ avg300=\S+ total=(\d+)")
_LOAD_LINE: Final = re.compile(r"(\d{1,9}\.\d\d) (\d{1,9}\.\d\d) (\d{1,9}\.\d\d) ", re.ASCII)
_MAX_DIGITS: Final = 20
_LOAD_ROWS: Final = (host.LOAD1, host.LOAD5, host.LOAD15)

CpuSeconds = dict[str, tuple[float, ...]]


def cpu_seconds(text: str, ticks_per_second: int, *, place: str) -> CpuSeconds:
    """Seconds per mode (in the order of CPU_MODES) of each online CPU, from /proc/stat."""
    seconds: CpuSeconds = {}
    for line in text.splitlines():
        if not line.startswith("cpu"):
            break  # the CPUs come first; what follows (one number per interrupt) is long
        name, *ticks = line.split()
        if name == "cpu":
            continue
        modes = [integer(tick, place) / ticks_per_second for tick in ticks[: len(CPU_MODES)]]
        # Kernels before 2.6.11 know no steal time; a column that is not there was never spent.
        seconds[name.removeprefix("cpu")] = (*modes, *([0.0] * (len(CPU_MODES) - len(modes))))
    if not seconds:
        raise _malformed(place, text[:40])
    return seconds


def never_falling(before: CpuSeconds, now: CpuSeconds) -> CpuSeconds:
    """`now` with every mode at least what it was, except for a CPU that started again."""
    return {cpu: _held(before.get(cpu), modes) for cpu, modes in now.items()}


def _held(before: tuple[float, ...] | None, now: tuple[float, ...]) -> tuple[float, ...]:
    if before is None or now[_IDLE] + _RESTART_SECONDS < before[_IDLE]:
        return now
    return tuple(map(max, before, now))


def to_cpu_samples(seconds: CpuSeconds) -> list[Sample]:
    """One sample per CPU and mode."""
    return [
        Sample(host.CPU_SECONDS, (cpu, mode), value)
        for cpu, modes in seconds.items()
        for mode, value in zip(CPU_MODES, modes, strict=True)
    ]


def boot_time(text: str, *, place: str) -> Sample:
    """When the machine started, from the line `btime` of /proc/stat."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "btime":
            return Sample(host.BOOT_TIME, (), float(integer(value, place)))
    return Sample(host.BOOT_TIME, (), Unavailable(f"{place}: no line btime"))


def load(text: str, *, place: str) -> list[Sample]:
    """The three load averages from /proc/loadavg."""
    match = _LOAD_LINE.match(text)
    if match is None:
        raise _malformed(place, text)
    return [Sample(row, (), float(value)) for row, value in zip(_LOAD_ROWS, match.groups(), strict=True)]


def memory(text: str, *, place: str) -> list[Sample]:
    """Memory and swap from /proc/meminfo, kB there, bytes here."""
    return _named(text, _MEMORY_ROWS, ":", 1024, place)


def swap_traffic(text: str, page_bytes: int, *, place: str) -> list[Sample]:
    """Bytes to and from swap, from the page counts of /proc/vmstat."""
    return _named(text, _SWAP_ROWS, " ", page_bytes, place)


def pressure(text: str, resource: str, *, place: str) -> list[Sample]:
    """Stall time of one resource from /proc/pressure/RESOURCE, microseconds there, seconds here."""
    samples = []
    for line in text.splitlines():
        match = _PRESSURE_LINE.fullmatch(line)
        if match is None:
            raise _malformed(place, line)
        scope, microseconds = match.groups()
        if scope in PRESSURE_FILES[resource]:
            samples.append(Sample(host.PRESSURE_SECONDS, (resource, scope), integer(microseconds, place) / 1e6))
    return samples


def integer(word: str, place: str) -> int:
    """A counter as the kernel writes it: decimal digits, 64 bits at most."""
    word = word.strip()
    if not (word.isascii() and word.isdecimal() and len(word) <= _MAX_DIGITS):
        raise _malformed(place, word)
    return int(word)


def _named(text: str, rows: Mapping[str, Metric], separator: str, factor: int, place: str) -> list[Sample]:
    """Rows by the name their line begins with; one whose line this kernel does not write is Unavailable."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(separator)
        if name in rows:
            found[name] = float(integer(rest.removesuffix("kB"), place) * factor)
            if len(found) == len(rows):
                break  # what follows is long
    return [Sample(row, (), found.get(name, Unavailable(f"{place}: no line {name}"))) for name, row in rows.items()]


def _malformed(place: str, line: str) -> InputError:
    return InputError(f"{place}: cannot read {line.strip()[:80]!r}")
