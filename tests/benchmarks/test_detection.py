"""The arithmetic of the detection benchmark, on events made by hand, and one small scenario through all of it."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from detection_parts.drawing import ADDED, draw, is_sound
from detection_parts.figures import figures
from detection_parts.large import draw_large
from detection_parts.matching import GRACE_SECONDS, match
from detection_parts.playing import Outcome, Page, watched
from detection_parts.recording import Told, record, recorded, streamed
from detection_parts.report import at_most, by_kind, by_size, f1_interval, poisson, score, wilson
from detection_parts.tuning import leave_one_out
from detection_parts.unknown import detectors_without, without_names

from tests.detectors.scenes import Lockstep
from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.exporters.synthetic.scenario import (
    SCENARIO_SCHEMA,
    FaultPlan,
    FleetPlan,
    JobPlan,
    Scenario,
    TroublePlan,
)

ONSET, END = 1000.0, 9000.0
BEFORE_ADDED = "ecfd9662eea6828b5213466f93805568982b94df69e56b2c75270efac0292df6"
"""Digest of what seeds 40 to 69 drew before there were any others."""


def fault(**changes):
    plain = {
        "kind": "straggler",
        "cause": "slow_kernels",
        "scope": {"cluster": "c", "node": "n0", "uuid": "G0", "job_id": "j", "rank": 0},
        "nodes": ["n0"],
        "uuids": ["G0"],
        "start": ONSET,
        "end": None,
        "size": 2.0,
        "must_be_found": True,
        "consequences": [],
    }
    return plain | changes


def page(kind="straggler", told=ONSET + 60.0, confidence=0.9, **scope) -> Page:
    return Page(kind=kind, scope=scope or {"uuid": "G0", "node": "n0", "job_id": "j"}, told=told, confidence=confidence)


def outcome(*faults, pages=(), true_of_jobs=()) -> Outcome:
    return Outcome(
        name="made",
        truth={"faults": list(faults), "start": 0.0, "end": END},
        true_of_jobs=frozenset(true_of_jobs),
        scrape_seconds=15.0,
        device_days=1.0,
        pages=list(pages),
    )


def matched(*faults, pages=(), **more):
    one = outcome(*faults, pages=pages, **more)
    return match(one, one.pages)


def test_a_page_of_the_kind_at_the_place_finds_the_fault_and_its_delay_is_in_intervals():
    result = matched(fault(), pages=[page()])
    assert result.found[0].intervals == 4.0
    assert (result.false, result.repeats) == ((), 0)


def test_a_second_page_about_a_fault_is_a_repeat():
    assert matched(fault(), pages=[page(), page(told=ONSET + 90.0)]).repeats == 1


@pytest.mark.parametrize(
    "wrong",
    [
        page(kind="thermal_limited"),
        page(uuid="G1", node="n0", job_id="j"),
        page(told=ONSET - 1.0),
    ],
    ids=["kind", "place", "time"],
)
def test_a_page_of_another_kind_place_or_time_is_false(wrong):
    result = matched(fault(), pages=[wrong])
    assert result.false == (wrong,)
    assert result.found[0].page is None


def test_a_page_long_after_the_end_of_a_fault_is_false_and_shortly_after_is_not():
    ended = fault(end=2000.0)
    assert not matched(ended, pages=[page(told=2000.0 + GRACE_SECONDS)]).false
    assert matched(ended, pages=[page(told=2001.0 + GRACE_SECONDS)]).false


def test_a_stage_is_named_with_its_job():
    stage = fault(kind="workload_imbalance", scope={"job_id": "j", "stage": 1})
    right, elsewhere = page("workload_imbalance", job_id="j", stage=1), page("workload_imbalance", job_id="k", stage=1)
    result = matched(stage, pages=[right, elsewhere])
    assert result.found[0].page == right
    assert result.false == (elsewhere,)


def test_what_a_fault_brings_with_it_is_neither_right_nor_false_where_it_is_felt():
    hot = fault(kind="thermal_limited", consequences=["straggler"])
    result = matched(hot, pages=[page("straggler"), page("straggler", uuid="G9", node="n9")])
    assert result.consequences == 1
    assert len(result.false) == 1
    assert result.found[0].page is None


def test_what_is_true_of_a_job_anyway_is_not_false():
    told = page("network_bound", job_id="j")
    assert not matched(pages=[told], true_of_jobs=[("network_bound", "j")]).false
    assert matched(pages=[told]).false == (told,)


def test_precision_recall_and_f1_are_those_of_the_counts():
    results = [
        matched(fault(), pages=[page()]),
        matched(fault(), pages=[]),
        matched(pages=[page()]),
        matched(fault(must_be_found=False, size=1.06), pages=[page()]),
        matched(fault(must_be_found=False, size=1.06), pages=[]),
    ]
    total = by_kind(results)["straggler"]
    assert (total.right, total.missed, total.false, total.small, total.small_found) == (1, 1, 1, 2, 1)
    assert total.precision == pytest.approx(2 / 3)
    assert total.recall == 0.5
    assert total.f1 == pytest.approx(4 / 7)
    assert score(results) == total


def test_a_fleet_without_a_fault_says_how_rare_false_pages_are_at_least():
    sound = outcome(pages=[page()])
    told = {one["name"]: one for one in figures([sound, outcome(fault())])}
    rate = told["those per 1,000 GPU-days"]
    assert told["false pages in fleets without a fault"]["value"] == 1
    assert rate["value"] == pytest.approx(1000 / sound.device_days)
    assert rate["low"] < rate["value"] < rate["high"]


def test_sizes_count_small_faults_as_any_other():
    results = [matched(fault(must_be_found=False, size=1.06)), matched(fault(size=2.0), pages=[page()])]
    recalls = {(low, high): one.recall for low, high, one in by_size(results, ["slow_kernels"])}
    assert recalls[1.05, 1.15] == 0.0
    assert recalls[1.6, 2.2] == 1.0


def test_wilsons_interval_is_that_of_the_textbook():
    assert wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(0, 100)
    assert low == pytest.approx(0.0, abs=1e-12)
    assert high == pytest.approx(0.037, abs=1e-3)


def test_how_rare_false_pages_are_is_told_by_the_exact_interval_of_the_textbook():
    assert poisson(0) == pytest.approx((0.0, 3.689), abs=1e-3)
    assert poisson(1) == pytest.approx((0.0253, 5.572), abs=1e-3)
    assert poisson(10) == pytest.approx((4.795, 18.39), abs=1e-2)
    assert (at_most(0), at_most(1)) == pytest.approx((2.996, 4.744), abs=1e-3)


def test_the_interval_of_f1_holds_its_value():
    results = [matched(fault(), pages=[page()] if at % 5 else []) for at in range(40)]
    low, high = f1_interval(results)
    assert low < score(results).f1 < high
    assert f1_interval(results) == (low, high)


def test_a_level_set_without_a_kind_is_used_on_that_kind():
    unsure = [outcome(fault(), pages=[page(confidence=0.3)])]
    hot = fault(kind="thermal_limited")
    noisy = [outcome(hot, pages=[page("thermal_limited"), page("thermal_limited", confidence=0.5, uuid="G7")])]
    rows = {row.kind: row for row in leave_one_out(unsure + noisy, unsure + noisy)}
    assert rows["straggler"].level_without == 0.55
    assert rows["straggler"].f1_untuned == 1.0
    assert rows["straggler"].f1_without == 0.0


def test_three_of_ten_seeds_have_no_fault_and_every_seed_gives_the_same_scenario_again():
    assert sum(is_sound(seed) for seed in range(1000, 1200)) == 60
    assert not draw(1000).scenario.faults
    assert draw(1003) == draw(1003)
    assert draw(1003).scenario.faults


def test_sorts_of_fault_that_came_later_leave_all_else_of_a_seed_what_it_was():
    digest = hashlib.sha256()
    for seed in range(40, 70):
        scenario = draw(seed).scenario
        faults = [fault for fault in scenario.faults if fault.cause not in ADDED]
        digest.update(repr([_drawn(one) for one in (*scenario.jobs, *faults)]).encode())
    assert digest.hexdigest() == BEFORE_ADDED


def _drawn(one: JobPlan | FaultPlan) -> tuple[object, ...]:
    """What tells a draw from another one, whatever keys the language gets."""
    if isinstance(one, JobPlan):
        return (one.id, one.kind, one.devices, round(one.memory_ratio, 6), round(one.end_seconds, 3))
    return (
        one.cause,
        one.job,
        one.rank,
        one.stage,
        one.node,
        one.device,
        round(one.start_seconds, 3),
        round(one.size, 6),
    )


def test_they_strike_machines_that_no_other_fault_has_to_do_with_and_no_sound_fleet():
    drawn = [draw(seed, only_added=alone).scenario for seed in range(100) for alone in (False, True)]
    added = [fault for scenario in drawn for fault in scenario.faults if fault.cause in ADDED]
    assert {fault.cause for fault in added} == set(ADDED)
    assert not any(draw(seed, only_added=True).scenario.faults for seed in range(100) if is_sound(seed))
    for scenario in drawn:
        machines = [_machines_of(scenario, fault) for fault in scenario.faults]
        assert sum(map(len, machines)) == len(set().union(*machines))


def _machines_of(scenario: Scenario, fault: FaultPlan) -> set[int]:
    """That a fault strikes."""
    if fault.node >= 0:
        return {fault.node}
    texts = [fault.device] if fault.device else next(job.devices for job in scenario.jobs if job.id == fault.job)
    return {int(text.partition(":")[0]) for text in texts}


def test_alone_they_strike_the_same_fleets():
    with_others, alone = (draw(43, only_added=one).scenario for one in (False, True))
    assert alone.jobs == with_others.jobs
    assert {fault.cause for fault in alone.faults} <= set(ADDED)


def test_a_recording_that_was_kept_is_what_the_model_makes(tmp_path: Path):
    scenario = Scenario(
        schema=SCENARIO_SCHEMA, duration_seconds=60.0, scrape_seconds=30.0, fleet=FleetPlan(nodes=1, devices_per_node=4)
    )
    made, kept, again = record(scenario), recorded(scenario, tmp_path), recorded(scenario, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    for one in (kept, again):
        assert one.channels == made.channels
        assert [now for now, _ in one.rounds] == [now for now, _ in made.rounds]
        assert all(map(_is_same, one.rounds[-1][1], made.rounds[-1][1]))


def test_what_is_streamed_is_what_is_kept_and_its_truth_comes_last():
    scenario = Scenario(
        schema=SCENARIO_SCHEMA, duration_seconds=60.0, scrape_seconds=30.0, fleet=FleetPlan(nodes=1, devices_per_node=4)
    )
    kept, made = record(scenario), streamed(scenario)
    assert not made.truth
    for (now, told), (then, before) in zip(made.rounds, kept.rounds, strict=True):
        assert now == then
        assert all(map(_is_same, told, before))
    assert made.truth == kept.truth


# ---- large fleets


def test_a_large_fleet_has_no_fault_and_jobs_that_follow_one_another_on_the_same_devices():
    jobs = draw_large(1, 64, 12.0).scenario.jobs
    assert draw_large(1, 64, 12.0) == draw_large(1, 64, 12.0) != draw_large(1, 64, 11.0)
    assert not draw_large(1, 64, 12.0).scenario.faults
    spans: dict[str, list[tuple[float, float]]] = {}
    for job in jobs:
        spans.setdefault(job.devices[0], []).append((job.start_seconds, job.end_seconds))
    assert max(map(len, spans.values())) > 1
    assert all(before[1] < after[0] for each in spans.values() for before, after in pairwise(each))


@pytest.mark.parametrize("kind", ["missing_scrapes", "clock_skew", "exporter_restart"])
def test_a_machine_of_a_large_fleet_is_troubled_as_often_as_one_of_a_small(kind):
    small = [draw(seed).scenario for seed in range(600)]
    large = [draw_large(seed, 256, 10.0).scenario for seed in range(6)]
    assert _per_machine_hour(kind, large) == pytest.approx(_per_machine_hour(kind, small), rel=0.25)


def _per_machine_hour(kind: str, scenarios: list[Scenario]) -> float:
    """How much of the time a trouble is there, or how often it happens."""
    hours = sum(one.fleet.nodes * one.duration_seconds for one in scenarios) / 3600.0
    return sum(_weight(trouble, one) for one in scenarios for trouble in one.troubles if trouble.kind == kind) / hours


def _weight(trouble: TroublePlan, scenario: Scenario) -> float:
    machines = scenario.fleet.nodes if trouble.node < 0 else 1
    if trouble.kind == "exporter_restart":
        return machines
    left = scenario.duration_seconds - trouble.start_seconds
    return machines * min(trouble.duration_seconds or left, left) / 3600.0


def _is_same(one: Told, other: Told) -> bool:
    return (one.node, one.time, one.page) == (other.node, other.time, other.page) and bool(
        (one.values == other.values).all() and (one.counts == other.counts).all()
    )


@pytest.mark.slow
def test_one_scenario_through_everything_counts_its_one_fault_as_found():
    scenario = Scenario(
        schema=SCENARIO_SCHEMA,
        duration_seconds=1200.0,
        scrape_seconds=30.0,
        fleet=FleetPlan(nodes=2, devices_per_node=4),
        jobs=(JobPlan(id="j", nodes=[0, 1]),),
        faults=(
            FaultPlan(cause="slow_kernels", job="j", rank=5, size=2.0, start_seconds=400.0),
            FaultPlan(cause="fallen_off_the_bus", device="1:0", start_seconds=1150.0),
        ),
    )
    played = asyncio.run(watched(recorded(scenario), scenario))
    result = match(played, played.pages)
    assert [found.page is not None for found in result.found] == [True, True]
    assert result.false == ()
    assert played.device_days == pytest.approx(8 * 1200 / 86_400)
    assert score([result]).f1 == 1.0


# ---- what is said of a kind that nobody wrote a rule for


def forgotten(*pages: Page, hints=(), unattributed=()):
    """The row of a slow rank that must be found, once nothing may be called a straggler."""
    slow = fault(consequences=["hang"])
    known, played = outcome(slow, pages=[page()]), outcome(slow, pages=pages)
    played.hints, played.unattributed = list(hints), list(unattributed)
    (row, total) = without_names([("straggler", known, played)])
    assert row.faults == total.faults == 1
    return row


def test_a_wrong_name_at_the_right_place_is_misnamed_and_a_false_page_more():
    row = forgotten(page("xid"))
    assert (row.misnamed, row.symptom, row.informed, row.silent, row.false_more) == (1, 0, 0, 0, 1)
    assert row.names == {"xid": 1}


def test_what_the_fault_brings_with_it_is_a_symptom_and_no_false_page():
    row = forgotten(page("hang"))
    assert (row.symptom, row.misnamed, row.false_more) == (1, 0, 0)


def test_information_at_the_place_counts_if_nothing_was_paged():
    row = forgotten(hints=[page("level_shift")], unattributed=[page("incident", job_id="j")])
    assert (row.informed, row.silent, row.unattributed) == (1, 0, 1)


@pytest.mark.parametrize(
    "elsewhere",
    [page("level_shift", uuid="G1", job_id="j"), page("level_shift", told=ONSET - 1.0), page("spike", node="n9")],
    ids=["a peer", "before", "another machine"],
)
def test_information_of_another_place_or_time_is_silence_about_the_fault(elsewhere):
    assert forgotten(hints=[elsewhere]).silent == 1


@pytest.mark.parametrize("holder", [page("host_bound", job_id="j"), page("host_saturated", node="n0")])
def test_what_holds_a_device_is_its_place_too(holder):
    assert forgotten(hints=[holder]).informed == 1


def test_without_a_kind_no_detector_names_it_and_all_speak_on():
    frame = Lockstep(compute={3: 2.0}, cpu=0.99).frame()

    def told(detectors) -> set[str]:
        return {candidate.kind for one in detectors for candidate in one.detect(frame).candidates}

    assert {"straggler", "host_saturated"} <= told(DETECTORS)
    assert told(detectors_without("straggler")) == told(DETECTORS) - {"straggler"}
