"""Huge pages, NUMA nodes and our own cgroup on Linux: files in, samples out; what is not there has no series."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import linux as rows
from warpgauge.core.sample import Sample
from warpgauge.exporters.collectors.host_procfs import integer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["cgroup", "cpu_limit", "huge_pages", "memory_limit", "numa", "own_cgroup"]

_MOST_NODES: Final = 1024
_MOST_BYTES: Final = 16384
_NODE: Final = re.compile(r"node(\d{1,4})", re.ASCII)
_NODE_MEMORY: Final = {"MemTotal": rows.NUMA_TOTAL, "MemFree": rows.NUMA_FREE}
_ALLOCATIONS: Final = {
    "numa_hit": "hit", "numa_miss": "miss", "numa_foreign": "foreign", "local_node": "local", "other_node": "other",
}  # fmt: skip
_KIB: Final = 1024


def huge_pages(text: str, *, place: str) -> list[Sample]:
    """Those set aside and those that the kernel makes by itself, from /proc/meminfo."""
    found = {name: rest for name, _, rest in (line.partition(":") for line in text.splitlines())}

    def of(name: str) -> int | None:
        return integer(found[name].removesuffix("kB"), place) if name in found else None

    size, transparent = of("Hugepagesize"), of("AnonHugePages")
    pages = {rows.HUGE_TOTAL: of("HugePages_Total"), rows.HUGE_FREE: of("HugePages_Free")}
    samples = [
        Sample(row, (), float(number * size * _KIB))
        for row, number in pages.items()
        if number is not None and size is not None
    ]
    if transparent is not None:
        samples.append(Sample(rows.HUGE_TRANSPARENT, (), float(transparent * _KIB)))
    return samples


def numa(nodes: Path) -> list[Sample]:
    """Memory and allocations of each node below /sys/devices/system/node."""
    names = sorted(path.name for path in nodes.iterdir() if _NODE.fullmatch(path.name))[:_MOST_NODES]
    return [sample for name in names for sample in _node(nodes / name, name.removeprefix("node"))]


def _node(folder: Path, number: str) -> Iterable[Sample]:
    for line in _text(folder / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        row = _NODE_MEMORY.get(name.rpartition(" ")[2])
        if row is not None:
            yield Sample(row, (number,), float(integer(rest.removesuffix("kB"), f"{folder}/meminfo") * _KIB))
    for line in _text(folder / "numastat").splitlines():
        name, _, value = line.partition(" ")
        if name in _ALLOCATIONS:
            count = float(integer(value, f"{folder}/numastat"))
            yield Sample(rows.NUMA_ALLOCATIONS, (number, _ALLOCATIONS[name]), count)


def cgroup(folder: Path) -> list[Sample]:
    """Limits of a cgroup v2 and what it takes; a machine's root has none of these files."""
    used, throttled = _text(folder / "memory.current"), _throttled(_text(folder / "cpu.stat"))
    values = {
        rows.CGROUP_MEMORY_LIMIT: memory_limit(folder),
        rows.CGROUP_MEMORY_USED: int(used) if _is_number(used) else None,
        rows.CGROUP_CPU_LIMIT: cpu_limit(folder),
        rows.CGROUP_THROTTLED: throttled,
    }
    return [Sample(row, (), float(value)) for row, value in values.items() if value is not None]


def own_cgroup(sys_root: Path, proc_root: Path) -> Path:
    """Folder of the cgroup v2 that this process is in; in a container that is the root of what it sees."""
    root = sys_root / "fs/cgroup"
    lines = _text(proc_root / "self/cgroup").splitlines()
    own = root / next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "").lstrip("/")
    return own if own.is_dir() else root


def memory_limit(folder: Path) -> int | None:
    """Bytes, None where there is no limit."""
    text = _text(folder / "memory.max")
    return int(text) if _is_number(text) else None


def cpu_limit(folder: Path) -> float | None:
    """CPUs, None where there is no limit."""
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if _is_number(quota) and _is_number(period) and int(period) else None


def _throttled(text: str) -> float | None:
    words = dict(line.partition(" ")[::2] for line in text.splitlines())
    microseconds = words.get("throttled_usec", "")
    return int(microseconds) / 1e6 if _is_number(microseconds) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20  # noqa: PLR2004 - 64 bits have twenty digits


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""
