"""The event that tells people, beside the node, what was done to it and on which recommendation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.document import rfc3339
from warpgauge.core.kubernetes import OWNER, Call
from warpgauge.executors.kubernetes import calls
from warpgauge.executors.kubernetes.actions import node_of

if TYPE_CHECKING:
    from warpgauge.executors.kubernetes.look import Look
    from warpgauge.executors.protocol import Order

__all__ = ["event_of"]

_NAMESPACE: Final = "default"  # where events about what has no namespace must be
_MOST_WORDS: Final = 240  # letters of a summary: the server takes 1024 bytes of a note
_MICRO: Final = "000Z"  # eventTime is read to the microsecond


def event_of(order: Order, look: Look) -> Call:
    """Its name is of the recommendation, so that the same doing is told once."""
    node = look.node(node_of(order.advice))
    regarding: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "name": node_of(order.advice)}
    if node is not None:
        regarding["uid"] = node.uid
    name = f"warpgauge-{calls.advice_id(order.recommendation.id).lower()}"
    note = f"{'Taken back: ' if order.is_undo else ''}{order.advice.text.summary[:_MOST_WORDS]} [{order.advice.id}]"
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": _NAMESPACE, "name": calls.object_name(name)},
        "eventTime": rfc3339(order.recommendation.created).removesuffix("Z") + _MICRO,
        "reportingController": f"{calls.PREFIX}/{OWNER}",
        "reportingInstance": OWNER,
        "action": "".join(word.capitalize() for word in order.recommendation.kind.split("-")),
        "reason": "RecommendationFollowed",
        "regarding": regarding,
        "note": note,
        "type": "Normal",
    }
    path = f"/apis/events.k8s.io/v1/namespaces/{_NAMESPACE}/events"
    return Call(method="POST", path=path, body=body, words=f"write event {name}")
