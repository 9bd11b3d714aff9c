"""Recommendation objects of a cluster as an executor's inbox, and their status as the place for its acks.

Who may change an object's `spec.mode` and `spec.approval` may approve: that is a matter of the cluster's RBAC.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from warpgauge.core.ack import Ack, Phase, ack_from_event
from warpgauge.core.document import rfc3339
from warpgauge.core.errors import InputError
from warpgauge.core.event import type_of
from warpgauge.core.kubernetes import Call, KubernetesError
from warpgauge.core.kubernetes.api import MERGE
from warpgauge.core.lane import RefusedError, TryLaterError
from warpgauge.executors.inbox import Mail
from warpgauge.executors.kubernetes.calls import object_name
from warpgauge.executors.kubernetes.crd import object_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.kubernetes import Kubernetes

__all__ = ["ObjectAcks", "ObjectInbox"]


class ObjectInbox:
    """The Recommendation objects of one namespace. One that is deleted stands no more; nothing else withdraws it."""

    def __init__(self, api: Kubernetes, namespace: str) -> None:
        self._api = api
        self._path = object_path(object_name(namespace))

    def read(self) -> Mail:
        """Everything that stands now."""
        mail = Mail()
        try:
            found = self._api.items(self._path)
        except KubernetesError as error:
            raise TryLaterError(str(error)) from error
        for one in found:
            spec = one.get("spec")
            name = spec.get("id") if isinstance(spec, dict) else None
            mail.add({"specversion": "1.0", "type": type_of("recommendation"), "id": name, "data": spec})
        return mail


class ObjectAcks:
    """Acks as conditions of the object that they are about, so that `kubectl wait --for=condition=Executed` works."""

    name = "the cluster's Recommendation objects"
    batch = 1

    def __init__(self, api: Kubernetes, namespace: str) -> None:
        self._api = api
        self._namespace = object_name(namespace)

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Write each; one whose object is gone is set aside."""
        for document in documents:
            try:
                self._write(ack_from_event(json.loads(document)))
            except KubernetesError as error:
                if error.may_pass or error.is_conflict or error.status == 403:  # noqa: PLR2004 - rights may be on their way
                    raise TryLaterError(str(error)) from error
                raise RefusedError(str(error)) from error
            except InputError as error:
                raise RefusedError(str(error)) from error

    def _write(self, ack: Ack) -> None:
        path = object_path(self._namespace, object_name(ack.recommendation_id.lower()))
        found = self._api.get(path)
        if found is None:
            msg = f"recommendation {ack.recommendation_id} is gone"
            raise InputError(msg)
        old = (found.get("status") or {}).get("conditions") or []
        body = {
            "metadata": {"resourceVersion": (found.get("metadata") or {}).get("resourceVersion")},
            "status": {"phase": str(ack.phase), "conditions": _conditions(ack, old)},
        }
        words = f"say {ack.phase} of recommendation {ack.recommendation_id}"
        self._api.send(Call(method="PATCH", path=f"{path}/status", body=body, content_type=MERGE, words=words))


def _conditions(ack: Ack, old: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One per phase that was reached; of a new attempt only its own."""
    if ack.phase is Phase.RECEIVED:
        old = []
    kind = ack.phase[0].upper() + ack.phase[1:]
    new = {
        "type": kind,
        "status": "True",
        "reason": (ack.reason or kind)[0].upper() + (ack.reason or kind)[1:],
        "message": ack.detail or "",
        "lastTransitionTime": rfc3339(ack.at),
    }
    return [*(one for one in old if one.get("type") != kind), new]
