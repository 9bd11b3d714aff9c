"""The straggler detector: one slow rank among its peers, and everything that only looks like one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, since
from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.anomalies.straggler.detector import Straggler
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.core.finding import Severity

MINUTE = 6  # columns


def raised(scene: Lockstep) -> list[Candidate]:
    found = Straggler().detect(scene.frame()).candidates
    return [candidate for candidate in found if candidate.strength is Strength.RAISE]


def slow(scene_ranks: int = 8, *, ratio: float = 1.5, minutes: int = 10, columns: int = 90) -> Lockstep:
    return Lockstep(
        ranks=scene_ranks,
        columns=columns,
        compute={5 % scene_ranks: since(columns, minutes * MINUTE, ratio, 1.0)},
        sm_hertz={5 % scene_ranks: since(columns, minutes * MINUTE, 1.98e9 / ratio, 1.98e9)},
    )


def test_a_rank_that_computes_longer_and_waits_least_is_named_with_its_device() -> None:
    (candidate,) = raised(slow())
    scope = candidate.scope
    assert (scope.job_id, scope.rank, scope.node, scope.uuid) == ("train", 5, "n1", "GPU-5")


def test_its_onset_is_the_first_slow_column() -> None:
    scene = slow(minutes=10)
    (candidate,) = raised(scene)
    assert candidate.since == pytest.approx(scene.frame().now - 600, abs=20)


def test_its_impact_is_the_step_time_that_the_others_could_have() -> None:
    (candidate,) = raised(slow(ratio=1.5))
    assert candidate.impact is not None
    assert candidate.impact.slowdown_ratio == pytest.approx(1.61 / 1.11, rel=0.01)
    assert candidate.impact.lost_device_seconds == pytest.approx((1 - 1.11 / 1.61) * 8 * 600, rel=0.05)
    assert candidate.severity is Severity.CRITICAL


def test_the_words_say_who_how_much_and_what_to_do() -> None:
    (candidate,) = raised(slow())
    assert candidate.summary == (
        "n1/gpu1 (rank 5) holds job train back: it computes 1.50 times as long per step as the median of 8 ranks"
        ", and 7 peers wait for it; steps take 1.45 times as long as without it. Its SM clock is 1.32 GHz, that"
        " of its peers 1.98 GHz."
    )
    assert candidate.remedy.startswith("Move rank 5 to a spare device and start the job again from its last checkpoint")


def test_its_clock_is_evidence_only_where_it_differs() -> None:
    with_clock = raised(slow())[0].evidence
    scene = slow()
    scene.sm_hertz = {}
    without = raised(scene)[0].evidence
    assert [row.metric for row in with_clock] == [
        'training_phase_seconds_total{phase="compute"}',
        'training_phase_seconds_total{phase="communication"}',
        "accel_clock_hertz",
    ]
    assert [row.metric for row in without] == [row.metric for row in with_clock[:2]]


def test_without_phases_a_low_clock_at_full_activity_names_the_device() -> None:
    scene = slow()
    scene.has_phases = False
    (candidate,) = raised(scene)
    assert candidate.scope.uuid == "GPU-5"
    assert "at 67 % of their SM clock" in candidate.summary


def test_phases_that_the_host_timed_say_nothing_about_an_accelerator() -> None:
    scene = slow()
    scene.clock_of_phases, scene.sm_hertz = "host", {}
    assert not raised(scene)


def test_beside_a_rank_that_heat_slows_down_only_the_one_without_a_named_cause_is_a_straggler() -> None:
    scene = slow()
    scene.throttled = {2: {"sw_thermal": 1.0}}
    scene.compute = {**scene.compute, 2: 1.5}
    scene.sm_hertz = {**scene.sm_hertz, 2: 1.98e9 / 1.5}
    assert [candidate.scope.rank for candidate in Straggler().detect(scene.frame()).candidates] == [5]


def test_few_peers_never_make_it_critical() -> None:
    (candidate,) = raised(slow(5))
    assert candidate.severity is Severity.WARNING


def test_three_ranks_are_too_few_to_compare() -> None:
    detection = Straggler().detect(slow(3).frame())
    assert not detection.candidates
    assert [item.why for item in detection.not_judged] == ["fewer than 4 peers in the same job, stage and model"]


def test_a_heat_throttled_rank_is_left_to_its_named_cause() -> None:
    scene = slow()
    scene.throttled = {5: {"sw_thermal": 1.0}}
    assert not Straggler().detect(scene.frame()).candidates


def test_ranks_whose_job_has_just_left_its_devices_are_not_compared_as_if_on_cpus() -> None:
    frame = slow().frame()
    assert [len(group.ranks) for group in peer_groups(frame).groups] == [8]
    frame.advance(frame.now + 80.0)  # the devices are given back; the last steps are not yet old
    assert frame.jobs
    assert not peer_groups(frame).groups


def test_nine_percent_is_below_the_effect_that_matters() -> None:
    assert not raised(slow(ratio=1.09))


def test_an_open_finding_is_held_below_the_threshold_that_raised_it() -> None:
    found = Straggler().detect(slow(ratio=1.08).frame()).candidates
    assert [candidate.strength for candidate in found] == [Strength.HOLD]


def test_imbalance_that_moves_from_rank_to_rank_is_no_straggler() -> None:
    columns = 90
    turns = np.arange(columns) // MINUTE
    scene = Lockstep(columns=columns, compute={rank: np.where(turns % 8 == rank, 1.6, 1.0) for rank in range(8)})
    assert not raised(scene)


def test_in_a_job_of_uneven_ranks_the_slowest_does_not_stand_out() -> None:
    assert not raised(Lockstep(compute={rank: 1.0 + 0.05 * rank for rank in range(8)}))


def test_a_slow_pipeline_stage_is_the_workload() -> None:
    scene = Lockstep(ranks=12, compute=dict.fromkeys(range(8, 12), 1.4), stages={rank: rank // 8 for rank in range(12)})
    assert not raised(scene)


def test_clocks_locked_on_all_ranks_are_the_operator() -> None:
    locked = Lockstep(compute=dict.fromkeys(range(8), 1.7), sm_hertz=dict.fromkeys(range(8), 1.2e9), has_phases=False)
    assert not raised(locked)


def test_a_rank_with_less_to_do_may_clock_down() -> None:
    scene = Lockstep(has_phases=False, activity={2: 0.3}, sm_hertz={2: 1.2e9})
    assert not raised(scene)


def test_a_rank_that_waits_for_its_own_input_does_not_compute_longer() -> None:
    assert not raised(Lockstep(input={2: 0.6}))


def test_checkpoints_and_evaluations_slow_all_ranks_alike() -> None:
    columns = np.arange(90)
    scene = Lockstep(checkpoint=np.where(columns % 20 == 0, 8.0, 0.0), paused=(columns > 70) & (columns < 80))
    assert not Straggler().detect(scene.frame()).candidates


def test_a_gap_hides_nothing_and_invents_nothing() -> None:
    columns = np.arange(90)
    gap = (columns > 66) & (columns < 70)
    scene = slow()
    scene.gap = gap
    assert [candidate.scope.rank for candidate in raised(scene)] == [5]
    assert not Straggler().detect(Lockstep(gap=gap).frame()).candidates


def test_a_job_that_began_two_minutes_ago_is_not_judged() -> None:
    scene = slow()
    scene.gap = np.arange(90) < 90 - 2 * MINUTE
    detection = Straggler().detect(scene.frame())
    assert not detection.candidates
    assert detection.judged is None
    assert detection.not_judged[0].missing == ("training_phase_seconds_total", "accel_clock_hertz")


def test_two_stragglers_are_two_findings() -> None:
    scene = Lockstep(compute={1: 1.5, 6: 1.45})
    assert sorted(candidate.scope.rank or 0 for candidate in raised(scene)) == [1, 6]


def test_simulated_devices_make_simulated_findings() -> None:
    scene = slow()
    scene.simulated = True
    assert [candidate.simulated for candidate in raised(scene)] == [True]


def test_where_nobody_is_slow_nobody_asks_about_heat():
    sound, slow = Lockstep().frame(), Lockstep(compute={3: 1.5}).frame()

    for frame in (sound, slow):
        Straggler().detect(frame)

    assert sound.once("thermal reading", lambda: None) is None  # nobody had read it
    assert slow.once("thermal reading", lambda: None) is not None
