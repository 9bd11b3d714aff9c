"""Nodes, pods and quantities as an API server writes them, and what must not pass for one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kubernetes.made import node, pod
from warpgauge.core.errors import InputError
from warpgauge.core.kubernetes import KEEP, parse_node, parse_pod
from warpgauge.core.kubernetes.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", "0.5"), ("2", "2"), ("64Gi", str(64 * 2**30)), ("1.5k", "1500"), ("1e3", "1000"), ("100n", "1e-7"),
     (".5", "0.5"), ("1Ei", str(2**60)), (8, "8")],
)  # fmt: skip
def test_a_quantity_is_a_number_with_a_suffix(text: object, number: str):
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "1 Gi", "1gi", "Gi", "1e", "0x10", "1KiB", "--1", "9" * 31, "\u0661"])
def test_anything_else_is_no_quantity(text: str):
    with pytest.raises(ValueError, match="is no quantity"):
        parse_quantity(text)


@given(st.integers(0, 10**12))
def test_milli_cores_come_back_as_they_were_written(milli: int):
    assert parse_pod(pod(requests={"cpu": f"{milli}m"})).requests.cpu_milli == milli


def test_a_node_has_what_its_kubelet_leaves_for_pods_and_the_model_of_its_label():
    one = parse_node(node(labels={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}))
    assert (one.allocatable.cpu_milli, one.allocatable.memory_mib, one.allocatable.gpus) == (64_000, 512 * 1024, 8)
    assert (one.model, one.why_not) == ("NVIDIA-H100-80GB-HBM3", None)


def test_a_node_says_why_it_takes_no_work():
    assert parse_node(node(spec={"unschedulable": True})).why_not == "cordoned"
    assert parse_node(node(ready="Unknown")).why_not == "not ready"


@pytest.mark.parametrize("place", ["labels", "annotations"])
def test_keep_is_a_label_or_an_annotation(place: str):
    assert parse_node(node(**{place: {KEEP: "true"}})).says_keep
    assert parse_pod(pod(**{place: {KEEP: "true"}})).why_kept == KEEP
    assert not parse_node(node(**{place: {KEEP: "false"}})).says_keep


def test_containers_add_up_and_the_start_counts_with_its_largest_step():
    ask = {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"nvidia.com/gpu": "2"}}}
    start = {"name": "i", "resources": {"requests": {"cpu": "8", "memory": "1Gi"}}}
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}
    spec = {"containers": [ask, ask], "initContainers": [sidecar, start], "overhead": {"cpu": "250m"}}
    requests = parse_pod(pod(spec=spec)).requests
    assert (requests.cpu_milli, requests.memory_mib, requests.gpus) == (8750, 2048, 4)


@pytest.mark.parametrize("name", ["amd.com/gpu", "google.com/tpu", "habana.ai/gaudi", "gpu.intel.com/xe"])
def test_other_vendors_devices_count_as_well(name: str):
    assert parse_pod(pod(requests={name: "2"})).requests.gpus == 2


def test_a_mig_instance_is_told_and_not_counted():
    requests = parse_pod(pod(requests={"nvidia.com/mig-1g.10gb": "1"})).requests
    assert (requests.gpus, requests.has_parts) == (0, True)


@pytest.mark.parametrize(
    ("labels", "gang"),
    [
        ({"batch.kubernetes.io/job-name": "sweep"}, ""),
        ({"batch.kubernetes.io/job-name": "train", "batch.kubernetes.io/job-completion-index": "0"}, "train"),
        ({"training.kubeflow.org/job-name": "llm"}, "llm"),
        ({"volcano.sh/job-name": "v", "batch.kubernetes.io/job-name": "x"}, "v"),
        ({}, ""),
    ],
)
def test_what_runs_only_together_is_a_gang(labels: dict[str, str], gang: str):
    assert parse_pod(pod(labels=labels)).gang == gang


@pytest.mark.parametrize(
    ("spec", "how"),
    [
        (
            {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}},
            "podAntiAffinity",
        ),
        ({"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]}}}, ""),
        ({"topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}]}, "topologySpreadConstraints"),
        ({"topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}]}, ""),
        ({"resourceClaims": [{"name": "gpu"}]}, "resourceClaims"),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "volumes"),
        ({"volumes": [{"name": "shm", "emptyDir": {}}]}, ""),
    ],
)
def test_wishes_that_are_not_read_are_told(spec: dict[str, Any], how: str):
    assert parse_pod(pod(spec=spec)).asks_otherwise == how


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metadata": {"name": "p", "namespace": "ml", "uid": ""}}, "uid is missing"),
        ({"spec": {"nodeName": 7}}, "nodeName must be a string"),
        ({"spec": {"containers": {}}}, "containers must be a list"),
        ({"spec": {"containers": [{"resources": {"requests": {"cpu": "lots"}}}]}}, "'lots' is no quantity"),
        ({"metadata": {"name": "p", "namespace": "ml", "uid": "1", "creationTimestamp": "then"}}, "creationTimestamp"),
    ],
)
def test_what_is_no_pod_is_refused_with_its_place(change: dict[str, Any], why: str):
    with pytest.raises(InputError, match=rf"pod p.*{why}"):
        parse_pod(pod() | change)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["metadata", "spec", "status"]), st.sampled_from(sorted(pod()["spec"])), JSON)
def test_no_document_ends_in_another_error(part: str, name: str, value: Any):
    document = pod()
    for read in (parse_pod, parse_node):
        for changed in (document | {part: value}, document | {part: document[part] | {name: value}}):
            try:
                read(changed)
            except InputError:
                continue
