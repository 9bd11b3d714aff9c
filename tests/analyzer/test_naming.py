"""Whose node is it: the order of the rule, and that nothing from outside breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.analyzer.dialects.naming import DESCRIBING, NodeNames, host_part

words = st.text(max_size=20)
labels = st.dictionaries(
    st.sampled_from(["cluster", "node", "nodename", "instance", "pod", "namespace", "pod_ip", "host_ip", "Hostname"]),
    words,
)


def names() -> NodeNames:
    return NodeNames("local")


def test_the_node_label_wins():
    known = names()
    known.learn("node_uname_info", {"instance": "10.0.0.1:9100", "nodename": "real"})

    assert known.node({"node": "told", "instance": "10.0.0.1:9100"}) == "told"


def test_uname_names_every_series_of_its_instance():
    known = names()
    known.learn("node_uname_info", {"instance": "10.0.0.1:9100", "nodename": "node-a"})

    assert known.node({"instance": "10.0.0.1:9100"}) == "node-a"
    assert known.node({"instance": "10.0.0.2:9100"}) == "10.0.0.2"


def test_our_own_host_info_names_the_node_too():
    known = names()
    known.learn("host_info", {"instance": "127.0.0.1:9837", "nodename": "me"})

    assert known.node({"instance": "127.0.0.1:9837"}) == "me"


def test_a_pod_is_on_the_node_that_kubernetes_says():
    known = names()
    known.learn("kube_pod_info", {"namespace": "gpu", "pod": "dcgm-x", "node": "node-b", "pod_ip": "10.1.0.7"})

    assert known.node({"namespace": "gpu", "pod": "dcgm-x", "instance": "10.1.0.7:9400"}) == "node-b"
    assert known.node({"instance": "10.1.0.7:9400"}) == "node-b"


def test_the_address_of_a_pod_on_the_host_network_names_no_pod():
    known = names()
    known.learn("kube_pod_info", {"pod": "x", "node": "node-b", "pod_ip": "10.0.0.9", "host_ip": "10.0.0.9"})

    assert known.node({"instance": "10.0.0.9:9100"}) == "10.0.0.9"


def test_a_hostname_counts_only_if_that_node_is_known():
    known = names()

    assert known.node({"Hostname": "node-c", "instance": "10.0.0.3:9400"}) == "10.0.0.3"
    known.learn("node_uname_info", {"instance": "10.0.0.4:9100", "nodename": "node-c"})
    assert known.node({"Hostname": "node-c", "instance": "10.0.0.3:9400"}) == "node-c"


def test_clusters_do_not_share_addresses():
    known = names()
    known.learn("node_uname_info", {"cluster": "a", "instance": "10.0.0.1:9100", "nodename": "node-a"})

    assert known.node({"cluster": "b", "instance": "10.0.0.1:9100"}) == "10.0.0.1"


def test_nothing_to_go_by_is_no_node():
    assert names().node({}) == ""


def test_the_workloads_own_labels_win_over_those_of_the_exporter():
    located = names().located({"pod": "dcgm-x", "exported_pod": "train-0", "exported_namespace": "ml", "node": "n"})

    assert (located["pod"], located["namespace"]) == ("train-0", "ml")


def test_a_cluster_that_is_not_told_is_the_configured_one():
    assert names().located({"node": "n"})["cluster"] == "local"


@pytest.mark.parametrize(
    ("instance", "host"),
    [
        ("10.0.0.7:9100", "10.0.0.7"),
        ("[fd00::1]:9100", "fd00::1"),
        ("node-a", "node-a"),
        ("node-a:http", "node-a:http"),
        ("fd00::1", "fd00::1"),
        ("", ""),
    ],
)
def test_the_host_of_an_instance(instance: str, host: str):
    assert host_part(instance) == host


@given(st.lists(st.tuples(st.sampled_from(sorted(DESCRIBING)), labels), max_size=10), labels)
def test_any_labels_give_a_node_and_a_cluster_without_a_fault(learned, asked):
    known = names()
    for name, described in learned:
        known.learn(name, described)

    located = known.located(asked)

    assert isinstance(located["node"], str)
    assert located["cluster"]
    assert asked.items() - located.items() <= {(name, asked.get(name)) for name in ("cluster", "node")}


@given(st.sampled_from(sorted(DESCRIBING)), labels)
def test_learning_the_same_again_changes_nothing(name, described):
    known = names()
    known.learn(name, described)

    assert not known.learn(name, described)
