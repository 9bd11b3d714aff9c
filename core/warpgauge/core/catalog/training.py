"""Metrics of training jobs, as the step timer reports them."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.metric import Family, Kind, Metric, Tier, Unit

JOB: Final = ("job_id", "rank", "stage")
PHASES: Final = ("input", "compute", "communication", "checkpoint", "other")
TRANSFER: Final = "transfer"
"""A phase of scripts that time the sending of their own data apart from waiting for that of others."""

STEP_SECONDS: Final = Metric(
    "training_step_seconds",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Duration of training steps.",
    labels=JOB,
    family=Family.TRAINING,
    tier=Tier.FAST,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
PHASE_SECONDS: Final = Metric(
    "training_phase_seconds_total",
    Kind.COUNTER,
    Unit.SECONDS,
    "Time a rank spent in a phase of its steps: input, compute, communication (waiting for peers included), "
    "checkpoint, other, and transfer where a script times the sending of its own data apart; clock tells whether the "
    "host or the device timed it.",
    labels=(*JOB, "phase", "clock"),
    family=Family.TRAINING,
    tier=Tier.FAST,
)
JOB_RANKS: Final = Metric(
    "training_job_ranks",
    Kind.GAUGE,
    Unit.NONE,
    "How many ranks the job says that it has, on each rank whose launcher told it.",
    labels=JOB,
    family=Family.TRAINING,
    tier=Tier.FAST,
)
