"""Distributions of time from NVML's sample buffers: no time lost or made up, no spike missed."""

from __future__ import annotations

from contextlib import contextmanager

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exporters.test_nvml_readings import Bench
from tests.fakes.nvml_abi import FIELD, installed
from tests.fakes.nvml_abi_samples import Ring
from tests.fakes.nvml_profiles import T4
from warpgauge.core.catalog import Kind, Tier, detail, device
from warpgauge.exporters.collectors.nvml_samples import SOURCES
from warpgauge.exporters.collectors.sample_time import (
    DRY_SECONDS,
    LONGEST_GAP_SECONDS,
    LONGEST_REST_SECONDS,
    SampleTime,
)
from warpgauge.exporters.ledger import Ledger
from warpgauge.exporters.messages import Gained, decode, encode

POWER = pynvml.NVML_TOTAL_POWER_SAMPLES
COMPUTE = pynvml.NVML_GPU_UTILIZATION_SAMPLES
MEMORY = pynvml.NVML_MEMORY_UTILIZATION_SAMPLES
RING_SECONDS = 12.0  # power: 120 samples of 100 ms
SPIKE_WATTS = 650.0


class Life(Bench):
    """What a parent adds up from a child that reads every second, and that may die."""

    def __init__(self, *profiles):
        super().__init__(*profiles)
        self.ledger = Ledger()
        self.bookmarks = {}

    def tick(self, seconds=1.0):
        """Let time pass, then read once; reasons of errors."""
        self.pass_time(seconds)
        _, reasons = self.read(self.gpu, Tier.FAST)
        increments, bookmark = self.collector.gained(self.gpu)
        heard = decode(encode(Gained(0, tuple(increments), bookmark)))
        self.ledger.add(self.gpu.uuid, heard.increments)
        self.bookmarks[self.gpu.uuid] = heard.bookmark
        return reasons

    def run(self, seconds):
        for _ in range(round(seconds)):
            self.tick()

    def catch_up(self):
        """Go on until every buffer was asked once more."""
        self.run(LONGEST_REST_SECONDS + 1)

    def until_read(self):
        """Go on to a tick that asks for the power."""
        before = self.milliseconds()
        while self.milliseconds() == before:
            self.tick()

    def start(self):
        (self.gpu,) = self.open()

    def restart(self, down_seconds):
        """The child dies; another one goes on after a while."""
        self.pass_time(down_seconds)
        self.collector = self.made()
        self.collector.resume(self.bookmarks)
        self.start()

    def histograms(self):
        """By metric and labels after the identity."""
        return {(sample.metric, sample.labels[2:]): sample.value for sample in self.ledger.samples(self.gpu)}

    def milliseconds(self, metric=device.POWER_DISTRIBUTION, labels=()):
        return self.histograms()[metric, labels].counts[-1]

    def above(self, watts):
        """Milliseconds above a bucket's bound."""
        counts = self.histograms()[device.POWER_DISTRIBUTION, ()].counts
        return counts[-1] - counts[device.POWER_DISTRIBUTION.buckets.index(watts)]


@contextmanager
def life_of(*profiles, rings=None):
    """A started collector; `rings` stand in for the usual buffers, by sampling type."""
    life = Life(*profiles)
    life.fake.rings.update({(0, kind): ring for kind, ring in (rings or {}).items()})
    with installed(life.fake):
        life.start()
        yield life


def power_ring(**more):
    return Ring(lambda _: 350_000, 100_000, **more)


BUFFERED = {
    (device.POWER_DISTRIBUTION, ()),
    *((device.UTILIZATION_DISTRIBUTION, (engine,)) for engine in ("compute", "memory", "decoder")),
}
ACTIVITIES = ("compute", "memory_bandwidth", "tensor", "fp64", "fp32", "fp16")
EVERY_SERIES = {*BUFFERED, *((detail.ACTIVITY_DISTRIBUTION, (activity,)) for activity in ACTIVITIES)}


def test_ten_minutes_with_missed_ticks_and_restarts_are_ten_minutes_in_every_distribution():
    with life_of() as life:
        life.run(3)
        before = {series: value.counts[-1] for series, value in life.histograms().items()}
        begun = life.clock.now()
        life.run(100)
        life.tick(3.0)  # two ticks were missed
        life.run(200)
        life.restart(2.5)
        life.run(100)
        life.restart(RING_SECONDS + 8)  # so long that samples fell out of the buffer
        life.run(600 - (life.clock.now() - begun))
        seconds = {series: (value.counts[-1] - before[series]) / 1000 for series, value in life.histograms().items()}
    assert seconds.keys() == EVERY_SERIES
    for spent in seconds.values():
        assert spent == pytest.approx(600, rel=0.02)


@pytest.mark.parametrize("begins", [10.05, 17.33, 29.87])
def test_a_spike_of_200_ms_between_two_scrapes_is_in_the_high_bucket(begins):
    def watts(seconds):
        return SPIKE_WATTS if begins < seconds - 1003 <= begins + 0.2 else 350.0

    with life_of(rings={POWER: Ring(lambda seconds: watts(seconds) * 1000, 100_000)}) as life:
        life.run(3)
        scraped = life.above(600.0)
        life.run(31)
        life.catch_up()
        assert life.above(600.0) - scraped == 200
        assert life.above(700.0) == 0


