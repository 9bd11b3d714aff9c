"""What lies behind a number of a whole device: its memory's power, each video engine, the time at each activity."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.catalog.metric import Kind, Metric, Stability, Tier, Unit

MEMORY_POWER: Final = Metric(
    "accel_memory_power_watts",
    Kind.GAUGE,
    Unit.WATTS,
    "Power draw of the device memory, which is part of accel_power_watts and like it a one-second average.",
    labels=DEVICE,
    tier=Tier.FAST,
)
CLOCKS_BELOW_BASE: Final = Metric(
    "accel_clocks_below_base_seconds_total",
    Kind.COUNTER,
    Unit.SECONDS,
    "Time in which the device ran below its base clocks, whatever held it down; idling counts too.",
    labels=DEVICE,
)
ENGINE_ACTIVE: Final = Metric(
    "accel_engine_active_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of time in which one decoder, encoder, JPEG or optical flow engine worked (GPM on Hopper and newer); absent"
    " until that engine first works, for the driver says 0 of engines that a board lacks too.",
    labels=(*DEVICE, "engine", "number"),
    by_instance=True,
    tier=Tier.FAST,
    stability=Stability.EXPERIMENTAL,
)
ACTIVITY_DISTRIBUTION: Final = Metric(
    "accel_activity_ratio_distribution",
    Kind.HISTOGRAM,
    Unit.RATIO,
    "Time spent at each activity (compute: SMs with a resident warp; memory_bandwidth; tensor, fp64, fp32, fp16: a"
    " pipe, once it worked), each a mean of one second (GPM on Hopper and newer): counts are milliseconds (not"
    " readings), _sum is ratio x milliseconds, so _sum / _count is the mean.",
    labels=(*DEVICE, "activity"),
    tier=Tier.FAST,
    buckets=(0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 1.0),
)
