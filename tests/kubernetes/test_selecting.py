"""Which nodes a pod may have, as kube-scheduler decides it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubernetes.made import node, pod
from warpgauge.core.kubernetes import may_run_on, parse_node, parse_pod

NODE = parse_node(node(labels={"pool": "h100", "generation": "9"}))


def wants(*expressions: dict[str, Any], fields: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    term = {"matchExpressions": list(expressions), "matchFields": list(fields)}
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": affinity}}


def one(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("spec", "may"),
    [
        ({}, True),
        ({"nodeSelector": {"pool": "h100"}}, True),
        ({"nodeSelector": {"pool": "a100"}}, False),
        ({"nodeSelector": {"zone": ""}}, False),
        (wants(one("pool", "In", "a100", "h100")), True),
        (wants(one("pool", "NotIn", "h100")), False),
        (wants(one("rack", "NotIn", "r1")), True),
        (wants(one("rack", "Exists")), False),
        (wants(one("rack", "DoesNotExist")), True),
        (wants(one("generation", "Gt", "8")), True),
        (wants(one("generation", "Lt", "9")), False),
        (wants(one("pool", "Gt", "1")), False),
        (wants(one("pool", "Resembles", "h100")), False),
        (wants(one("pool", "Exists"), one("rack", "Exists")), False),
        (wants(fields=(one("metadata.name", "In", "gpu-a"),)), True),
        (wants(fields=(one("metadata.name", "In", "gpu-b"),)), False),
        (wants(), False),
    ],
)  # fmt: skip
def test_a_selector_and_an_affinity_must_hold(spec: dict[str, Any], *, may: bool):
    assert may_run_on(parse_pod(pod(spec=spec)), NODE) is may


@pytest.mark.parametrize(
    ("toleration", "may"),
    [
        (None, False),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu", "value": "yes", "effect": "NoExecute"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_a_hard_taint_must_be_tolerated(toleration: dict[str, str] | None, *, may: bool):
    tainted = parse_node(node(spec={"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}))
    spec = {"tolerations": [toleration]} if toleration else {}
    assert may_run_on(parse_pod(pod(spec=spec)), tainted) is may


def test_a_soft_taint_keeps_nobody_off():
    tainted = parse_node(node(spec={"taints": [{"key": "gpu", "effect": "PreferNoSchedule"}]}))
    assert may_run_on(parse_pod(pod()), tainted)
