"""A scenario come alive: its machines, jobs and faults in the one fleet model, moved through time together."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from warpgauge.exporters.synthetic import series
from warpgauge.exporters.synthetic.fleet import TRUTH_SCHEMA
from warpgauge.exporters.synthetic.gpu import BOARDS, IDLE, Gpu, Kernel
from warpgauge.exporters.synthetic.host import Host
from warpgauge.exporters.synthetic.job import TrainingJob
from warpgauge.exporters.synthetic.node import Node, step_all
from warpgauge.exporters.synthetic.roster import Loader, Owner, Session, Training
from warpgauge.exporters.synthetic.scenario.causes import CAUSES, Cause, Strikes, Target
from warpgauge.exporters.synthetic.scenario.plan import KernelPlan
from warpgauge.exporters.synthetic.scenario.reading import devices_of
from warpgauge.exporters.synthetic.sessions import Notebook, Server
from warpgauge.exporters.synthetic.workload import Seat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.synthetic.gpu import Work
    from warpgauge.exporters.synthetic.one_series import Series
    from warpgauge.exporters.synthetic.scenario.plan import FaultPlan, JobPlan, Scenario
    from warpgauge.exporters.synthetic.workload import Demand, Workload

__all__ = ["Shift", "Struck", "World"]

_WARM_UP_SECONDS: Final = 300.0
_LONGEST_STEP_SECONDS: Final = 10.0
_SECOND_ROW: Final = (2, 3)  # breathes the air that the first has warmed
_WARMED_CELSIUS: Final = 1.6


class Shift:
    """A job and when it is there; away, its devices are free. A server may use some of its devices only."""

    def __init__(self, job: Workload, plan: JobPlan, start: float) -> None:
        self.job = job
        self.owner = job.owner
        self.seats = job.seats
        self.is_lockstep = job.is_lockstep
        self._scale = [(start + at, round(devices)) for at, devices in sorted(plan.scale)]
        begins = plan.start_seconds - (_WARM_UP_SECONDS if plan.start_seconds == 0 else 0)
        self._span = (start + begins, start + plan.end_seconds)

    def devices(self, now: float) -> int:
        """How many of its devices it uses at a moment, the first ones."""
        if not self._span[0] < now <= self._span[1]:
            return 0
        wanted = [devices for at, devices in self._scale if at < now]
        return wanted[-1] if wanted else len(self.seats)

    def advance(self, to: float, demands: Sequence[Demand]) -> list[Work]:
        """Work per seat until `to`."""
        used = self.devices(to)
        if not used:
            return [IDLE for _ in self.seats]
        works = self.job.advance(to, demands)
        return [*works[:used], *(IDLE for _ in works[used:])]


@dataclass(slots=True, kw_only=True)
class Struck:
    """A fault of the scenario in the model."""

    plan: FaultPlan
    cause: Cause
    target: Target
    scope: dict[str, Any]
    culprit: str
    start: float
    end: float | None
    size: float
    nodes: frozenset[str]  # on which it is felt
    uuids: frozenset[str]
    is_over: bool = False
    felt: list[float] = field(default_factory=list)

    def apply(self, now: float) -> None:
        """Change the cause for the interval that ends at `now`, or take the change back once it is over."""
        if now <= self.start or self.is_over:
            return
        if self.end is not None and now > self.end:
            self.is_over = True
            self.cause.strike(self.target, None, now - self.start)
        else:
            self.cause.strike(self.target, self.size, now - self.start)
            if self.cause.felt is not None:
                self.felt.append(self.cause.felt(self.target))

    @property
    def must_be_found(self) -> bool:
        """Whether it is large enough to matter, by its size or, where that does not tell, by what was felt of it."""
        is_felt = self.cause.felt is None or fmean(self.felt or [1.0]) >= self.cause.least_felt
        return self.cause.is_due(self.size) and is_felt

    def told(self) -> dict[str, Any]:
        """The fault as truth.json has it."""
        return {
            "kind": self.cause.kind.value,
            "cause": self.plan.cause,
            "culprit": self.culprit,
            "scope": self.scope,
            "nodes": sorted(self.nodes),
            "uuids": sorted(self.uuids),
            "start": self.start,
            "end": self.end,
            "size": self.size,
            "measure": self.cause.measure,
            "must_be_found": self.must_be_found,
            "consequences": [kind.value for kind in self.cause.consequences],
        }


class World:
    """A scenario in motion; deterministic for the scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.time = scenario.start - _WARM_UP_SECONDS
        self.nodes = tuple(self._node(number) for number in range(scenario.fleet.nodes))
        self.jobs: tuple[Workload, ...] = tuple(self._job(plan) for plan in scenario.jobs)
        self.shifts = tuple(
            Shift(job, plan, scenario.start) for job, plan in zip(self.jobs, scenario.jobs, strict=True)
        )
        self.faults = tuple(self._struck(plan) for plan in scenario.faults)
        self._series = {node.name: tuple(series.of_node(self, node)) for node in self.nodes}
        self.advance(scenario.start)

    @property
    def cluster(self) -> str:
        """Name of the cluster."""
        return self.scenario.name

    def rack_of(self, node: int) -> str:
        """Rack in which a machine stands."""
        fleet = self.scenario.fleet
        return f"rack-{node * fleet.racks // fleet.nodes}"

    def series(self, node: str) -> tuple[Series, ...]:
        """All series that ever stand on the page of a machine."""
        return self._series[node]

    def advance(self, to: float) -> None:
        """Move to `to` (seconds since the epoch) in steps of at most 10 s."""
        while self.time < to:
            until = min(to, self.time + _LONGEST_STEP_SECONDS)
            for fault in self.faults:
                fault.apply(until)
            step_all(self.nodes, self.shifts, self.time, until)
            self.time = until

    def truth(self) -> dict[str, Any]:
        """What is wrong with this fleet and with its telemetry."""
        scenario = self.scenario
        return {
            "schema": TRUTH_SCHEMA,
            "simulated": True,
            "scenario": scenario.name,
            "seed": scenario.seed,
            "start": scenario.start,
            "end": scenario.start + scenario.duration_seconds,
            "faults": [fault.told() for fault in self.faults],
            "troubles": [
                {"kind": trouble.kind, "node": self.nodes[trouble.node].name if trouble.node >= 0 else None}
                for trouble in scenario.troubles
            ],
        }

    # ---- machines

    def _node(self, number: int) -> Node:
        fleet = self.scenario.fleet
        random = Random(f"{self.scenario.seed}:node:{number}")
        name = f"sim-node-{number}"
        inlet = fleet.inlet_celsius + random.uniform(-1.7, 1.7)
        board = BOARDS[fleet.boards[number] if fleet.boards else fleet.board]
        gpus = []
        for index in range(fleet.devices_per_node):
            own = Random(f"{self.scenario.seed}:gpu:{number}:{index}")
            uuid = UUID(int=own.getrandbits(128), version=4)
            warmed = _WARMED_CELSIUS if index % 4 in _SECOND_ROW else 0.0
            gpus.append(Gpu(uuid=f"GPU-{uuid}", index=index, random=own, inlet_celsius=inlet + warmed, board=board))
        return Node(name=name, host=Host(name=name, random=random, begin=self.time), gpus=tuple(gpus))

    # ---- jobs

    def _job(self, plan: JobPlan) -> Workload:
        places = devices_of(plan.devices) if plan.devices else []
        places += [(node, index) for node in plan.nodes for index in range(self.scenario.fleet.devices_per_node)]
        seats = tuple(Seat(node, self.nodes[node].gpus[index]) for node, index in places)
        for seat in seats:
            seat.gpu.locked_ratio = min(seat.gpu.locked_ratio, plan.locked_clock_ratio)
        random = Random(f"{self.scenario.seed}:job:{plan.id}")
        is_new = plan.start_seconds > 0
        begin = self.scenario.start + plan.start_seconds if is_new else self.time
        kernel = _kernel(plan)
        owner = _owner(plan)
        if plan.kind == "training":
            job = TrainingJob(_training(plan, owner, kernel), seats, random, begin, is_new=is_new)
            for rank in range(len(seats)) if plan.stage_ratios else ():
                job.share_ratios[rank] = plan.stage_ratios[job.stage_of(rank)]
            return job
        row = Session(
            owner=owner, node_ratio=1.0, kernel=kernel, memory_ratio=plan.memory_ratio, host_bytes=plan.host_bytes
        )
        if plan.kind == "serving":
            return Server(row, seats, random, begin)
        return Notebook(row, seats, random, begin, self._anchor(plan, begin))

    def _anchor(self, plan: JobPlan, begin: float) -> float:
        """When a burst of work ends for sure: as the job is abandoned."""
        starts = (fault.start_seconds for fault in self.scenario.faults if fault.job == plan.id)
        return self.scenario.start + next(starts) if any(f.job == plan.id for f in self.scenario.faults) else begin

    # ---- faults

    def _struck(self, plan: FaultPlan) -> Struck:
        cause = CAUSES[plan.cause]
        start = self.scenario.start + plan.start_seconds
        target, scope, culprit = self._target(plan, cause)
        nodes, uuids = self._felt(target, scope)
        return Struck(
            plan=plan,
            cause=cause,
            target=target,
            scope={"cluster": self.cluster, **scope},
            culprit=culprit,
            start=start,
            end=start + plan.duration_seconds if plan.duration_seconds else None,
            size=plan.size or cause.usual,
            nodes=nodes,
            uuids=uuids,
        )

    def _felt(self, target: Target, scope: dict[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
        """Machines and devices that a fault is felt on: those it strikes, or all of the job that it strikes."""
        if "uuid" in scope:
            return frozenset({scope["node"]}), frozenset({scope["uuid"]})
        if target.job is None:
            node = next(node for node in self.nodes if node.name == scope["node"])
            return frozenset({node.name}), frozenset(gpu.uuid for gpu in node.gpus)
        seats = target.job.seats
        return frozenset(self.nodes[seat.node].name for seat in seats), frozenset(seat.gpu.uuid for seat in seats)

    def _target(self, plan: FaultPlan, cause: Cause) -> tuple[Target, dict[str, Any], str]:
        job = next((one for one in self.jobs if one.owner.job_id == plan.job), None)
        if cause.strikes is Strikes.NODE:
            node = self.nodes[plan.node]
            return Target(host=node.host), {"node": node.name, "rack": self.rack_of(plan.node)}, node.name
        if cause.strikes is Strikes.DEVICE:
            return self._device_target(plan, job)
        ranks = list(range(len(job.seats))) if job else []
        if job and cause.strikes is Strikes.STAGE and isinstance(job, TrainingJob):
            ranks = [rank for rank in ranks if job.stage_of(rank) == plan.stage]
            return Target(job=job, ranks=ranks), {"job_id": plan.job, "stage": plan.stage}, f"stage {plan.stage}"
        if job and cause.strikes is Strikes.SERVER:  # its page tells of a model, on the machine of its first device
            first = job.seats[0].node
            return Target(job=job), {"node": self.nodes[first].name, "rack": self.rack_of(first)}, plan.job
        return Target(job=job, ranks=ranks), {"job_id": plan.job}, plan.job

    def _device_target(self, plan: FaultPlan, job: Workload | None) -> tuple[Target, dict[str, Any], str]:
        rank = plan.rank
        if job is None:
            node, index = devices_of([plan.device])[0]
            gpu = self.nodes[node].gpus[index]
            job, rank = self._holder(gpu)
        else:
            node, gpu = job.seats[rank].node, job.seats[rank].gpu
        scope: dict[str, Any] = {"node": self.nodes[node].name, "rack": self.rack_of(node), "uuid": gpu.uuid}
        if job is not None:
            scope |= {"job_id": job.owner.job_id, "rank": rank}
        peers = [seat.gpu for seat in job.seats if seat.gpu is not gpu] if job else []
        return Target(gpus=(gpu,), job=job, ranks=(rank,), peers=peers), scope, gpu.uuid

    def _holder(self, gpu: Gpu) -> tuple[Workload | None, int]:
        for job in self.jobs:
            for rank, seat in enumerate(job.seats):
                if seat.gpu is gpu:
                    return job, rank
        return None, -1


def _kernel(plan: JobPlan) -> Kernel:
    told = KernelPlan(**(plan.kernel or {}))
    return Kernel(
        sm=told.sm,
        tensor=told.tensor,
        dram=told.dram,
        occupancy=told.occupancy,
        power=told.power,
        memory_bound=told.memory_bound,
    )


def _owner(plan: JobPlan) -> Owner:
    namespace = plan.namespace if plan.scheduler == "kubernetes" else ""
    return Owner(job_id=plan.id, user=plan.user, scheduler=plan.scheduler, namespace=namespace)


def _training(plan: JobPlan, owner: Owner, kernel: Kernel) -> Training:
    return Training(
        owner=owner,
        nodes=len(plan.nodes),
        compute_seconds=plan.compute_seconds,
        communication_seconds=plan.communication_seconds,
        other_seconds=plan.other_seconds,
        loader=Loader(
            workers=plan.loader_workers,
            fill=plan.loader_fill,
            batch_bytes=plan.batch_bytes,
            is_local=plan.loader_is_local,
        ),
        kernel=kernel,
        memory_ratio=plan.memory_ratio,
        host_bytes=plan.host_bytes,
        link_bytes=plan.link_bytes,
        network_bytes=plan.network_bytes,
        checkpoint_steps=plan.checkpoint_steps,
        checkpoint_seconds=plan.checkpoint_seconds,
        checkpoint_bytes=plan.checkpoint_bytes,
        stages=plan.stages,
        evaluation_steps=plan.evaluation_steps,
        evaluation_seconds=plan.evaluation_seconds,
        reports_steps=plan.reports_steps,
    )
