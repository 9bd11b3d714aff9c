"""What the YARN executor writes, calls and refuses: the file of excluded hosts, rmadmin, and pure decisions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executors.executor_contract import advice
from warpgauge.core.ack import NativeRef
from warpgauge.core.errors import ConfigError, InputError, StorageError
from warpgauge.core.recommendation import Approval, Precondition, Recommendation, RecommendationKind, Target, TargetType
from warpgauge.core.yarn import Resources, YarnError, YarnQueue, parse_apps, parse_nodes
from warpgauge.executors import Order
from warpgauge.executors.yarn import Admin, Exclusion, YarnExecutor, calls
from warpgauge.executors.yarn.actions import Avoid, Cordon, Drain, Seen, Uncordon
from warpgauge.executors.yarn.applications import Move, Yield
from warpgauge.executors.yarn.exclusion import mark_of

RECORDED = Path(__file__).parents[1] / "fixtures" / "yarn-3.5.0"
NODES = parse_nodes(json.loads((RECORDED / "nodes.json").read_text()))
APP = parse_apps(json.loads((RECORDED / "apps.json").read_text()))[0]
QUEUES = (YarnQueue(path="root.train", state="RUNNING"), YarnQueue(path="root.batch", state="RUNNING"))
WHOLE = "memory-mb=4096,vcores=8,yarn.io/gpu=4"


def on_node(kind: RecommendationKind = RecommendationKind.DRAIN, name: str = "gpu-n1", **checks: str) -> Recommendation:
    target = Target(cluster="trial", type=TargetType.NODE, name=name, platform="yarn")
    return advice(kind, target=(target,), preconditions=_preconditions(checks))


def of_app(kind: RecommendationKind, *queues: str, **checks: str) -> Recommendation:
    targets = [Target(cluster="trial", type=TargetType.WORKLOAD, name=APP.id, platform="yarn")]
    targets += [Target(cluster="trial", type=TargetType.QUEUE, name=queue, platform="yarn") for queue in queues]
    return advice(kind, target=tuple(targets), preconditions=_preconditions(checks))


def _preconditions(checks: dict[str, str]) -> tuple[Precondition, ...]:
    return tuple(Precondition(check=check, expected=expected) for check, expected in checks.items())


MOVE = of_app(RecommendationKind.REBALANCE_QUEUE, "batch")
DRAIN = on_node()


def seen(**changes: Any) -> Seen:
    """The recorded nodes and application; `node` stands for the second node."""
    nodes = (NODES[0], changes.pop("node", NODES[1]), NODES[2])
    return Seen(**{"nodes": nodes, "app": APP, "queues": QUEUES, "labels": frozenset({"avoid"}), **changes})


@pytest.mark.parametrize("text", ["", "a b", "a,b", "*", "-f", "a\nb", "a#b", "a" * 300])
def test_only_what_is_plainly_one_hosts_name_gets_into_the_file(text: str):
    with pytest.raises(InputError, match="is not the name of one host"):
        calls.exclude(text, "mark")


@pytest.mark.parametrize("text", ["", "application_1", "application_1_2/../x", "application_1_2 ", "job_1_2"])
def test_only_an_id_is_an_application(text: str):
    with pytest.raises(InputError, match="is not the id of a YARN application"):
        calls.app_id(text)


_LINE = st.from_regex(r"[a-z][a-z0-9.-]{0,8}( +[a-z][a-z0-9]{0,4})?( *# *[ -~]{0,12})?", fullmatch=True)


@given(lines=st.lists(_LINE | st.just("") | st.just("# only words"), max_size=6))
def test_what_others_wrote_into_the_file_stays_as_it_is(lines: list[str], tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("exclusion") / "exclude"
    before = "".join(f"{line}\n" for line in lines if "warpgauge" not in line)
    path.write_text(before)
    exclusion = Exclusion(path)
    exclusion.add("our-own-host.example", mark_of(DRAIN.id))
    assert exclusion.hosts()["our-own-host.example"] == mark_of(DRAIN.id)
    exclusion.remove("our-own-host.example")
    assert path.read_text() == before


def test_a_line_without_our_mark_is_never_removed(tmp_path: Path):
    (tmp_path / "exclude").write_text("gpu-n1 # fan broken\ngpu-n1 gpu-n2 # warpgauge x\n")
    Exclusion(tmp_path / "exclude").remove("gpu-n1")
    assert (tmp_path / "exclude").read_text() == "gpu-n1 # fan broken\ngpu-n1 gpu-n2 # warpgauge x\n"


def test_the_file_stays_readable_for_yarn(tmp_path: Path):
    path = tmp_path / "exclude"
    path.touch()
    path.chmod(0o664)
    Exclusion(path).add("gpu-n1", "mark")
    assert path.stat().st_mode & 0o777 == 0o664


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot read"):
        Exclusion(tmp_path / "exclude").add("gpu-n1", "mark")
    assert not (tmp_path / "exclude").exists()


def test_the_xml_form_is_refused_at_the_start(tmp_path: Path):
    with pytest.raises(ConfigError, match="not XML"):
        Exclusion(tmp_path / "exclude.xml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/bin/sh", "-c", "echo 'java.lang.X: no' >&2; exit 1"], "exit status 1, it said: java.lang.X: no"),
        (["/bin/sh", "-c", "exit 3"], "exit status 3, it said: nothing"),
        ([], "yarn.rmadmin is empty"),
        (["no-such-program"], "yarn.rmadmin says how to call it"),
        (["/bin/sh", "-c", "exec sleep 60"], "no answer within 0 s"),
    ],
)
def test_an_admins_program_that_fails_is_told_in_its_words(words: list[str], said: str):
    seconds = 0.2 if "sleep" in " ".join(words) else 30.0
    with pytest.raises(YarnError, match=said):
        Admin(words, {"PATH": "/usr/bin:/bin"}, timeout_seconds=seconds).call(["-refreshNodes"])


def test_the_admins_program_sees_no_more_of_our_environment_than_it_needs(tmp_path: Path):
    shown = tmp_path / "shown"
    environ = {"PATH": "/usr/bin:/bin", "HADOOP_CONF_DIR": "/etc/hadoop", "WARPGAUGE_WEBHOOK_SECRET": "s"}
    Admin(["/bin/sh", "-c", f"env > {shown}"], environ).call([])
    assert "HADOOP_CONF_DIR=/etc/hadoop" in shown.read_text()
    assert "SECRET" not in shown.read_text()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"app": None}, "YARN knows no application"),
        ({"app": replace(APP, state="FINISHED")}, "is finished, not running"),
        ({"app": replace(APP, tags=frozenset({"mine", "warpgauge-keep"}))}, "has the tag warpgauge-keep"),
        ({"queues": QUEUES[:1]}, "has no queue batch"),
        ({"queues": (*QUEUES, YarnQueue(path="root.x.batch", state="RUNNING"))}, "has no queue batch"),
        ({"queues": (replace(QUEUES[1], state="DRAINING"),)}, "queue root.batch is draining"),
    ],
)
def test_an_application_that_must_not_be_moved_is_left_alone(changes: dict[str, Any], why: str):
    assert why in (Move().objection(MOVE, seen(**changes)) or "")


@pytest.mark.parametrize(
    ("checks", "why"),
    [
        ({"yarnQueue": "root.other"}, "is in root.train by now, not in root.other"),
        ({"yarnAttempt": "appattempt_1_0001_000002"}, "is in no attempt by now"),
        ({"moonPhase": "full"}, "moonPhase cannot be checked on YARN"),
    ],
)
def test_a_precondition_that_does_not_hold_or_is_unknown_refuses(checks: dict[str, str], why: str):
    assert why in (Move().objection(of_app(RecommendationKind.REBALANCE_QUEUE, "batch", **checks), seen()) or "")


def test_what_nothing_in_yarn_shows_needs_a_person():
    order = of_app(RecommendationKind.RECLAIM_IDLE, ownerTold="yes")
    assert "needs a person's approval" in (
        Yield().objection(replace(order, approval=Approval(required=False)), seen()) or ""
    )
    assert Yield().objection(order, seen()) is None


def test_the_jobs_own_word_alone_disturbs_nobody_without_a_person():
    told = replace(DRAIN.evidence[0], metric="training_phase_seconds_total")
    alone = replace(DRAIN, evidence=(told,), approval=Approval(required=False))
    assert "rests on the job's own word alone" in (Drain().objection(alone, seen()) or "")


@pytest.mark.parametrize("queues", [(), ("a", "b")])
def test_a_move_must_name_one_queue(queues: tuple[str, ...]):
    with pytest.raises(InputError, match="must name one queue to move to"):
        Move().objection(of_app(RecommendationKind.REBALANCE_QUEUE, *queues), seen())


def test_an_application_that_was_moved_on_is_not_moved_back():
    refs = (NativeRef(kind="application", name=APP.id, version="queue:root.train"),)
    there = replace(APP, queue="root.batch")
    assert [step.call for step in Move().way_back(MOVE, refs, seen(app=there))] == [("move", APP.id, "root.train")]
    assert Move().way_back(MOVE, refs, seen(app=replace(APP, queue="root.other"))) == ()


@pytest.mark.parametrize(
    ("action", "kind", "state"),
    [
        (Move(), RecommendationKind.REBALANCE_QUEUE, {"app": replace(APP, queue="root.batch")}),
        (Yield(), RecommendationKind.RECLAIM_IDLE, {"app": replace(APP, priority=0)}),
    ],
)
def test_a_value_that_nobody_remembers_is_not_made_up(action: Any, kind: RecommendationKind, state: dict[str, Any]):
    order = of_app(kind, "batch")
    refs = action.refs(order, seen(**state))
    assert [ref.version for ref in refs] == [None]
    with pytest.raises(InputError, match="is not known here, so a person must set it back"):
        action.way_back(order, refs, seen(**state))


def test_a_host_with_several_nodes_is_not_guessed_at():
    twin = replace(NODES[1], id="gpu-n1:1")
    with pytest.raises(InputError, match="gpu-n1 has several nodes: gpu-n1:"):
        Drain().objection(DRAIN, Seen(nodes=(NODES[1], twin)))


def test_a_node_that_came_back_under_another_port_is_the_node():
    old = replace(NODES[1], id="gpu-n1:1", state="DECOMMISSIONED")
    assert Seen(nodes=(old, NODES[1])).node("gpu-n1") == NODES[1]


def test_a_short_name_finds_the_host_with_its_domain():
    full = replace(NODES[1], host="gpu-n1.example.org")
    assert Drain().steps(DRAIN, Seen(nodes=(full,)))[0].call == ("exclude", full.host, mark_of(DRAIN.id))


@pytest.mark.parametrize("state", ["LOST", "REBOOTED", "SHUTDOWN"])
def test_a_node_that_is_away_is_left_alone(state: str):
    away = replace(NODES[1], state=state)
    assert f"node gpu-n1 is {state.lower()}" in (Drain().objection(DRAIN, seen(node=away)) or "")


def test_a_node_that_somebody_else_decommissions_is_theirs():
    leaving = replace(NODES[1], state="DECOMMISSIONING")
    assert "is decommissioning already, and not by us" in (Drain().objection(DRAIN, seen(node=leaving)) or "")


def test_a_node_that_changed_is_left_alone():
    order = on_node(yarnNodeDigest=NODES[1].digest)
    assert Drain().objection(order, seen()) is None
    changed = replace(NODES[1], labels=("avoid",))
    assert "changed since" in (Drain().objection(order, seen(node=changed)) or "")


def test_what_was_begun_before_a_crash_is_gone_on_with():
    begun = seen(excluded={"gpu-n1": mark_of(DRAIN.id)})
    assert Drain().objection(DRAIN, begun) is None
    assert [step.call for step in Drain().steps(DRAIN, begun)] == [calls.REFRESH]
    leaving = replace(NODES[1], state="DECOMMISSIONING")
    assert Drain().steps(DRAIN, seen(node=leaving, excluded={"gpu-n1": mark_of(DRAIN.id)})) == ()


def test_letting_in_that_was_begun_before_a_crash_is_gone_on_with():
    leaving = replace(NODES[1], state="DECOMMISSIONING")
    assert [step.call for step in Drain().way_back(DRAIN, (), seen(node=leaving))] == [calls.REFRESH]


def test_only_what_we_excluded_is_let_in():
    assert "excluded by somebody else: fan" in (Uncordon().objection(DRAIN, seen(excluded={"gpu-n1": "fan"})) or "")
    ours = seen(excluded={"gpu-n1": "warpgauge another-one"})
    assert [step.call for step in Uncordon().steps(DRAIN, ours)] == [("include", "gpu-n1"), calls.REFRESH]


def test_an_emptied_node_gets_back_what_it_had_with_its_gpus():
    order = on_node(RecommendationKind.CORDON, yarnNodeResource=WHOLE)
    empty = replace(NODES[1], total=NODES[1].total.nothing)
    assert Cordon().objection(order, seen()) is None
    refs = Cordon().refs(order, seen(node=empty))
    (back,) = Cordon().way_back(order, refs, seen(node=empty))
    assert back.call == ("resize", NODES[1].id, WHOLE)
    assert Cordon().way_back(order, refs, seen()) == ()  # it registered anew and brought its own
    less = replace(NODES[1], total=Resources.read("memory-mb=1,vcores=1"))
    assert "has memory-mb=1,vcores=1 by now" in (Cordon().objection(order, seen(node=less)) or "")


def test_a_labeled_node_gets_the_label_back_that_it_had():
    order = on_node(RecommendationKind.AVOID_NODE)
    fast = replace(NODES[1], labels=("fast",))
    refs = Avoid("avoid").refs(order, seen(node=fast))
    (back,) = Avoid("avoid").way_back(order, refs, seen(node=replace(fast, labels=("avoid",))))
    assert back.call == ("label", fast.id, "fast")
    assert "no node label 'slow'" in (Avoid("slow").objection(order, seen()) or "")
    wanted = on_node(RecommendationKind.AVOID_NODE, yarnNodeLabels="fast")
    assert "is labeled nothing by now, not fast" in (Avoid("avoid").objection(wanted, seen()) or "")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (RecommendationKind.DRAIN, "yarn.exclude_file is not set"),
        (RecommendationKind.UNCORDON, "yarn.exclude_file is not set"),
        (RecommendationKind.AVOID_NODE, "yarn.avoid_label is not set"),
    ],
)
def test_a_kind_whose_setting_is_missing_is_refused_with_its_name(kind: RecommendationKind, why: str):
    executor = YarnExecutor(None, Admin([]))
    assert why in (executor.objection(Order(recommendation=on_node(kind))) or "")


def test_gpus_go_through_rmadmin_and_the_rest_through_rest():
    executor = YarnExecutor(None, Admin([]))
    assert executor._caller.shown(calls.resize("n1:1", Resources.read("memory-mb=1024,vcores=2"))) == (
        "POST nodes/n1:1/resource memory-mb=1024,vcores=2"
    )
    assert executor._caller.shown(calls.resize("n1:1", Resources.read(WHOLE))) == (
        "rmadmin -updateNodeResource n1:1 memory-mb=4096Mi,vcores=8,yarn.io/gpu=4 2147483647"
    )
