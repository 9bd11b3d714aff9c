"""`warpgauge simulate SCENARIO.toml --out FILE|DIR`: samples of a made-up fleet and the truth about it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `simulate`."""
    parser.add_argument(
        "scenario", type=Path, metavar="SCENARIO", help="what happens, in TOML (docs/howto/simulate.md)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE|DIR",
        help="FILE.om (OpenMetrics) or FILE.csv (long table), the truth beside it as FILE.truth.json; or a directory"
        " for telemetry.om and truth.json",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the scenario's")
    parser.add_argument("--json", action="store_true", help="say what was written as one JSON object")


def run(args: argparse.Namespace, config: Config) -> int:
    """Live the scenario, write what a scraper would have got of it, and say so."""
    from dataclasses import replace  # noqa: PLC0415 - what the verb needs is loaded when it runs

    from warpgauge.exporters.synthetic.scenario import World, read_scenario, write  # noqa: PLC0415 - as above

    del config
    scenario = read_scenario(args.scenario)
    if args.seed is not None:
        scenario = replace(scenario, seed=args.seed)
    samples, truth, count = write(World(scenario), args.out)
    faults = len(scenario.faults)
    if args.json:
        told = {"simulated": True, "samples": count, "telemetry": str(samples), "truth": str(truth), "faults": faults}
        sys.stdout.write(f"{json.dumps(told)}\n")
    else:
        sys.stdout.write(
            f"simulated: {count} samples of {scenario.fleet.nodes} nodes over {scenario.duration_seconds:g} s in"
            f" {samples}, {faults} faults in {truth}\n"
        )
    return 0
