"""What to advise for each kind of finding: the action, its target, what to check before, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.recommend.parting import disturber_of
from warpgauge.analyzer.recommend.relief import STARTS_ELSEWHERE
from warpgauge.core.catalog import host
from warpgauge.core.finding import Finding, FindingKind
from warpgauge.core.recommendation import Precondition, RecommendationKind, Reversible, Target, TargetType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.analyzer.recommend.topology import Topology
    from warpgauge.core.finding import Whose

__all__ = ["Advice", "advice_for", "is_self_reported"]

_SELF_REPORTED: Final = "training_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """An action for a finding, before any limit was applied."""

    kind: RecommendationKind
    target: Target
    reversible: Reversible
    undo: str | None
    summary: str
    preconditions: tuple[Precondition, ...] = ()
    removes_cause: bool = True  # whether the finding's cost would be won back
    ends_own_work_only: bool = False  # whether the one job that it disturbs is the one that the finding is about
    helps: Target | None = None  # whose work goes better by it, where it is not the target's own

    def disturbed(self, finding: Finding) -> str:
        """The job that following it would disturb, "" if that is none."""
        return self.target.name if self.target.type is TargetType.WORKLOAD else finding.scope.job_id or ""


def is_self_reported(finding: Finding) -> bool:
    """Whether nothing but the job's own word supports the finding; that never costs others anything."""
    return all(row.metric.startswith(_SELF_REPORTED) for row in finding.evidence)


def advice_for(finding: Finding, topology: Topology) -> tuple[Advice, ...]:
    """The advice for a finding; none if nothing a scheduler or operator could be told goes beyond its remedy."""
    made = (rule(finding, topology) for rule in _RULES.get(finding.kind, ()))
    return tuple(one for one in made if one is not None)


def _workload(finding: Finding, topology: Topology) -> Target:
    cluster, job_id = finding.scope.cluster or "", finding.scope.job_id or ""
    return Target(
        cluster=cluster,
        type=TargetType.WORKLOAD,
        name=job_id,
        platform=topology.platforms.get((cluster, job_id)),
        node=finding.scope.node,
        gpu_uuid=finding.scope.uuid,
    )


def _device(finding: Finding, topology: Topology) -> Target:
    scope = finding.scope
    cluster = scope.cluster or ""
    return Target(
        cluster=cluster,
        type=TargetType.DEVICE,
        name=scope.uuid or "",
        platform=topology.platforms.get((cluster, scope.job_id or "")),
        node=scope.node,
        gpu_uuid=scope.uuid,
        mig_instance=scope.instance_id,
    )


def _input_bound(finding: Finding, topology: Topology) -> Advice:
    return Advice(
        kind=RecommendationKind.FIX_INPUT_PIPELINE,
        target=_workload(finding, topology),
        reversible=Reversible.YES,
        undo="Set the loader back to what it was.",
        summary=f"Make the input pipeline of job {finding.scope.job_id} faster.",
    )


def _thermal(finding: Finding, topology: Topology) -> Advice | None:
    if not finding.scope.uuid:
        return None
    return Advice(
        kind=RecommendationKind.CHECK_COOLING,
        target=_device(finding, topology),
        reversible=Reversible.YES,
        undo="Nothing is changed.",
        summary=f"Check the cooling of {finding.scope.uuid} in {finding.scope.node}.",
    )


def _off_the_hot_node(finding: Finding, topology: Topology) -> Advice | None:
    """Off a node that heat or power slows, if the planner knows a cool one; the hardware is looked at all the same."""
    plan = topology.relief.get(finding.id)
    if plan is None or not plan.moves:
        return None
    job, (move,) = finding.scope.job_id, plan.moves
    target = _workload(finding, topology)
    return Advice(
        kind=RecommendationKind.MIGRATE,
        target=target,
        reversible=Reversible.PARTLY,
        undo=f"Let {_taker(target, move.source)} again; the job stays where it runs then.",
        summary=f"Move job {job} off {move.source}, which is slowed down: {move.target} is cool and has room.",
        preconditions=(
            Precondition(check="spareNode", expected=f"room for job {job} on a node that is not slowed down"),
            Precondition(check="checkpoint", expected=f"a fresh one of job {job}"),
        ),
    )


