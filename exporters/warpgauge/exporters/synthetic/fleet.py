"""The fleet: nodes, devices and jobs placed from a seed, moved through time together."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from warpgauge.core.errors import ConfigError
from warpgauge.core.sample import Sample
from warpgauge.exporters.synthetic import roster, series
from warpgauge.exporters.synthetic.faults import FAULTS, Fault, draw_starts, place_faults
from warpgauge.exporters.synthetic.gpu import Gpu
from warpgauge.exporters.synthetic.hardware import HARDWARE_FAULTS, HardwareFault, place_hardware_faults
from warpgauge.exporters.synthetic.host import Host
from warpgauge.exporters.synthetic.node import Node, step_all
from warpgauge.exporters.synthetic.placement import place_jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.synthetic.one_series import Series

__all__ = ["CLUSTER", "PAST_SECONDS", "TRUTH_SCHEMA", "Fleet"]

CLUSTER: Final = "demo"
TRUTH_SCHEMA: Final = "warpgauge.truth/v1"
PAST_SECONDS: Final = 3600.0
"""A new fleet stands this long before `start`: the hour in which the faults begin."""

_KNOWN_FAULTS: Final = (*FAULTS, *HARDWARE_FAULTS)
_WARM_UP_SECONDS: Final = 300.0
_LONGEST_STEP_SECONDS: Final = 10.0
_FEWEST_GPUS: Final = 4  # a job of one node needs peers
_SECOND_ROW: Final = (2, 3)  # breathes the air that the first has warmed


class Fleet:
    """Deterministic for a seed: the same calls give the same values, and a fault left out changes nothing elsewhere."""

    def __init__(
        self,
        seed: int,
        faults: Sequence[str] = FAULTS,
        *,
        nodes: int = roster.BLOCK_NODES,
        gpus_per_node: int = 8,
        start: float,
    ) -> None:
        _check(faults, nodes, gpus_per_node)
        self.seed = seed
        self.start = start
        self.time = start - PAST_SECONDS - _WARM_UP_SECONDS
        self.nodes = tuple(self._node(number, gpus_per_node) for number in range(nodes))
        starts = draw_starts(seed, start)
        self.jobs = place_jobs(seed, [node.gpus for node in self.nodes], begin=self.time, starts=starts)
        everything: dict[str, Fault | HardwareFault] = {}
        everything |= place_faults(seed, starts, self.jobs)
        everything |= place_hardware_faults(seed, start, self.jobs)
        self.faults: tuple[Fault | HardwareFault, ...] = tuple(
            everything[kind] for kind in _KNOWN_FAULTS if kind in faults
        )
        self._series = {node.name: tuple(series.of_node(self, node)) for node in self.nodes}
        self.advance(start - PAST_SECONDS)

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of the nodes, in order."""
        return tuple(node.name for node in self.nodes)

    def advance(self, to: float) -> None:
        """Move to `to` (seconds since the epoch) in steps of at most 10 s; a time already passed changes nothing."""
        while self.time < to:
            self._step(min(to, self.time + _LONGEST_STEP_SECONDS))

    def series(self, node: str) -> tuple[Series, ...]:
        """All series of a node, in a fixed order; each reads its present value."""
        return self._series[node]

    def samples(self, node: str) -> list[Sample]:
        """All samples of a node now, as a real node's page would hold them."""
        return [Sample(row.metric, row.labels, row.read()) for row in self._series[node]]

    def truth(self) -> dict[str, Any]:
        """What is wrong with this fleet: the causes, their places, their sizes."""
        return {"schema": TRUTH_SCHEMA, "seed": self.seed, "faults": [self._told(fault) for fault in self.faults]}

    def _told(self, fault: Fault | HardwareFault) -> dict[str, Any]:
        seats = fault.job.seats if fault.rank is None else (fault.job.seats[fault.rank],)
        nodes = sorted({self.nodes[seat.node].name for seat in seats})
        scope: dict[str, Any] = {"cluster": CLUSTER, "job_id": fault.job.owner.job_id}
        if len(nodes) == 1:
            scope["node"] = nodes[0]
        if fault.rank is not None:
            scope |= {"uuid": seats[0].gpu.uuid, "rank": fault.rank}
        return {
            "kind": fault.kind,
            "scope": scope,
            "start": fault.start,
            "end": None,
            "size": fault.size,
            "measure": fault.measure,
            "nodes": nodes,
            "uuids": [seat.gpu.uuid for seat in seats],
        }

    # ---- one step of everything

    def _step(self, until: float) -> None:
        for fault in self.faults:
            fault.apply(until)
        step_all(self.nodes, self.jobs, self.time, until)
        self.time = until

    # ---- the machines

    def _node(self, number: int, gpus_per_node: int) -> Node:
        random = Random(f"{self.seed}:node:{number}")
        name = f"sim-node-{number}"
        inlet = random.uniform(23.0, 26.5)
        gpus = tuple(self._gpu(number, index, inlet) for index in range(gpus_per_node))
        return Node(name=name, host=Host(name=name, random=random, begin=self.time), gpus=gpus)

    def _gpu(self, number: int, index: int, inlet: float) -> Gpu:
        random = Random(f"{self.seed}:gpu:{number}:{index}")
        uuid = UUID(int=random.getrandbits(128), version=4)
        warmed = 1.6 if index % 4 in _SECOND_ROW else 0.0
        return Gpu(uuid=f"GPU-{uuid}", index=index, random=random, inlet_celsius=inlet + warmed)


def _check(faults: Sequence[str], nodes: int, gpus_per_node: int) -> None:
    unknown = sorted(set(faults) - set(_KNOWN_FAULTS))
    if unknown:
        msg = f"demo.faults: unknown fault {unknown[0]!r}; known are {', '.join(_KNOWN_FAULTS)}"
        raise ConfigError(msg)
    if nodes < roster.BLOCK_NODES or gpus_per_node < _FEWEST_GPUS:
        msg = (
            f"the simulated fleet needs at least {roster.BLOCK_NODES} nodes of {_FEWEST_GPUS} devices, "
            f"got {nodes} of {gpus_per_node}"
        )
        raise ConfigError(msg)
