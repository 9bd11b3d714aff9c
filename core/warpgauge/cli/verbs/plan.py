"""`warpgauge plan`: where waiting pods go and which moves pay, for files or a live cluster; nothing is carried out."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.cli.planner import CORES, SIMULATED
from warpgauge.cli.verbs.analyze import add_reading_flags, look_of, say
from warpgauge.core.clock import SystemClock
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from warpgauge.analyzer.planning.live import LivePool
    from warpgauge.analyzer.planning.telemetry import Measured
    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]

# Named here as well as in the planner, which needs numpy: --help works without it. A test holds the two equal.
POLICIES = ("random", "spread", "bestfit", "fgd", "filling")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `plan`."""
    parser.add_argument("--nodes", type=Path, metavar="CSV", help="node list in the openb format")
    parser.add_argument("--pods", type=Path, metavar="CSV",
                        help="pod list in the openb format; pods that name a node run there")  # fmt: skip
    parser.add_argument(
        "--core",
        choices=(*CORES, SIMULATED),
        help="read a live cluster instead of files (slurm: that of SLURM_CONF; kubernetes, yarn: that of the settings; "
        "simulated: none, but the fleet model of up --demo)",
    )
    parser.add_argument(
        "--partition", metavar="NAME", help="of Slurm, plan this partition only; of YARN, this node label"
    )
    parser.add_argument("--policy", choices=POLICIES, default="filling",
                        help="how places are chosen (default filling)")  # fmt: skip
    parser.add_argument("--whole-nodes", type=int, default=0, metavar="N",
                        help="plan moves until N whole nodes are free (default: what jobs wait for)")  # fmt: skip
    parser.add_argument("--gpus", type=int, default=8, metavar="G",
                        help="GPUs of the nodes that --whole-nodes means (default 8)")  # fmt: skip
    parser.add_argument("--most-moves", type=int, default=50, metavar="N",
                        help="at most N moves of single pods that gather scattered GPU (default 50)")  # fmt: skip
    parser.add_argument("--move-all", action="store_true", help="let moves disturb any pod, not only those of qos BE")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the policy random (default 0)")
    parser.add_argument("--telemetry", action="append", default=[], metavar="SOURCE",
                        help="also plan by what was measured: off slow nodes, and jobs that would do with a MIG "
                        "instance; SOURCE and the flags below as of analyze")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="JSON Lines: placements, waiting jobs, moves, a summary")
    parser.add_argument("--document", action="store_true",
                        help="one JSON object of bounded size, as the analyzer serves it at /api/v1/plan")  # fmt: skip
    add_reading_flags(parser, page="5m")


def run(args: argparse.Namespace, config: Config) -> int:
    """Read, plan, print; 1 if a job waits on or a move is proposed, else 0."""
    from warpgauge.analyzer.planning.pool_plan import plan_pool  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.cli.plan_report import as_json_lines, as_text  # noqa: PLC0415 - as above

    for flag, value, least in (
        ("--whole-nodes", args.whole_nodes, 0),
        ("--gpus", args.gpus, 1),
        ("--most-moves", args.most_moves, 0),
    ):
        if value < least:
            msg = f"{flag} must be at least {least}, got {value}"
            raise ConfigError(msg)
    pool = _pool(args, config)
    plan = plan_pool(
        pool.nodes,
        pool.workload,
        policy=args.policy,
        may_move=(lambda _pod: True) if args.move_all else (lambda pod: pod.is_movable),
        whole_nodes=args.whole_nodes,
        gpus_per_node=args.gpus,
        most_moves=args.most_moves,
        seed=args.seed,
    )
    if args.document:
        from warpgauge.analyzer.planning.document import plan_object  # noqa: PLC0415 - numpy only for this verb

        print(json.dumps(plan_object(pool, plan, core=args.core or "files"), allow_nan=False))  # noqa: T201 - the answer
        return int(bool(plan.outcome.waiting or plan.moves.moves))
    measured = _measured(args, config, pool)
    if args.json:
        for document in as_json_lines(plan, pool.left_out, measured):
            print(json.dumps(document, ensure_ascii=False, allow_nan=False))  # noqa: T201 - the answer
    else:
        print(*([_NOT_REAL] if pool.is_simulated else []), as_text(plan, pool.left_out, measured), sep="\n\n")  # noqa: T201 - the answer
    is_moved = plan.moves.moves or (measured is not None and any(one.plan.moves for one in measured.reliefs))
    return int(bool(plan.outcome.waiting or is_moved))


