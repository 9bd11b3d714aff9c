"""Notes on the metrics of links, the NVLink fabric, cycles and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import cycles, link, process

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    cycles.COMPUTE_CYCLES: Note(
        "`rate(NAME[5m])` is what the rates of active cycles are divided by: 0.57 of it had work, over exactly these"
        " five minutes, spikes between two scrapes included.",
        "a clock: whether the driver adds up the cycles of all SMs is nowhere stated, so only shares mean something.",
    ),
    cycles.COMPUTE_ACTIVE_CYCLES: Note(
        "`rate(NAME[1h])` divided by the rate of all cycles was 0.31: over the hour 31 % of the SM cycles had work.",
        "something every driver has: where it is absent, the mean of the activity ratio is an estimate of the same.",
    ),
    cycles.PIPE_ACTIVE_CYCLES: Note(
        '`rate(NAME{pipe="tensor"}[5m])` divided by the rate of all cycles was 0.27.',
        "parts of a whole: tensor is any tensor pipe and stands beside the single ones.",
    ),
    link.LINK_INFO: Note(
        '`NAME{link="3", version="4.0"} 1`: an NVLink 4, as Hopper has.',
        "the version of the switch: each end tells its own.",
    ),
    link.LINK_BIT_ERRORS: Note(
        '`NAME{errors="effective"} 1e-15`: one bit in 10^15 got past error correction.',
        "a measurement over the last minute: the driver estimates it over a time of its own.",
    ),
    link.C2C_LINK_ACTIVE: Note(
        '`NAME{link="0"} 1`: link 0 between this GPU and its Grace CPU carries data.',
        "an NVLink between GPUs: it leads to the CPU of the same module.",
    ),
    link.C2C_LINK_SPEED: Note(
        '`NAME{link="0"} 4.5e10`: 45 GB/s, what one link can carry.',
        "traffic: it is what the link could carry, and links add up.",
    ),
    link.C2C_LINK_ERRORS: Note(
        '`increase(NAME{error="replay"}[1h])` of 0: nothing had to be sent again.',
        "lost data: a replay sent it again.",
    ),
    link.FABRIC_STATE: Note(
        '`NAME{state="completed"} 1`: the GPU is registered; `in_progress` for minutes means the fabric manager'
        " is stuck.",
        "success: a registration that is completed can have ended in an error, read the registered series as well.",
    ),
    link.FABRIC_REGISTERED: Note(
        "`NAME 0`: CUDA will not start on this GPU of an NVSwitch system, or sees none of its peers.",
        "health of the links: a registered GPU can have links down.",
    ),
    link.FABRIC_INFO: Note(
        "`count by (cluster_uuid, clique_id) (NAME)` of 72: all GPUs of the rack can reach each other.",
        "a name of ours: both labels come from the fabric manager and change when it is set up anew.",
    ),
    link.FABRIC_HEALTH: Note(
        '`NAME{health="limited_capacity"} 1`: the fabric works with fewer links than it has.',
        "a summary of the GPU: it is about the way to its peers; absent on drivers that give none.",
    ),
    link.FABRIC_FAULT: Note(
        '`NAME{fault="degraded_bandwidth"} 1`: collectives across the fabric are slower than they should be.',
        "complete: a fault that this driver cannot tell has no series, which is not a 0.",
    ),
    process.PROCESS_MEMORY: Note(
        '`NAME{pid="4711", comm="python3"} 7.3e10`: that process holds 68 GiB of the device.',
        "what sums up to the used memory: contexts and allocations of the driver belong to no process.",
    ),
    process.PROCESS_UTILIZATION: Note(
        '`NAME{pid="4711", engine="compute"} 0.9`: in its newest sample that process kept the SMs busy'
        " 90 % of the time.",
        "a mean over the interval: it is the newest of the driver's samples, 0 where the process had none.",
    ),
    process.HOST_CPU: Note(
        '`rate(NAME{comm="python3"}[1m])` of 11.8: the rank, its threads and its loaders keep twelve CPUs busy.',
        "the job's CPU time: a launcher and processes that it starts beside the ranks are nobody's children here.",
    ),
    process.HOST_MEMORY: Note(
        '`NAME{pid="4711"} 3.2e10`: 30 GiB of host memory for one rank, with pages that others map too.',
        "memory of the device; and pages that a fork left in common count at each of its processes.",
    ),
    process.HOST_READ: Note(
        "`rate(NAME[1m])` of 2e9 while steps wait for input: the data come from the disk and not from the page cache.",
        "all that was read: what the page cache or a network file system served is not in it.",
    ),
    process.HOST_WRITE: Note(
        "`rate(NAME[1m])` of 1.5e9 for half a minute each hour: a checkpoint.",
        "bytes that reached the disk: some may be waiting in the page cache, or be deleted there.",
    ),
    process.HOST_CHILDREN: Note(
        "`NAME 32`: a training process with 32 loader workers; their CPU, memory and disk traffic are in its series.",
        "threads: those of a process are in its own CPU time and are no children.",
    ),
    process.HOLDERS_LEFT_OUT: Note(
        "`NAME 3`: three processes, those with least memory, have no series; raise agent.process_metrics_limit.",
        "processes that were not attributed: every one of them is.",
    ),
}
