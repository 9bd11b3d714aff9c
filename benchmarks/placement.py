"""Placement policies on the openb trace, against the medians that their authors published.

Figures are percent of the GPUs allocated once arrivals asked for 130 % of them; all policies see the same arrivals,
seed by seed from 42 on. `--moves` measures instead what moves of running pods win: how many free whole 8-GPU nodes, and
how many waiting pods fit once single moves gathered what is scattered.

    benchmarks/placement.py --nodes openb_node_list_gpu_node.csv --pods openb_pod_list_default.csv --seeds 10

The trace is not ours to ship; docs/howto/plan.md says where to get it. Without --nodes and --pods its folder is
$WARPGAUGE_OPENB; without that nothing is measured. `--policy` and `--pods` may be given several times (default: random,
bestfit, fgd and filling). `--short` makes two runs of each, `--json` prints one object per figure.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.analyzer.planning.arrivals import arrivals, place_all
from warpgauge.analyzer.planning.churn import churned
from warpgauge.analyzer.planning.cluster import Cluster
from warpgauge.analyzer.planning.consolidation import consolidate
from warpgauge.analyzer.planning.defragmentation import defragment
from warpgauge.analyzer.planning.moves import carry_out
from warpgauge.analyzer.planning.occupancy import Occupancy
from warpgauge.analyzer.planning.openb import read_nodes, read_pods
from warpgauge.analyzer.planning.policies import POLICY_NAMES, placer_for
from warpgauge.analyzer.planning.typical import TypicalPods
from warpgauge.core.table import table

if TYPE_CHECKING:
    from warpgauge.analyzer.planning.pool import Node, Pod

FOLDER = os.environ.get("WARPGAUGE_OPENB", "")
NODES = "openb_node_list_gpu_node.csv"
PODS = "openb_pod_list_default.csv"
FIRST_SEED = 42
LOAD_RATIO = 1.3
RUN_BUDGET_SECONDS = 15.0
# Medians of ten runs of the authors' simulator at 130 % load, percent of the GPUs, and how far ours may be off.
PUBLISHED = {
    "default": ({"random": 87.38, "bestfit": 93.11, "fgd": 95.40}, 0.5),
    "gpuspec33": ({"random": 86.43, "bestfit": 93.09, "fgd": 94.56}, 1.3),
    "gpushare40": ({"random": 86.03, "bestfit": 91.73, "fgd": 94.14}, 1.3),
    "multigpu20": ({"random": 88.66, "bestfit": 93.90, "fgd": 95.65}, 1.3),
    "cpu050": ({"random": 91.16, "bestfit": 93.82, "fgd": 95.20}, 1.3),
}
OWN_GAIN_ON_DEFAULT = 0.3  # points over our FGD on the same arrivals
OWN_LOSS_ELSEWHERE = 0.3
DEPARTURES = 30_000
MOST_MOVES = 250
WHOLE_GPUS = 8


def one_run(nodes: tuple[Node, ...], pods: tuple[Pod, ...], policy: str, seed: int) -> tuple[float, float]:
    """Allocated percent of the GPUs, and seconds."""
    order = arrivals(pods, nodes, seed=seed, load_ratio=LOAD_RATIO)
    start = time.perf_counter()
    cluster = Cluster(nodes)
    place_all(placer_for(policy, cluster, pods, seed=seed), order)
    return 100 * cluster.allocated_ratio, time.perf_counter() - start


def figure(  # noqa: PLR0913 - the columns of a row
    name: str, value: float, unit: str, peer: object = "", budget: str = "", *, ok: bool = True
) -> dict[str, object]:
    return {"name": name, "value": round(value, 2), "unit": unit, "peer": peer, "budget": budget, "ok": ok}


def allocation(nodes: tuple[Node, ...], pods_file: Path, policies: list[str], seeds: range) -> list[dict[str, object]]:
    pods = read_pods(pods_file).pods
    workload = pods_file.stem.removeprefix("openb_pod_list_")
    published, allowance = PUBLISHED.get(workload, ({}, 0.0))
    runs: dict[str, list[float]] = {policy: [] for policy in policies}
    taken: dict[str, list[float]] = {policy: [] for policy in policies}
    for seed in seeds:
        for policy in policies:
            percent, seconds = one_run(nodes, pods, policy, seed)
            runs[policy].append(percent)
            taken[policy].append(seconds)
            print(f"{workload} seed {seed} {policy}: {percent:.2f} % in {seconds:.1f} s", file=sys.stderr, flush=True)
    figures = []
    for policy in policies:
        median, peer = statistics.median(runs[policy]), published.get(policy)
        ok = peer is None or abs(median - peer) <= allowance
        budget = "" if peer is None else f"within {allowance:g} of peer"
        spread = (
            f"{workload} {policy} allocation, median of {len(seeds)} ({min(runs[policy]):.2f}-{max(runs[policy]):.2f})"
        )
        figures.append(figure(spread, median, "%", "" if peer is None else peer, budget, ok=ok))
        if policy == "fgd":
            worst = max(taken[policy])
            figures.append(
                figure(f"{workload} fgd slowest run", worst, "s", "Go simulator ~10 min", f"<= {RUN_BUDGET_SECONDS:g}",
                       ok=worst <= RUN_BUDGET_SECONDS)
            )  # fmt: skip
    if {"fgd", "filling"} <= set(policies):
        figures += [own_gain(workload, runs)]
    return figures


def own_gain(workload: str, runs: dict[str, list[float]]) -> dict[str, object]:
    gain = statistics.median(runs["filling"]) - statistics.median(runs["fgd"])
    wins = sum(ours > theirs for ours, theirs in zip(runs["filling"], runs["fgd"], strict=True))
    least = OWN_GAIN_ON_DEFAULT if workload == "default" else -OWN_LOSS_ELSEWHERE
    name = f"{workload} filling - fgd, better on {wins} of {len(runs['fgd'])} seeds"
    return figure(name, gain, "points", "", f">= {least:+g}", ok=gain >= least)


def consolidation(nodes: tuple[Node, ...], pods: tuple[Pod, ...], seed: int, *, short: bool) -> list[dict[str, object]]:
    """Moves of GPU pods that free whole nodes, all pods movable; and what stops us on a packed cluster."""
    figures = []
    for policy in ("spread", "bestfit") if short else ("spread", "random", "bestfit"):
        for load in (0.75,) if short else (0.6, 0.75, 0.85):
            occupancy = churned(nodes, pods, policy, load_ratio=load, departures=DEPARTURES, seed=seed)
            goals = (10,) if short else (10, 50, 100, len(nodes))
            figures += [consolidated(occupancy, policy, load, wanted) for wanted in goals]
    return figures


def consolidated(occupancy: Occupancy, policy: str, load: float, wanted: int) -> dict[str, object]:
    plan = consolidate(occupancy, gpu_count=WHOLE_GPUS, wanted=wanted, may_move=lambda _pod: True)
    moves = sum(move.gpu_milli > 0 for move in plan.moves)
    freed = plan.gain.after - plan.gain.before
    goal = "all" if wanted >= len(occupancy.cluster.nodes) else wanted
    said = f"+{freed:.0f} whole nodes" if plan.moves else plan.reason
    name = f"placed by {policy}, {load:.0%} load, {plan.gain.before:.0f} whole nodes, {goal} wanted: {said}"
    return figure(name, moves, "moves of GPU pods", f"{len(plan.moves)} moves of all", "")


def gathered(nodes: tuple[Node, ...], pods: tuple[Pod, ...], policy: str, seed: int) -> list[dict[str, object]]:
    """Waiting pods that fit after single moves, once all pods of the trace arrived; the peer is without moves."""
    occupancy = Occupancy(nodes)
    placer = placer_for(policy, occupancy.cluster, pods, seed=seed)
    waiting = []
    for pod in arrivals(pods, nodes, seed=seed)[: len(pods)]:
        seat = placer.best(pod.request)
        if seat is None:
            waiting.append(pod)
        else:
            occupancy.start(pod, seat)
            placer.touch(seat.node)
    figures = []
    for who, may_move in (("any pod", lambda _pod: True), ("GPU pods only", lambda pod: pod.request.gpu_count > 0)):
        plan = defragment(occupancy, TypicalPods(pods), most_moves=MOST_MOVES, may_move=may_move)
        changed = occupancy.copy()
        carry_out(changed, plan.moves)
        left = place_all(placer_for("bestfit", changed.cluster, pods), waiting)
        said = f"{len(plan.moves)} moves of {who}" if plan.moves else plan.reason
        name = f"placed by {policy}, {len(waiting)} pods wait, {said}"
        percent = 100 * (changed.cluster.allocated_ratio - occupancy.cluster.allocated_ratio)
        cost = f"+{percent:.2f} points, {plan.cost.gpu_seconds:.0f} GPU-s"
        figures.append(figure(name, len(waiting) - len(left), "waiting pods then fit", cost))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nodes", type=Path, default=Path(FOLDER, NODES) if FOLDER else None, help="node list")
    parser.add_argument("--pods", type=Path, action="append", help="pod list; several times for several workloads")
    parser.add_argument("--policy", action="append", choices=POLICY_NAMES, help="several times for several policies")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="runs, with seeds 42, 43 ... (default 10)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="other seeds, to tune on")
    parser.add_argument("--moves", action="store_true", help="measure moves of running pods instead of policies")
    parser.add_argument("--short", action="store_true", help="two runs of each, and the first rows of the moves")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    pod_files = arguments.pods or ([Path(FOLDER, PODS)] if FOLDER else [])
    if arguments.nodes is None or not pod_files:
        print("nothing measured: give --nodes and --pods, or the trace's folder in WARPGAUGE_OPENB", file=sys.stderr)
        return 0
    nodes = read_nodes(arguments.nodes)
    runs = min(2, arguments.seeds) if arguments.short else arguments.seeds
    policies = arguments.policy or ["random", "bestfit", "fgd", "filling"]
    figures = []
    if arguments.moves or arguments.short:
        pods = read_pods(pod_files[0]).pods
        figures += consolidation(nodes, pods, arguments.first_seed, short=arguments.short)
        for policy in ("random", "spread", "bestfit", "filling"):
            figures += gathered(nodes, pods, policy, arguments.first_seed)
    if not arguments.moves:
        seeds = range(arguments.first_seed, arguments.first_seed + runs)
        for pods_file in pod_files:
            figures += allocation(nodes, pods_file, policies, seeds)
    if arguments.json:
        print("\n".join(json.dumps(one) for one in figures))
    else:
        print(table([key.upper() for key in figures[0]], [list(one.values()) for one in figures], numeric={"VALUE"}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