_NOT_REAL: Final = "Simulated: the fleet model that `warpgauge up --demo` shows, no cluster."


def _measured(args: argparse.Namespace, config: Config, pool: LivePool) -> Measured | None:
    """What the telemetry adds; None without."""
    if not args.telemetry:
        return None
    from warpgauge.analyzer.once import read_once  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.analyzer.planning.pool_plan import occupancy_of  # noqa: PLC0415 - as above
    from warpgauge.analyzer.planning.telemetry import measured  # noqa: PLC0415 - as above

    replay = asyncio.run(read_once(args.telemetry, look_of(args, config), clock=SystemClock(), say=say))
    findings, workload = replay.report().findings, pool.workload
    if args.move_all:
        workload = replace(workload, pods=tuple(replace(pod, is_movable=True) for pod in workload.pods))
    return measured(findings, replay.frame, occupancy_of(pool.nodes, workload))


def _pool(args: argparse.Namespace, config: Config) -> LivePool:
    """What the flags name: two files or a live cluster."""
    from warpgauge.analyzer.planning.live import LivePool  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.analyzer.planning.openb import read_nodes, read_pods  # noqa: PLC0415 - as above

    files = (args.nodes is not None, args.pods is not None)
    if args.core and any(files):
        msg = "--core reads a live cluster, --nodes and --pods are for files: give one or the other"
        raise ConfigError(msg)
    if args.partition and args.core not in {"slurm", "yarn"}:
        msg = "give --core slurm or yarn, which alone take --partition"
        raise ConfigError(msg)
    if args.core:
        return _LIVE[args.core](args, config)
    if not all(files):
        msg = f"give --nodes CSV and --pods CSV, or --core {', '.join(CORES)}"
        raise ConfigError(msg)
    return LivePool(nodes=read_nodes(args.nodes), workload=read_pods(args.pods), left_out=())


def _slurm(args: argparse.Namespace, _config: Config) -> LivePool:
    from warpgauge.analyzer.planning.slurm import read_pool  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.core.slurm import Slurm  # noqa: PLC0415 - as above

    return read_pool(Slurm(os.environ), partition=args.partition)


def _kubernetes(_args: argparse.Namespace, config: Config) -> LivePool:
    from warpgauge.analyzer.planning.kubernetes import read_pool  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.core.kubernetes import Kubernetes, connect  # noqa: PLC0415 - as above

    return read_pool(Kubernetes(connect(config.kubernetes, os.environ)))


def _yarn(args: argparse.Namespace, config: Config) -> LivePool:
    from warpgauge.analyzer.planning.yarn import read_pool  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.cli.cores import yarn_of  # noqa: PLC0415 - as above

    return read_pool(yarn_of(config.yarn), label=args.partition)


def _simulated(_args: argparse.Namespace, config: Config) -> LivePool:
    from warpgauge.cli.simulated_pool import simulated_pool  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.exporters.synthetic import Fleet  # noqa: PLC0415 - the model only where it is asked for

    return simulated_pool(Fleet(config.demo.seed, config.demo.faults, start=SystemClock().now()))


_LIVE: Final[Mapping[str, Callable[[argparse.Namespace, Config], LivePool]]] = {
    "kubernetes": _kubernetes,
    "slurm": _slurm,
    "yarn": _yarn,
    SIMULATED: _simulated,
}
