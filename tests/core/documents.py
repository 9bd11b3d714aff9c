"""One example of each document beside the recommendation, for the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jsonschema

from tests.detectors.test_recommendation_document import START, example
from warpgauge.core.ack import Ack, NativeRef, Phase, ack_from_event, ack_id
from warpgauge.core.event import schema
from warpgauge.core.recommendation import Producer, Recommendation, recommendation_from_event
from warpgauge.core.verification import (
    Control,
    Effect,
    Verdict,
    Verification,
    WindowSummary,
    verification_from_event,
    verification_id,
)
from warpgauge.core.withdrawal import Withdrawal, WithdrawalReason, withdrawal_from_event, withdrawal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SLURM: Final = Producer(name="slurm", version="0.1.0")


def withdrawal() -> Withdrawal:
    return withdrawal_of(example(), WithdrawalReason.FINDING_ENDED, START + 120)


def ack(phase: Phase = Phase.FAILED) -> Ack:
    return Ack(
        id=ack_id(example().id, "slurm", 2, phase),
        recommendation_id=example().id,
        idempotency_key=example().idempotency_key,
        executor=SLURM,
        attempt=2,
        phase=phase,
        reason="jobGone",
        detail="job 7 is not there any more",
        native_refs=(NativeRef(kind="job", name="7", version="1"),),
        at=START + 60,
    )


def verification(verdict: Verdict = Verdict.IMPROVED) -> Verification:
    before = WindowSummary(start=START - 600, end=START, median=1.31, n=590)
    after = WindowSummary(start=START + 120, end=START + 720, median=1.01, n=600)
    return Verification(
        id=verification_id(example().id),
        idempotency_key=example().idempotency_key,
        producer=example().producer,
        recommendation_id=example().id,
        verdict=verdict,
        reason="steps take 0.29 s less",
        metric="training_step_seconds",
        unit="seconds",
        settled_seconds=120,
        before=before,
        after=after,
        control=Control(peers=7, before=before, after=before),
        effect=Effect(estimate=-0.29, low=-0.31, high=-0.27, method="difference in differences"),
        at=START + 720,
    )


READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "recommendation": recommendation_from_event,
    "recommendation.withdrawn": withdrawal_from_event,
    "ack": ack_from_event,
    "verification": verification_from_event,
}
EXAMPLES: Final[Mapping[str, Recommendation | Withdrawal | Ack | Verification]] = {
    "recommendation": example(),
    "recommendation.withdrawn": withdrawal(),
    "ack": ack(),
    "verification": verification(),
}


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema(name), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
