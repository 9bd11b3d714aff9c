"""What no simulated node has: ports, parts, fans, older boards, TPUs, AMD's limits, processes, faults of a fabric."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Kind, Metric, detail, device, infiniband, link, linux, process, runtime, vendor
from warpgauge.core.sample import Histogram, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PART", "uncommon"]

PART: Final = ("GPU-parted", "8", "1")
"""A part of a partitioned device, which stands beside the eight of its node."""
_PORTS: Final = (("mlx5_0", "1"), ("mlx5_1", "1"))
_PROCESS: Final = ("4711", "python3")
_PORT_ROWS: Final = {
    infiniband.RATE: 50e9,
    infiniband.RECEIVE: 31e9,
    infiniband.TRANSMIT: 29e9,
    infiniband.TRANSMIT_WAIT: 4e5,
}
_OF_THE_NODE: Final[tuple[tuple[Metric, tuple[str, ...], float], ...]] = (
    (device.SXID_EVENTS, ("0000:c3:00.0", "12028"), 1.0),
    (device.INSTANCE_INFO, (*PART, "0", "MIG-parted", "1g.10gb"), 1.0),
    (device.COMPUTE_ACTIVE, PART, 0.62),
    (device.MEMORY_USED, PART, 6e9),
    (device.MEMORY_TOTAL, PART, 10e9),
    (linux.NUMA_ALLOCATIONS, ("0", "miss"), 900.0),
    (linux.CGROUP_THROTTLED, (), 0.004),
    (process.HOST_CPU, _PROCESS, 11.5),
    (process.HOST_MEMORY, _PROCESS, 52e9),
    (process.HOST_READ, _PROCESS, 1.2e9),
    (process.HOST_WRITE, _PROCESS, 3e6),
    (process.HOST_CHILDREN, _PROCESS, 12.0),
    *((row, port, value) for row, value in _PORT_ROWS.items() for port in _PORTS),
    *((infiniband.ERRORS, (*port, "symbol"), number) for number, port in enumerate(_PORTS)),
    *((infiniband.CONGESTION, (*port, kind), 40.0) for port in _PORTS for kind in ("ecn_marked", "cnp_handled")),
)
_OF_THE_DEVICE: Final[tuple[tuple[Metric, tuple[str, ...], float], ...]] = (
    (device.FAN_SPEED, ("0",), 0.46),
    (device.PAGES_RETIRED, ("corrected",), 2.0),
    (device.PAGE_RETIREMENT_PENDING, (), 0.0),
    (device.DEVICE_EVENTS, ("ecc_storm",), 1.0),
    (detail.MEMORY_POWER, (), 88.0),
    (detail.CLOCKS_BELOW_BASE, (), 0.11),
    (link.FABRIC_FAULT, ("route_recovery",), 0.0),
    (process.PROCESS_MEMORY, _PROCESS, 61e9),
    (process.PROCESS_UTILIZATION, (*_PROCESS, "compute"), 0.83),
    (runtime.RUNTIME_UP, (), 1.0),
    (runtime.IDLE_SECONDS, (), 0.4),
    (runtime.QUEUED_PROGRAMS, (), 3.0),
    (vendor.VIOLATION, ("socket_thermal",), 0.07),
)
_ACTIVITIES: Final = ("compute", "tensor", "memory_bandwidth")
_STATES: Final = ((infiniband.STATE, _PORTS, "active"), (link.FABRIC_HEALTH, ((),), "healthy"))


def uncommon(seconds: float, uuid: str, index: str) -> Iterator[Sample]:
    """Samples after so many seconds; what is about one device is about this one."""
    whole = (uuid, index)
    of_the_device = ((row, (*whole, *labels), value) for row, labels, value in _OF_THE_DEVICE)
    for row, labels, value in (*_OF_THE_NODE, *of_the_device):
        yield Sample(row, labels, value * seconds if row.kind is Kind.COUNTER else value)
    for row, places, holds in _STATES:
        for place in places:
            head = whole if row is link.FABRIC_HEALTH else place
            yield from (Sample(row, (*head, state), float(state == holds)) for state in row.states)
    yield Sample(runtime.PROGRAM_SECONDS, whole, _spread(runtime.PROGRAM_SECONDS, int(seconds), 3, 4))
    for activity in _ACTIVITIES:  # bursts: half of each second far up, half at the bottom
        told = _spread(detail.ACTIVITY_DISTRIBUTION, int(500 * seconds), 1, 9)
        yield Sample(detail.ACTIVITY_DISTRIBUTION, (*whole, activity), told)


def _spread(row: Metric, count: int, *buckets: int) -> Histogram:
    counts = [0] * (len(row.buckets) + 1)
    for bucket in buckets:
        counts[bucket] = count
    return Histogram(tuple(itertools.accumulate(counts)), sum(row.buckets[bucket] * count for bucket in buckets))