def _apart(finding: Finding, topology: Topology) -> Advice | None:
    """Two jobs apart, where one is named that disturbs and there is a place; else no more work for the node."""
    parting, whose = topology.parting.get(finding.id), disturber_of(finding)
    if parting is None or whose is None:
        return _no_more(finding, topology, whose)
    victim, node = _workload(finding, topology), finding.scope.node
    target = replace(victim, name=parting.job, platform=parting.scheduler)
    if parting.job != victim.name:
        target = replace(target, gpu_uuid=None)  # which is the other one's
    there = f"{parting.target} has room" if parting.target else "it holds no device, its core has to find the room"
    return Advice(
        kind=RecommendationKind.SEPARATE,
        target=target,
        reversible=Reversible.PARTLY,
        undo=f"Let {_taker(target, node)} again; job {parting.job} stays where it runs then.",
        summary=f"Move job {parting.job} off {node}, where job {whose.job_id} slows job {victim.name} down: {there}.",
        preconditions=(
            Precondition(check="spareNode", expected=f"room for job {parting.job} on another node than {node}"),
            Precondition(check="checkpoint", expected=f"a fresh one of job {parting.job}"),
        ),
        helps=victim,
    )


def _taker(target: Target, node: str | None) -> str:
    """What a move takes a node from: on Slurm the job alone, elsewhere all work."""
    return f"job {target.name} have {node}" if target.platform == "slurm" else f"{node} take work"


def _no_more(finding: Finding, topology: Topology, whose: Whose | None) -> Advice | None:
    """Where the CPUs are what is short and nobody can be parted: what runs there is for people to look at."""
    scope = finding.scope
    if not scope.node or not any(row.metric.startswith(host.PRESSURE_SECONDS.name) for row in finding.evidence):
        return None
    why = f"job {whose.job_id}, which has no other place, takes" if whose else "a load that is no one job's takes"
    return Advice(
        kind=RecommendationKind.AVOID_NODE,
        target=Target(
            cluster=scope.cluster or "",
            type=TargetType.NODE,
            name=scope.node,
            platform=topology.platforms.get((scope.cluster or "", scope.job_id or "")),
            node=scope.node,
        ),
        reversible=Reversible.YES,
        undo=f"Let {scope.node} be taken like any other node again.",
        summary=f"Give {scope.node} work last, and look at what runs there: {why} its CPUs from job {scope.job_id}.",
        removes_cause=False,
    )


def _straggler(finding: Finding, topology: Topology) -> Advice | None:
    """Replace it only with a spare at hand and on the device's own evidence; a gang is never restarted in hope."""
    scope = finding.scope
    if not scope.uuid:
        return _leave_node(finding, topology)
    spares = topology.spare_for(scope.cluster or "", scope.uuid)
    if not spares or is_self_reported(finding):
        return _inspect(finding, topology)
    workload = _workload(finding, topology)
    return Advice(
        kind=RecommendationKind.REPLACE_STRAGGLER,
        target=workload if workload.platform in STARTS_ELSEWHERE else _device(finding, topology),
        reversible=Reversible.PARTLY,
        undo="Start the job again from its checkpoint on the devices it had; steps since the checkpoint are lost.",
        summary=f"Move rank {scope.rank} of job {scope.job_id} from {scope.uuid} to a spare device.",
        preconditions=(
            Precondition(check="spareDevice", expected=f"at least 1 of the same model in cluster {scope.cluster}"),
            Precondition(check="checkpoint", expected=f"a fresh one of job {scope.job_id}"),
            Precondition(check="gang", expected="all ranks move or none"),
        ),
    )


