"""What the doctor says about accelerators that are not NVIDIA's; silent about what is not plugged in."""

from __future__ import annotations

import socket
from contextlib import closing
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.doctor.check import Check, Verdict
from warpgauge.exporters.pci import ACCELERATOR, Hardware
from warpgauge.exporters.tpu_inventory import find_chips

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["other_accelerators"]

_CONNECT_SECONDS: Final = 0.5


def other_accelerators(
    *,
    sys_root: str | Path = "/sys",
    tpu_addresses: Sequence[str] = (),
    has_module: Callable[[str], bool] = lambda name: find_spec(name) is not None,
    find_program: Callable[[str], str | None] = which,
) -> list[Check]:
    """One check per kind that is plugged in."""
    return [*_amd(sys_root, has_module), *_tpu(sys_root, tpu_addresses, has_module), *_gaudi(sys_root, find_program)]


def _amd(sys_root: str | Path, has_module: Callable[[str], bool]) -> list[Check]:
    found = Hardware(0x1002, base_classes=frozenset({ACCELERATOR})).find(sys_root)
    if not found:
        return []  # graphics cards that only show a desktop are nobody's loss
    what = f"{len(found)} AMD accelerators on the PCI bus"
    if not has_module("amdsmi"):
        mend = "install the amdsmi of this machine's ROCm: pip install /opt/rocm/share/amd_smi"
        return [Check("AMD", Verdict.FAIL, f"{what}; amdsmi is not installed", mend)]
    return [Check("AMD", Verdict.OK, f"{what}; amdsmi is installed")]


def _tpu(sys_root: str | Path, addresses: Sequence[str], has_module: Callable[[str], bool]) -> list[Check]:
    chips = find_chips(sys_root)
    if not chips:
        return []
    what = f"{len(chips)} x TPU {chips[0].generation} on the PCI bus"
    if not has_module("grpc") or not has_module("google.protobuf"):
        mend = "install the extra: pip install '.[tpu]'"
        return [Check("TPU", Verdict.FAIL, f"{what}; grpcio or protobuf is not installed", mend)]
    answering = [address for address in addresses if _listens(address)]
    if not answering:
        mend = "start a workload: its runtime is what tells; or name its port in agent.tpu_metrics_addresses"
        return [Check("TPU", Verdict.WARN, f"{what}; no runtime answers on {', '.join(addresses)}", mend)]
    return [Check("TPU", Verdict.OK, f"{what}; a runtime listens on {', '.join(answering)}")]


def _gaudi(sys_root: str | Path, find_program: Callable[[str], str | None]) -> list[Check]:
    found = Hardware(0x1DA3, base_classes=frozenset({ACCELERATOR})).find(sys_root)
    if not found:
        return []
    what = f"{len(found)} Gaudi on the PCI bus"
    if find_program("hl-smi") is None:
        return [Check("Gaudi", Verdict.FAIL, f"{what}; no hl-smi on the PATH", "install Intel's Gaudi software")]
    return [Check("Gaudi", Verdict.OK, f"{what}; hl-smi is installed")]


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with closing(socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS)):
            return True
    except (OSError, ValueError, OverflowError):
        return False
