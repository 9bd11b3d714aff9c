"""Recommendations as objects of a cluster, for whatever acts on them there; it acts on nothing itself.

Its account may make and delete Recommendation objects and nothing else. An object that is deleted is taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.ack import NativeRef
from warpgauge.core.document import to_document
from warpgauge.core.errors import InputError
from warpgauge.core.kubernetes import Call, KubernetesError
from warpgauge.core.recommendation import RecommendationKind
from warpgauge.executors.kubernetes.calls import advice_id, object_name
from warpgauge.executors.kubernetes.crd import API_VERSION, KIND, object_path
from warpgauge.executors.kubernetes.faults import MALFORMED, fault_of
from warpgauge.executors.protocol import ExecutionError, Intent

if TYPE_CHECKING:
    from warpgauge.core.kubernetes import Kubernetes
    from warpgauge.executors.protocol import Order

__all__ = ["ObjectExecutor"]

_NOT_FOUND: Final = 404
_EXISTS: Final = 409


class ObjectExecutor:
    """Makes one object per recommendation, named by its id."""

    name = "kubernetes-objects"
    platform = "kubernetes"
    kinds = frozenset(RecommendationKind) - {RecommendationKind.UNDO}
    takes_simulated = False

    def __init__(self, api: Kubernetes, namespace: str) -> None:
        self._api = api
        self._namespace = object_name(namespace)

    def objection(self, _order: Order) -> str | None:
        """That the namespace is going or gone."""
        try:
            found = self._api.get(f"/api/v1/namespaces/{self._namespace}")
        except KubernetesError as error:
            raise fault_of(error) from error
        phase = ((found or {}).get("status") or {}).get("phase", "Active")
        if found is not None and phase == "Active":
            return None
        return f"namespace {self._namespace} is {'not there' if found is None else str(phase).lower()}"

    def intents(self, order: Order) -> tuple[Intent, ...]:
        """One object made or deleted, once the server has checked it."""
        call, undo = self._call(order)
        self._send(call, dry_run=True)
        return (Intent(call.words, undo),)

    def found(self, order: Order) -> tuple[NativeRef, ...] | None:
        """Whether the object is there, of an undo whether it is not."""
        uid = self._uid(order)
        return (self._ref(order, uid),) if (uid is None) == order.is_undo else None

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        """Make it or delete it; one that is there, or is gone, is left so."""
        self._send(self._call(order)[0])
        return (self._ref(order, self._uid(order)),)

    def _send(self, call: Call, *, dry_run: bool = False) -> None:
        try:
            self._api.send(call, dry_run=dry_run)
        except KubernetesError as error:
            if call.method == "DELETE" and error.status == _NOT_FOUND:
                return
            if call.method == "POST" and (error.status, error.reason) == (_EXISTS, "AlreadyExists"):
                return
            raise fault_of(error) from error

    def _call(self, order: Order) -> tuple[Call, str]:
        name = _name(order)
        if order.is_undo:
            path = object_path(self._namespace, name)
            return Call(method="DELETE", path=path, words=f"delete recommendation {name}"), f"create {name} again"
        body: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": self._namespace},
            "spec": to_document(order.recommendation),
        }
        words = f"create recommendation {name} in namespace {self._namespace}"
        call = Call(method="POST", path=object_path(self._namespace), body=body, words=words)
        return call, f"delete recommendation {name}"

    def _uid(self, order: Order) -> str | None:
        try:
            found = self._api.get(object_path(self._namespace, _name(order)))
        except KubernetesError as error:
            raise fault_of(error) from error
        return None if found is None else str((found.get("metadata") or {}).get("uid"))

    def _ref(self, order: Order, uid: str | None) -> NativeRef:
        return NativeRef(kind="recommendation", name=f"{self._namespace}/{_name(order)}", uid=uid)


def _name(order: Order) -> str:
    try:
        return object_name(advice_id(order.advice.id).lower())
    except InputError as error:
        raise ExecutionError(MALFORMED, str(error)) from error
