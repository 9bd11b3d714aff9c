"""What the agent needs of the machine besides a driver: the kernel log, limits of its container, nobody in its way."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final

from warpgauge.exporters.collectors.host_memory import cpu_limit, memory_limit, own_cgroup
from warpgauge.exporters.doctor.check import Check, Verdict
from warpgauge.exporters.hostengine import find_hostengine

__all__ = ["container_limits", "hostengine", "kernel_log", "process_files"]

_LEAST_MEMORY_BYTES: Final = 128 << 20  # the agent takes half of it; a child that restarts briefly doubles its part
_LEAST_CPUS: Final = 0.1


def kernel_log(path: str | Path = "/dev/kmsg") -> Check:
    """Whether XIDs that NVML does not deliver, SXIDs and lost GPUs can be seen in the kernel log."""
    mend = "run as root, grant CAP_SYSLOG, or set kernel.dmesg_restrict=0; in a container, mount /dev/kmsg read-only"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return Check("kernel log", Verdict.WARN, f"{path}: {error.strerror}; XIDs come from NVML events alone", mend)
    try:
        os.read(descriptor, 8192)
    except OSError as error:
        if error.errno == errno.EPERM:
            return Check(
                "kernel log", Verdict.WARN, f"{path}: {error.strerror}; XIDs come from NVML events alone", mend
            )
    finally:
        os.close(descriptor)
    return Check("kernel log", Verdict.OK, f"{path} is readable")


def process_files(proc_root: str | Path = "/proc") -> Check | None:
    """What keeps the host collector from the machine's own numbers; None where nothing does, or it needs no /proc."""
    if sys.platform != "linux":
        return None
    try:
        (Path(proc_root) / "stat").read_bytes()
    except OSError as error:
        mend = "name in agent.proc_root where the machine's /proc is; in a container, where it is mounted"
        what = f"{error.filename}: {error.strerror}; no CPU, memory, disk or network of this machine is read"
        return Check("host", Verdict.FAIL, what, mend)
    return None


def container_limits(sys_root: str | Path = "/sys", proc_root: str | Path = "/proc") -> Check:
    """Whether cgroup v2 limits leave room for the agent."""
    folder = own_cgroup(Path(sys_root), Path(proc_root))
    memory, cpus = memory_limit(folder), cpu_limit(folder)
    limits = ", ".join(
        [
            f"memory {memory / (1 << 20):.0f} MiB" if memory is not None else "no memory limit",
            f"{cpus:g} CPUs" if cpus is not None else "no CPU limit",
        ]
    )
    if memory is not None and memory < _LEAST_MEMORY_BYTES:
        mend = f"raise the memory limit to {_LEAST_MEMORY_BYTES >> 20} MiB: the kernel would kill the agent"
        return Check("container limits", Verdict.WARN, limits, mend)
    if cpus is not None and cpus < _LEAST_CPUS:
        mend = f"raise the CPU limit to {_LEAST_CPUS:g}: a throttled agent misses its ticks"
        return Check("container limits", Verdict.WARN, limits, mend)
    return Check("container limits", Verdict.OK, limits)


def hostengine(proc_root: str | Path = "/proc", gpm: str = "auto") -> Check:
    """Whether DCGM runs here: two readers of the same hardware counters can disturb each other."""
    running = find_hostengine(proc_root)
    if running is None:
        return Check("DCGM", Verdict.OK, "no DCGM runs: nobody else reads the profiling counters")
    who = f"{running.program} runs (pid {running.pid})"
    if gpm == "on":
        mend = "set agent.gpm to auto, unless you know that no profiling field is watched there"
        return Check("DCGM", Verdict.WARN, f"{who} beside GPM: they can disturb each other", mend)
    mend = "read its profiling fields (the analyzer reads dcgm-exporter), or stop them there and set agent.gpm to on"
    return Check("DCGM", Verdict.WARN, f"{who}; GPM is left to it (agent.gpm is {gpm})", mend)
