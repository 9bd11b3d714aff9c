"""The document that says whether following a recommendation helped."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from warpgauge.core.document import Instant  # noqa: TC001 - read at run time, by get_type_hints
from warpgauge.core.event import data_of, event_of, malformed
from warpgauge.core.recommendation import SOURCE, Producer

__all__ = [
    "Control",
    "Effect",
    "Verdict",
    "Verification",
    "WindowSummary",
    "verification_from_event",
    "verification_id",
]

_NAME: Final = "verification"
_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:warpgauge:schema:verification:v1")


class Verdict(StrEnum):
    """What came of it. Verdicts are added, never renamed."""

    IMPROVED = "improved"
    NO_CHANGE = "noChange"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSummary:
    """The metric over one window."""

    start: Instant
    end: Instant
    median: float
    n: int  # values


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """By how much the metric changed beyond what its peers did, in the metric's unit; the interval covers 95 %."""

    estimate: float
    low: float
    high: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Peers that nobody touched, over the same windows."""

    peers: int
    before: WindowSummary
    after: WindowSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Before and after an executed recommendation; effect and windows are absent where there was too little data."""

    id: str
    idempotency_key: str  # of the recommendation
    schema_version: str = "1"
    producer: Producer
    recommendation_id: str
    verdict: Verdict
    reason: str  # in words
    metric: str
    unit: str
    settled_seconds: float  # left out after the ack, for things to settle
    before: WindowSummary | None = None
    after: WindowSummary | None = None
    control: Control | None = None
    effect: Effect | None = None
    at: Instant
    simulated: bool = False

    def to_event(self) -> dict[str, Any]:
        """The verification as a CloudEvents 1.0 JSON object in structured mode."""
        return event_of(_NAME, self, source=SOURCE, subject=self.recommendation_id, time=self.at)


def verification_id(recommendation_id: str) -> str:
    """The one verification of a recommendation."""
    return str(uuid.uuid5(_IDS, recommendation_id))


def verification_from_event(event: object) -> Verification:
    """Read what `to_event` wrote.

    Raises:
        InputError: it is another type of event, its verdict is unknown, or a field is missing or malformed.

    """
    verification = data_of(event, _NAME, Verification)
    effect = verification.effect
    wrong = {
        "data.effect is outside its interval": effect and not effect.low <= effect.estimate <= effect.high,
        "data.effect is missing": effect is None and verification.verdict is not Verdict.INCONCLUSIVE,
    }
    for words, holds in wrong.items():
        if holds:
            raise malformed(_NAME, event, words)
    return verification
