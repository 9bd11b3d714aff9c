"""Whether a pod may run on a node by its selector, its required node affinity and its tolerations.

As kube-scheduler decides it: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/. Room, and what
`KubePod.asks_otherwise` names, are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warpgauge.core.kubernetes.state import KubeNode, KubePod, Taint, Toleration

__all__ = ["may_run_on"]


def may_run_on(pod: KubePod, node: KubeNode) -> bool:
    """Whether nothing but room keeps the pod off the node."""
    return (
        all(node.labels.get(key) == value for key, value in pod.node_selector.items())
        and (pod.affinity_terms is None or any(_matches(term, node) for term in pod.affinity_terms))
        and all(any(_tolerates(one, taint) for one in pod.tolerations) for taint in node.taints if taint.is_hard)
    )


def _matches(term: Mapping[str, Any], node: KubeNode) -> bool:
    """A term of expressions, of which all must hold; an empty one matches nothing."""
    labels, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not labels and not fields:
        return False
    return all(_holds(one, node.labels) for one in labels) and all(
        _holds(one, {"metadata.name": node.name}) for one in fields
    )


def _holds(expression: object, facts: Mapping[str, str]) -> bool:
    """One expression; an operator that we do not know holds nowhere."""
    if not isinstance(expression, Mapping):
        return False
    value, wanted = facts.get(str(expression.get("key"))), [str(one) for one in expression.get("values") or []]
    operator = str(expression.get("operator"))
    claims = {
        "In": value in wanted,
        "NotIn": value not in wanted,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return claims.get(operator, operator in {"Gt", "Lt"} and _is_beyond(operator, value, wanted))


def _is_beyond(operator: str, value: str | None, wanted: list[str]) -> bool:
    try:
        have, limit = int(value or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return have > limit if operator == "Gt" else have < limit


def _tolerates(one: Toleration, taint: Taint) -> bool:
    return (
        one.effect in {"", taint.effect}
        and one.key in {"", taint.key}
        and (one.operator == "Exists" or (bool(one.key) and one.value == taint.value))
    )
