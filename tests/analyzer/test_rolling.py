"""Standing windows say what reading all columns anew would say, whatever came in, late or never, and in what order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgauge.analyzer.detection.windows import coverage, mean
from warpgauge.analyzer.frame import Frame, channel
from warpgauge.analyzer.frame.rolling import FEW_VALUES, Columns, Picked, Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device

START_MS = 1_750_000_000_000
POWER = channel(device.POWER)
ENERGY = channel(device.ENERGY)
SECONDS = (10.0, 70.0, 190.0, 300.0, 1130.0)  # the longest holds whole blocks of tiles


def _hot(columns: Columns) -> np.ndarray:
    power = columns.of(device.POWER)
    return np.where(np.isnan(power), np.float32(np.nan), (power > 500).astype(np.float32))


HOT = Signal("hot in a test", TableName.DEVICES, _hot)


class Devices:
    """A frame with devices that come and go."""

    def __init__(self, few_values: int = 0) -> None:
        self.frame = Frame(window_seconds=1200, few_values=few_values)
        self._ids: dict[tuple[int, str], int] = {}
        self._generation = 0

    def sample(self, number: int, metric, at_ms: int, value: float) -> None:
        if self._generation != self.frame.generation:
            self._ids.clear()
            self._generation = self.frame.generation
        labels = {"cluster": "c", "node": f"n{number % 3}", "uuid": f"GPU-{number}"}
        if (number, metric.name) not in self._ids:
            self._ids[number, metric.name] = self.frame.series_id(metric, labels)
        series = np.array([self._ids[number, metric.name]])
        self.frame.ingest(series, np.array([START_MS + at_ms]), np.array([value]))

    def assert_windows_are_naive(self) -> None:
        for seconds in SECONDS:
            for signal, values in self._signals(seconds):
                window = self.frame.window(signal, seconds)
                np.testing.assert_allclose(window.mean, mean(values), rtol=1e-12, equal_nan=True)
                np.testing.assert_array_equal(window.coverage, coverage(values))
                np.testing.assert_array_equal(window.peak, np.fmax.reduce(values, axis=1, initial=np.nan))
                np.testing.assert_array_equal(window.least, np.fmin.reduce(values, axis=1, initial=np.nan))

    def _signals(self, seconds: float):
        power = self.frame.values(device.POWER, seconds=seconds)
        hot = np.where(np.isnan(power), np.nan, power > 500)
        return ((POWER, power), (ENERGY, self.frame.values(device.ENERGY, seconds=seconds)), (HOT, hot))


steps = st.one_of(
    st.tuples(
        st.just("sample"), st.integers(0, 9), st.integers(-40_000, 30_000), st.sampled_from([0.0, 0.1, 600.0, 1e30])
    ),
    st.tuples(st.just("count"), st.integers(0, 9), st.integers(0, 20_000), st.floats(0, 1e9)),  # falls are resets
    st.tuples(st.just("wait"), st.just(0), st.integers(0, 700_000), st.just(0.0)),
    st.tuples(st.just("expire"), st.just(0), st.just(0), st.just(0.0)),
    st.tuples(st.just("ask"), st.just(0), st.just(0), st.just(0.0)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=60), st.sampled_from([0, FEW_VALUES]))
def test_a_window_is_what_all_its_columns_give_read_anew(story, few_values):
    devices, now_ms = Devices(few_values), 0
    for what, number, ms, value in story:
        if what == "wait":
            now_ms += ms
            devices.frame.advance((START_MS + now_ms) / 1000)
        elif what == "expire":
            devices.frame.expire()
        elif what == "ask":
            devices.assert_windows_are_naive()
        else:
            now_ms = max(now_ms, now_ms + ms)
            devices.sample(number, device.POWER if what == "sample" else device.ENERGY, now_ms + min(ms, 0), value)
    devices.assert_windows_are_naive()


def test_renumbered_rows_keep_their_windows():
    devices = Devices()
    for number in range(100):
        devices.sample(number, device.POWER, 0, float(number))
    devices.assert_windows_are_naive()
    for step in range(130):
        devices.sample(99, device.POWER, 10_000 * step, 7.0)
    devices.frame.expire()

    assert len(devices.frame.devices) == 1
    devices.assert_windows_are_naive()


def test_a_huge_value_that_left_the_window_leaves_no_error_behind():
    devices = Devices()
    for step in range(100):
        devices.sample(0, device.POWER, 10_000 * step, 1e30 if step == 3 else 0.1)
        window = devices.frame.window(POWER, 100.0)
        assert np.isfinite(window.mean[0])

    assert window.mean[0] == pytest.approx(np.float32(0.1), rel=1e-12)


def test_only_columns_that_were_written_are_read_again():
    read: list[int] = []

    def power(columns: Columns) -> np.ndarray:
        values = columns.of(device.POWER)
        read.append(len(values))
        return values

    devices, signal = Devices(), Signal("counted in a test", TableName.DEVICES, power)
    for step in range(30):
        devices.sample(0, device.POWER, 10_000 * step, 1.0)
    _ = devices.frame.window(signal, 300.0).mean
    read.clear()

    devices.sample(0, device.POWER, 300_000, 1.0)
    _ = devices.frame.window(signal, 300.0).mean

    assert sum(read) <= 12  # of 30: the newest tile and the one that is cut off at the other end


def test_what_never_appeared_is_read_once_and_from_its_first_sample_on_like_any_other():
    read: list[int] = []

    def energy(columns: Columns) -> np.ndarray:
        values = columns.of(device.ENERGY)
        read.append(len(values))
        return values

    devices, signal = Devices(), Signal("energy in a test", TableName.DEVICES, energy)
    for step in range(20):
        devices.sample(0, device.POWER, 10_000 * step, 1.0)
        assert np.isnan(devices.frame.window(signal, 100.0).mean).all()
    assert sum(read) == 1

    for step in range(20, 24):
        devices.sample(0, device.ENERGY, 10_000 * step, 5_000.0 * step)
    assert devices.frame.window(signal, 100.0).mean[0] == pytest.approx(500.0)


def test_a_trace_follows_late_samples_and_the_sliding_window():
    devices = Devices()

    def last(columns: Columns) -> np.ndarray:
        return columns.of(device.POWER)[:, 0].astype(np.float64)

    for step, late in ((0, 0), (1, 0), (4, 0), (5, -20_000), (60, 0), (61, -10_000), (200, 0)):
        for number in (0, 1):
            devices.sample(number, device.POWER, 10_000 * step + late * number, float(step))
        traced = devices.frame.trace(TableName.DEVICES, "power of the first", last)
        np.testing.assert_array_equal(traced, devices.frame.values(device.POWER, rows=0))


def test_what_is_kept_once_is_built_anew_only_when_what_it_depends_on_changes():
    devices, built = Devices(), []
    devices.sample(0, device.POWER, 0, 1.0)

    def build() -> int:
        built.append(1)
        return len(built)

    def ask() -> tuple[int, int]:
        return devices.frame.once("all", build), devices.frame.once("jobs", build, devices.frame.job_version)

    first, again = ask(), ask()
    devices.sample(0, device.POWER, 10_000, 1.0)
    later = ask()

    assert first == again
    assert (later[0] != first[0], later[1] == first[1]) == (True, True)


def test_of_several_channels_those_are_read_that_ever_appeared():
    devices, names = Devices(), ("1", "0", "2")
    for step in range(3):
        devices.sample(0, device.POWER, 10_000 * step, 1.0)
    columns = devices.frame.columns_of(TableName.DEVICES)
    nothing = columns.told(device.CLOCK, names)
    clock = devices.frame.series_id(device.CLOCK, {"cluster": "c", "node": "n0", "uuid": "GPU-0", "clock": "0"})
    devices.frame.ingest(np.array([clock]), np.array([START_MS + 30_000]), np.array([7.0]))

    found = devices.frame.columns_of(TableName.DEVICES).told(device.CLOCK, names)
    picked = Picked(devices.frame.columns_of(TableName.DEVICES), [0]).told(device.CLOCK, names)

    assert len(nothing) == 1
    assert np.isnan(nothing[0]).all()
    assert [values[-1].tolist() for values in (*found, *picked)] == [[7.0], [7.0]]
