"""Exact answers for small pools, by mixed-integer programming with HiGHS; far too slow for real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import highspy

from warpgauge.analyzer.planning.pool import MILLI

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.analyzer.planning.pool import Node, Pod


class _Model:
    """Pods on devices: y[pod, node] is 1 if the pod runs there, x[pod, node, gpu] if it uses that device."""

    def __init__(self, nodes: Sequence[Node], pods: Sequence[Pod]) -> None:
        self.solver = highspy.Highs()
        self.solver.setOptionValue("output_flag", False)  # noqa: FBT003 - it takes no keywords
        self.pods, self.nodes = pods, nodes
        self.runs = [[self.solver.addBinary() if pod.request.allows(node) else None for node in nodes] for pod in pods]
        for number in range(len(nodes)):
            self._limit_node(number)
        for row in self.runs:
            self.solver.addConstr(sum(one for one in row if one is not None) <= 1)

    def _limit_node(self, number: int) -> None:
        node = self.nodes[number]
        here = [(pod.request, row[number]) for pod, row in zip(self.pods, self.runs, strict=True)]
        here = [(request, runs) for request, runs in here if runs is not None]
        if not here:
            return
        self.solver.addConstr(sum(request.cpu_milli * runs for request, runs in here) <= node.cpu_milli)
        self.solver.addConstr(sum(request.memory_mib * runs for request, runs in here) <= node.memory_mib)
        uses = [
            [self.solver.addBinary() if request.gpu_count else None for request, _ in here]
            for _ in range(node.gpu_count)
        ]
        for device in uses:
            used = [request.gpu_milli * one for (request, _), one in zip(here, device, strict=True) if one is not None]
            if used:
                self.solver.addConstr(sum(used) <= MILLI)
        for place, (request, runs) in enumerate(here):
            if request.gpu_count:
                self.solver.addConstr(sum((device[place] for device in uses), 0 * runs) == request.gpu_count * runs)


def most_gpu_milli(nodes: Sequence[Node], pods: Sequence[Pod]) -> int:
    """The most milli-GPU that any choice of pods and places allocates."""
    model = _Model(nodes, pods)
    terms = [
        pod.request.total_gpu_milli * one
        for pod, row in zip(pods, model.runs, strict=True)
        for one in row
        if one is not None and pod.request.total_gpu_milli
    ]
    if not terms:
        return 0
    model.solver.maximize(sum(terms))
    return round(model.solver.getInfo().objective_function_value)


def most_whole_nodes(occupancy: Occupancy, gpu_count: int) -> int:
    """How many nodes of so many devices can be empty while every pod runs somewhere; any pod may be moved."""
    nodes, pods = occupancy.cluster.nodes, list(occupancy.pods.values())
    model = _Model(nodes, pods)
    for row in model.runs:
        model.solver.addConstr(sum(one for one in row if one is not None) >= 1)
    empty = []
    for number, node in enumerate(nodes):
        if node.gpu_count != gpu_count:
            continue
        is_empty = model.solver.addBinary()
        empty.append(is_empty)
        here = [row[number] for row in model.runs if row[number] is not None]
        if here:
            model.solver.addConstr(sum(here) + len(here) * is_empty <= len(here))
    model.solver.maximize(sum(empty))
    return round(model.solver.getInfo().objective_function_value)
