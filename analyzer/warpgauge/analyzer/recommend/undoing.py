"""The order to take back what made things worse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.core.recommendation import (
    Approval,
    Precondition,
    RecommendationKind,
    Reversible,
    Text,
    idempotency_key,
    recommendation_id,
)

if TYPE_CHECKING:
    from warpgauge.core.recommendation import Recommendation

__all__ = ["undo_of"]

LIFETIME_SECONDS: Final = 86_400.0


def undo_of(recommendation: Recommendation, why: str, *, mode: str, now: float) -> Recommendation | None:
    """The undo of a recommendation that is reversible, partly too; always with a person's approval. Else None."""
    if recommendation.reversible is Reversible.NO or recommendation.kind is RecommendationKind.UNDO:
        return None
    key = idempotency_key(RecommendationKind.UNDO, recommendation.target, recommendation.id, recommendation.created)
    return replace(
        recommendation,
        id=recommendation_id(key),
        idempotency_key=key,
        kind=RecommendationKind.UNDO,
        mode=mode,
        undoes=recommendation.id,
        undo=None,
        reversible=Reversible.NO,
        preconditions=(Precondition(check="executed", expected=recommendation.id),),
        created=now,
        not_before=now,
        expires_at=now + LIFETIME_SECONDS,
        approval=Approval(required=True, policy=mode),
        text=Text(
            summary=f"Undo: {recommendation.undo or recommendation.text.summary}",
            detail=why,
            runbook=recommendation.text.runbook,
        ),
        expected_gain=None,
        disruption=None,
    )
