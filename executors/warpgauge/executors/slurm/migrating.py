"""Moving a job to other nodes while the one that it leaves goes on working for others.

As a replacement, without the drain. What tells our hold from its owner's after a crash is a mark in the job's
administrator's comment, which outlives the requeue; it also keeps what the job excluded before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.core.ack import NativeRef
from warpgauge.executors.slurm import commands
from warpgauge.executors.slurm.actions import Step, node_of, unfit_node
from warpgauge.executors.slurm.replacing import CHECKED, is_held, is_on, job_of, moved_job, no_room, untouchable
from warpgauge.executors.vouching import unvouched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.slurm import SlurmJob
    from warpgauge.executors.slurm.actions import Seen

__all__ = ["Migrate"]


class Migrate:
    """Queues a running job again without a node, and starts it at once on others."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """Anything that speaks against ending the job and starting it elsewhere now."""
        job = seen.job(job_of(advice))
        if job is None:
            return f"Slurm knows no job {job_of(advice)}"
        if (why := unfit_node(advice, seen) or unvouched(advice, CHECKED, "Slurm")) is not None:
            return why
        if _excluded_before(job, advice) is not None:
            return None  # begun: the mark is our first step
        _marking(job, advice)  # InputError if there is no room for it
        return untouchable(job, advice) or no_room(job, advice, seen)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """Mark, requeue held, exclude, start; without those that are done."""
        job, node = seen.job(job_of(advice)), node_of(advice)
        if job is None:
            return ()
        before = _excluded_before(job, advice)
        steps = [] if before is not None else [_marking(job, advice)]
        if job.state == "RUNNING" and is_on(job, node):
            steps.append(Step(command=commands.requeue_and_hold(job.id), undo=None))
        elif before is None or not is_held(job):
            return ()
        excluded = job.excluded_nodes if before is None else before
        return (
            *steps,
            Step(command=commands.exclude(job.id, [node], excluded), undo=None),
            Step(command=commands.start_now(job.id), undo=None),
            Step(command=commands.release(job.id), undo=None),
        )

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The job, with the number of the run that follows, and the node that it leaves."""
        return (moved_job(advice, seen), NativeRef(kind="excludedNode", name=node_of(advice)))

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:  # noqa: ARG002 - the protocol's shape
        """Let it have the node again: its mark goes, and while it waits, what we excluded too.

        Of a running job Slurm changes no exclusion; and taking it back would only end it once more.
        """
        job = seen.job(job_of(advice))
        mark = None if job is None else commands.mark_of(advice.id, job.admin_comment)
        if job is None or mark is None:
            return ()
        steps = []
        if job.state == "PENDING" and mark.end() == len(job.admin_comment):  # else a later one excluded more
            before, now = commands.restrict(job.id, mark["excluded"]), commands.restrict(job.id, job.excluded_nodes)
            steps.append(Step(command=before, undo=now))
        rest = f"{job.admin_comment[: mark.start()]}{job.admin_comment[mark.end() :]}"
        unmark, again = commands.remark(job.id, rest.strip()), commands.remark(job.id, job.admin_comment)
        return (*steps, Step(command=unmark, undo=again))


def _excluded_before(job: SlurmJob, advice: Recommendation) -> str | None:
    """What it excluded before it was marked for this very recommendation, None if it was not."""
    mark = commands.mark_of(advice.id, job.admin_comment)
    return None if mark is None else mark["excluded"]


def _marking(job: SlurmJob, advice: Recommendation) -> Step:
    return Step(
        command=commands.mark(job.id, advice.id, job.excluded_nodes, job.admin_comment),
        undo=commands.remark(job.id, job.admin_comment),
    )
