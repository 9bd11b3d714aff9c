"""What must hold before running work is ended and that no core shows: a person stands for it, or it is not done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from warpgauge.core.recommendation import Recommendation

__all__ = ["unvouched"]

_SELF_REPORTED: Final = "training_"  # metrics that the job itself tells
_VOUCHED_FOR: Final = frozenset({"checkpoint", "ownerTold"})  # no core shows it: whoever approves says so


def unvouched(
    advice: Recommendation, checked: frozenset[str], core: str, *, vouched: frozenset[str] = frozenset()
) -> str | None:
    """A precondition that nothing in the core shows and that no person stands for, None if there is none.

    `checked` are those that the executor itself looks at, `vouched` what a person may stand for on this core beside
    what one may on every core; `core` is its name for people.
    """
    checks = [one.check for one in advice.preconditions if one.check not in checked]
    if unknown := [check for check in checks if check not in _VOUCHED_FOR | vouched]:
        return f"precondition {unknown[0]} cannot be checked on {core}"
    if advice.approval.by is not None or advice.approval.required:
        return None
    if checks:
        return f"precondition {checks[0]} needs a person's approval: nothing in {core} shows it"
    if all(row.metric.startswith(_SELF_REPORTED) for row in advice.evidence):
        return "it rests on the job's own word alone: that needs a person's approval"
    return None
