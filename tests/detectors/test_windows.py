"""The statistics that detectors share, and the words they speak in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from warpgauge.analyzer.detection import wording
from warpgauge.analyzer.detection.windows import confidence, coverage, mean, median, onset_columns, onset_time, robust_z
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.frame.entities import DeviceEntity

VALUES = arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(-1e6, 1e6) | st.just(np.nan)
)


@given(VALUES)
def test_mean_and_median_are_numpys_without_the_gaps(values: np.ndarray) -> None:
    for row, center, middle in zip(values, mean(values), median(values), strict=True):
        known = row[~np.isnan(row)]
        if not len(known):
            assert np.isnan(center)
            assert np.isnan(middle)
        else:
            assert center == pytest.approx(known.mean(), rel=1e-9, abs=1e-6)
            assert middle == pytest.approx(np.median(known), rel=1e-9, abs=1e-6)


@given(VALUES)
def test_coverage_is_a_share(values: np.ndarray) -> None:
    assert ((coverage(values) >= 0) & (coverage(values) <= 1)).all()


def test_the_median_of_nothing_is_unknown() -> None:
    assert np.isnan(median(np.empty((2, 0)))).all()


@given(st.floats(0.1, 1e9), st.integers(4, 20))
def test_equal_peers_have_no_distance(level: float, peers: int) -> None:
    assert robust_z(np.full(peers, level)) == pytest.approx(np.zeros(peers))


def test_the_floor_keeps_a_tenth_beyond_chance_and_a_percent_within() -> None:
    assert robust_z(np.array([1.0] * 7 + [1.1]))[-1] == pytest.approx(5.0)
    assert robust_z(np.array([1.0] * 7 + [1.01]))[-1] == pytest.approx(0.5)


def test_among_normal_values_the_distance_counts_in_standard_deviations() -> None:
    values = np.random.default_rng(1).normal(10.0, 2.0, 20_001)
    assert robust_z(values, floor=0.0) == pytest.approx((values - 10.0) / 2.0, rel=0.03, abs=0.05)


@given(st.integers(1, 30), st.integers(1, 30))
def test_the_onset_is_the_change_point(before: int, during: int) -> None:
    assert onset_columns(np.array([-0.5] * before + [0.5] * during)) == before


def test_the_onset_is_told_as_the_start_of_its_first_column() -> None:
    frame = Frame(step_seconds=10.0, window_seconds=100.0)
    excess = np.array([-0.5] * 7 + [0.5] * 3)
    assert frame.now - onset_time(frame, excess) == 30.0


@given(st.integers(2, 20), st.integers(8, 20), st.integers(1, 6))
def test_neither_a_gap_nor_a_quiet_column_moves_the_onset(before: int, during: int, at: int) -> None:
    excess = np.array([-0.5] * before + [0.5] * during)
    with_gap, with_quiet = excess.copy(), excess.copy()
    with_gap[before + at] = np.nan
    with_quiet[before + at + 1] = -0.5
    assert onset_columns(with_gap) == before
    assert onset_columns(with_quiet) == before


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=3), st.floats(-1, 2))
def test_confidence_is_a_probability_and_below_certainty(margins: list[float], covered: float) -> None:
    assert 0 <= confidence(*margins, covered=covered) <= 0.99


def test_confidence_is_one_half_at_the_threshold_and_less_with_gaps() -> None:
    assert confidence(0.0, covered=1.0) == 0.5
    assert confidence(1.0, covered=1.0) == 0.99
    assert confidence(1.0, covered=0.5) == pytest.approx(0.495)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (wording.percent(0.414), "41 %"),
        (wording.percent(0.042), "4.2 %"),
        (wording.percent(0.0), "0 %"),
        (wording.times(1.308), "1.31 times"),
        (wording.times(17.4), "17 times"),
        (wording.times(243_854.5), "more than 1000 times"),
        (wording.percent(1.0), "100 %"),
        (wording.span(50), "50 s"),
        (wording.span(119.6), "2 min"),
        (wording.span(2400), "40 min"),
        (wording.span(7200), "2 h"),
        (wording.span(7500), "2 h 5 min"),
        (wording.span(47 * 3600), "47 h"),
        (wording.span(191.7 * 3600), "8 days"),
        (wording.gigahertz(1.155e9), "1.16 GHz"),
        (wording.gibibytes(3 * 2.0**29), "1.5 GiB"),
        (wording.count(1, "device"), "1 device"),
        (wording.count(8, "device"), "8 devices"),
        (wording.listed(["a"]), "a"),
        (wording.listed(["a", "b", "c", "d"]), "a, b, c and d"),
        (wording.listed(["a", "b", "c", "d", "e"]), "a, b, c and 2 more"),
    ],
)
def test_numbers_are_said_plainly(said: str, words: str) -> None:
    assert said == words


def test_a_device_is_called_by_node_and_index_or_else_by_its_uuid() -> None:
    assert wording.device_name(DeviceEntity(cluster="c", node="n1", uuid="GPU-a", index=5)) == "n1/gpu5"
    assert wording.device_name(DeviceEntity(cluster="c", node="n1", uuid="GPU-a", index=5, kind="tpu")) == "n1/tpu5"
    assert wording.device_name(DeviceEntity(cluster="c", node="", uuid="GPU-a")) == "GPU-a"
