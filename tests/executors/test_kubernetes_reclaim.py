"""Idle devices taken back on a real API server: what is evicted, what is stopped, what is left alone, and the way back.

No controller runs there, so that a stopped Job starts nothing is Kubernetes' word, not seen here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import Bench, advice, undo_of
from tests.kubernetes.orders import NODE, PODS, bench_of, follow, names, now, target
from tests.kubernetes_cluster import SPACE
from warpgauge.core.ack import Phase
from warpgauge.core.kubernetes import KEEP
from warpgauge.core.recommendation import Approval, Precondition, Recommendation, RecommendationKind, TargetType
from warpgauge.executors import ExecutionError, Order
from warpgauge.executors.kubernetes import KubernetesExecutor
from warpgauge.executors.kubernetes.controllers import RECLAIMED_BY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kubernetes_cluster import KubernetesCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

ASKED = (
    Precondition(check="findingOpen", expected="f1"),
    Precondition(check="ownerTold", expected="before anything is ended"),
    Precondition(check="stillIdle", expected="activity as in the evidence"),
)


def idle(name: str, **changes: Any) -> Recommendation:
    what = target(TargetType.WORKLOAD, f"{SPACE}/{name}", node=NODE)
    return now(advice(RecommendationKind.RECLAIM_IDLE, **{"target": (what,), "preconditions": ASKED} | changes))


@pytest.fixture
def bench(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> Iterator[Bench]:
    kubernetes_cluster.node(NODE)
    bench = bench_of(kubernetes_cluster.api, tmp_path)
    yield bench
    bench.journal.close()


def job_of_two(cluster: KubernetesCluster) -> str:
    """An indexed Job with its two pods."""
    path = cluster.controller("Job", "train")
    for number in range(2):
        labels = {
            "app": "train",
            "batch.kubernetes.io/job-name": "train",
            "batch.kubernetes.io/job-completion-index": str(number),
        }
        cluster.pod(f"train-{number}", NODE, owner="Job/train", labels=labels)
    return path


def test_an_idle_job_is_ended_whole_suspended_and_resumed_on_undo(bench: Bench, kubernetes_cluster: KubernetesCluster):
    path = job_of_two(kubernetes_cluster)
    kubernetes_cluster.pod("beside", NODE)
    order = idle("train-0")
    assert follow(bench, order)[0] is Phase.EXECUTED, bench.acks[-1]
    job = kubernetes_cluster.api.get(path)
    assert (job["spec"]["suspend"], job["metadata"]["labels"][RECLAIMED_BY]) == (True, order.id)
    assert names(kubernetes_cluster) == {"beside"}
    (ref,) = bench.acks[-1].native_refs
    assert (ref.kind, ref.name, ref.uid) == ("job", f"{SPACE}/train", job["metadata"]["uid"])

    bench.worker.take(now(undo_of(order)))
    job = kubernetes_cluster.api.get(path)
    assert (job["spec"]["suspend"], RECLAIMED_BY in (job["metadata"].get("labels") or {})) == (False, False)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_set_of_one_is_scaled_to_none_and_back(bench: Bench, kubernetes_cluster: KubernetesCluster, kind: str):
    path = kubernetes_cluster.controller(kind, "notebook")
    if kind == "Deployment":
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": "notebook", "uid": "1", "controller": True}
        kubernetes_cluster.controller("ReplicaSet", "notebook-7d", ownerReferences=[owner])
    kubernetes_cluster.pod("nb", NODE, owner="ReplicaSet/notebook-7d" if kind == "Deployment" else f"{kind}/notebook")
    order = idle("nb")
    assert follow(bench, order)[0] is Phase.EXECUTED, bench.acks[-1]
    assert kubernetes_cluster.api.get(path)["spec"]["replicas"] == 0
    assert names(kubernetes_cluster) == set()
    bench.worker.take(now(undo_of(order)))
    assert kubernetes_cluster.api.get(path)["spec"]["replicas"] == 1


def test_a_dry_run_tells_each_change_and_makes_none(kubernetes_cluster: KubernetesCluster, tmp_path: Path):
    kubernetes_cluster.node(NODE)
    path = job_of_two(kubernetes_cluster)
    bench = bench_of(kubernetes_cluster.api, tmp_path, dry_run=True)
    before = kubernetes_cluster.api.get(path), kubernetes_cluster.api.items(PODS)
    phase, said = follow(bench, idle("train-0"))
    assert phase is Phase.DRY_RUN_OK
    assert said == (
        f"mark job {SPACE}/train as reclaimed (undo: remove the mark of job {SPACE}/train);"
        f" evict pod {SPACE}/train-0 (no undo); evict pod {SPACE}/train-1 (no undo);"
        f" suspend job {SPACE}/train (undo: start job {SPACE}/train again)"
    )
    assert (kubernetes_cluster.api.get(path), kubernetes_cluster.api.items(PODS)) == before
    bench.journal.close()


def test_a_budget_that_allows_nothing_is_kept(bench: Bench, kubernetes_cluster: KubernetesCluster):
    path = job_of_two(kubernetes_cluster)
    kubernetes_cluster.budget("train", {"app": "train"}, allowed=1)
    before = kubernetes_cluster.api.get(path)
    follow(bench, idle("train-0"))
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.FAILED, "pdbRefused")
    assert (kubernetes_cluster.api.get(path), names(kubernetes_cluster)) == (before, {"train-0", "train-1"})


def test_the_mark_is_taken_back_if_a_budget_refuses_the_first_eviction(kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    path = kubernetes_cluster.controller("StatefulSet", "serve")
    kubernetes_cluster.pod("serve-0", NODE, owner="StatefulSet/serve", labels={"app": "serve"})
    kubernetes_cluster.budget("serve", {"app": "serve"}, allowed=0)
    with pytest.raises(ExecutionError, match=r"pdbRefused.*nothing else was changed"):
        KubernetesExecutor(kubernetes_cluster.api).execute(Order(recommendation=idle("serve-0")))
    found = kubernetes_cluster.api.get(path)
    assert (found["spec"]["replicas"], RECLAIMED_BY in (found["metadata"].get("labels") or {})) == (1, False)


def test_what_a_crash_left_between_the_evictions_and_the_stop_is_gone_on_with(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    path = job_of_two(kubernetes_cluster)
    order = idle("train-0")
    for step in bench.executor._plan(Order(recommendation=order))[1][:-1]:
        bench.executor._send(step)
    assert names(kubernetes_cluster) == set()
    assert bench.executor.found(Order(recommendation=order)) is None
    assert follow(bench, order)[0] is Phase.EXECUTED, bench.acks[-1]
    assert kubernetes_cluster.api.get(path)["spec"]["suspend"] is True
    assert bench.executor.found(Order(recommendation=order)) is not None


@pytest.mark.parametrize(
    ("meta", "spec", "why"),
    [
        ({"annotations": {KEEP: "true"}}, {}, f"says {KEEP}=true"),
        ({"labels": {"kueue.x-k8s.io/queue-name": "q"}}, {}, "is Kueue's to suspend"),
        ({}, {"suspend": True}, "was stopped by somebody else"),
    ],
)
def test_a_job_whose_owner_objects_is_left_alone(
    bench: Bench, kubernetes_cluster: KubernetesCluster, meta: dict[str, Any], spec: dict[str, Any], why: str
):
    kubernetes_cluster.controller("Job", "held", spec=spec, **meta)
    kubernetes_cluster.pod("held-0", NODE, owner="Job/held")
    phase, said = follow(bench, idle("held-0"))
    assert phase is Phase.REJECTED
    assert why in said
    assert names(kubernetes_cluster) == {"held-0"}


@pytest.mark.parametrize(
    ("owner", "meta", "why"),
    [
        ("Job/of-a-set", {}, "is managed by JobSet big, which would start it again"),
        ("RayCluster/ray", {}, "is started by RayCluster ray, which we do not know how to stop"),
        ("StatefulSet/many", {}, "has 3 replicas, of which one is idle"),
        ("Job/gone", {}, "is of Job gone, which is gone"),
        ("", {}, "has no controller"),
        ("StatefulSet/many", {"annotations": {KEEP: "true"}}, f"says {KEEP}"),
    ],
)
def test_what_cannot_be_stopped_for_good_is_not_ended(
    bench: Bench, kubernetes_cluster: KubernetesCluster, owner: str, meta: dict[str, Any], why: str
):
    above = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "big", "uid": "1", "controller": True}
    kubernetes_cluster.controller("Job", "of-a-set", ownerReferences=[above])
    kubernetes_cluster.controller("StatefulSet", "many", spec={"replicas": 3})
    kubernetes_cluster.pod("p", NODE, owner=owner, **meta)
    phase, said = follow(bench, idle("p"))
    assert phase is Phase.REJECTED
    assert why in said
    assert names(kubernetes_cluster) == {"p"}


def test_nothing_is_reclaimed_without_a_person(bench: Bench, kubernetes_cluster: KubernetesCluster):
    job_of_two(kubernetes_cluster)
    order = replace(idle("train-0"), mode="auto", approval=Approval(required=False))
    assert "precondition ownerTold needs a person's approval" in follow(bench, order)[1]
    assert len(names(kubernetes_cluster)) == 2


def test_a_pod_that_was_started_since_is_not_ended_for_what_it_was(bench: Bench, kubernetes_cluster: KubernetesCluster):
    job_of_two(kubernetes_cluster)
    order = idle("train-0")
    phase, said = follow(bench, replace(order, created=order.created - 60))
    assert phase is Phase.REJECTED
    assert "was started again since the recommendation was made" in said
