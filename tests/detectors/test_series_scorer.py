"""The self-history detector on single series: what alarms, what does not, and that the future changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detectors.labeled_series import KINDS, labeled_series
from warpgauge.analyzer.anomalies.season import found_period
from warpgauge.analyzer.scoring import scored
from warpgauge.analyzer.sources.series_file import Piece

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP_SECONDS = 300.0
ROWS = 1500
ONSET = 900


def noise(seed: int = 1, rows: int = ROWS, level: float = 100.0, spread: float = 3.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(level, spread, rows)


def piece(values: NDArray[np.float64], times: NDArray[np.float64] | None = None) -> Piece:
    times = 1.75e9 + STEP_SECONDS * np.arange(len(values)) if times is None else times
    return Piece([str(row) for row in range(len(values))], times, np.asarray(values, dtype=np.float64))


def scores(values: NDArray[np.float64], times: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    parts = list(scored([piece(values, times)]))
    return np.concatenate([part.scores for part in parts]) if parts else np.zeros(0)


def alarms(values: NDArray[np.float64], times: NDArray[np.float64] | None = None) -> list[int]:
    parts = list(scored([piece(values, times)]))
    flags = np.concatenate([part.alarms for part in parts])
    return [int(row) for row in np.flatnonzero(flags)]


# ---- the laws


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 1.0))
def test_what_follows_changes_no_score(seed: int, share: float) -> None:
    values = labeled_series(seed).values
    cut = int(share * len(values))
    assert np.array_equal(scores(values[:cut]), scores(values)[:cut])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), sizes=st.lists(st.integers(1, 700), min_size=1, max_size=12))
def test_how_the_rows_arrive_changes_no_score(seed: int, sizes: list[int]) -> None:
    whole = piece(labeled_series(seed).values)
    edges = [*np.cumsum(sizes), len(whole.texts)]
    pieces, start = [], 0
    for edge in edges:
        end = min(int(edge), len(whole.texts))
        pieces.append(Piece(whole.texts[start:end], whole.times[start:end], whole.values[start:end]))
        start = end
    parts = list(scored(pieces))
    assert [text for part in parts for text in part.texts] == whole.texts
    assert np.array_equal(np.concatenate([part.scores for part in parts]), scores(whole.values))


ODD = st.one_of(
    st.floats(-1e300, 1e300), st.sampled_from([0.0, 1.0, -1.0, 1e-310, 1e299, -1e299, float("nan")]), st.integers(0, 9)
)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(ODD, max_size=400), jumps=st.lists(st.floats(-1e6, 1e9), min_size=1, max_size=400))
def test_any_numbers_at_any_times_give_scores_from_0_to_1(values: list[float], jumps: list[float]) -> None:
    times = np.cumsum(np.resize(np.array(jumps), len(values))) if values else np.zeros(0)
    found = scores(np.array(values, dtype=np.float64), times)
    assert len(found) == len(values)
    assert ((found >= 0) & (found <= 1)).all()


def test_an_alarm_scores_above_a_half_and_everything_after_it_below() -> None:
    values = noise()
    values[ONSET:] += 40.0
    found = scores(values)
    assert [int(row) for row in np.flatnonzero(found >= 0.5)] == alarms(values) == [ONSET]


# ---- what alarms


def test_a_spike_alarms_at_its_row_and_not_on_the_way_back() -> None:
    values = noise()
    values[ONSET : ONSET + 3] += 40.0
    assert alarms(values) == [ONSET]


@pytest.mark.parametrize("size", [25.0, -25.0])
def test_a_level_shift_alarms_once_and_its_end_does_not(size: float) -> None:
    values = noise()
    values[ONSET : ONSET + 400] += size
    assert alarms(values) == [ONSET]


def test_a_small_shift_is_seen_by_its_mean() -> None:
    values = noise()
    values[ONSET:] += 9.0  # three sigmas
    (found,) = alarms(values)
    assert ONSET <= found <= ONSET + 32


def test_a_slow_drift_is_seen_before_it_ends() -> None:
    values = noise()
    values[ONSET:] += np.linspace(0.0, 40.0, ROWS - ONSET)
    (first, *_) = alarms(values)
    assert ONSET < first < ONSET + 300


def test_a_value_that_is_stuck_alarms() -> None:
    values = noise()
    values[ONSET : ONSET + 200] = values[ONSET]
    (first, *_) = alarms(values)
    assert ONSET < first < ONSET + 64


def test_a_second_shift_after_the_first_became_normal_alarms_too() -> None:
    values = noise(rows=3000)
    values[900:] += 40.0
    values[2600:] += 40.0
    assert alarms(values) == [900, 2600]


def test_a_missing_day_of_a_daily_series_alarms() -> None:
    rows = 14 * 288
    day = np.sin(2 * np.pi * np.arange(rows) / 288)
    values = 100 + 40 * np.clip(day, 0, None) + noise(rows=rows, level=0.0, spread=1.5)
    values[10 * 288 : 11 * 288] = 100 + noise(seed=2, rows=288, level=0.0, spread=1.5)
    found = [row for row in alarms(values) if row > 3 * 288]
    assert found
    assert 10 * 288 <= found[0] < 10 * 288 + 144


def test_a_counter_that_stops_alarms_and_its_reset_does_not() -> None:
    growth = np.random.default_rng(3).poisson(50, 2000).astype(float)
    growth[1500:1560] = 0.0
    values = np.cumsum(growth)
    values[1000:] -= values[1000]
    (first, *_) = alarms(values)
    assert 1500 <= first < 1520


# ---- what does not


@pytest.mark.parametrize("level", [0.0, 1.0, 1980.0, -3.5e9])
def test_a_constant_never_alarms(level: float) -> None:
    assert alarms(np.full(ROWS, level)) == []


@pytest.mark.parametrize("seed", range(4))
def test_plain_noise_does_not_alarm(seed: int) -> None:
    assert alarms(noise(seed, rows=4000)) == []


def test_bursts_that_come_all_the_time_are_normal() -> None:
    random = np.random.default_rng(5)
    values = random.gamma(2.0, 1.0, 5000)
    for at in random.integers(0, 5000, 120):
        values[at : at + 3] += random.gamma(4.0, 5.0)
    assert len([row for row in alarms(values) if row > 800]) <= 1


def test_a_sawtooth_is_normal() -> None:
    values = 1e9 * (1 + np.arange(4000) % 40) + noise(rows=4000, level=0.0, spread=1e7)
    assert [row for row in alarms(values) if row > 400] == []


def test_rows_without_a_value_score_nothing_and_teach_nothing() -> None:
    values = noise()
    holes = np.random.default_rng(6).random(ROWS) < 0.2
    with_holes = np.where(holes, np.nan, values)
    found = scores(with_holes)
    assert (found[holes] == 0).all()
    kept = 1.75e9 + STEP_SECONDS * np.flatnonzero(~holes)
    assert np.array_equal(found[~holes], scores(values[~holes], kept))


def test_a_level_that_changed_during_a_gap_does_not_alarm() -> None:
    values = noise()
    values[ONSET:] += 40.0
    times = 1.75e9 + STEP_SECONDS * np.arange(ROWS)
    times[ONSET:] += 86_400.0
    assert alarms(values, times) == []


def test_nothing_is_said_in_the_warm_up() -> None:
    values = noise(rows=90)
    values[70] += 500.0
    assert alarms(values) == []


@pytest.mark.parametrize("kind", KINDS)
def test_fault_free_series_of_every_kind_alarm_rarely(kind: str) -> None:
    counts = [
        len([row for row in alarms(KINDS[kind](np.random.default_rng(seed), 3000, STEP_SECONDS)) if row >= 450])
        for seed in (2001, 2002)
    ]
    assert sum(counts) <= 6  # in 5,100 rows; a benchmark, not this test, says how many there are on average


# ---- periods


def test_a_strict_period_is_found() -> None:
    rows = np.arange(600)
    wave = np.where(rows % 25 < 6, 0.1, 0.9) + np.random.default_rng(7).normal(0, 0.01, 600)
    assert found_period(wave) == 25


@pytest.mark.parametrize("seed", range(3))
def test_noise_and_random_walks_have_no_period(seed: int) -> None:
    shocks = np.random.default_rng(seed).normal(size=1024)
    assert found_period(shocks) is None
    assert found_period(np.cumsum(shocks)) is None


def test_a_constant_has_no_period() -> None:
    assert found_period(np.full(512, 3.0)) is None


def daily(rows: int, seed: int = 1) -> NDArray[np.float64]:
    return 100 + 40 * np.sin(2 * np.pi * np.arange(rows) / 288) + noise(seed, rows=rows, level=0.0, spread=2.0)


def test_the_first_days_of_a_daily_series_are_no_anomaly() -> None:
    assert alarms(daily(5 * 288)) == []


def test_a_shift_of_a_daily_series_that_stays_alarms_once() -> None:
    values = daily(16 * 288)
    values[8 * 288 + 50 :] += 35.0
    assert alarms(values) == [8 * 288 + 50]


def test_a_weekly_course_is_learnt_and_its_weekends_stop_to_alarm() -> None:
    rows = 35 * 288
    days = np.arange(rows) / 288
    week = np.where(days % 7 >= 5, 0.6, 1.0)
    values = 100 + 30 * np.sin(2 * np.pi * days) * week + noise(rows=rows, level=0.0, spread=2.0)
    assert [row for row in alarms(values) if row > 14 * 288] == []
