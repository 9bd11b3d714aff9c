"""Evictions on a real API server: drains, gangs, budgets, and what a crash leaves."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import Bench, undo_of
from tests.kubernetes.orders import (
    NODE,
    NODE_PATH,
    PODS,
    bench_of,
    drained,
    follow,
    names,
    now,
    of_pod,
    on_node,
    taints,
    target,
)
from tests.kubernetes_cluster import SPACE
from tests.real_servers import wait_until
from warpgauge.core.ack import Phase
from warpgauge.core.kubernetes import KEEP, KubernetesError
from warpgauge.core.recommendation import Approval, RecommendationKind, TargetType
from warpgauge.executors import ExecutionError, Order
from warpgauge.executors.kubernetes import KubernetesExecutor
from warpgauge.executors.kubernetes.calls import QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kubernetes_cluster import KubernetesCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def bench(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> Iterator[Bench]:
    bench = bench_of(kubernetes_cluster.api, tmp_path)
    yield bench
    bench.journal.close()


def test_a_drain_evicts_what_runs_there_and_its_gang_but_not_what_belongs_to_the_node(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    order = now(on_node(RecommendationKind.DRAIN))
    assert follow(bench, order)[0] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"beside", "logs"}
    assert kubernetes_cluster.api.get(NODE_PATH)["spec"]["unschedulable"] is True
    bench.worker.take(now(undo_of(order)))
    assert "unschedulable" not in kubernetes_cluster.api.get(NODE_PATH)["spec"]


def test_a_dry_run_of_a_drain_changes_no_object(kubernetes_cluster: KubernetesCluster, tmp_path: Path):
    drained(kubernetes_cluster)
    bench = bench_of(kubernetes_cluster.api, tmp_path, dry_run=True)
    before = kubernetes_cluster.api.items("/api/v1/nodes"), kubernetes_cluster.api.items(PODS)
    phase, said = follow(bench, now(on_node(RecommendationKind.DRAIN)))
    assert phase is Phase.DRY_RUN_OK
    assert f"cordon node {NODE} (undo: uncordon node {NODE}); evict pod {SPACE}/serve (no undo)" in said
    assert (kubernetes_cluster.api.items("/api/v1/nodes"), kubernetes_cluster.api.items(PODS)) == before
    bench.journal.close()


def test_a_budget_that_allows_nothing_is_heard_before_anything_is_touched_and_asked_again(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("serve", NODE, labels={"app": "serve"})
    kubernetes_cluster.budget("serve", {"app": "serve"}, allowed=0)
    before = kubernetes_cluster.api.get(NODE_PATH)
    phase, said = follow(bench, now(on_node(RecommendationKind.DRAIN)))
    assert (phase, bench.acks[-1].reason) == (Phase.FAILED, "pdbRefused")
    assert "disruption budget" in said
    assert kubernetes_cluster.api.get(NODE_PATH) == before
    assert names(kubernetes_cluster) == {"serve"}

    path = f"/apis/policy/v1/namespaces/{SPACE}/poddisruptionbudgets/serve/status"
    kubernetes_cluster.change(path, {"status": {"disruptionsAllowed": 1}})
    bench.clock.advance(60)
    bench.worker.resume()
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == set()


def test_a_gang_whose_budget_is_too_small_for_all_of_it_is_not_ended_by_halves(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    kubernetes_cluster.budget("train", {"jobset.sigs.k8s.io/jobset-name": "train"}, allowed=1)
    phase, said = follow(bench, now(on_node(RecommendationKind.DRAIN)))
    assert (phase, bench.acks[-1].reason) == (Phase.FAILED, "pdbRefused")
    assert "allows 1 of the 2 evictions that belong together" in said
    assert len(names(kubernetes_cluster)) == 5


def test_a_cordon_is_taken_back_if_a_budget_refuses_the_first_eviction(kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("serve", NODE, labels={"app": "serve"})
    kubernetes_cluster.budget("serve", {"app": "serve"}, allowed=0)
    executor = KubernetesExecutor(kubernetes_cluster.api)
    with pytest.raises(ExecutionError, match=r"pdbRefused.*nothing else was changed") as raised:
        executor.execute(Order(recommendation=now(on_node(RecommendationKind.DRAIN))))
    assert raised.value.may_succeed_later
    assert "unschedulable" not in kubernetes_cluster.api.get(NODE_PATH)["spec"]


def test_what_was_evicted_before_a_refusal_is_told_and_gone_on_with(kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("free", NODE)
    kubernetes_cluster.pod("guarded", NODE, labels={"app": "serve"})
    kubernetes_cluster.budget("serve", {"app": "serve"}, allowed=0)
    executor, order = KubernetesExecutor(kubernetes_cluster.api), now(on_node(RecommendationKind.DRAIN))
    with pytest.raises(
        ExecutionError, match=rf"gone on with at the next attempt: cordon node {NODE}; evict pod ml/free"
    ):
        executor.execute(Order(recommendation=order))
    assert names(kubernetes_cluster) == {"guarded"}
    path = f"/apis/policy/v1/namespaces/{SPACE}/poddisruptionbudgets/serve/status"
    kubernetes_cluster.change(path, {"status": {"disruptionsAllowed": 1}})
    executor.execute(Order(recommendation=order))
    assert names(kubernetes_cluster) == set()


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({"owner": ""}, "has no controller"),
        ({"annotations": {KEEP: "true"}}, f"says {KEEP}"),
        ({"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}, "safe-to-evict=false"),
    ],
)
def test_a_node_with_a_pod_that_must_not_be_ended_is_not_drained(
    bench: Bench, kubernetes_cluster: KubernetesCluster, meta: dict[str, Any], why: str
):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("precious", NODE, **meta)
    phase, said = follow(bench, now(on_node(RecommendationKind.DRAIN)))
    assert phase is Phase.REJECTED
    assert why in said


def test_a_namespace_may_opt_out_for_all_its_pods(bench: Bench, kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("serve", NODE)
    kubernetes_cluster.change(f"/api/v1/namespaces/{SPACE}", {"metadata": {"annotations": {KEEP: "true"}}})
    assert follow(bench, now(on_node(RecommendationKind.DRAIN))) == (
        Phase.REJECTED,
        f"namespace {SPACE} says {KEEP}=true",
    )


def test_a_gang_leaves_a_slow_node_whole_and_the_node_takes_nothing_new(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    kubernetes_cluster.node("gpu-c")
    order = of_pod("train-0")
    assert follow(bench, order)[0] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"serve", "beside", "logs"}
    assert taints(kubernetes_cluster) == [(QUARANTINE, order.id, "NoSchedule")]
    assert [(ref.kind, ref.name) for ref in bench.acks[-1].native_refs] == [
        ("node", NODE),
        ("workload", f"{SPACE}/train-0"),
    ]
    bench.worker.take(now(undo_of(order)))
    assert taints(kubernetes_cluster) == []


def test_a_job_that_only_says_its_own_name_is_found_on_the_node(bench: Bench, kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    kubernetes_cluster.node("gpu-c")
    what = target(TargetType.WORKLOAD, "train", node=NODE)
    assert follow(bench, of_pod("train", target=(what,)))[0] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"serve", "beside", "logs"}


def test_a_gang_is_not_touched_where_it_has_no_other_place(bench: Bench, kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    kubernetes_cluster.pod("big", "gpu-b", gpus=6)
    phase, said = follow(bench, of_pod("train-0"))
    assert phase is Phase.REJECTED
    assert "has no room on another node now" in said
    assert taints(kubernetes_cluster) == []


def test_a_pod_that_was_started_again_since_is_not_ended_for_what_it_was(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    at = time.time() - 60
    order = replace(of_pod("train-0"), created=at)
    phase, said = follow(bench, order)
    assert phase is Phase.REJECTED
    assert "was started again since the recommendation was made" in said


def test_a_crash_between_two_evictions_is_gone_on_with_and_ends_nobody_twice(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    order = of_pod("train-0")
    for step in bench.executor._plan(Order(recommendation=order))[1][:2]:
        bench.executor._send(step)
    assert names(kubernetes_cluster) == {"serve", "train-0", "beside", "logs"}  # train-1, elsewhere, was the first
    wait_until(lambda: time.time() > order.created + 1, what="the successor is younger, by whole seconds")
    kubernetes_cluster.pod("train-1-again", labels={"jobset.sigs.k8s.io/jobset-name": "train"})
    bench.worker.take(order)
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"serve", "train-1-again", "beside", "logs"}


def test_a_pod_that_took_the_name_of_another_is_not_evicted_for_it(kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    executor = KubernetesExecutor(kubernetes_cluster.api)
    steps = executor._plan(Order(recommendation=of_pod("train-0")))[1]
    kubernetes_cluster.delete(f"{PODS}/train-0")
    kubernetes_cluster.pod("train-0", NODE)
    eviction = next(step for step in steps if "train-0" in step.call.path)
    with pytest.raises(KubernetesError, match=r"the UID in the precondition .* does not match") as raised:
        executor._send(eviction)
    assert raised.value.is_conflict


def test_what_a_precondition_does_not_show_needs_a_person(bench: Bench, kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    order = replace(now(on_node(RecommendationKind.DRAIN)), mode="auto", approval=Approval(required=False))
    slow = replace(order, evidence=tuple(replace(row, metric="training_step_seconds") for row in order.evidence))
    assert "needs a person's approval" in follow(bench, slow)[1]
    assert len(names(kubernetes_cluster)) == 5
