"""Notes on the metrics of the host that only Linux tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import linux as rows

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    rows.HUGE_TOTAL: Note(
        "`NAME 0`: no memory is set aside, which is the default.",
        "memory in use: it is taken from programs whether anybody uses it or not.",
    ),
    rows.HUGE_FREE: Note(
        "total minus NAME is what programs have taken.",
        "memory that other programs could take: it is set aside for those that ask for huge pages.",
    ),
    rows.HUGE_TRANSPARENT: Note(
        "`NAME 46137344`: 45056 kB in /proc/meminfo, 44 MiB.",
        "a part of the pages that were set aside: the kernel makes these out of ordinary memory.",
    ),
    rows.NUMA_TOTAL: Note(
        '`NAME{numa_node="0"} 25276502016`: all memory of a machine with one node.',
        "the node label of other series: that one is the machine.",
    ),
    rows.NUMA_FREE: Note(
        "one node near 0 beside a free one: programs bound there take memory from afar.",
        "what could be had: page cache counts as taken, as in the machine's own free memory.",
    ),
    rows.NUMA_ALLOCATIONS: Note(
        '`rate(NAME{result="miss"}[5m])` above 0: loaders on this node take memory that was wished for elsewhere.',
        "accesses: it counts pages as they are given out, not how often they are read; local and other are in hit.",
    ),
    rows.CGROUP_MEMORY_LIMIT: Note(
        "`NAME 268435456`: the agent's container may take 256 MiB.",
        "the machine's memory, or a limit of jobs: it is the agent's own.",
    ),
    rows.CGROUP_MEMORY_USED: Note(
        "NAME by its limit near 1: the kernel will end the agent or a child of it.",
        "the agent's resident memory: page cache of files it read counts as well.",
    ),
    rows.CGROUP_CPU_LIMIT: Note(
        "`NAME 0.2`: 20 ms of every 100 ms.",
        "a number of whole CPUs.",
    ),
    rows.CGROUP_THROTTLED: Note(
        "a rate of 0.1 says that for a tenth of the time the agent wanted to run and was not let.",
        "slowness of the machine: only the agent's own limit counts.",
    ),
}
