"""The section about the plan on the console: which pool is read for it, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from warpgauge.core.config.settings import setting

__all__ = ["PlanningConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningConfig:
    """The plan that the analyzer shows: what waits, what would move where, and why. Nothing is carried out by it."""

    core: str = setting(
        "none",
        help="Scheduling core whose pool is read (slurm: that of SLURM_CONF; kubernetes, yarn: that of their "
        "sections); with none, `up` shows the simulated fleet's if there is one.",
        choices=("none", "kubernetes", "slurm", "yarn"),
    )
    partition: str = setting("", help="Of Slurm this partition only, of YARN this node label; empty means all.")
    interval_seconds: float = setting(
        60.0, help="Time between two readings; each asks the core for all nodes and jobs.", unit="seconds", at_least=5
    )
    timeout_seconds: float = setting(
        60.0, help="A reading with its plan that takes longer is ended and said to have failed.",
        unit="seconds", at_least=1,
    )  # fmt: skip
