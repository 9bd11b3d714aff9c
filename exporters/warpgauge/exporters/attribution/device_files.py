"""Which processes have a device's file open: for devices whose driver does not list them.

Takes CAP_SYS_PTRACE to see others' processes. A file is matched to a device by its PCI address, never by its number:
/dev/nvidia3 need not be the GPU that NVML calls 3.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.tpu_inventory import find_chips

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from warpgauge.exporters.attribution.procfs import ProcFs

__all__ = ["files_by_pci_address", "holders_of_files"]

_MOST_OPEN_FILES: Final = 4096  # of one process; a device is opened early
_MOST_BYTES: Final = 4096
_DEVICE_FILE: Final = re.compile(r"(?:nvidia|accel)\d{1,4}|renderD\d{1,4}", re.ASCII)
_MINOR: Final = re.compile(rb"Device Minor:\s*(\d{1,4})")
_PCI_ADDRESS: Final = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


def files_by_pci_address(proc_root: Path, sys_root: Path) -> dict[str, str]:
    """Path under /dev of each device file whose PCI address the kernel tells, and that address."""
    found = {f"/dev/nvidia{minor}": address for address, minor in _nvidia_minors(proc_root / "driver/nvidia/gpus")}
    for folder, prefix in (("class/drm", "dri/"), ("class/accel", "")):
        for path in _listed(sys_root / folder):
            if _DEVICE_FILE.fullmatch(path.name):
                address = os.path.basename(os.path.realpath(path / "device"))  # noqa: PTH119 - of a text
                if _PCI_ADDRESS.fullmatch(address):
                    found[f"/dev/{prefix}{path.name}"] = address
    chips = {chip.node: chip.address.lower() for chip in find_chips(sys_root) if chip.node}
    return {**chips, **found}  # a TPU from v5 on is opened through vfio, by the number of its IOMMU group


def holders_of_files(proc: ProcFs, files: Mapping[str, str]) -> dict[str, set[int]]:
    """Pids by PCI address, for these files."""
    found: dict[str, set[int]] = {}
    for pid in proc.pids() if files else ():
        for target in _open_files(proc.root / str(pid) / "fd"):
            if target in files:
                found.setdefault(files[target], set()).add(pid)
    return found


def _open_files(folder: Path) -> Iterable[str]:
    """What a process has open; as much as can be seen before it ends."""
    try:
        names = os.listdir(folder)[:_MOST_OPEN_FILES]  # noqa: PTH208 - a Path per file costs more than its reading
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")  # noqa: PTH115 - as above
        except OSError:
            continue


def _nvidia_minors(folder: Path) -> Iterable[tuple[str, int]]:
    """PCI address and number of the device file, as NVIDIA's kernel module tells."""
    for path in _listed(folder):
        try:
            with (path / "information").open("rb") as file:
                match = _MINOR.search(file.read(_MOST_BYTES))
        except OSError:
            continue
        if match is not None:
            yield path.name.lower(), int(match[1])


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
