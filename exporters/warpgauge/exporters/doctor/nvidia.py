"""Whether NVIDIA GPUs can be read here, and what a person can do where they cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.unnamed_file import unnamed_file
from warpgauge.exporters.doctor.check import Check, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PROBE_COMMAND", "Facts", "gather", "judge", "nvidia_checks"]

PROBE_COMMAND: Final = (sys.executable, "-m", "warpgauge.exporters.doctor.nvidia_probe")
_MOST_BYTES: Final = 1 << 20
_NVIDIA_VENDOR: Final = "0x10de"
_DISPLAY_CLASS: Final = "0x03"  # PCI base class of display controllers; 3D controllers (0x0302) included

_MENDS: Final = {
    "library_missing": "install the driver's user-space part (Debian: libnvidia-ml1); in a container, run with the "
    "NVIDIA runtime and NVIDIA_DRIVER_CAPABILITIES=utility",
    "driver_not_loaded": "load the kernel module: modprobe nvidia; if that fails, dmesg tells why",
    "library_mismatch": "the driver was upgraded under a running kernel module: reboot, or reload the modules; "
    "in a container, restart the container",
    "permission": "give this user the device nodes: ls -l /dev/nvidia*; in a container, pass them in",
    "operating_system": "the control device is blocked: look at the device rules of this cgroup; in a container, "
    "restart the container",
    "unknown": "in a container, restart it: its device rules were most likely rewritten (systemctl daemon-reload does "
    "that); elsewhere look for NVRM lines in dmesg and restart the driver",
}


@dataclass(slots=True)
class Facts:
    """What the probe found out, and how it ended."""

    driver: dict[str, Any] = field(default_factory=dict)
    gpus: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    at: str = ""  # the last question that was asked
    end: str = "done"  # done, hung or crashed


def gather(
    command: Sequence[str] = PROBE_COMMAND, *, seconds: float = 20.0, environ: Mapping[str, str] | None = None
) -> Facts:
    """Run the probe, for at most some seconds: without persistence mode a GPU takes a few to wake."""
    with unnamed_file() as said:  # not a pipe: a probe stuck in the kernel would keep its end open
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, env=environ)  # noqa: S603 - our own program
        end = _end(process, seconds)
        said.seek(0)
        return _facts(said.read(_MOST_BYTES).decode(errors="replace"), end)


def _end(process: subprocess.Popen[bytes], seconds: float) -> str:
    try:
        return "crashed" if process.wait(seconds) else "done"
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # in the kernel, where no signal reaches it
            process.wait(1.0)
        return "hung"


def _facts(out: str, end: str) -> Facts:
    facts = Facts(end=end)
    for line in out.splitlines():
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # cut short by the kill
        facts.at = said.get("at", facts.at)
        facts.driver = said.get("driver", facts.driver)
        facts.gpus += [said["gpu"]] if "gpu" in said else []
        facts.failed += [said["failed"]] if "failed" in said else []
    return facts


def nvidia_checks(*, sys_root: str | Path = "/sys", seconds: float = 20.0) -> list[Check]:
    """All checks about NVIDIA on this machine."""
    return judge(gather(seconds=seconds), boards=_boards(Path(sys_root)))


def judge(facts: Facts, *, boards: int) -> list[Check]:
    """What the facts mean; `boards` is how many NVIDIA display or 3D controllers the PCI bus shows."""
    is_missing = any(failure["driver_reason"] == "library_missing" for failure in facts.failed)
    if is_missing and not boards:
        return [Check("NVIDIA", Verdict.OK, "no NVIDIA GPU on this machine; the nvml collector stays idle")]
    if facts.end != "done":
        return [_broken_off(facts)]
    return [
        _driver(facts, boards),
        *(_gpu_failed(failure) for failure in facts.failed if _is_about_gpu(failure)),
        *_gpus(facts),
    ]


def _broken_off(facts: Facts) -> Check:
    word = "did not return" if facts.end == "hung" else "crashed the probe"
    mend = "look for NVRM lines in dmesg; the agent goes on with the other devices and tries this one again by itself"
    return Check("NVIDIA driver", Verdict.FAIL, f"{facts.at} {word}", mend)


def _driver(facts: Facts, boards: int) -> Check:
    failure = next((failure for failure in facts.failed if failure["place"] == "driver" and failure["is_needed"]), None)
    if failure is not None:
        mend = _MENDS.get(failure["driver_reason"], "look for NVRM lines in dmesg and restart the driver")
        return Check("NVIDIA driver", Verdict.FAIL, failure["detail"], mend)
    count = int(facts.driver.get("gpus") or 0)
    detail = f"driver {facts.driver.get('driver_version')}, NVML {facts.driver.get('library_version')}, {count} GPUs"
    if count == 0:
        return Check(
            "NVIDIA driver", Verdict.FAIL, f"{detail}: the driver lists none", "pass a GPU in, or look in dmesg"
        )
    if count < boards:
        mend = "a GPU fell off the bus, is bound to another driver (vfio) or was not passed in: lspci -nnk -d 10de:"
        return Check("NVIDIA driver", Verdict.WARN, f"{detail}, but the PCI bus shows {boards}", mend)
    return Check("NVIDIA driver", Verdict.OK, detail)


def _is_about_gpu(failure: Mapping[str, Any]) -> bool:
    return failure["place"] != "driver" and (
        failure["is_needed"] or failure["reason"] in {"permission", "lost", "needs_reset"}
    )


def _gpu_failed(failure: Mapping[str, Any]) -> Check:
    mends = {
        "permission": _MENDS["permission"],
        "lost": "it fell off the bus: drain the node and reboot it; if it comes back lost, replace the board",
        "needs_reset": "drain the GPU and reset it: nvidia-smi --gpu-reset",
    }
    verdict = Verdict.FAIL if failure["is_needed"] else Verdict.WARN
    return Check(
        failure["place"], verdict, failure["detail"], mends.get(failure["reason"], "look for NVRM lines in dmesg")
    )


def _gpus(facts: Facts) -> list[Check]:
    if not facts.gpus:
        return []
    sleepers = [gpu["index"] for gpu in facts.gpus if gpu["persistence_mode"] == 0]
    blind = [gpu["index"] for gpu in facts.gpus if not gpu["gpm"]]
    return [_persistence(sleepers, len(facts.gpus)), _gpm(blind, len(facts.gpus))]


def _persistence(sleepers: Sequence[int], count: int) -> Check:
    if not sleepers:
        return Check("persistence mode", Verdict.OK, f"on for {count} GPUs")
    mend = (
        "nvidia-smi --persistence-mode=1, or enable nvidia-persistenced: without it an idle GPU takes seconds to answer"
    )
    return Check("persistence mode", Verdict.WARN, f"off for GPU {_list(sleepers)}", mend)


def _gpm(blind: Sequence[int], count: int) -> Check:
    if not blind:
        return Check("GPM", Verdict.OK, f"supported by {count} GPUs: SM, tensor and DRAM activity are read")
    mend = (
        "GPUs before Hopper have no GPM: bottleneck verdicts then rest on utilization, power and clocks; "
        "dcgm-exporter's profiling fields can be read by the analyzer instead"
    )
    return Check("GPM", Verdict.WARN, f"not supported by GPU {_list(blind)}", mend)


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _boards(sys_root: Path) -> int:
    found = 0
    for device in (sys_root / "bus/pci/devices").glob("*"):
        try:
            is_board = (device / "class").read_text().startswith(_DISPLAY_CLASS)
            found += is_board and (device / "vendor").read_text().strip() == _NVIDIA_VENDOR
        except OSError:
            continue  # it went away while we looked
    return found