def test_sum_over_count_is_the_mean():
    ring = Ring(lambda seconds: 100_000 if int(seconds) % 4 else 300_000, 100_000)
    with life_of(rings={POWER: ring}) as life:
        life.run(61)
        histogram = life.histograms()[device.POWER_DISTRIBUTION, ()]
        assert histogram.sum / histogram.counts[-1] == pytest.approx(150.0, rel=0.02)


def test_what_lay_in_the_buffer_before_the_first_reading_is_not_counted_but_the_series_begins():
    with life_of() as life:
        life.tick(0.0)
        assert life.histograms().keys() == BUFFERED
        assert {value.counts[-1] for value in life.histograms().values()} == {0}


def test_values_are_in_base_units_and_the_type_names_the_union_member():
    rings = {
        POWER: Ring(lambda _: 123_456.5, 100_000, value_type=pynvml.NVML_VALUE_TYPE_DOUBLE),
        COMPUTE: Ring(lambda _: 101, 166_667, value_type=pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG),
    }
    with life_of(rings=rings) as life:
        life.run(5)
        life.catch_up()
        power = life.histograms()[device.POWER_DISTRIBUTION, ()]
        busy = life.histograms()[device.UTILIZATION_DISTRIBUTION, ("compute",)]
    assert power.sum / power.counts[-1] == pytest.approx(123.4565)
    assert busy.sum / busy.counts[-1] == pytest.approx(1.0)
    assert busy.counts[-2] == busy.counts[-1]  # nothing above 100 %


def test_the_period_is_measured_and_not_assumed():
    with life_of(rings={POWER: Ring(lambda _: 1, 20_000)}) as life:
        life.pass_time()
        values, _ = life.read(life.gpu, Tier.FAST)
    assert values[device.SAMPLE_PERIOD, ("power",)] == pytest.approx(0.02)
    assert values[device.SAMPLE_PERIOD, ("compute_utilization",)] == pytest.approx(0.2)
    assert (device.SAMPLE_PERIOD, ("encoder_utilization",)) not in values


def test_a_buffer_that_a_board_lacks_gives_no_family_and_is_asked_for_once():
    with life_of(rings={POWER: None}) as life:
        first, second = life.tick(), life.tick()
        assert "unsupported" in first
        assert second == []
        assert (device.POWER_DISTRIBUTION, ()) not in life.histograms()
        assert (device.UTILIZATION_DISTRIBUTION, ("compute",)) in life.histograms()


def test_a_library_without_sample_buffers_gives_no_distribution():
    with life_of(T4) as life:
        life.fake.missing.add("nvmlDeviceGetSamples")
        life.run(3)
        assert life.histograms() == {}
        assert life.fake.calls["nvmlDeviceGetSamples"] == 0


@pytest.mark.parametrize(("period_us", "reads"), [(20_000, 60), (40_000, 30), (100_000, 10), (1_000_000, 7)])
def test_a_buffer_is_left_alone_as_long_as_it_can_hold_what_comes(period_us, reads):
    rings = {source.type: None for source in SOURCES} | {POWER: Ring(lambda _: 350_000, period_us)}
    with life_of(rings=rings) as life:
        life.tick()
        life.collector.calls.take()
        life.run(60)
        counts, _ = life.collector.calls.take()["nvmlDeviceGetSamples"]
        assert sum(counts) == pytest.approx(reads, rel=0.2)
        life.until_read()
        passed = life.fake.seconds - 1001.0
        assert life.milliseconds() == pytest.approx(passed * 1000, abs=2 * period_us / 1000)


def test_a_buffer_that_never_had_a_sample_gives_no_distribution():
    with life_of(rings={POWER: power_ring(starts_at=1e9)}) as life:
        life.run(20)
        assert (device.POWER_DISTRIBUTION, ()) not in life.histograms()


def test_while_a_buffer_is_dry_the_present_value_stands_in_and_no_time_is_lost():
    rings = {COMPUTE: Ring(lambda _: 90, 166_667, stops_at=1010.0)}
    labels = device.UTILIZATION_DISTRIBUTION, ("compute",)
    with life_of(rings=rings) as life:
        life.run(10)
        life.fake.gpus[0].utilization = 0
        life.run(300)
        idle = life.histograms()[labels].counts[0]
        lag = DRY_SECONDS + LONGEST_REST_SECONDS
        assert (300 - lag) * 1000 - 200 <= idle <= 300_200
        assert life.read(life.gpu, Tier.FAST)[0].get((device.SAMPLE_PERIOD, ("compute_utilization",))) is None
        rings[COMPUTE].stops_at, rings[COMPUTE].starts_at = None, 1310.5
        life.run(100)
        counts = life.histograms()[labels].counts
        assert 409_400 - 1000 * LONGEST_REST_SECONDS <= counts[-1] <= 409_400
        assert counts[0] == pytest.approx(300_500, abs=400)


