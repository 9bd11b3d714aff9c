"""Cumulative counters behind the activity ratios: exact over any interval, however seldom anybody scrapes.

From GPM's cumulative metrics. nvml.h says "since reboot" and neither whether cycles are summed over the SMs nor from
which driver on they exist, so only shares of `COMPUTE_CYCLES` mean something for certain.
"""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.catalog.metric import Kind, Metric, Stability, Unit

COMPUTE_CYCLES: Final = Metric(
    "accel_compute_cycles_total",
    Kind.COUNTER,
    Unit.NONE,
    "SM cycles that went by since reboot (GPM, newest drivers): what the other cycle counters are shares of;"
    " not seen on a real driver yet.",
    labels=DEVICE,
    stability=Stability.EXPERIMENTAL,
)
COMPUTE_ACTIVE_CYCLES: Final = Metric(
    "accel_compute_active_cycles_total",
    Kind.COUNTER,
    Unit.NONE,
    "SM cycles with a resident warp since reboot (GPM, newest drivers); not seen on a real driver yet.",
    labels=DEVICE,
    stability=Stability.EXPERIMENTAL,
)
PIPE_ACTIVE_CYCLES: Final = Metric(
    "accel_pipe_active_cycles_total",
    Kind.COUNTER,
    Unit.NONE,
    "SM cycles in which a pipe was active since reboot; tensor means any tensor pipe; not seen on a real driver yet.",
    labels=(*DEVICE, "pipe"),
    stability=Stability.EXPERIMENTAL,
)
