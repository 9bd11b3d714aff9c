"""`warpgauge plan`: where waiting pods go and which moves pay, for files or a live cluster; nothing is carried out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from warpgauge.analyzer.planning.live import LivePool
    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]

# Named here as well as in the planner, which needs numpy: --help works without it. A test holds the two equal.
POLICIES = ("random", "spread", "bestfit", "fgd", "filling")
CORES = ("slurm", "yarn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `plan`."""
    parser.add_argument("--nodes", type=Path, metavar="CSV", help="node list in the openb format")
    parser.add_argument("--pods", type=Path, metavar="CSV",
                        help="pod list in the openb format; pods that name a node run there")  # fmt: skip
    parser.add_argument(
        "--core",
        choices=CORES,
        help="read a live cluster instead of files (slurm: that of SLURM_CONF, yarn: that of the settings)",
    )
    parser.add_argument("--partition", metavar="NAME", help="of it, plan this partition (yarn: node label) only")
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
    parser.add_argument("--json", action="store_true", help="JSON Lines: placements, waiting jobs, moves, a summary")


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
    if args.json:
        for document in as_json_lines(plan, pool.left_out):
            print(json.dumps(document, ensure_ascii=False, allow_nan=False))  # noqa: T201 - the answer
    else:
        print(as_text(plan, pool.left_out))  # noqa: T201 - the answer
    return int(bool(plan.outcome.waiting or plan.moves.moves))


def _pool(args: argparse.Namespace, config: Config) -> LivePool:
    """What the flags name: two files or a live cluster."""
    from warpgauge.analyzer.planning.live import LivePool  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.analyzer.planning.openb import read_nodes, read_pods  # noqa: PLC0415 - as above

    files = (args.nodes is not None, args.pods is not None)
    if args.core:
        if any(files):
            msg = "--core reads a live cluster, --nodes and --pods are for files: give one or the other"
            raise ConfigError(msg)
        return _LIVE[args.core](args.partition, config)
    if not all(files) or args.partition:
        msg = "give --nodes CSV and --pods CSV, or --core, which alone takes --partition"
        raise ConfigError(msg)
    return LivePool(nodes=read_nodes(args.nodes), workload=read_pods(args.pods), left_out=())


def _slurm(partition: str | None, _config: Config) -> LivePool:
    from warpgauge.analyzer.planning import slurm  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.core.slurm import Slurm  # noqa: PLC0415 - as above

    return slurm.read_pool(Slurm(os.environ), partition=partition)


def _yarn(label: str | None, config: Config) -> LivePool:
    from warpgauge.analyzer.planning import yarn  # noqa: PLC0415 - numpy only for this verb
    from warpgauge.cli.cores import yarn_of  # noqa: PLC0415 - as above

    return yarn.read_pool(yarn_of(config.yarn), label=label)


_LIVE: Final[Mapping[str, Callable[[str | None, Config], LivePool]]] = {"slurm": _slurm, "yarn": _yarn}
