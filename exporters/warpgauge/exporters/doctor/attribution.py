"""Whether workloads can be named on this machine: other users' environments, and pods where a kubelet runs."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from warpgauge.exporters.attribution.docker_engine import DockerEngine, DockerError
from warpgauge.exporters.attribution.pod_resources import PodResources, PodResourcesError
from warpgauge.exporters.doctor.check import Check, Verdict

__all__ = ["containers", "environments", "pods"]


def environments(proc_root: str | Path = "/proc") -> Check:
    """Whether the environment of another user's process can be read; process 1 stands for them all."""
    path = Path(proc_root) / "1/environ"
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        mend = "run as root or grant CAP_SYS_PTRACE; in a container, share the host's PID namespace as well"
        lost = "ranks, and Slurm jobs outside its cgroup plugin, are named for our own user only"
        return Check("workloads", Verdict.WARN, f"{path}: {error.strerror}; {lost}", mend)
    who = "root" if os.geteuid() == 0 else "this user"
    return Check("workloads", Verdict.OK, f"{who} can read other processes' environments")


def pods(socket: str | Path) -> Check | None:
    """Whether the kubelet tells which pod has which device; None where no kubelet shows itself."""
    with closing(PodResources(socket)) as kubelet:
        if not socket or not kubelet.is_here:
            return None
        try:
            devices = kubelet.devices()
        except PodResourcesError as error:
            mend = "let the agent run as root with the socket's folder mounted, and install the extra kubernetes"
            return Check("pods", Verdict.WARN, str(error), mend)
    return Check("pods", Verdict.OK, f"the kubelet tells of {len(devices)} devices in pods")


def containers(socket: str | Path) -> Check | None:
    """Whether the engine tells names of containers; None where nobody configured its socket."""
    if not socket:
        return None
    try:
        names = DockerEngine(socket).names()
    except DockerError as error:
        mend = "let the agent's account use the socket that agent.docker_socket names, or leave it empty"
        return Check("containers", Verdict.WARN, str(error), mend)
    return Check("containers", Verdict.OK, f"the engine tells the names of {len(names)} containers")
