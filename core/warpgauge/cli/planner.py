"""The program that the analyzer reads a scheduling core's pool with: ourselves, with the settings of this process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse

    from warpgauge.analyzer.service.pool_reading import PoolCommand
    from warpgauge.core.config import Config

__all__ = ["CORES", "SIMULATED", "planner_of"]

CORES: Final = ("kubernetes", "slurm", "yarn")
SIMULATED: Final = "simulated"  # no core: the fleet model that `up --demo` shows


def planner_of(args: argparse.Namespace, config: Config, *, may_be_simulated: bool = False) -> PoolCommand | None:
    """The command for the core that the settings name; else for the simulated fleet where one may be shown."""
    from warpgauge.analyzer.service.pool_reading import PoolCommand  # noqa: PLC0415 - --help needs no analyzer

    settings = config.planning
    core = SIMULATED if settings.core == "none" else settings.core
    if core == SIMULATED and not (may_be_simulated and config.demo.mode != "never"):
        return None
    general = [] if args.config is None else ["--config", str(args.config)]
    chosen = [f"--partition={settings.partition}"] if settings.partition else []
    words = (sys.executable, "-m", "warpgauge", *general, "plan", f"--core={core}", "--document", *chosen)
    return PoolCommand(core=core, words=words, environ={"WARPGAUGE_DEMO_SEED": str(config.demo.seed)})
