"""Whether the disruption budgets allow all evictions of an order together: asked one by one, the server allows each.

The server has the last word on each eviction; this only keeps a gang from being ended by halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from warpgauge.executors.kubernetes.faults import PDB_REFUSED, is_eviction
from warpgauge.executors.protocol import ExecutionError

if TYPE_CHECKING:
    from warpgauge.core.kubernetes import KubePod
    from warpgauge.executors.kubernetes.actions import Step
    from warpgauge.executors.kubernetes.look import Look

__all__ = ["check_budgets", "selects"]


def check_budgets(steps: Sequence[Step], look: Look) -> None:
    """Return if no budget is asked for more than it has.

    Raises:
        ExecutionError: one is; it may have more later.
        KubernetesError: the budgets cannot be read.

    """
    going: dict[str, list[str]] = {}
    for step in steps:
        if is_eviction(step.call):
            meta = step.call.body["metadata"]
            going.setdefault(meta["namespace"], []).append(meta["name"])
    for namespace, names in going.items():
        if len(names) > 1:
            _check(namespace, [pod for pod in look.pods_in(namespace) if pod.name in set(names)], look)


def _check(namespace: str, pods: Sequence[KubePod], look: Look) -> None:
    for budget in look.budgets(namespace):
        name = str((budget.get("metadata") or {}).get("name"))[:253]
        asked = sum(selects((budget.get("spec") or {}).get("selector"), pod.labels) for pod in pods)
        allowed = (budget.get("status") or {}).get("disruptionsAllowed", 0)
        if asked > 1 and (not isinstance(allowed, int) or asked > allowed):
            detail = f"budget {namespace}/{name} allows {allowed} of the {asked} evictions that belong together"
            raise ExecutionError(PDB_REFUSED, detail, may_succeed_later=True)


def selects(selector: object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector of policy/v1 takes a pod; one that is empty takes all, one that is absent none."""
    if not isinstance(selector, Mapping):
        return False
    wanted = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(one, labels) for one in expressions
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """One expression; one that we do not know is taken to hold, so that its budget counts."""
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or []
    known = {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return known.get(str(expression.get("operator")), True)
