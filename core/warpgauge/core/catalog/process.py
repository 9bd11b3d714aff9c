"""Metrics of single processes that have a device open: off by default, because each process is a new series."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.catalog.metric import Family, Kind, Metric, Unit

PROCESS_LABELS: Final = (*DEVICE, "pid", "comm")

PROCESS_MEMORY: Final = Metric(
    "accel_process_memory_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Device memory that a compute process holds; comm is its short name; agent.process_metrics switches it on.",
    labels=PROCESS_LABELS,
)
PROCESS_UTILIZATION: Final = Metric(
    "accel_process_utilization_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of the driver's last sample period in which a process kept an engine busy: compute, memory (reads and"
    " writes), encoder or decoder; agent.process_metrics switches it on.",
    labels=(*PROCESS_LABELS, "engine"),
)

_HOLDER: Final = ("pid", "comm")
HOST_CPU: Final = Metric(
    "host_process_cpu_seconds_total",
    Kind.COUNTER,
    Unit.SECONDS,
    "CPU time of a process that has a device open and of its descendants that have none, such as a data loader's"
    " workers, living or ended, user and system together; agent.process_metrics switches it on.",
    labels=_HOLDER,
    family=Family.HOST,
)
HOST_MEMORY: Final = Metric(
    "host_process_resident_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Host memory that a process which has a device open keeps resident, and what its descendants that have none keep"
    " without files and shared memory; agent.process_metrics switches it on.",
    labels=_HOLDER,
    family=Family.HOST,
)
HOST_READ: Final = Metric(
    "host_process_read_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes that a process which has a device open had fetched from disks, with its descendants that have none;"
    " agent.process_metrics switches it on.",
    labels=_HOLDER,
    family=Family.HOST,
)
HOST_WRITE: Final = Metric(
    "host_process_written_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes that a process which has a device open sent to disks, with its descendants that have none;"
    " agent.process_metrics switches it on.",
    labels=_HOLDER,
    family=Family.HOST,
)
HOST_CHILDREN: Final = Metric(
    "host_process_children",
    Kind.GAUGE,
    Unit.NONE,
    "Living descendants, without a device of their own, of a process that has one open, which are counted with it (at"
    " most 1024 on the node, those that were there first); agent.process_metrics switches it on.",
    labels=_HOLDER,
    family=Family.HOST,
)
HOLDERS_LEFT_OUT: Final = Metric(
    "host_processes_left_out",
    Kind.GAUGE,
    Unit.NONE,
    "Processes that have a device open beyond agent.process_metrics_limit, which have no host_process_ series.",
    family=Family.HOST,
)
