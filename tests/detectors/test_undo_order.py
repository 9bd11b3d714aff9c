"""Taking back what was executed, because a person asks: what goes out, and when it cannot."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.detectors.test_recommend import NOW, finding, plan
from warpgauge.analyzer.recommend import Outbox, StreamSink
from warpgauge.analyzer.recommend.desk import NotNowError, UnknownError
from warpgauge.analyzer.service.advisor import Advisor, Step
from warpgauge.core.ack import Ack, Phase, ack_id
from warpgauge.core.clock import ManualClock
from warpgauge.core.finding import Evidence, FindingKind
from warpgauge.core.recommendation import Producer, Recommendation, RecommendationKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def advisor(tmp_path: Path) -> Iterator[Advisor]:
    clock = ManualClock(NOW)
    made = Advisor(Outbox(tmp_path, [StreamSink(io.StringIO())], clock), mode="approve", clock=clock)
    yield made
    made.close()


def issued(advisor: Advisor, kind: FindingKind = FindingKind.STRAGGLER, **more: object) -> Recommendation:
    """A recommendation that went out."""
    outcome = plan(finding(kind, **more))
    advisor.send(Step(outcome))
    return outcome.fresh[0]


def acked(advisor: Advisor, advice: Recommendation, phase: Phase) -> None:
    executor = Producer(name="slurm", version="1")
    advisor.desk.ack(
        Ack(
            id=ack_id(advice.id, "slurm", 1, phase),
            recommendation_id=advice.id,
            idempotency_key=advice.idempotency_key,
            executor=executor,
            attempt=1,
            phase=phase,
            at=NOW,
        )
    )


def test_whoever_asks_agrees_to_it_and_it_goes_out_with_the_next_tick(advisor: Advisor) -> None:
    advice = issued(advisor)
    acked(advisor, advice, Phase.EXECUTED)
    ordered = advisor.undo(advice.id, "ann")
    advisor.send(Step(replace(plan(), ledger=advisor.ledger)))
    (undo,) = [one for one in advisor.open if one.kind is RecommendationKind.UNDO]
    assert (undo.id, undo.undoes, undo.mode) == (ordered.id, advice.id, "approve")
    assert (undo.approval.by, undo.may_be_followed) == ("ann", True)


def test_what_was_asked_for_survives_a_restart_before_the_next_tick(advisor: Advisor) -> None:
    advice = issued(advisor)
    acked(advisor, advice, Phase.EXECUTED)
    ordered = advisor.undo(advice.id, "ann")
    again = Advisor(advisor.outbox, mode="approve", clock=ManualClock(NOW), desk=advisor.desk)
    again.send(Step(replace(plan(), ledger=again.ledger)))
    again.send(Step(replace(plan(), ledger=again.ledger)))
    assert [one.id for one in again.open if one.kind is RecommendationKind.UNDO] == [ordered.id]


def test_asking_twice_is_one_order(advisor: Advisor) -> None:
    advice = issued(advisor)
    acked(advisor, advice, Phase.EXECUTED)
    assert advisor.undo(advice.id, "ann") == advisor.undo(advice.id, "ann")
    advisor.send(Step(replace(plan(), ledger=advisor.ledger)))
    assert len([one for one in advisor.open if one.kind is RecommendationKind.UNDO]) == 1


@pytest.mark.parametrize("phase", [None, Phase.ACCEPTED, Phase.EXECUTING])
def test_what_was_not_executed_cannot_be_taken_back(advisor: Advisor, phase: Phase | None) -> None:
    advice = issued(advisor)
    if phase is not None:
        acked(advisor, advice, phase)
    with pytest.raises(NotNowError, match="nothing was executed on it"):
        advisor.undo(advice.id, "ann")


def test_what_has_no_way_back_cannot_be_taken_back(advisor: Advisor) -> None:
    hung = Evidence(metric="accel_device_state", value=1.0, unit="hung")
    advice = issued(advisor, FindingKind.DEVICE_HUNG, evidence=(hung,))
    acked(advisor, advice, Phase.EXECUTED)
    with pytest.raises(NotNowError, match="it cannot be taken back"):
        advisor.undo(advice.id, "ann")


def test_nothing_of_that_id_is_an_error(advisor: Advisor) -> None:
    with pytest.raises(UnknownError, match="there is no recommendation nope"):
        advisor.undo("nope", "ann")
