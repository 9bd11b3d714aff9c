"""The desk and its book: what people and executors say holds over a restart, and every word is in the audit log."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.core.documents import ack, verification
from tests.detectors.scenes import Lockstep
from tests.detectors.test_recommend import NOW, finding, fleet
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.recommend import FileSink, Outbox, recommend
from warpgauge.analyzer.recommend.book import Book, Pending
from warpgauge.analyzer.recommend.desk import Desk, NotNowError, UnknownError, parse_who
from warpgauge.analyzer.recommend.lease import LEASE_SECONDS, DirectoryLock, Lease
from warpgauge.analyzer.recommend.undoing import undo_of
from warpgauge.analyzer.recommend.verifying import SETTLE_SECONDS, WINDOW_SECONDS, due, verify
from warpgauge.analyzer.service.advisor import Advisor, Step
from warpgauge.core.ack import Phase, ack_id
from warpgauge.core.audit import AuditLog
from warpgauge.core.audit import verify as verify_log
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import ConfigError, InputError, StorageError
from warpgauge.core.finding import FindingKind
from warpgauge.core.recommendation import RecommendationKind, Reversible
from warpgauge.core.verification import Verdict, verification_id

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.core.recommendation import Recommendation


class Site:
    """An advisor on files, restarted at will."""

    def __init__(self, folder: Path, *, mode: str = "approve", **options: Any) -> None:
        self.folder, self.mode, self.options = folder, mode, options
        self.clock = ManualClock(NOW)
        self.start()

    def start(self) -> None:
        audit = AuditLog(self.folder / "audit.jsonl", self.clock)
        self.desk = Desk(Book(self.folder / "book.sqlite"), self.clock, mode=self.mode, audit=audit)
        outbox = Outbox(self.folder, [FileSink(self.folder / "out.jsonl")], self.clock)
        self.advisor = Advisor(outbox, mode=self.mode, clock=self.clock, desk=self.desk, **self.options)

    def restart(self) -> None:
        self.advisor.close()
        self.start()

    def tick(self, *findings: Any, verifications: Any = ()) -> Any:
        plan = recommend(
            findings, (), fleet(nodes=100), self.advisor.ledger, now=self.clock.now(), mode=self.desk.mode,
            limits=self.advisor.limits(),
        )  # fmt: skip
        self.advisor.send(Step(plan, verifications))
        return plan

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "out.jsonl").read_text().splitlines()]

    def audited(self) -> list[str]:
        return [json.loads(line)["what"] for line in (self.folder / "audit.jsonl").read_text().splitlines()]

    def acked(self, recommendation: Recommendation, phase: Phase) -> bool:
        fields = {"recommendation_id": recommendation.id, "idempotency_key": recommendation.idempotency_key}
        name = ack_id(recommendation.id, "slurm", 1, phase)
        return self.desk.ack(replace(ack(phase), id=name, at=self.clock.now(), **fields))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_stands_survives_a_restart_under_the_same_key(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.restart()
    assert site.advisor.find(made.id) == made
    assert not site.tick(finding()).fresh
    assert len(site.sent()) == 1


def test_the_cooldown_survives_a_restart(site: Site) -> None:
    site.tick(finding())
    site.tick()
    site.restart()
    assert "got a recommendation" in site.tick(finding()).withheld[0].reason


def test_a_withdrawal_goes_out_once(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.tick()
    site.restart()
    site.tick()
    assert [(event["type"], event["data"].get("reason")) for event in site.sent()] == [
        ("warpgauge.recommendation.v1", None),
        ("warpgauge.recommendation.withdrawn.v1", "findingEnded"),
    ]
    assert [event["data"]["recommendationId"] for event in site.advisor.withdrawn] == [made.id]


def test_an_approval_is_shown_sent_audited_and_survives(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    assert not site.advisor.open[0].may_be_followed
    site.desk.approve(made, "ann")
    site.restart()
    site.advisor.flush()
    assert site.advisor.open[0].approval.by == "ann"
    assert site.advisor.open[0].may_be_followed
    assert [event["data"]["approval"].get("by") for event in site.sent()] == [None, "ann"]
    assert len({event["id"] for event in site.sent()}) == 1
    assert site.audited() == ["approve"]


def test_approving_twice_is_approving_once(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.desk.approve(made, "ann")
    assert site.desk.approve(made, "bob").approval.by == "ann"
    assert site.audited() == ["approve"]


def test_what_has_expired_cannot_be_approved(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.clock.advance(3600)
    with pytest.raises(NotNowError, match="expired"):
        site.desk.approve(made, "ann")


def test_what_was_refused_is_gone_at_once_and_withdrawn_at_the_next_tick(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.desk.reject(made, "ann")
    assert site.advisor.open == ()
    with pytest.raises(NotNowError, match="ann refused it"):
        site.desk.approve(made, "bob")
    site.restart()
    site.tick(finding())
    assert site.sent()[-1]["data"]["reason"] == "rejected"


def test_what_is_being_executed_cannot_be_refused_any_more(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.acked(made, Phase.EXECUTING)
    with pytest.raises(NotNowError, match="undo"):
        site.desk.reject(made, "ann")


def test_a_pause_holds_at_once_and_over_a_restart(site: Site) -> None:
    (made,) = site.tick(finding(number=1, job="a")).fresh
    site.desk.approve(made, "ann")
    site.desk.pause("bob")
    assert [one.mode for one in site.advisor.open] == ["observe"]
    assert not site.advisor.open[0].may_be_followed
    site.restart()
    assert site.advisor.hold == "paused by bob"
    assert not site.tick(finding(number=1, job="a"), finding(number=2, job="b")).fresh
    site.desk.resume("bob")
    assert site.advisor.open[0].may_be_followed
    assert site.tick(finding(number=1, job="a"), finding(number=2, job="b")).fresh
    assert site.audited() == ["approve", "pause", "resume"]


def test_a_mode_is_looked_at_before_it_is_put_in_force(site: Site) -> None:
    thermal = finding(FindingKind.THERMAL_LIMITED, number=2, job="b")
    site.tick(finding(number=1, job="a"), thermal)
    fates = {
        str(one.recommendation.kind): (one.before, one.after) for one in site.desk.difference(site.advisor.open, "auto")
    }
    assert fates == {"check-cooling": ("waits for an approval", "followed")}
    assert {one.after for one in site.desk.difference(site.advisor.open, "observe")} == {"withdrawn"}
    assert site.desk.mode == "approve"
    site.desk.set_mode("auto", "ann")
    site.restart()
    assert site.desk.mode == "auto"
    assert {one.mode for one in site.advisor.open} == {"auto"}
    assert site.audited() == ["mode"]


def test_an_ack_counts_once_and_only_for_what_was_recommended(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    assert site.acked(made, Phase.EXECUTED)
    assert not site.acked(made, Phase.EXECUTED)
    assert site.audited() == ["ack"]
    with pytest.raises(UnknownError):
        site.acked(replace(made, id="00000000-0000-0000-0000-000000000000"), Phase.EXECUTED)
    with pytest.raises(InputError, match="idempotency key"):
        site.acked(replace(made, idempotency_key="another"), Phase.FAILED)


def test_what_was_executed_is_not_withdrawn(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.acked(made, Phase.EXECUTED)
    site.tick()
    assert [event["type"] for event in site.sent()] == ["warpgauge.recommendation.v1"]


def test_what_cannot_be_audited_does_not_happen(site: Site) -> None:
    (made,) = site.tick(finding()).fresh

    def full(*_: object) -> None:
        msg = "No space left on device"
        raise StorageError(msg)

    site.desk._audit.append = full
    for order in (
        lambda: site.desk.pause("ann"),
        lambda: site.desk.approve(made, "ann"),
        lambda: site.desk.reject(made, "ann"),
    ):
        with pytest.raises(StorageError):
            order()
    site.restart()
    assert site.advisor.hold is None
    assert [one.id for one in site.advisor.open] == [made.id]
    assert not site.advisor.open[0].may_be_followed


def judged(made: Recommendation, verdict: Verdict) -> Any:
    return replace(
        verification(verdict), id=verification_id(made.id), recommendation_id=made.id,
        idempotency_key=made.idempotency_key,
    )  # fmt: skip


def test_worse_opens_the_undo_and_counts_against_the_detector(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.acked(made, Phase.EXECUTED)
    site.tick(finding(), verifications=((made, judged(made, Verdict.WORSE)),))
    site.restart()
    (undo,) = (one for one in site.advisor.open if one.kind is RecommendationKind.UNDO)
    assert (undo.undoes, undo.approval.required) == (made.id, True)
    assert site.desk.book.verdicts(0) == {("straggler", "worse"): 1}
    assert site.desk.book.unverified() == []
    assert [event["type"].removeprefix("warpgauge.") for event in site.sent()[-2:]] == [
        "verification.v1",
        "recommendation.v1",
    ]
    assert site.audited() == ["ack", "verification"]


def test_an_undo_stands_until_it_is_done(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.acked(made, Phase.EXECUTED)
    site.tick(verifications=((made, judged(made, Verdict.WORSE)),))
    site.tick()
    (undo,) = site.advisor.open
    site.acked(undo, Phase.EXECUTED)
    site.tick()
    assert site.advisor.open == ()


@pytest.mark.parametrize("verdict", [Verdict.IMPROVED, Verdict.NO_CHANGE, Verdict.INCONCLUSIVE])
def test_any_other_verdict_undoes_nothing(verdict: Verdict, site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.acked(made, Phase.EXECUTED)
    site.tick(finding(), verifications=((made, judged(made, verdict)),))
    assert [one.kind for one in site.advisor.open] == [made.kind]


def test_what_cannot_be_undone_has_no_undo(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    final = replace(made, reversible=Reversible.NO)
    assert undo_of(final, judged(final, Verdict.WORSE), mode="approve", now=NOW) is None


@pytest.mark.parametrize("text", ["", None, 7, "x" * 81, "a\nb", "a<b"])
def test_a_name_that_is_none_is_refused(text: object) -> None:
    with pytest.raises(InputError, match="by must be a name"):
        parse_who(text)


def test_of_two_analyzers_on_one_directory_one_acts(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    assert (first.hold(), second.hold()) == (True, False)
    first.release()
    assert second.hold()


def test_a_lease_is_one_holders_until_it_runs_out(tmp_path: Path) -> None:
    clock = ManualClock()
    first, second = (Lease(tmp_path / "lease", clock, holder=name) for name in ("a", "b"))
    assert (first.hold(), second.hold()) == (True, False)
    clock.advance(LEASE_SECONDS - 1)
    assert (first.hold(), second.hold()) == (True, False)  # renewed
    clock.advance(LEASE_SECONDS)
    assert not first.is_held
    assert (second.hold(), first.hold()) == (True, False)


def test_a_lease_given_back_is_taken_at_once(tmp_path: Path) -> None:
    clock = ManualClock()
    first, second = (Lease(tmp_path / "lease", clock, holder=name) for name in ("a", "b"))
    assert first.hold()
    first.release()
    assert second.hold()


def test_without_the_lease_nothing_is_recommended_or_acted_on(tmp_path: Path) -> None:
    clock = ManualClock()
    other, ours = Lease(tmp_path / "lease", clock, holder="a"), Lease(tmp_path / "lease", clock, holder="b")
    assert other.hold()
    site = Site(tmp_path, lease=ours)
    assert [item.reason for item in site.tick(finding()).withheld] == ["another analyzer has the lease"]
    other.release()
    assert site.tick(finding()).fresh


def test_rules_are_read_anew_and_rules_that_break_hold_everything(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("")
    site = Site(tmp_path, site_rules_file=str(rules))
    rules.write_text('[opt_out]\njobs = ["train"]\n')
    assert "left alone" in site.tick(finding()).withheld[0].reason
    rules.write_text("[opt_out")
    assert "rules.toml" in site.tick(finding()).withheld[0].reason
    rules.write_text("#")
    assert site.tick(finding()).fresh


def test_rules_that_cannot_be_read_end_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the site rules"):
        Site(tmp_path, site_rules_file=str(tmp_path / "none.toml"))


COLUMNS = 240
STEPS_AT = 120  # the column in which it is executed


def jobs_with_steps(effect: float) -> Any:
    """Nine jobs; the first steps `effect` times as long from the middle on."""
    builder, random = FrameBuilder(columns=COLUMNS), np.random.default_rng(3)
    for number in range(9):
        seconds = 1.0 + 0.02 * random.normal(size=COLUMNS)
        if number == 0:
            seconds[STEPS_AT:] *= effect
        builder.job(f"job-{number}", [(f"n{number}", f"GPU-{number}")], scheduler="slurm")
        builder.steps(f"job-{number}", rank=0, node=f"n{number}", seconds=seconds)
    return builder.build()


@pytest.mark.parametrize(
    ("effect", "verdict"), [(0.7, Verdict.IMPROVED), (1.0, Verdict.NO_CHANGE), (1.4, Verdict.WORSE)]
)
def test_steps_before_and_after_are_compared_with_the_other_jobs(effect: float, verdict: Verdict, site: Site) -> None:
    frame = jobs_with_steps(effect)
    executed = frame.time_ms[STEPS_AT] / 1000
    (made,) = site.tick(finding(FindingKind.IDLE_ALLOCATED, job="job-0")).fresh
    target = replace(made.target[0], cluster="test")
    pending = Pending(replace(made, target=(target,)), executed)
    now = executed + SETTLE_SECONDS + WINDOW_SECONDS
    assert due(pending, now)
    assert not due(pending, now - 1)
    found = verify(frame, pending, frozenset({("test", "job-8")}), now)
    assert found is not None
    assert (found.verdict, found.metric, found.control.peers) == (verdict, "training_step_seconds", 7)
    assert found.effect.estimate == pytest.approx(effect - 1, abs=0.05)


def test_what_was_before_ends_when_it_began_to_be_executed(site: Site) -> None:
    """Ending a job and its start elsewhere can take minutes, in which it takes no step."""
    frame = jobs_with_steps(0.7)
    began = frame.time_ms[STEPS_AT] / 1000
    (made,) = site.tick(finding(FindingKind.IDLE_ALLOCATED, job="job-0")).fresh
    site.acked(made, Phase.EXECUTING)
    site.clock.advance(240)
    site.acked(made, Phase.EXECUTED)
    (pending,) = site.desk.book.unverified()
    assert pending.executed - pending.began == 240
    target = replace(made.target[0], cluster="test")
    long = Pending(replace(made, target=(target,)), began + 240, began)
    found = verify(frame, long, frozenset(), long.executed + SETTLE_SECONDS + WINDOW_SECONDS)
    assert found.effect.estimate == pytest.approx(-0.3, abs=0.05)
    assert found.before.median == pytest.approx(1.0, abs=0.05)


def test_a_job_that_nobody_measured_is_inconclusive_in_the_end(site: Site) -> None:
    frame = Lockstep(columns=90).frame()
    (made,) = site.tick(finding(FindingKind.IDLE_ALLOCATED, job="gone")).fresh
    executed = frame.now - 1000
    pending = Pending(made, executed)
    assert verify(frame, pending, frozenset(), frame.now) is None
    found = verify(frame, pending, frozenset(), executed + 3601)
    assert (found.verdict, found.effect) == (Verdict.INCONCLUSIVE, None)


def test_a_tick_judges_what_is_due_and_undoes_what_is_worse(tmp_path: Path) -> None:
    frame, site = jobs_with_steps(1.4), Site(tmp_path)
    executed = frame.time_ms[STEPS_AT] / 1000
    site.clock.seconds = executed - 60
    idle = finding(FindingKind.IDLE_ALLOCATED, job="job-0")
    idle = replace(idle, scope=replace(idle.scope, cluster="test"), since=executed - 900)
    (made,) = site.tick(idle).fresh
    site.clock.seconds = executed
    site.acked(made, Phase.EXECUTED)
    site.clock.seconds = executed + SETTLE_SECONDS + WINDOW_SECONDS
    step = site.advisor.question(SimpleNamespace(findings=(), incidents=()))(frame)
    assert [one.verdict for _, one in step.verifications] == [Verdict.WORSE]
    site.advisor.send(step)
    assert [one.kind for one in site.advisor.open] == [RecommendationKind.UNDO]


def test_the_log_of_a_busy_day_is_whole(site: Site) -> None:
    (made,) = site.tick(finding()).fresh
    site.desk.approve(made, "ann")
    for phase in (Phase.RECEIVED, Phase.ACCEPTED, Phase.EXECUTING, Phase.EXECUTED):
        site.acked(made, phase)
    assert (verify_log(site.folder / "audit.jsonl").lines, verify_log(site.folder / "audit.jsonl").fault) == (5, None)
