"""The changes that the executor asks an API server for, each with every name checked and bound to what was seen.

A change of a node carries its uid and resourceVersion, an eviction the pod's uid: what became another object meanwhile,
or was changed by somebody else, is answered with 409 and looked at again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.document import rfc3339
from warpgauge.core.errors import InputError
from warpgauge.core.kubernetes import KEEP, PREFIX, Call
from warpgauge.core.kubernetes.api import MERGE, STRATEGIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.kubernetes import KubeNode, KubePod
    from warpgauge.core.kubernetes.state import Taint

__all__ = [
    "AVOID",
    "CORDONED_BY",
    "KEEP",
    "PREFIX",
    "QUARANTINE",
    "advice_id",
    "condition",
    "cordon",
    "evict",
    "object_name",
    "release",
    "remove_condition",
    "taint",
    "uncordon",
    "untaint",
]

AVOID: Final = f"{PREFIX}/avoid"  # taint, PreferNoSchedule: the last choice
QUARANTINE: Final = f"{PREFIX}/quarantine"  # taint, NoSchedule: nothing new
CORDONED_BY: Final = f"{PREFIX}/cordoned-by"  # annotation; each holds the id of the recommendation
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")  # RFC 1123 subdomain: goes into a path as it is
_ID: Final = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z-]{6,61}[0-9A-Za-z])")  # also the value of a label


def object_name(text: str) -> str:
    """`text`, if it is a name that Kubernetes could have given; InputError if not."""
    if not _NAME.fullmatch(text):
        msg = f"{text[:80]!r} is not the name of a Kubernetes object"
        raise InputError(msg)
    return text


def advice_id(text: str) -> str:
    """`text`, if it can be the id of a recommendation; InputError if not."""
    if not _ID.fullmatch(text):
        msg = f"{text[:80]!r} is not the id of a recommendation"
        raise InputError(msg)
    return text


def cordon(node: KubeNode, advice: str) -> Call:
    """Take no new pod; what runs stays."""
    return _change(
        node, f"cordon node {node.name}", {"unschedulable": True}, annotations={CORDONED_BY: advice_id(advice)}
    )


def uncordon(node: KubeNode) -> Call:
    """Take pods again."""
    return _change(node, f"uncordon node {node.name}", {"unschedulable": None}, annotations={CORDONED_BY: None})


def release(node: KubeNode) -> Call:
    """End our cordon and our quarantine in one change; a cordon of somebody else's stays."""
    kept = [_written(one) for one in node.taints if one.key != QUARANTINE]
    spec: dict[str, Any] = {"taints": kept or None}
    if CORDONED_BY in node.annotations:
        spec["unschedulable"] = None
    return _change(node, f"give node {node.name} back to the scheduler", spec, annotations={CORDONED_BY: None})


def taint(node: KubeNode, key: str, advice: str, effect: str) -> Call:
    """Add a taint, in place of one with its key and effect."""
    new = {"key": key, "value": advice_id(advice), "effect": effect}
    kept = [_written(one) for one in node.taints if (one.key, one.effect) != (key, effect)]
    words = f"taint node {node.name} {key}={advice}:{effect}"
    return _change(node, words, {"taints": [*kept, new]})


def untaint(node: KubeNode, *keys: str) -> Call:
    """Take our taints away."""
    kept = [_written(one) for one in node.taints if one.key not in keys]
    words = f"remove taint {' and '.join(keys)} from node {node.name}"
    return _change(node, words, {"taints": kept or None})


def condition(node: KubeNode, kind: str, message: str, since: float) -> Call:
    """Say something about a node, for people and for whoever watches conditions."""
    said = {
        "type": kind, "status": "True", "reason": "Recommended", "message": message,
        "lastTransitionTime": rfc3339(since), "lastHeartbeatTime": rfc3339(since),
    }  # fmt: skip
    return _status(node, f"set condition {kind} of node {node.name}: {message}", said)


def remove_condition(node: KubeNode, kind: str) -> Call:
    """Say it no longer."""
    return _status(node, f"remove condition {kind} of node {node.name}", {"type": kind, "$patch": "delete"})


def evict(pod: KubePod) -> Call:
    """End a pod if its disruption budgets allow it (policy/v1), this very one and none that took its name."""
    namespace, name = object_name(pod.namespace), object_name(pod.name)
    return Call(
        method="POST",
        path=f"/api/v1/namespaces/{namespace}/pods/{name}/eviction",
        body={
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        },
        words=f"evict pod {pod.full_name}",
    )


def _change(
    node: KubeNode, words: str, spec: Mapping[str, Any], *, annotations: Mapping[str, str | None] | None = None
) -> Call:
    meta: dict[str, Any] = {"uid": node.uid, "resourceVersion": node.version}
    if annotations:
        meta["annotations"] = dict(annotations)
    path = f"/api/v1/nodes/{object_name(node.name)}"
    return Call(method="PATCH", path=path, body={"metadata": meta, "spec": spec}, content_type=MERGE, words=words)


def _status(node: KubeNode, words: str, said: Mapping[str, str]) -> Call:
    return Call(
        method="PATCH",
        path=f"/api/v1/nodes/{object_name(node.name)}/status",
        body={"metadata": {"uid": node.uid}, "status": {"conditions": [said]}},
        content_type=STRATEGIC,
        words=words,
    )


def _written(one: Taint) -> dict[str, str]:
    """A taint as it was, in full: leaving out when it was added would restart what waits on it."""
    fields = {"key": one.key, "value": one.value, "effect": one.effect, "timeAdded": one.since}
    return {name: text for name, text in fields.items() if text}
