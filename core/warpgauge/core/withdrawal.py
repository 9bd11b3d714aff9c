"""The document that takes a recommendation back before anybody acted on it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from warpgauge.core.document import Instant  # noqa: TC001 - read at run time, by get_type_hints
from warpgauge.core.event import data_of, event_of
from warpgauge.core.recommendation import SOURCE, Producer, Recommendation, RecommendationKind

__all__ = ["Withdrawal", "WithdrawalReason", "withdrawal_from_event", "withdrawal_of"]

_NAME: Final = "recommendation.withdrawn"
_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:warpgauge:schema:recommendation.withdrawn:v1")


class WithdrawalReason(StrEnum):
    """Why nobody should act any more. Reasons are added, never renamed."""

    FINDING_ENDED = "findingEnded"
    EXPIRED = "expired"
    REJECTED = "rejected"  # by a person
    SUPERSEDED = "superseded"
    OPTED_OUT = "optedOut"
    MODE_CHANGED = "modeChanged"  # to observe


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Whoever has not acted on the recommendation yet must not; what was done already stays done."""

    id: str
    idempotency_key: str  # the recommendation's own
    schema_version: str = "1"
    producer: Producer
    recommendation_id: str
    kind: RecommendationKind
    conflict_group: str
    reason: WithdrawalReason
    at: Instant
    simulated: bool = False

    def to_event(self) -> dict[str, Any]:
        """The withdrawal as a CloudEvents 1.0 JSON object in structured mode."""
        return event_of(_NAME, self, source=SOURCE, subject=self.recommendation_id, time=self.at)


def withdrawal_of(recommendation: Recommendation, reason: WithdrawalReason, at: float) -> Withdrawal:
    """The one withdrawal of a recommendation: made again after a restart it has the same id."""
    return Withdrawal(
        id=str(uuid.uuid5(_IDS, recommendation.id)),
        idempotency_key=recommendation.idempotency_key,
        producer=recommendation.producer,
        recommendation_id=recommendation.id,
        kind=recommendation.kind,
        conflict_group=recommendation.conflict_group,
        reason=reason,
        at=at,
        simulated=recommendation.simulated,
    )


def withdrawal_from_event(event: object) -> Withdrawal:
    """Read what `to_event` wrote.

    Raises:
        InputError: it is another type of event, its kind is unknown, or a field is missing or malformed.

    """
    return data_of(event, _NAME, Withdrawal)
