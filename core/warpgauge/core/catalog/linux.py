"""Metrics of the host that only Linux tells: huge pages, NUMA nodes, and the limits of the agent's own container."""

from __future__ import annotations

from functools import partial
from typing import Final

from warpgauge.core.catalog.metric import Family, Kind, Metric, Tier, Unit

_row: Final = partial(Metric, family=Family.HOST)

HUGE_TOTAL: Final = _row(
    "host_huge_pages_total_bytes", Kind.GAUGE, Unit.BYTES, "Memory set aside as huge pages of the default size.",
    tier=Tier.SLOW,
)  # fmt: skip
HUGE_FREE: Final = _row(
    "host_huge_pages_free_bytes", Kind.GAUGE, Unit.BYTES, "Huge pages of the default size that nobody has taken."
)
HUGE_TRANSPARENT: Final = _row(
    "host_transparent_huge_pages_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Anonymous memory that the kernel maps with huge pages by itself.",
)
NUMA_TOTAL: Final = _row(
    "host_numa_memory_total_bytes", Kind.GAUGE, Unit.BYTES, "Memory of one NUMA node.", ("numa_node",), tier=Tier.SLOW
)
NUMA_FREE: Final = _row(
    "host_numa_memory_free_bytes", Kind.GAUGE, Unit.BYTES, "Memory of one NUMA node that holds nothing.", ("numa_node",)
)
NUMA_ALLOCATIONS: Final = _row(
    "host_numa_allocations_total",
    Kind.COUNTER,
    Unit.NONE,
    "Pages given out by a NUMA node: hit as wished, miss wished elsewhere, foreign wished here and given elsewhere.",
    ("numa_node", "result"),
)
CGROUP_MEMORY_LIMIT: Final = _row(
    "host_cgroup_memory_limit_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Memory that the agent's own cgroup (v2) may take; absent without a limit.",
)
CGROUP_MEMORY_USED: Final = _row(
    "host_cgroup_memory_used_bytes", Kind.GAUGE, Unit.BYTES, "Memory that the agent's own cgroup (v2) takes."
)
CGROUP_CPU_LIMIT: Final = _row(
    "host_cgroup_cpu_limit",
    Kind.GAUGE,
    Unit.NONE,
    "CPUs that the agent's own cgroup (v2) may use; absent without a limit.",
)
CGROUP_THROTTLED: Final = _row(
    "host_cgroup_throttled_seconds_total",
    Kind.COUNTER,
    Unit.SECONDS,
    "Time in which the agent's own cgroup (v2) was kept from its CPUs by its limit.",
)
