"""Which collector needs which privilege, and what is lost without it: for the reference page and for deployments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["PRIVILEGES", "Privilege"]


@dataclass(frozen=True, slots=True)
class Privilege:
    """One need of one collector."""

    collector: str  # a key of COLLECTORS
    reads: str
    needs: str
    lost_without: str


PRIVILEGES: Final = (
    Privilege(
        "nvml",
        "GPUs through libnvidia-ml.so.1",
        "nothing on most machines: /dev/nvidia* are open to everybody; in a container, the NVIDIA runtime with the "
        "utility capability",
        "all GPUs",
    ),
    Privilege(
        "nvml",
        "activity of SMs, tensor pipes and memory (GPM)",
        "nothing known; where the administrator restricted the profiling counters "
        "(NVreg_RestrictProfilingToAdminUsers=1), possibly CAP_SYS_ADMIN: not tried on a real driver",
        "accel_compute_active_ratio and the other GPM metrics",
    ),
    Privilege(
        "nvml",
        "whether DCGM runs here (agent.gpm = auto)",
        "the host's /proc, where the agent runs in a container (agent.proc_root); names of others' processes, which "
        "hidepid hides",
        "auto takes it that nobody else reads the profiling counters",
    ),
    Privilege(
        "nvml",
        "processes on a GPU",
        "the host's PID namespace, where the agent runs in a container",
        "accel_processes counts what the driver shows to this namespace, which may be none; accel_process_* likewise",
    ),
    Privilege(
        "nvml",
        "instances of a partitioned GPU (MIG)",
        "nothing on the machine itself; in a container, NVIDIA_MIG_MONITOR_DEVICES=all, which the NVIDIA runtime "
        "grants with CAP_SYS_ADMIN only",
        "accel_instance_info; memory and activity are told for the whole GPU, or by no one",
    ),
    Privilege(
        "nvml",
        "driver errors in the kernel log, /dev/kmsg",
        "root or CAP_SYSLOG, or kernel.dmesg_restrict=0; in a container, /dev/kmsg mounted as well",
        "SXIDs of switches, and XIDs of a GPU whose driver no longer announces them",
    ),
    Privilege(
        "amd",
        "GPUs through amdsmi and libamd_smi.so of ROCm",
        "membership in the groups render and video; in a container, /dev/kfd and /dev/dri",
        "all AMD GPUs",
    ),
    Privilege(
        "tpu",
        "TPU chips on the PCI bus, and the runtime of a workload on port 8431",
        "nothing; in a container, the host's /sys (agent.sys_root) and the host's network",
        "accel_runtime_up is 0, or the chips are not found",
    ),
    Privilege(
        "tpu",
        "processes that hold a TPU, from /proc/*/fd",
        "root or CAP_SYS_PTRACE and the host's PID namespace",
        "accel_processes of TPUs",
    ),
    Privilege(
        "gaudi",
        "Gaudi through hl-smi of Intel's software",
        "hl-smi on the agent's PATH; in a container, Intel's runtime",
        "all Gaudi devices",
    ),
    Privilege(
        "host",
        "/proc and /sys",
        "nothing; in a container, both mounted read-only from the host and named in agent.proc_root and agent.sys_root",
        "the numbers would be the container's",
    ),
    Privilege(
        "host",
        "sizes of filesystems",
        "search permission on the folders above each mount point",
        "host_filesystem_* of that mount",
    ),
    Privilege(
        "infiniband",
        "/sys/class/infiniband",
        "nothing; in a container, the host's /sys, as agent.sys_root names it",
        "host_infiniband_* metrics",
    ),
    Privilege(
        "serving",
        "metrics pages of inference servers on this node",
        "nothing; in a container, the host's network to reach them on 127.0.0.1",
        "serving_* metrics",
    ),
    Privilege(
        "training",
        "steps that users' programs report on a Unix socket",
        "write permission in the socket's folder; the host's PID namespace to tell which job a sender belongs to",
        "training_* metrics",
    ),
    Privilege(
        "attribution",
        "cgroups and environments of processes, device files they have open",
        "root or CAP_SYS_PTRACE for other users' environments and open files (cgroups are open to everybody); in a "
        "container, the host's PID namespace, or its /proc in agent.proc_root",
        "jobs of Slurm without its cgroup plugin, ranks, names of pods' processes, and holders of devices whose driver "
        "lists none",
    ),
    Privilege(
        "attribution",
        "disk traffic of processes that have a device open, from /proc/*/io (agent.process_metrics)",
        "root or CAP_SYS_PTRACE for other users' processes",
        "host_process_read_bytes_total and host_process_written_bytes_total of other users",
    ),
    Privilege(
        "attribution",
        "containers' names from the engine's socket (agent.docker_socket, off unless set)",
        "write permission on that socket, which is as good as root; in a container, the socket mounted",
        "containers outside Kubernetes have the first 12 characters of their id in the place of their name",
    ),
    Privilege(
        "attribution",
        "pods' devices from the kubelet's pod-resources socket",
        "root, as the socket's folder is root's; in a container, /var/lib/kubelet/pod-resources mounted; the extra "
        "kubernetes",
        "namespace, pod and container of accel_workload_info",
    ),
)
