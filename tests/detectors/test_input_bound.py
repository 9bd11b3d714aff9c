"""The input detector: jobs that wait for data, and waits that are something else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, in_columns, since
from warpgauge.analyzer.bottlenecks.input_bound import InputBound
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.core.finding import Severity

COLUMNS = 90
MINUTE = 6  # columns
ALL = range(8)


def raised(scene: Lockstep) -> list[Candidate]:
    found = InputBound().detect(scene.frame()).candidates
    return [candidate for candidate in found if candidate.strength is Strength.RAISE]


def starved(seconds: float = 0.6, minutes: int = 10) -> Lockstep:
    """Every rank waits so long for each batch: 0.6 s make 35 % of a step."""
    return Lockstep(columns=COLUMNS, input=dict.fromkeys(ALL, since(COLUMNS, minutes * MINUTE, seconds, 0.01)))


def test_a_job_whose_ranks_wait_for_batches_is_named() -> None:
    (candidate,) = raised(starved())
    assert (candidate.scope.job_id, candidate.scope.rank, candidate.scope.uuid) == ("train", None, None)
    assert candidate.severity is Severity.CRITICAL


@pytest.mark.parametrize("unknown", [range(4, 8), range(1, 8)], ids=["of a node", "but one"])
def test_devices_that_are_not_known_yet_do_not_make_it_a_job_of_one_node(unknown) -> None:
    scene = starved()
    scene.unknown = unknown
    (candidate,) = raised(scene)
    assert (candidate.scope.job_id, candidate.scope.node, candidate.scope.uuid) == ("train", None, None)


def test_the_words_give_the_share_the_ranks_and_the_room_on_the_host() -> None:
    (candidate,) = raised(starved())
    assert candidate.summary == (
        "Job train (8 ranks on n0 and n1) waits for input 35 % of the last 5 min: its steps take 1.55 times as long as"
        " without the wait."
    )
    assert candidate.remedy == (
        "Set the DataLoader's num_workers 1.55 times as high (4 -> 7), with prefetch_factor, and turn pin_memory on:"
        " the node's CPUs are 40 % busy, so there is room. If that changes nothing, the storage is too slow: cache or"
        " shard the data set on a local disk."
    )


def test_on_a_full_host_more_workers_are_not_advised() -> None:
    scene = starved()
    scene.cpu = 0.97
    assert "97 % busy, so more workers will not help" in raised(scene)[0].remedy


def test_its_impact_is_the_step_without_the_wait() -> None:
    scene = starved()
    (candidate,) = raised(scene)
    assert candidate.impact is not None
    assert candidate.impact.slowdown_ratio == pytest.approx(1.7 / 1.1, rel=0.01)
    assert candidate.impact.lost_device_seconds == pytest.approx(0.6 / 1.7 * 8 * 600, rel=0.05)
    assert candidate.since == pytest.approx(scene.frame().now - 600, abs=20)


def test_twelve_percent_is_a_warning() -> None:
    assert [candidate.severity for candidate in raised(starved(0.15))] == [Severity.WARNING]


def test_waits_that_pass_from_rank_to_rank_are_still_the_jobs() -> None:
    turns = np.arange(COLUMNS) % 8
    scene = Lockstep(columns=COLUMNS, input={rank: np.where(turns == rank, 0.6, 0.01) for rank in ALL})
    (candidate,) = raised(scene)
    assert candidate.scope.rank is None
    assert candidate.evidence[0].value == pytest.approx(0.35, abs=0.02)


def test_one_rank_with_a_slow_loader_is_named_itself() -> None:
    (candidate,) = raised(Lockstep(columns=COLUMNS, input={3: 0.6}))
    assert (candidate.scope.rank, candidate.scope.uuid, candidate.scope.node) == (3, "GPU-3", "n0")
    assert ", all ranks for rank 3 on n0," in candidate.summary
    assert candidate.remedy.startswith(
        "The others have their batches in time, so see first what differs for rank 3 on n0:"
    )


def test_a_host_with_slow_storage_is_named_once_and_looked_at_before_the_loader() -> None:
    (candidate,) = raised(Lockstep(columns=COLUMNS, input=dict.fromkeys(range(4, 8), 0.6), ranks=16))
    assert candidate.scope.node == "n1"
    assert ", all ranks for 4 ranks on n1," in candidate.summary
    assert "what differs for 4 ranks on n1" in candidate.remedy
    assert "num_workers" in candidate.remedy


def test_the_first_stage_of_a_pipeline_may_be_the_one_that_waits() -> None:
    scene = Lockstep(columns=COLUMNS, input=dict.fromkeys(range(4), 0.6), stages={rank: rank // 4 for rank in ALL})
    assert [candidate.scope.job_id for candidate in raised(scene)] == ["train"]


def test_a_cold_cache_of_two_minutes_is_a_start_and_no_finding() -> None:
    assert not raised(starved(minutes=2))


def test_a_slow_stretch_that_ended_is_over() -> None:
    scene = Lockstep(columns=COLUMNS, input=dict.fromkeys(ALL, in_columns(COLUMNS, slice(0, 59), 0.6, 0.01)))
    assert not InputBound().detect(scene.frame()).candidates


def test_eight_percent_holds_but_does_not_raise() -> None:
    found = InputBound().detect(starved(0.095).frame()).candidates
    assert [candidate.strength for candidate in found] == [Strength.HOLD]


def test_checkpoints_make_no_job_input_bound() -> None:
    assert not InputBound().detect(Lockstep(checkpoint=2.0).frame()).candidates


def test_checkpoints_hide_no_wait_either() -> None:
    scene = starved(0.15)
    scene.checkpoint = 1.0
    assert [candidate.severity for candidate in raised(scene)] == [Severity.WARNING]


def test_an_evaluation_pause_makes_no_job_input_bound() -> None:
    paused = (np.arange(COLUMNS) > 60) & (np.arange(COLUMNS) < 80)
    assert not InputBound().detect(Lockstep(columns=COLUMNS, paused=paused).frame()).candidates


def test_a_straggler_makes_others_wait_but_not_for_input() -> None:
    assert not InputBound().detect(Lockstep(compute={2: 1.6}).frame()).candidates


def test_a_job_without_phases_is_not_judged_and_the_metric_is_named() -> None:
    detection = InputBound().detect(Lockstep(has_phases=False).frame())
    assert detection.judged is None
    assert detection.not_judged[0].missing == ("training_phase_seconds_total",)


def test_a_job_that_just_began_is_not_judged() -> None:
    scene = starved()
    scene.gap = np.arange(COLUMNS) < COLUMNS - 2 * MINUTE
    detection = InputBound().detect(scene.frame())
    assert detection.judged is None
    assert not detection.candidates
    assert detection.not_judged[0].why == "steps were reported for less than 4 min of the last minutes"


def test_a_restarted_counter_is_no_wait() -> None:
    scene = Lockstep(columns=COLUMNS, gap=np.arange(COLUMNS) == 70)
    assert not InputBound().detect(scene.frame()).candidates
