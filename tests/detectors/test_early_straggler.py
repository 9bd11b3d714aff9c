"""The sequential test for stragglers: the more a rank lags, the fewer samples it takes; never one alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, in_columns, since
from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.anomalies.straggler.detector import Straggler
from warpgauge.analyzer.anomalies.straggler.sequential import EVIDENCE, read_early
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.phases import mean_per_step, phase_rate, whole_per_step
from warpgauge.core.catalog import training

COLUMNS = 90  # of ten seconds, a sample in each


def raised(scene: Lockstep) -> list[Candidate]:
    return [one for one in Straggler().detect(scene.frame()).candidates if one.strength is Strength.RAISE]


def slow_for(samples: int, ratio: float, **more: object) -> Lockstep:
    return Lockstep(columns=COLUMNS, compute={5: since(COLUMNS, samples, ratio, 1.0)}, **more)  # type: ignore[arg-type]


def samples_until_named(ratio: float) -> int:
    return next(samples for samples in range(1, 31) if raised(slow_for(samples, ratio)))


def test_a_rank_that_takes_twice_as_long_is_named_after_three_samples_of_ten_seconds() -> None:
    (candidate,) = raised(slow_for(3, 2.0))
    assert (candidate.scope.rank, candidate.evidence[0].window_seconds) == (5, 30.0)


def test_the_less_a_rank_lags_the_longer_it_takes() -> None:
    taken = [samples_until_named(ratio) for ratio in (2.0, 1.2, 1.15, 1.11)]
    assert taken == sorted(taken)
    assert taken[0] < taken[-1] < 10


def test_one_sample_is_never_enough_however_far_out() -> None:
    assert not raised(Lockstep(columns=COLUMNS, compute={5: in_columns(COLUMNS, slice(-1, None), 50.0, 1.0)}))


def test_two_loud_samples_with_a_sound_one_between_them_are_not_enough() -> None:
    assert not raised(Lockstep(columns=COLUMNS, compute={5: in_columns(COLUMNS, slice(-3, None, 2), 3.0, 1.0)}))


def test_it_stays_open_while_it_lags_and_the_five_minutes_do_not_show_it_yet() -> None:
    assert raised(slow_for(8, 1.15))


def test_ranks_that_scatter_ask_for_more_samples() -> None:
    noise = np.random.default_rng(7).normal(1.0, 0.15, (8, COLUMNS))
    compute = dict(enumerate(noise))
    compute[5] = compute[5] * since(COLUMNS, 3, 1.3, 1.0)
    assert not raised(Lockstep(columns=COLUMNS, compute=compute))


@pytest.mark.parametrize("seed", range(3))
def test_large_samples_that_hit_another_rank_each_time_are_no_straggler(seed: int) -> None:
    chosen = np.random.default_rng(seed).integers(0, 8, COLUMNS)
    compute = {rank: np.where(chosen == rank, 3.0, 1.0) for rank in range(8)}
    frames = (
        Lockstep(columns=columns, compute={rank: values[:columns] for rank, values in compute.items()})
        for columns in range(60, COLUMNS, 3)
    )
    assert not any(raised(frame) for frame in frames)


@pytest.mark.parametrize("turns", [(0, 2, 1, 0, 0, 0), (0, 2, 2, 1, 0, 0), (0, 0, 2, 1, 0, 0)])
@pytest.mark.parametrize("seconds", [2.0, 6.0])
def test_a_rank_that_the_large_sample_of_long_steps_hits_often_at_first_is_no_straggler(
    turns: tuple[int, ...], seconds: float
) -> None:
    compute = np.full((8, COLUMNS), seconds)
    for column, rank in enumerate(turns, COLUMNS - len(turns)):
        compute[rank, column] *= 2.2
    assert not raised(Lockstep(columns=COLUMNS, compute=dict(enumerate(compute))))


@pytest.mark.parametrize(("seconds", "samples"), [(2.0, 3), (4.0, 4), (6.0, 6)])
def test_the_longer_a_step_takes_the_more_samples_it_takes_to_name_a_rank(seconds: float, samples: int) -> None:
    def slow(length: int) -> Lockstep:
        own = {5: since(COLUMNS, length, 2.2 * seconds, seconds)}
        return Lockstep(columns=COLUMNS, compute=dict.fromkeys(range(8), seconds) | own)

    assert not raised(slow(samples - 1))
    assert [one.scope.rank for one in raised(slow(samples))] == [5]


def test_all_ranks_of_a_machine_that_slow_down_at_once_are_the_machine() -> None:
    compute = {rank: since(COLUMNS, 4, 1.5, 1.0) for rank in range(4, 8)}
    (candidate,) = raised(Lockstep(columns=COLUMNS, compute=compute, ranks=12))
    assert (candidate.scope.node, candidate.scope.rank) == ("n1", None)


def test_a_rank_whose_clock_the_hardware_holds_down_is_left_to_what_names_the_cause() -> None:
    assert not raised(slow_for(4, 2.0, throttled={5: {"hw_slowdown": since(COLUMNS, 4, 1.0)}}))


def test_few_long_steps_are_not_enough() -> None:
    compute = dict.fromkeys(range(8), 12.0) | {5: since(COLUMNS, 4, 24.0, 12.0)}
    assert not raised(Lockstep(columns=COLUMNS, compute=compute))


@pytest.mark.parametrize("ratio", [1.0, 1.2, 3.0])
def test_the_evidence_about_some_ranks_is_what_all_of_it_says_about_them(ratio: float) -> None:
    frame = slow_for(12, ratio).frame()
    early = read_early(frame, peer_groups(frame).groups[0])
    assert early is not None
    found = early.samples.of_ranks()
    alone = [float(found.evidence_of(np.arange(8) == rank)[0]) for rank in range(8)]
    assert alone == found.whole.evidence.tolist()
    assert (max(alone) >= EVIDENCE) is (ratio > 1.0)


def test_compute_time_read_of_some_ranks_is_what_a_window_of_all_says() -> None:
    slow = {2: 1.7, 5: since(COLUMNS, 9, 2.0, 1.0)}
    gap = (np.arange(COLUMNS) >= COLUMNS - 20) & (np.arange(COLUMNS) < COLUMNS - 16)
    frame, rows = Lockstep(columns=COLUMNS, compute=slow, gap=gap).frame(), np.array([5, 2])
    steps = frame.values(training.STEP_SECONDS, "count", seconds=300.0, rows=rows)
    read = whole_per_step(phase_rate(frame, "compute", rows, 300.0), steps)
    assert read.tolist() == pytest.approx(mean_per_step(frame, "compute", 300.0)[rows].tolist(), rel=1e-12)
