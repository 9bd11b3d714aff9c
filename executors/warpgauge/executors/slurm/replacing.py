"""Taking a job off a node that holds it back: the node is drained, the job queued again without it.

Slurm starts a job again from its batch script, so a job is moved whole and goes on from its own last checkpoint. It is
held while it is told where not to go; a job that is held by us, on a node that is drained by us, is gone on with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.core.ack import NativeRef
from warpgauge.core.errors import InputError
from warpgauge.core.recommendation import TargetType
from warpgauge.executors.slurm import commands
from warpgauge.executors.slurm.actions import Drain, Step, node_of, unfit_node
from warpgauge.executors.slurm.room import nodes_with_room
from warpgauge.executors.vouching import unvouched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.slurm import SlurmJob
    from warpgauge.executors.slurm.actions import Seen

__all__ = ["CHECKED", "OPT_OUT", "Replace", "is_held", "is_on", "job_of", "moved_job", "no_room", "untouchable"]

OPT_OUT: Final = "warpgauge=keep"
"""A word in a job's comment (sbatch --comment): this job is not to be disturbed."""

CHECKED: Final = frozenset({"findingOpen", "spareDevice", "spareNode", "gang", "slurmNodeDigest", "slurmRestartCount"})
"""Preconditions of a move that need no person to stand for them."""


class Replace:
    """Drains the node of a straggler and lets its job start elsewhere."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """Anything that speaks against ending the job and starting it elsewhere now."""
        job = seen.job(job_of(advice))
        if job is None:
            return f"Slurm knows no job {job_of(advice)}"
        if (why := unfit_node(advice, seen) or unvouched(advice, CHECKED, "Slurm")) is not None:
            return why
        if _is_begun(advice, seen):
            return None
        return untouchable(job, advice) or no_room(job, advice, seen)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """Drain, requeue held, exclude, start; without those that are done."""
        node, job = node_of(advice), seen.job(job_of(advice))
        steps = list(Drain().steps(advice, seen))
        if job is not None and job.state == "RUNNING" and is_on(job, node):
            steps.append(Step(command=commands.requeue_and_hold(job.id), undo=None))
        elif job is None or not is_held(job):
            return tuple(steps)
        return (
            *steps,
            Step(command=commands.exclude(job.id, [node], job.excluded_nodes), undo=None),
            Step(command=commands.start_now(job.id), undo=None),
            Step(command=commands.release(job.id), undo=None),
        )

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The node and the job, with the number of the run that follows."""
        return (NativeRef(kind="node", name=node_of(advice)), moved_job(advice, seen))

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:
        """Resume the node. The job stays where it runs: taking it back would only end it once more."""
        return Drain().way_back(advice, refs, seen)


def moved_job(advice: Recommendation, seen: Seen) -> NativeRef:
    """The job, with the number of the run that follows the move."""
    job = seen.job(job_of(advice))
    moved = NativeRef(kind="job", name=str(job_of(advice)))
    if job is None:
        return moved
    is_ahead = job.state == "RUNNING" and is_on(job, node_of(advice))
    return replace(moved, version=f"restarts={job.restarts + is_ahead}")


def is_held(job: SlurmJob) -> bool:
    """Whether it waits for somebody's word, which after a requeue of ours is our own."""
    return job.state == "PENDING" and job.reason in {"JobHeldUser", "JobHeldAdmin"}


def job_of(advice: Recommendation) -> int:
    """The number of the job that is to be moved; InputError if the target is none."""
    target = advice.target[0]
    if target.type is not TargetType.WORKLOAD:
        msg = f"a {target.type} is no job: Slurm can only move whole jobs"
        raise InputError(msg)
    return commands.job_number(target.name)


def is_on(job: SlurmJob, node: str) -> bool:
    """Whether it holds something of the node."""
    return any(held.node == node for held in job.held)


def _is_begun(advice: Recommendation, seen: Seen) -> bool:
    """Whether the node is drained for this very recommendation, which is our first step."""
    node = seen.node(node_of(advice))
    return node is not None and node.is_drained and node.reason == commands.reason_of(advice.id)


def untouchable(job: SlurmJob, advice: Recommendation) -> str | None:
    """What the job itself has against it; its run must be the one that the recommendation is about."""
    expected = next((one.expected for one in advice.preconditions if one.check == "slurmRestartCount"), None)
    checks = (
        (job.state != "RUNNING", f"job {job.id} is {job.state.lower()}, not running"),
        (not is_on(job, node_of(advice)), f"job {job.id} does not run on {node_of(advice)}"),
        (job.start_time > advice.created, f"job {job.id} was started again since the recommendation was made"),
        (expected not in {None, str(job.restarts)}, f"job {job.id} was restarted {job.restarts} times, not {expected}"),
        (bool(job.required_nodes), f"job {job.id} asks for {job.required_nodes} by name and would wait for it"),
        (job.is_part_of_another, f"job {job.id} is part of a heterogeneous job, which is not moved in parts"),
        (job.is_array_task, f"job {job.id} is a task of an array: Slurm could end all of its tasks"),
        (not job.is_batch, f"job {job.id} is interactive: Slurm cannot start it again"),
        (not job.is_requeueable, f"job {job.id} does not want to be requeued (sbatch --no-requeue)"),
        (OPT_OUT in job.comment.split(), f"job {job.id} says {OPT_OUT} in its comment"),
    )
    return next((reason for objects, reason in checks if objects), None)


def no_room(job: SlurmJob, advice: Recommendation, seen: Seen) -> str | None:
    """That it would not find room elsewhere right away."""
    needed = max(len(job.held), 1)
    room = nodes_with_room(job, node_of(advice), seen.nodes, seen.jobs)
    if len(room) >= needed:
        return None
    return f"job {job.id} needs {needed} nodes without {node_of(advice)}, and {len(room)} have room now"
