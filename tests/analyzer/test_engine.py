"""Findings over ticks: raised once, held, cleared with hysteresis, back within the refractory time, ended for all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, ProcessReading, Strength
from warpgauge.analyzer.incidents.engine import CLEAR_TICKS, REFRACTORY_SECONDS, REMEMBER_SECONDS, EngineState, analyze
from warpgauge.core.finding import Evidence, FindingKind, Impact, Scope, Severity

T0 = 1_750_000_000.0
PLACE = Scope(cluster="c", node="n1")


class FrameAt:
    """As much of a frame as the engine looks at: its time."""

    def __init__(self, now: float) -> None:
        self.now = now


class Scripted:
    """A detector that says what it is told."""

    name = "scripted"

    def __init__(self) -> None:
        self.says: tuple[Candidate, ...] = ()

    def detect(self, _frame: object) -> Detection:
        return Detection(
            candidates=self.says,
            judged=Judgement(detector=self.name, what="nodes", entities=1, window_seconds=60.0),
            not_judged=(NotJudged(detector=self.name, what="more", why="no signal", missing=("host_load1",)),),
        )

    def explain(self, candidate: Candidate, processes) -> Candidate:
        return replace(candidate, summary=f"{candidate.summary} by {processes[0].command}")


def candidate(**changes) -> Candidate:
    usual = Candidate(
        kind=FindingKind.HOST_SATURATED,
        scope=PLACE,
        severity=Severity.WARNING,
        since=T0 - 50,
        confidence=0.9,
        evidence=(Evidence(metric="host_load1", value=9.0, unit=""),),
        summary="full",
        remedy="empty it",
    )
    return replace(usual, **changes)


class Run:
    """Ticks ten seconds apart."""

    def __init__(self) -> None:
        self.detector = Scripted()
        self.state = EngineState()
        self.now = T0

    def tick(self, *says: Candidate, seconds: float = 10.0, processes=None):
        self.now += seconds
        self.detector.says = says
        result = analyze(FrameAt(self.now), self.state, [self.detector], processes=processes)
        self.state = result.state
        return result


HOLD = candidate(strength=Strength.HOLD)


def test_a_raised_candidate_is_a_finding_at_once():
    (finding,) = Run().tick(candidate()).findings

    assert (finding.kind, finding.scope, finding.severity) == (FindingKind.HOST_SATURATED, PLACE, Severity.WARNING)
    assert (finding.since, finding.confirmed, finding.ended) == (T0 - 50, T0 + 10, None)


def test_a_held_candidate_opens_nothing():
    assert Run().tick(HOLD).findings == ()


def test_a_held_candidate_keeps_an_open_finding_open():
    run = Run()
    run.tick(candidate())

    for _ in range(10):
        findings = run.tick(HOLD).findings

    assert len(findings) == 1


def test_a_finding_ends_once_it_was_absent_long_enough():
    run = Run()
    run.tick(candidate())

    results = [run.tick() for _ in range(CLEAR_TICKS)]

    assert [len(result.findings) for result in results] == [1] * (CLEAR_TICKS - 1) + [0]
    assert [finding.ended for finding in results[-1].ended] == [run.now]


def test_one_absent_tick_changes_neither_id_nor_confirmation():
    run = Run()
    (before,) = run.tick(candidate()).findings
    run.tick()

    (after,) = run.tick(candidate()).findings

    assert (after.id, after.confirmed) == (before.id, before.confirmed)


def test_a_condition_that_comes_back_soon_is_the_same_finding():
    run = Run()
    (before,) = run.tick(candidate()).findings
    for _ in range(CLEAR_TICKS):
        run.tick()

    result = run.tick(candidate(since=run.now))

    assert [finding.id for finding in result.findings] == [before.id]
    assert result.findings[0].ended is None
    assert result.findings[0].since == before.since
    assert result.ended == ()


def test_a_condition_that_comes_back_late_is_a_new_finding():
    run = Run()
    (before,) = run.tick(candidate()).findings
    for _ in range(CLEAR_TICKS):
        run.tick()
    run.tick(seconds=REFRACTORY_SECONDS)

    result = run.tick(candidate(since=run.now))

    assert result.findings[0].id != before.id


def test_after_a_restart_a_finding_stays_until_its_detectors_window_is_clear_of_the_gap():
    run = Run()
    (before,) = run.tick(candidate()).findings
    run.state = replace(run.state, resumed=run.now)

    ticks = [[finding.id for finding in run.tick().findings] for _ in range(5 + CLEAR_TICKS)]

    assert ticks[: 5 + CLEAR_TICKS - 1] == [[before.id]] * (5 + CLEAR_TICKS - 1)
    assert ticks[-1] == []
    assert run.state.resumed is None


def test_an_ended_finding_is_forgotten_after_ten_minutes():
    run = Run()
    run.tick(candidate())
    for _ in range(CLEAR_TICKS):
        run.tick()

    assert len(run.tick(seconds=REMEMBER_SECONDS - 1).ended) == 1
    assert run.tick(seconds=2).ended == ()


def test_an_onset_only_moves_back_while_the_window_slides():
    run = Run()
    run.tick(candidate(since=T0 - 50))

    (later,) = run.tick(candidate(since=T0 + 100)).findings
    (earlier,) = run.tick(candidate(since=T0 - 100)).findings

    assert (later.since, earlier.since) == (T0 - 50, T0 - 100)


def test_an_open_finding_carries_the_newest_numbers():
    run = Run()
    run.tick(candidate())

    (finding,) = run.tick(candidate(summary="fuller", severity=Severity.CRITICAL, confidence=0.5)).findings

    assert (finding.summary, finding.severity, finding.confidence) == ("fuller", Severity.CRITICAL, 0.5)


def ended_after(run: Run, *says: Candidate):
    """The finding as it is remembered once these were said one after the other, and then nothing."""
    for one in says:
        run.tick(one)
    (finding,) = [run.tick() for _ in range(CLEAR_TICKS)][-1].ended
    return finding


BAD = candidate(confidence=0.95, summary="100 % full", evidence=(Evidence(metric="host_load1", value=99.0, unit=""),))
FADED = replace(HOLD, confidence=0.6, summary="half full")


def test_a_finding_that_ended_says_what_it_was_at_its_worst():
    found = ended_after(Run(), candidate(), BAD, candidate(), FADED)

    assert (found.summary, found.confidence, found.evidence) == ("100 % full", 0.95, BAD.evidence)
    assert found.since == T0 - 50


def test_while_it_holds_it_says_what_is_so_now():
    run = Run()
    run.tick(BAD)

    assert [finding.summary for finding in run.tick(FADED).findings] == ["half full"]


def test_the_more_severe_is_the_worse_and_of_equals_the_newer():
    critical = candidate(severity=Severity.CRITICAL, confidence=0.5, summary="bursting")

    assert ended_after(Run(), critical, BAD).summary == "bursting"
    assert ended_after(Run(), candidate(), candidate(summary="full again")).summary == "full again"


def test_one_that_is_back_and_weaker_still_ends_with_its_worst():
    run = Run()
    ended_after(run, BAD, FADED)

    assert ended_after(run, candidate(summary="a little full"), FADED).summary == "100 % full"


def test_what_only_held_it_may_have_cost_the_most():
    early = replace(BAD, impact=Impact(lost_device_seconds=10.0, slowdown_ratio=2.0, method="steps"))
    late = replace(FADED, impact=Impact(lost_device_seconds=900.0, slowdown_ratio=1.1, method="steps"))

    assert ended_after(Run(), early, late).impact == Impact(
        lost_device_seconds=900.0, slowdown_ratio=2.0, method="steps"
    )


def test_ids_are_the_same_in_another_process_for_the_same_onset():
    (one,), (other,) = (Run().tick(candidate()).findings for _ in range(2))

    assert one.id == other.id
    assert one.id != Run().tick(candidate(scope=Scope(cluster="c", node="n2"))).findings[0].id


def test_of_two_candidates_for_one_condition_the_raised_one_counts():
    (finding,) = Run().tick(HOLD, candidate(confidence=0.3), replace(HOLD, confidence=1.0)).findings

    assert finding.confidence == 0.3


def test_findings_are_ranked_by_severity_then_by_what_they_cost():
    small, big = (Impact(lost_device_seconds=seconds) for seconds in (10.0, 1000.0))
    said = [
        candidate(scope=Scope(node="cheap"), impact=small),
        candidate(scope=Scope(node="dear"), impact=big),
        candidate(scope=Scope(node="urgent"), severity=Severity.CRITICAL),
        candidate(scope=Scope(node="note"), severity=Severity.INFO, impact=big),
    ]

    assert [finding.scope.node for finding in Run().tick(*said).findings] == ["urgent", "dear", "cheap", "note"]


def test_simulation_is_carried_into_the_finding():
    assert Run().tick(candidate(simulated=True)).findings[0].simulated is True


def test_what_was_and_was_not_judged_is_told():
    result = Run().tick()

    assert [item.entities for item in result.judged] == [1]
    assert [item.missing for item in result.not_judged] == [("host_load1",)]


def test_processes_are_wanted_only_for_findings_that_hold():
    run = Run()

    assert run.tick(replace(HOLD, needs_processes=True)).wanted == frozenset()
    assert run.tick(candidate(needs_processes=True)).wanted == {("c", "n1")}
    assert run.tick(candidate()).wanted == frozenset()


def test_known_processes_stand_in_the_summary():
    hog = ProcessReading(pid=7, command="hog", cpu_ratio=0.9, memory_bytes=1.0)

    result = Run().tick(candidate(needs_processes=True), processes={("c", "n1"): (hog,)})

    assert result.findings[0].summary == "full by hog"


def test_a_tick_is_pure_so_that_it_can_be_repeated_with_processes():
    run = Run()
    state = run.state
    run.detector.says = (candidate(needs_processes=True),)
    results = [analyze(FrameAt(T0), state, [run.detector]) for _ in range(2)]

    assert results[0] == results[1]
    assert state == EngineState()


@pytest.mark.parametrize("absent", range(CLEAR_TICKS))
def test_a_flicker_shorter_than_the_clear_time_never_ends_a_finding(absent: int):
    run = Run()
    ids = set()
    for _ in range(20):
        ids |= {finding.id for finding in run.tick(candidate()).findings}
        for _ in range(absent):
            assert len(run.tick().findings) == 1

    assert len(ids) == 1


@given(st.lists(st.sampled_from(["raise", "hold", "absent"]), max_size=40))
def test_a_finding_only_opens_on_a_raise_and_only_ends_in_absence(script):
    run = Run()
    says = {"raise": (candidate(),), "hold": (HOLD,), "absent": ()}
    seen = [(word, len(run.tick(*says[word]).findings)) for word in script]

    for (_, before), (word, after) in pairwise([("absent", 0), *seen]):
        assert after <= before or word == "raise"
        assert after >= before or word == "absent"


class Other(Scripted):
    """A second detector, which a partial pass leaves out."""

    name = "other"


def test_a_partial_pass_leaves_alone_what_the_others_found():
    asked, other = Scripted(), Other()
    asked.says = (candidate(),)
    other.says = (candidate(scope=Scope(cluster="c", node="n2")),)
    state = analyze(FrameAt(T0), EngineState(), [asked, other]).state
    asked.says = ()

    for tick in range(1, CLEAR_TICKS + 1):
        result = analyze(FrameAt(T0 + tick), state, [asked], is_partial=True)
        state = result.state

    assert [finding.scope.node for finding in result.findings] == ["n2"]
    assert [finding.scope.node for finding in result.ended] == ["n1"]


def test_a_partial_pass_opens_what_it_finds():
    asked = Scripted()
    asked.says = (candidate(),)

    result = analyze(FrameAt(T0), EngineState(), [asked], is_partial=True)

    assert [finding.scope for finding in result.findings] == [PLACE]


ON_DEVICE = Scope(cluster="c", node="n1", uuid="GPU-1")
IN_JOB = replace(ON_DEVICE, job_id="train", rank=3)


@pytest.mark.parametrize(("before", "after"), [(ON_DEVICE, IN_JOB), (IN_JOB, ON_DEVICE)], ids=["comes", "leaves"])
def test_a_fault_of_a_device_stays_one_finding_when_a_job(before: Scope, after: Scope):
    run = Run()
    (first,) = run.tick(candidate(scope=before)).findings
    (then,) = run.tick(candidate(scope=after)).findings
    (last,) = run.tick(candidate(scope=after, strength=Strength.HOLD)).findings
    assert (then.id, then.scope, then.confirmed) == (first.id, after, first.confirmed)
    assert last.id == first.id
    assert not run.state.ended


def test_the_faults_that_one_device_costs_two_jobs_stay_two_findings():
    run = Run()
    (first,) = run.tick(candidate(scope=IN_JOB)).findings
    (other,) = (
        one for one in run.tick(candidate(scope=replace(IN_JOB, job_id="other"))).findings if one.id != first.id
    )
    assert other.scope.job_id == "other"


class Broken(Scripted):
    """A detector that has a fault of its own from some tick on."""

    name = "broken"

    def detect(self, frame: object) -> Detection:
        if not self.says:
            raise ValueError(self.name)
        return super().detect(frame)


def test_a_detector_that_fails_costs_its_own_verdicts_only_and_ends_nothing(caplog):
    sound, broken = Scripted(), Broken()
    sound.says, broken.says = (candidate(),), (candidate(kind=FindingKind.MEMORY_PRESSURE),)
    state, found = EngineState(), []
    for tick in range(4):
        result = analyze(FrameAt(T0 + 10 * tick), state, [sound, broken], is_tolerant=True)
        state = result.state
        found.append({finding.kind for finding in result.findings})
        broken.says = ()
    assert found == [{FindingKind.HOST_SATURATED, FindingKind.MEMORY_PRESSURE}] * 4
    assert "its code failed; the log says where" in {one.why for one in result.not_judged}
    assert "detector failed" in caplog.text
    with pytest.raises(ValueError, match="broken"):
        analyze(FrameAt(T0), state, [broken])
