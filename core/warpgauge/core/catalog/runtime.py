"""Metrics of the runtime that a workload brings along, on accelerators whose driver alone tells little (TPU)."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.catalog.metric import Kind, Metric, Stability, Tier, Unit

RUNTIME_UP: Final = Metric(
    "accel_runtime_up",
    Kind.GAUGE,
    Unit.NONE,
    "1 if the runtime of a workload answers for the device, 0 if there is none: then only what the machine itself knows"
    " of the device is told.",
    labels=DEVICE,
    tier=Tier.FAST,
)
IDLE_SECONDS: Final = Metric(
    "accel_idle_seconds",
    Kind.GAUGE,
    Unit.SECONDS,
    "Time since the device's cores last had work, as the runtime tells it.",
    labels=DEVICE,
    tier=Tier.FAST,
    stability=Stability.EXPERIMENTAL,
)
QUEUED_PROGRAMS: Final = Metric(
    "accel_queued_programs",
    Kind.GAUGE,
    Unit.NONE,
    "Compiled programs that wait for the device in the runtime's queues.",
    labels=DEVICE,
    tier=Tier.FAST,
    stability=Stability.EXPERIMENTAL,
)
_BUCKETS: Final = (1e-5, 1e-4, 1e-3, 2.5e-3, 1e-2, 2.5e-2, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0)

PROGRAM_SECONDS: Final = Metric(
    "accel_program_seconds",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "How long compiled programs ran on the device, as the runtime counts them since it started; its own buckets are"
    " finer, each is counted at the next bound above it.",
    labels=DEVICE,
    tier=Tier.NORMAL,
    stability=Stability.EXPERIMENTAL,
    buckets=_BUCKETS,
)
TRANSFER_SECONDS: Final = Metric(
    "accel_transfer_seconds",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "How long transfers of the node's runtime took by path, all buffer sizes together, since it started: to and from"
    " other slices (dcn, dcn_inbound), host to device and back, whole collectives, computing on the host, shortest"
    " round trip of the network.",
    labels=("vendor", "path"),
    tier=Tier.SLOW,
    stability=Stability.EXPERIMENTAL,
    buckets=_BUCKETS,
)
