"""What the Slurm executor would run and when it refuses; no Slurm is needed to know that."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executors.executor_contract import NOW, advice
from warpgauge.core.errors import InputError
from warpgauge.core.recommendation import Approval, Precondition, Recommendation, RecommendationKind, Target, TargetType
from warpgauge.core.slurm import SlurmError, SlurmJob, SlurmNode, parse_jobs, parse_nodes
from warpgauge.executors.slurm import SlurmExecutor, commands
from warpgauge.executors.slurm.actions import Avoid, Cordon, Drain, Seen, Step, Uncordon
from warpgauge.executors.slurm.replacing import Replace

RECORDED = Path(__file__).parents[1] / "fixtures" / "slurm-22.05.8"
NODES = tuple(
    replace(node, flags=frozenset(), reason="") for node in parse_nodes((RECORDED / "sinfo.json").read_bytes())
)
GANG = replace(parse_jobs((RECORDED / "squeue.json").read_bytes())[0], start_time=int(NOW) - 600)
"""Job 1 on gpu-n0 and gpu-n1, two GPUs on each."""
ID = "0d0c9df8-2a0c-5d3e-9f2e-0a1b2c3d4e5f"


@given(st.text(max_size=300))
def test_only_what_is_plainly_one_nodes_name_is_taken(text: str):
    try:
        name = commands.node_name(text)
    except InputError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    assert not name.startswith("-")
    assert name.upper() != "ALL"


@pytest.mark.parametrize("text", ["ALL", "all", "n[0-9]", "a,b", "", "-f", "a b", "n1 state=down", "n1\nreason=x", "*"])
def test_a_name_that_slurm_would_read_as_many_nodes_or_as_words_is_refused(text: str):
    with pytest.raises(InputError, match="is not the name of one Slurm node"):
        commands.drain(text, ID)


@pytest.mark.parametrize("text", ["", "0", "1_2", "1,2", "-1", "7 ", "abc", "\u0661"])
def test_only_a_number_is_a_job(text: str):
    with pytest.raises(InputError, match="is not the number of a Slurm job"):
        commands.job_number(text)


@pytest.mark.parametrize("text", ["", "short", "a b c d e f g h", "reason=x reason=y"])
def test_only_an_id_gets_into_a_reason(text: str):
    with pytest.raises(InputError, match="is not the id of a recommendation"):
        commands.reason_of(text)


def test_each_word_is_an_argument_of_its_own():
    assert commands.drain("gpu-n1", ID) == ("update", "nodename=gpu-n1", "state=drain", f"reason=warpgauge {ID}")
    assert commands.exclude(7, ["b", "a"], "c[1-3]") == ("update", "jobid=7", "excnodelist=c[1-3],a,b")


def on(kind: RecommendationKind, **changes: Any) -> Recommendation:
    target = Target(cluster="trial", type=TargetType.NODE, name="gpu-n1", platform="slurm")
    if kind is RecommendationKind.REPLACE_STRAGGLER:
        target = replace(target, type=TargetType.WORKLOAD, name="1", node="gpu-n1")
    return advice(kind, **{"target": (target,), "preconditions": (), **changes})


REPLACE = on(RecommendationKind.REPLACE_STRAGGLER)
DRAIN = on(RecommendationKind.DRAIN)


def seen(job: SlurmJob | None = GANG, *others: SlurmJob, node: SlurmNode | None = None, reserved: bool = False) -> Seen:
    """Four idle nodes and these jobs; `node` stands for the one of its name."""
    nodes = [node if node is not None and node.name == one.name else one for one in NODES]
    return Seen(nodes=nodes, jobs=[one for one in (job, *others) if one], has_reservation=reserved)


def drained(recommendation: Recommendation) -> SlurmNode:
    return replace(NODES[1], flags=frozenset({"DRAIN"}), reason=commands.reason_of(recommendation.id))


def test_a_straggler_is_replaced_in_five_calls():
    assert Replace().objection(REPLACE, seen()) is None
    assert [step.command for step in Replace().steps(REPLACE, seen())] == [
        ("update", "nodename=gpu-n1", "state=drain", f"reason=warpgauge {REPLACE.id}"),
        ("requeuehold", "1"),
        ("update", "jobid=1", "excnodelist=gpu-n1"),
        ("update", "jobid=1", "starttime=now"),
        ("release", "1"),
    ]


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (None, "knows no job 1"),
        (replace(GANG, state="COMPLETED"), "is completed, not running"),
        (replace(GANG, held=GANG.held[:1]), "does not run on gpu-n1"),
        (replace(GANG, start_time=int(NOW)), "was started again since"),
        (replace(GANG, is_part_of_another=True), "is part of a heterogeneous job"),
        (replace(GANG, is_array_task=True), "is a task of an array"),
        (replace(GANG, is_batch=False), "is interactive"),
        (replace(GANG, is_requeueable=False), "does not want to be requeued"),
        (replace(GANG, comment="mine warpgauge=keep"), "says warpgauge=keep"),
    ],
)
def test_a_job_that_must_not_be_ended_is_left_alone(job: SlurmJob | None, why: str):
    assert why in (Replace().objection(REPLACE, seen(job)) or "")


@pytest.mark.parametrize(
    ("check", "expected", "why"),
    [
        ("slurmRestartCount", "3", "was restarted 0 times, not 3"),
        ("slurmNodeDigest", "0123", "changed since the recommendation was made"),
        ("moonPhase", "full", "cannot be checked on Slurm"),
    ],
)
def test_a_precondition_that_does_not_hold_or_is_unknown_refuses(check: str, expected: str, why: str):
    one = replace(REPLACE, preconditions=(Precondition(check=check, expected=expected),))
    assert why in (Replace().objection(one, seen()) or "")


def test_preconditions_that_hold_do_not_refuse():
    checks = {"slurmRestartCount": "0", "slurmNodeDigest": NODES[1].digest, "gang": "all or none", "findingOpen": "x"}
    one = replace(REPLACE, preconditions=tuple(Precondition(check=k, expected=v) for k, v in checks.items()))
    assert Replace().objection(one, seen()) is None


def test_what_nothing_in_slurm_shows_needs_a_person():
    checkpoint = (Precondition(check="checkpoint", expected="a fresh one"),)
    by_itself = replace(REPLACE, preconditions=checkpoint, approval=Approval(required=False))
    assert "needs a person's approval" in (Replace().objection(by_itself, seen()) or "")
    assert Replace().objection(replace(REPLACE, preconditions=checkpoint), seen()) is None


def test_the_jobs_own_word_alone_drains_no_node_without_a_person():
    told = replace(REPLACE.evidence[0], metric="training_phase_seconds_total")
    by_itself = replace(REPLACE, evidence=(told,), approval=Approval(required=False))
    assert "rests on the job's own word alone" in (Replace().objection(by_itself, seen()) or "")
    assert Replace().objection(replace(REPLACE, evidence=(told,)), seen()) is None
    assert Replace().objection(replace(REPLACE, approval=Approval(required=False)), seen()) is None


def test_a_gang_is_not_ended_where_it_could_not_start_again():
    elsewhere = zip(GANG.held, ["gpu-n2", "gpu-n3"], strict=True)
    other = replace(GANG, id=2, held=tuple(replace(one, node=node) for one, node in elsewhere))
    assert Replace().objection(REPLACE, seen(GANG, other)) is None  # two of four devices are free on each
    full = replace(other, held=tuple(replace(one, gpus=(0, 1, 2)) for one in other.held))
    assert "needs 2 nodes without gpu-n1, and 1 have room now" in (Replace().objection(REPLACE, seen(GANG, full)) or "")


@pytest.mark.parametrize("action", [Drain(), Cordon(), Avoid(), Replace()])
def test_a_node_that_somebody_else_drained_is_theirs(action: Any):
    theirs = replace(NODES[1], flags=frozenset({"DRAIN"}), reason="fan broken")
    recommendation = REPLACE if isinstance(action, Replace) else DRAIN
    assert "is drained already: fan broken" in (action.objection(recommendation, seen(node=theirs)) or "")


@pytest.mark.parametrize("flag", ["MAINTENANCE", "REBOOT_ISSUED", "FAIL"])
def test_a_node_in_maintenance_is_somebody_elses(flag: str):
    theirs = replace(NODES[1], flags=frozenset({flag}))
    assert f"in somebody else's hands: {flag.lower()}" in (Drain().objection(DRAIN, seen(node=theirs)) or "")
    assert Cordon().objection(DRAIN, seen(node=theirs, reserved=True)) is None


def test_a_drain_of_somebody_else_is_not_ended():
    theirs = replace(NODES[1], flags=frozenset({"DRAIN"}), reason="fan broken")
    assert Drain().way_back(DRAIN, (), seen(node=theirs)) == ()
    assert "by somebody else: fan broken" in (Uncordon().objection(DRAIN, seen(node=theirs)) or "")


@pytest.mark.parametrize("kind", [RecommendationKind.DRAIN, RecommendationKind.REPLACE_STRAGGLER])
def test_a_node_that_is_gone_is_refused(kind: RecommendationKind):
    gone = Seen(nodes=NODES[2:], jobs=[GANG], has_reservation=False)
    action = Drain() if kind is RecommendationKind.DRAIN else Replace()
    assert "Slurm has no node gpu-n1" in (action.objection(on(kind), gone) or "")


def test_what_was_begun_before_a_crash_is_gone_on_with():
    held = replace(GANG, state="PENDING", reason="JobHeldUser", held=(), restarts=1, start_time=int(NOW) + 99)
    begun = seen(held, node=drained(REPLACE))
    assert Replace().objection(REPLACE, begun) is None
    assert [step.command[0] for step in Replace().steps(REPLACE, begun)] == ["update", "update", "release"]


def test_what_was_done_before_a_crash_is_not_done_again():
    moved = replace(GANG, held=tuple(replace(one, node="gpu-n3") for one in GANG.held[:1]), restarts=1)
    assert Replace().steps(REPLACE, seen(moved, node=drained(REPLACE))) == ()


def test_nodes_that_the_job_excluded_before_stay_excluded():
    picky = replace(GANG, excluded_nodes="old[1-2]")
    assert ("update", "jobid=1", "excnodelist=old[1-2],gpu-n1") in [
        step.command for step in Replace().steps(REPLACE, seen(picky))
    ]


def test_only_a_whole_job_can_be_replaced():
    device = replace(REPLACE, target=(replace(REPLACE.target[0], type=TargetType.DEVICE),))
    with pytest.raises(InputError, match="Slurm can only move whole jobs"):
        Replace().objection(device, seen())


def test_a_heavier_node_gets_the_weight_back_that_it_had():
    heavy = replace(NODES[1], weight=7)
    (step,) = Avoid().steps(DRAIN, seen(node=heavy))
    refs = Avoid().refs(DRAIN, seen(node=heavy))
    (back,) = Avoid().way_back(DRAIN, refs, seen(node=replace(heavy, weight=1_000_007)))
    assert (step.command[-1], step.undo[-1], back.command[-1]) == ("weight=1000007", "weight=7", "weight=7")
    assert Avoid().refs(DRAIN, seen(node=replace(heavy, weight=1_000_007))) == refs


class Queue:
    """A cluster whose scheduler says why job 1 waits, one word a look, the last for ever."""

    def __init__(self, *reasons: str | None) -> None:
        self.reasons, self.told = list(reasons), []

    def waits_for(self, _: int) -> str | None:
        return self.reasons.pop(0) if len(self.reasons) > 1 else self.reasons[0]

    def control(self, words: commands.Command) -> str:
        self.told.append(words)
        if "running by now" in self.reasons:
            message = "Job is no longer pending execution"
            raise SlurmError(message)
        return ""


def test_a_job_is_not_started_in_the_second_in_which_it_ended():
    """A node that it ran on would refuse it: its credential was revoked in that second."""
    states, pauses = ["RUNNING", "COMPLETING", "COMPLETING", "PENDING"], []
    queue = Queue(None)
    queue.job_state = lambda _: states.pop(0)

    SlurmExecutor(queue, pause=pauses.append)._run(Step(command=commands.requeue_and_hold(1), undo=None))

    assert not states
    assert pauses[-1] >= 1.0 + 1.0  # to the next whole second, and one for a controller that rounds


def released(queue: Queue) -> tuple[int, float]:
    """How often a released job was told to start now, and how many seconds that took."""
    pauses: list[float] = []
    SlurmExecutor(queue, pause=pauses.append)._run(Step(command=commands.release(1), undo=None))
    assert queue.told[0] == commands.release(1)
    assert set(queue.told[1:]) <= {commands.start_now(1)}
    return len(queue.told) - 1, sum(pauses)


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ((None,), 0),
        (("Resources",), 0),
        (("None", "None", "Priority"), 0),
        (("None", "BeginTime", None), 1),
        (("BeginTime", "None", "BeginTime", "Resources"), 2),
    ],
)
def test_a_released_job_is_told_to_start_now_each_time_that_slurm_put_it_off(
    reasons: tuple[str | None, ...], told: int
):
    assert released(Queue(*reasons))[0] == told


@pytest.mark.parametrize("reason", ["None", "BeginTime"])
def test_a_job_that_waits_all_the_same_is_left_to_slurm_after_ten_seconds(reason: str):
    assert released(Queue(reason))[1] == pytest.approx(10.0)


def test_a_job_that_begins_to_run_meanwhile_is_no_failure():
    queue = Queue("BeginTime", "running by now")
    queue.told.append(commands.release(1))

    SlurmExecutor(queue, pause=lambda _: None)._until_startable(1)

    assert queue.told[1:] == [commands.start_now(1)]
