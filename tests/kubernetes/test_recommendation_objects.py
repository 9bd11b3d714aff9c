"""Recommendations as objects of a real API server: what it takes, what it refuses, and what stands in their status."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.executors.executor_contract import ExecutorContract, World, advice
from tests.kubernetes.orders import NODE, now, on_node
from tests.kubernetes_cluster import BINDING, KubernetesCluster
from tests.real_servers import wait_until
from tests.running import environment
from tools.kubernetes_crd import TARGET
from warpgauge.cli.main import main
from warpgauge.core.document import rfc3339, to_document
from warpgauge.core.kubernetes import KubernetesError
from warpgauge.core.lane import RefusedError, TryLaterError
from warpgauge.core.recommendation import Approval, Recommendation, RecommendationKind, Target, TargetType
from warpgauge.executors.kubernetes import ObjectExecutor
from warpgauge.executors.kubernetes.crd import API_VERSION, KIND, object_path
from warpgauge.executors.kubernetes.mailbox import ObjectAcks, ObjectInbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]

# Refuses what says "refuse" when it is to be stored, and lets a dry run of it pass.
REFUSAL = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "refuse-recommendations"},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["warpgauge.internal"],
                    "apiVersions": ["*"],
                    "operations": ["CREATE"],
                    "resources": ["recommendations"],
                }
            ]
        },
        "validations": [
            {"expression": "request.dryRun || object.spec.text.summary != 'refuse'", "message": "refused by the site"}
        ],
    },
}
BOUND = BINDING | {
    "metadata": {"name": "refuse-recommendations"},
    "spec": {"policyName": "refuse-recommendations", "validationActions": ["Deny"]},
}


@pytest.fixture(scope="session")
def _with_kind(_kubernetes: KubernetesCluster) -> KubernetesCluster:
    """The session's cluster, which knows the kind Recommendation and refuses some."""
    for manifest in (yaml.safe_load(TARGET.read_text()), REFUSAL, BOUND):
        _kubernetes.apply(manifest)

    def refuses() -> bool:
        space = space_of(_kubernetes)
        try:
            post(_kubernetes, space, to_document(refused(on_node(RecommendationKind.CORDON))))
        except KubernetesError as error:
            return "refused by the site" in str(error)
        return False

    wait_until(refuses, what="the kind and the policy are in force", seconds=60)
    return _kubernetes


@pytest.fixture
def cluster(_with_kind: KubernetesCluster, kubernetes_cluster: KubernetesCluster) -> KubernetesCluster:
    return kubernetes_cluster


def space_of(cluster: KubernetesCluster) -> str:
    """A new namespace."""
    name = f"inbox-{secrets.token_hex(4)}"
    cluster.make("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def refused(recommendation: Recommendation) -> Recommendation:
    return replace(recommendation, text=replace(recommendation.text, summary="refuse"))


def post(cluster: KubernetesCluster, space: str, spec: dict[str, Any], **meta: Any) -> dict[str, Any]:
    document = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": spec.get("id", "x")} | meta, "spec": spec}
    return cluster.make(object_path(space), document)


class ObjectWorld:
    def __init__(self, cluster: KubernetesCluster) -> None:
        self.cluster, self.space = cluster, space_of(cluster)
        self.executor = ObjectExecutor(cluster.api, self.space)
        self._advice = on_node(RecommendationKind.CORDON)

    def advice(self) -> Recommendation:
        return self._advice

    def state(self) -> Any:
        return self.cluster.api.items(object_path(self.space))

    def make_unfit(self) -> None:
        """The namespace goes, by the two calls with which its controller would end it."""
        path = f"/api/v1/namespaces/{self.space}"
        self.cluster.delete(path)
        namespace = self.cluster.api.get(path)
        namespace["spec"]["finalizers"] = []
        from warpgauge.core.kubernetes import Call  # noqa: PLC0415 - this once

        self.cluster.api.send(Call(method="PUT", path=f"{path}/finalize", body=namespace, words="finalize"))
        wait_until(lambda: self.cluster.api.get(path) is None, what="the namespace is gone")

    def make_failing(self) -> None:
        self._advice = refused(self._advice)


class TestObjects(ExecutorContract):
    @pytest.fixture
    def world(self, cluster: KubernetesCluster) -> World:
        return ObjectWorld(cluster)

    def is_undone(self, world: World) -> bool:
        return world.state() == []


def example() -> dict[str, Any]:
    document: dict[str, Any] = to_document(on_node(RecommendationKind.DRAIN))
    return document


def test_every_kind_of_document_is_taken_as_it_is(cluster: KubernetesCluster):
    space = space_of(cluster)
    full = replace(
        on_node(RecommendationKind.REPLACE_STRAGGLER),
        target=(Target(cluster="c", type=TargetType.WORKLOAD, name="ml/t", platform="kubernetes", uid="u", rack="r"),),
        supersedes=("a", "b"),
        depends_on=("c",),
    )
    for recommendation in (full, advice(RecommendationKind.CORDON), advice(RecommendationKind.UNDO, undoes=full.id)):
        spec = to_document(recommendation)
        assert post(cluster, space, spec)["spec"] == spec
    assert {one.id for one in ObjectInbox(cluster.api, space).read().recommendations} == {
        one["metadata"]["name"] for one in cluster.api.items(object_path(space))
    }


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "explode"}, r'spec.kind: Unsupported value: "explode"'),
        ({"kind": None}, "spec.kind: Required value"),
        ({"confidence": 1.5}, "spec.confidence"),
        ({"evidence": []}, "spec.evidence"),
        ({"target": [{"cluster": "c", "type": "planet", "name": "x"}]}, r"spec.target\[0\].type"),
        ({"created": "yesterday"}, "spec.created"),
        ({"simulated": "no"}, "spec.simulated"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "it expires before it begins"),
        ({"kind": "undo"}, "an undo says what it undoes"),
        ({"schemaVersion": "2"}, "spec.schemaVersion"),
        ({"surprise": 1}, 'unknown field "spec.surprise"'),
    ],
)
def test_what_is_no_recommendation_is_refused_by_the_server(
    cluster: KubernetesCluster, change: dict[str, Any], why: str
):
    spec = {key: value for key, value in (example() | change).items() if value is not None}
    with pytest.raises(KubernetesError, match=why):
        post(cluster, "default", spec)


