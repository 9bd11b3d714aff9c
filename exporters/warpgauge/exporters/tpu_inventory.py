"""TPU chips of this machine and who holds them, without their runtime: PCI, /dev names and /proc/*/fd.

Ids of the generations and the /dev names: tpu-info 0.14.2 (device.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.pci import Hardware

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from warpgauge.exporters.pci import PciDevice

__all__ = ["HARDWARE", "Chip", "find_chips", "holders"]

_V2_OR_V3: Final = 0x0027
_V3_SUBSYSTEM: Final = 0x004F
_GENERATIONS: Final = {0x005E: ("v4", 1), 0x0062: ("v5p", 1), 0x0063: ("v5e", 1), 0x006F: ("v6e", 1), 0x0076: ("7x", 2)}
"""PCI device id -> generation and how many devices of the runtime one chip is."""
HARDWARE: Final = Hardware(0x1AE0, devices=frozenset({_V2_OR_V3, *_GENERATIONS}))
_MOST_PROCESSES: Final = 32768
_MOST_FILES: Final = 4096  # open files looked at of one process


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One chip; `node` is its file in /dev, empty where nothing tells."""

    address: str
    generation: str
    cores: int  # devices of the runtime
    node: str
    numa_node: int | None


def find_chips(sys_root: str | Path) -> list[Chip]:
    """Chips in the order in which the runtime counts them: by their /dev names, numbers as numbers."""
    chips: dict[str, Chip] = {}
    for one in HARDWARE.find(sys_root):
        base = one.address.rpartition(".")[0]
        if base not in chips:  # further functions of one address are cores of the same chip
            chips[base] = _chip(one, len(chips))
    return sorted(chips.values(), key=lambda chip: (_numbers(chip.node), chip.address))


def holders(proc_root: Path, nodes: Collection[str]) -> dict[str, set[int]]:
    """Processes that hold each /dev file open; those that we may not look into count for nobody.

    Raises:
        PermissionError: no process but our own user's could be looked into.

    """
    found: dict[str, set[int]] = {node: set() for node in nodes}
    pids = [path for path in proc_root.iterdir() if path.name.isdecimal()][:_MOST_PROCESSES]
    refused = 0
    for path in pids:
        try:
            for target in _targets(path / "fd"):
                if target in found:
                    found[target].add(int(path.name))
        except PermissionError:
            refused += 1
        except OSError:
            continue  # it ended while we looked
    if refused and not any(found.values()):
        msg = f"{refused} of {len(pids)} processes may not be looked into"
        raise PermissionError(msg)
    return found


def _targets(folder: Path) -> list[str]:
    return [str(path.readlink()) for path in list(folder.iterdir())[:_MOST_FILES] if path.is_symlink()]


def _chip(one: PciDevice, position: int) -> Chip:
    if one.device == _V2_OR_V3:
        generation, cores = ("v3" if one.subsystem == _V3_SUBSYSTEM else "v2"), 2
    else:
        generation, cores = _GENERATIONS[one.device]
    return Chip(
        address=one.address,
        generation=generation,
        cores=cores,
        node=_node(one, generation, position),
        numa_node=one.numa_node,
    )


def _node(one: PciDevice, generation: str, position: int) -> str:
    """/dev/vfio/GROUP from v5 on, /dev/accelN before."""
    if generation in {"v2", "v3", "v4"}:
        return f"/dev/accel{position}"
    try:
        return f"/dev/vfio/{(one.folder / 'iommu_group').readlink().name}"
    except OSError:
        return ""


def _numbers(name: str) -> list[int]:
    return [int(word) for word in re.findall(r"\d+", name)]