def _leave_node(finding: Finding, topology: Topology) -> Advice | None:
    """Off a node, where only the node is known: Slurm starts a job again elsewhere, and its executor looks for room.

    A job's own word is enough to end that job, once a person agreed; the drain ends nobody's work.
    """
    scope, target = finding.scope, _workload(finding, topology)
    if target.platform != "slurm" or not target.node:
        return None
    return Advice(
        kind=RecommendationKind.REPLACE_STRAGGLER,
        target=target,
        reversible=Reversible.PARTLY,
        undo=f"Resume node {target.node}; the job stays where it runs then, steps since its checkpoint are lost.",
        summary=f"Drain node {target.node} and queue job {scope.job_id} again without it.",
        preconditions=(
            Precondition(check="spareNode", expected=f"room for all of job {scope.job_id} without {target.node}"),
            Precondition(check="checkpoint", expected=f"a fresh one of job {scope.job_id}"),
            Precondition(check="gang", expected="all ranks move or none"),
        ),
        ends_own_work_only=True,
    )


def _inspect(finding: Finding, topology: Topology) -> Advice:
    return Advice(
        kind=RecommendationKind.INSPECT_HARDWARE,
        target=_device(finding, topology),
        reversible=Reversible.YES,
        undo="Nothing is changed.",
        summary=f"Inspect {finding.scope.uuid} in {finding.scope.node}.",
        removes_cause=False,
    )


_BACK_TO_WORK: Final = {
    "yarn": "Give it the priority that it had.",
    "kubernetes": "Resume its Job, or scale its set to 1 again; what it held in memory is lost.",
}


def _idle(finding: Finding, topology: Topology) -> Advice:
    """On YARN an application goes to the end of its queue, which ends nothing; elsewhere the job is ended."""
    target = _workload(finding, topology)
    is_yarn = target.platform == "yarn"
    words = "Put idle application {} last in its queue" if is_yarn else "Take back the idle devices of job {}"
    return Advice(
        kind=RecommendationKind.RECLAIM_IDLE,
        target=target,
        reversible=Reversible.YES if is_yarn else Reversible.PARTLY,
        undo=_BACK_TO_WORK.get(target.platform or "", "Submit the job again; what it held in memory is lost."),
        summary=f"{words.format(finding.scope.job_id)}, once its owner was asked.",
        preconditions=(
            Precondition(check="ownerTold", expected="before anything is ended"),
            Precondition(check="stillIdle", expected=f"activity of job {finding.scope.job_id} as in the evidence"),
        ),
    )


def _smaller(finding: Finding, topology: Topology) -> Advice:
    """Onto an instance that holds what it used; nobody but people cuts a device and starts the job on a part of it."""
    job = finding.scope.job_id
    return Advice(
        kind=RecommendationKind.MIG_REPROFILE,
        target=_workload(finding, topology),
        reversible=Reversible.PARTLY,
        undo=f"Give job {job} the whole device again; it is started anew for that.",
        summary=finding.remedy,
        preconditions=(
            Precondition(check="ownerTold", expected="before anything is ended"),
            Precondition(check="checkpoint", expected=f"a fresh one of job {job}"),
            Precondition(check="deviceUnused", expected="no process holds the device while it is cut"),
        ),
    )


def _faulty_device(finding: Finding, topology: Topology) -> Advice | None:
    if not finding.scope.uuid:
        return None
    needs_reset = any(row.unit in {"needs_reset", "hung"} for row in finding.evidence)
    if not needs_reset:
        return _inspect(finding, topology)
    return Advice(
        kind=RecommendationKind.RESET_DEVICE,
        target=_device(finding, topology),
        reversible=Reversible.NO,
        undo=None,
        summary=f"Reset {finding.scope.uuid} in {finding.scope.node}.",
        preconditions=(Precondition(check="deviceUnused", expected="no process holds the device"),),
    )


_RULES: Final[Mapping[FindingKind, tuple[Callable[[Finding, Topology], Advice | None], ...]]] = {
    FindingKind.INPUT_BOUND: (_input_bound,),
    FindingKind.THERMAL_LIMITED: (_thermal, _off_the_hot_node),
    FindingKind.HARDWARE_THROTTLE: (_off_the_hot_node,),
    FindingKind.STRAGGLER: (_straggler,),
    FindingKind.NOISY_NEIGHBOR: (_apart,),
    FindingKind.IDLE_ALLOCATED: (_idle,),
    FindingKind.OVERSIZED: (_smaller,),
    FindingKind.DEVICE_LOST: (_faulty_device,),
    FindingKind.DEVICE_HUNG: (_faulty_device,),
}
