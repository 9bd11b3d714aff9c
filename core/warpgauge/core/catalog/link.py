"""Metrics of what ties accelerators together: NVLink beyond its counters, C2C to the CPU, the NVLink fabric."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.catalog.metric import Kind, Metric, Stability, Tier, Unit

LINK_INFO: Final = Metric(
    "accel_link_info",
    Kind.INFO,
    Unit.NONE,
    "Version of one NVLink, to join by uuid and link.",
    labels=(*DEVICE, "link", "version"),
    tier=Tier.SLOW,
)
LINK_BIT_ERRORS: Final = Metric(
    "accel_link_bit_error_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Bit error rate of one NVLink as the driver estimates it (Blackwell and newer): effective is what error correction"
    " leaves over, symbol what the receiver saw; not seen on a real driver yet.",
    labels=(*DEVICE, "link", "errors"),
    tier=Tier.SLOW,
    stability=Stability.EXPERIMENTAL,
)
C2C_LINK_ACTIVE: Final = Metric(
    "accel_c2c_link_active",
    Kind.GAUGE,
    Unit.NONE,
    "1 if a link from the device to its CPU (C2C, Grace) is active; not seen on a real driver yet.",
    labels=(*DEVICE, "link"),
    tier=Tier.SLOW,
    stability=Stability.EXPERIMENTAL,
)
C2C_LINK_SPEED: Final = Metric(
    "accel_c2c_link_speed_bytes_per_second",
    Kind.GAUGE,
    Unit.BYTES_PER_SECOND,
    "Speed of one active C2C link; not seen on a real driver yet.",
    labels=(*DEVICE, "link"),
    tier=Tier.SLOW,
    stability=Stability.EXPERIMENTAL,
)
C2C_LINK_ERRORS: Final = Metric(
    "accel_c2c_link_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "Errors of one C2C link by kind: crc, replay or replay_back_to_back; not seen on a real driver yet.",
    labels=(*DEVICE, "link", "error"),
    tier=Tier.SLOW,
    stability=Stability.EXPERIMENTAL,
)
FABRIC_STATE: Final = Metric(
    "accel_fabric_state",
    Kind.STATE,
    Unit.NONE,
    "How far the device's registration with the NVLink fabric got; exactly one is 1; absent without a fabric.",
    labels=(*DEVICE, "state"),
    tier=Tier.SLOW,
    states=("not_started", "in_progress", "completed"),
)
FABRIC_REGISTERED: Final = Metric(
    "accel_fabric_registered",
    Kind.GAUGE,
    Unit.NONE,
    "1 if the registration with the NVLink fabric was completed without error: peers on other trays can be reached.",
    labels=DEVICE,
    tier=Tier.SLOW,
)
FABRIC_INFO: Final = Metric(
    "accel_fabric_info",
    Kind.INFO,
    Unit.NONE,
    "Place of the device in the NVLink fabric; devices with the same two labels can reach each other over NVLink.",
    labels=(*DEVICE, "cluster_uuid", "clique_id"),
    tier=Tier.SLOW,
)
FABRIC_HEALTH: Final = Metric(
    "accel_fabric_health",
    Kind.STATE,
    Unit.NONE,
    "The driver's summary of the fabric's health as this device sees it; absent where the driver gives none.",
    labels=(*DEVICE, "health"),
    tier=Tier.SLOW,
    states=("healthy", "unhealthy", "limited_capacity"),
)
FABRIC_FAULT: Final = Metric(
    "accel_fabric_fault",
    Kind.GAUGE,
    Unit.NONE,
    "1 while the driver reports a fault of the NVLink fabric, 0 while it says there is none; absent where it cannot"
    " tell.",
    labels=(*DEVICE, "fault"),
    tier=Tier.SLOW,
)
