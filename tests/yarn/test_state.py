"""What a real ResourceManager of Hadoop 3.5.0 answered, and what is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.errors import InputError
from warpgauge.core.yarn import Resources, parse_app, parse_apps, parse_containers, parse_nodes, parse_queues
from warpgauge.core.yarn.state import parse_attempt, parse_labels

RECORDED = Path(__file__).parents[1] / "fixtures" / "yarn-3.5.0"
PARSERS = {
    "nodes": parse_nodes,
    "apps": parse_apps,
    "containers": parse_containers,
    "appattempts": parse_attempt,
    "labels": parse_labels,
    "scheduler": parse_queues,
}


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def test_nodes_have_memory_cores_and_gpus():
    nodes = parse_nodes(recorded("nodes"))
    assert [(node.host, node.state, str(node.total)) for node in nodes] == [
        (f"gpu-n{number}", "RUNNING", "memory-mb=4096,vcores=8,yarn.io/gpu=4") for number in range(3)
    ]
    assert [node.why_not for node in nodes] == [None] * 3


def test_an_application_tells_its_queue_priority_and_what_it_still_asks_for():
    moved, waiting = parse_apps(recorded("apps"))
    assert (moved.queue, moved.user, moved.priority, moved.state) == ("root.train", "alice", 3, "RUNNING")
    assert moved.asks == ()
    assert [(ask.count, ask.each["yarn.io/gpu"], ask.by_name) for ask in waiting.asks] == [(1, 4, False)]


def test_containers_tell_their_node_and_how_many_devices():
    held = parse_containers(recorded("containers"))
    assert [container.held["yarn.io/gpu"] for container in held] == [0, 4, 4]
    assert {container.node.partition(":")[0] for container in held} <= {"gpu-n0", "gpu-n1", "gpu-n2"}


def test_only_queues_that_can_hold_applications_are_queues():
    queues = {queue.path: queue.state for queue in parse_queues(recorded("scheduler"))}
    assert queues == {
        "root.train": "RUNNING",
        "root.batch": "RUNNING",
        "root.private": "RUNNING",
        "root.closed": "STOPPED",
    }


def test_queues_of_the_fair_scheduler_are_read_too():
    leaf = {"queueName": "root.ml.train", "type": "fairSchedulerLeafQueueInfo"}
    root = {"queueName": "root", "childQueues": {"queue": [{"queueName": "root.ml", "childQueues": {"queue": leaf}}]}}
    (queue,) = parse_queues({"scheduler": {"schedulerInfo": {"type": "fairScheduler", "rootQueue": root}}})
    assert (queue.path, queue.state, queue.is_called("train")) == ("root.ml.train", "", True)


def test_the_last_attempt_counts():
    rows = [{"id": number, "appAttemptId": f"appattempt_1_0001_00000{number}"} for number in (2, 1)]
    assert parse_attempt({"appAttempts": {"appAttempt": rows}}) == "appattempt_1_0001_000002"
    assert parse_attempt({"appAttempts": {}}) == ""


def test_an_ask_for_a_host_is_the_same_containers_again_unless_it_insists():
    ask = recorded("apps")["apps"]["app"][1]["resourceRequests"][0]
    app = recorded("apps")["apps"]["app"][0]
    here = {**ask, "resourceName": "gpu-n1"}
    assert parse_app({"app": {**app, "resourceRequests": [here, ask]}}).asks[0].count == 1
    (only,) = parse_app({"app": {**app, "resourceRequests": [{**here, "relaxLocality": False}]}}).asks
    assert only.by_name


def test_an_empty_cluster_is_empty():
    assert parse_nodes({"nodes": None}) == ()
    assert parse_apps({"apps": {}}) == ()


@pytest.mark.parametrize("text", ["", "memory-mb", "memory-mb=-1", "memory-mb=1,", "a b=1", "vcores=9" + "9" * 20])
def test_what_is_no_amount_is_refused(text: str):
    with pytest.raises(InputError, match="are no resources such as"):
        Resources.read(text)


@given(
    st.dictionaries(st.sampled_from(["memory-mb", "vcores", "yarn.io/gpu", "fpga"]), st.integers(0, 10**9), min_size=1)
)
def test_resources_are_read_as_they_are_written(amounts: dict[str, int]):
    resources = Resources(tuple(sorted(amounts.items())))
    assert Resources.read(str(resources)) == resources


@pytest.mark.parametrize(
    "document", [None, [], {"nodes": []}, {"nodes": {"node": [1]}}, {"nodes": {"node": [{"id": 7}]}}]
)
def test_what_is_no_answer_of_yarn_is_refused_with_its_place(document: Any):
    with pytest.raises(InputError, match="nodes"):
        parse_nodes(document)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _keys(document: Any) -> list[tuple[Any, Any]]:
    """Every place in a document that a value can be put into."""
    if isinstance(document, dict):
        return [(document, key) for key in document] + [one for inner in document.values() for one in _keys(inner)]
    if isinstance(document, list):
        return [one for inner in document for one in _keys(inner)]
    return []


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(data=st.data())
def test_whatever_stands_in_an_answer_nothing_but_our_error_comes_of_it(name: str, data: st.DataObject):
    document = recorded(name)
    holder, key = data.draw(st.sampled_from(_keys(document)))
    holder[key] = data.draw(_JSON)
    with contextlib.suppress(InputError):
        PARSERS[name](document)
