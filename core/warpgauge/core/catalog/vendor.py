"""Metrics that one vendor's driver tells and the others have no word for."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.catalog.metric import Kind, Metric, Stability, Tier, Unit

PARTITION_INFO: Final = Metric(
    "accel_partition_info",
    Kind.INFO,
    Unit.NONE,
    "How an AMD device is partitioned: mode of its compute units (SPX, DPX, CPX ...), mode of its memory (NPS1,"
    " NPS4 ...) and which part this one is; each part is a device of its own.",
    labels=(*DEVICE, "compute_mode", "memory_mode", "partition_id"),
    tier=Tier.SLOW,
    stability=Stability.EXPERIMENTAL,
)
VIOLATION: Final = Metric(
    "accel_violation_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of the driver's last sample period (AMD) in which a limit held the clocks down: power, socket_thermal,"
    " vr_thermal (voltage regulators), hbm_thermal or prochot (the board asked for it).",
    labels=(*DEVICE, "limit"),
    tier=Tier.NORMAL,
    stability=Stability.EXPERIMENTAL,
)