def test_each_engine_stands_in_for_itself():
    rings = {buffer: Ring(lambda _: 90, 166_667, stops_at=1003.0) for buffer in (COMPUTE, MEMORY)}
    with life_of(rings=rings) as life:
        life.run(3)
        life.fake.gpus[0].utilization = 100  # and of the memory half of it
        before = life.histograms()
        life.run(60)
        gained = {
            engine: now.counts[at] - before[device.UTILIZATION_DISTRIBUTION, (engine,)].counts[at]
            for engine in ("compute", "memory")
            for now in [life.histograms()[device.UTILIZATION_DISTRIBUTION, (engine,)]]
            for at in [device.UTILIZATION_DISTRIBUTION.buckets.index(0.5)]
        }
    assert gained["compute"] == 0
    assert gained["memory"] > 30_000


def test_no_millisecond_is_lost_however_samples_are_spread_over_readings():
    time = SampleTime(0.0)
    stamps = [1_000_000_500 + 16_667 * number for number in range(100)]
    time.take([(stamps[0], 1.0)], 0.0)
    told = [ms for number, at in enumerate(stamps[1:]) for _, ms in time.take([(at, 1.0)], number / 60)]
    assert sum(told) == stamps[-1] // 1000 - stamps[0] // 1000


def test_an_outage_of_minutes_is_left_out():
    ring = power_ring()
    with life_of(rings={POWER: ring}) as life:
        life.run(10)
        before = life.milliseconds()
        ring.starts_at = life.fake.seconds + LONGEST_GAP_SECONDS + 60
        life.restart(LONGEST_GAP_SECONDS + 60)
        life.run(10)
        assert life.milliseconds() - before == pytest.approx(10_000, abs=200)


def test_a_driver_clock_that_steps_back_costs_seconds_and_not_the_distribution():
    ring = power_ring(offset_us=7200 * 1_000_000)
    with life_of(rings={POWER: ring}) as life:
        life.run(10)
        ring.offset_us = 0
        life.run(590)
        assert life.milliseconds() == pytest.approx(599_000, rel=0.04)


def test_a_driver_clock_that_steps_forward_makes_up_no_time():
    ring = power_ring()
    with life_of(rings={POWER: ring}) as life:
        life.run(10)
        ring.offset_us = 7200 * 1_000_000
        life.run(590)
        assert life.milliseconds() == pytest.approx(599_000, rel=0.02)


def test_values_that_the_driver_marks_as_not_available_are_no_values():
    ring = Ring(lambda _: 0xFFFFFFFF, 100_000)
    with life_of(rings={POWER: ring}) as life:
        life.run(5)
        assert (device.POWER_DISTRIBUTION, ()) not in life.histograms()


def test_a_lost_gpu_says_only_that():
    with life_of() as life:
        life.run(3)
        life.fake.fail(pynvml.NVML_ERROR_GPU_IS_LOST, function="nvmlDeviceGetSamples")
        while (answer := life.collector.read(Tier.FAST, life.gpu))[0]:
            life.pass_time()
        assert [error.reason for error in answer[1]] == ["lost"]


events = st.lists(
    st.tuples(st.just("tick"), st.floats(0.05, 30)) | st.tuples(st.just("restart"), st.floats(0.05, 20)), max_size=12
)


@given(events, st.integers(20_000, 1_500_000), st.integers(0, 10**7))
def test_counts_are_whole_never_fall_and_add_up_to_the_time_that_passed(story, period_us, offset_us):
    ring = Ring(lambda seconds: 1000 * (seconds % 1300), period_us, offset_us=offset_us)
    with life_of(rings={POWER: ring}) as life:
        life.tick(0.0)
        begun, before = life.fake.seconds, {}
        for word, seconds in story:
            if word == "restart":
                life.restart(seconds)
            life.tick(seconds)
            after = life.histograms()
            for series, value in before.items():
                assert all(type(count) is int for count in after[series].counts)
                assert sum(count for _, count in after[series].fine) == after[series].counts[-1]
                assert all(new >= old for old, new in zip(value.counts, after[series].counts, strict=True))
                assert after[series].sum >= value.sum
            before = after
        life.until_read()
        passed = life.fake.seconds - begun
        assert abs(life.milliseconds() / 1000 - passed) <= period_us / 1e6 + 0.002


def test_every_source_is_a_distribution_and_has_its_own_name():
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    assert {source.metric.kind for source in SOURCES} == {Kind.HISTOGRAM}
    assert {len(source.metric.buckets) for source in SOURCES} == {12}


def test_a_wrapping_pcie_counter_does_not_fall_when_the_child_was_restarted():
    gauge, (number, kind) = device.PCIE_TRANSMIT, (FIELD["NVML_FI_DEV_PCIE_COUNT_TX_BYTES"], 1)
    with life_of() as life:
        for raw in (2**32 - 1000, 500):  # it wraps at 32 bits
            life.fake.gpus[0].fields[number] = (kind, raw)
            life.read(life.gpu, Tier.NORMAL)
            life.tick()
        life.restart(2.0)
        life.fake.gpus[0].fields[number] = (kind, 700)
        values, _ = life.read(life.gpu, Tier.NORMAL)
        assert values[gauge, ()] == 2**32 + 700
