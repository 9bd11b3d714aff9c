"""Metrics of single processes on a device: off by default, because each process is a new series."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.catalog.metric import Kind, Metric, Unit

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