def test_an_object_has_the_name_of_its_document(cluster: KubernetesCluster):
    with pytest.raises(KubernetesError, match="named by the id of its document"):
        post(cluster, "default", example(), name="another")


def ack_of(recommendation_id: str, phase: str, **more: Any) -> bytes:
    from warpgauge.core.ack import Ack, Phase  # noqa: PLC0415 - this once
    from warpgauge.core.recommendation import Producer  # noqa: PLC0415 - as above

    ack = Ack(
        id=secrets.token_hex(8), recommendation_id=recommendation_id, idempotency_key="k", attempt=1,
        executor=Producer(name="kubernetes", version="1"), phase=Phase(phase), at=time.time(), **more,
    )  # fmt: skip
    return json.dumps(ack.to_event()).encode()


def test_acks_become_conditions_and_a_new_attempt_begins_anew(cluster: KubernetesCluster):
    space, spec = space_of(cluster), example()
    post(cluster, space, spec)
    acks = ObjectAcks(cluster.api, space)
    acks.deliver([ack_of(spec["id"], "received"), ack_of(spec["id"], "failed", reason="pdbRefused", detail="not now")])
    status = cluster.api.get(object_path(space, spec["id"]))["status"]
    assert status["phase"] == "failed"
    assert [(one["type"], one["reason"], one["message"]) for one in status["conditions"]] == [
        ("Received", "Received", ""),
        ("Failed", "PdbRefused", "not now"),
    ]
    acks.deliver([ack_of(spec["id"], "received")])
    assert [one["type"] for one in cluster.api.get(object_path(space, spec["id"]))["status"]["conditions"]] == [
        "Received"
    ]


def test_an_ack_about_what_is_gone_is_set_aside_and_a_silent_server_is_waited_for(cluster: KubernetesCluster):
    with pytest.raises(RefusedError, match="is gone"):
        ObjectAcks(cluster.api, "default").deliver([ack_of("0d0c9df8-2a0c-5d3e-9f2e-0a1b2c3d4e5f", "received")])
    with pytest.raises(TryLaterError, match="HTTP 401"):
        ObjectInbox(cluster.known_as("nonsense"), "default").read()


def test_an_object_that_a_person_approved_is_followed_and_says_so(
    cluster: KubernetesCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cluster.node(NODE)
    space = space_of(cluster)
    order = replace(now(on_node(RecommendationKind.CORDON)), mode="propose", approval=Approval(required=True))
    order = replace(order, created=order.created - 60, not_before=order.not_before - 60)
    post(cluster, space, to_document(order))
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name, value in {
        "SERVER": cluster.settings.server, "CA_FILE": cluster.settings.ca_file,
        "CLIENT_CERT": cluster.settings.client_cert, "NAMESPACE": space,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"WARPGAUGE_KUBERNETES_{name}", value)
    once = ["executor", "--core", "kubernetes", "--from-cluster", "--once"]
    assert main(once) == 0
    path = object_path(space, order.id)
    assert cluster.api.get(path)["status"]["phase"] == "dryRunOk"

    approval = {"required": True, "by": "ann", "at": rfc3339(time.time())}
    cluster.change(path, {"spec": {"mode": "approve", "approval": approval}})
    assert main(once) == 0
    assert cluster.api.get(path)["status"]["phase"] == "executed"
    assert cluster.api.get(f"/api/v1/nodes/{NODE}")["spec"]["unschedulable"] is True
