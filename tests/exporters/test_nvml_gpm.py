"""GPM: what is asked at each reading and what rests, between which samples, and what it says of what a board lacks."""

from __future__ import annotations

from itertools import pairwise

import pynvml
import pytest

from tests.exporters.test_nvml_readings import Bench
from tests.fakes.nvml_abi import ENGINES, installed
from warpgauge.core.catalog import Tier, detail, device
from warpgauge.exporters.collectors.activity_time import ActivityTime
from warpgauge.exporters.collectors.time_gain import Telling

EVERY = 5.0
SECONDS_DEAR = 2e-3
DECODER_1 = pynvml.NVML_GPM_METRIC_NVDEC_1_UTIL


class Ticks(Bench):
    """One H100, read each second; what is asked for seldom is asked each five."""

    def __init__(self):
        super().__init__()
        self.collector.adjust({"gpm_every": EVERY})

    def tick(self, percent=37.5):
        """Values a second later, while the fake's counters say this much."""
        self.pass_time()
        self.fake.gpus[0].gpm_percent = percent
        return self.read(self.gpu, Tier.FAST)[0]

    @property
    def questions(self):
        return self.fake.calls["nvmlGpmMetricsGet"]

    def start(self):
        (self.gpu,) = self.open()


@pytest.fixture
def bench():
    made = Ticks()
    with installed(made.fake):
        made.start()
        yield made


def test_what_is_quick_is_asked_at_each_reading_and_the_rest_once_an_interval(bench):
    for _ in range(12):
        bench.tick()
    quick, seldom = 11, 3  # each from the second tick on: there have to be two samples
    assert bench.questions == quick + seldom
    assert bench.fake.calls["nvmlGpmSampleGet"] == 12


def test_the_quick_answer_is_about_the_last_second_and_the_seldom_one_about_its_own_interval(bench):
    bench.tick(0.0)
    bench.tick(10.0)  # both are answered for the first time
    for percent in (20.0, 30.0, 40.0, 50.0):
        values = bench.tick(percent)
        assert values[device.GRAPHICS_ENGINE_ACTIVE, ()] == pytest.approx(0.05)  # the last answer stands
    values = bench.tick(60.0)
    assert values[device.COMPUTE_ACTIVE, ()] == pytest.approx((0.5 + 0.6) / 2)
    assert values[device.GRAPHICS_ENGINE_ACTIVE, ()] == pytest.approx((0.1 + 0.6) / 2)


def test_however_long_it_runs_no_more_than_three_samples_are_lent(bench):
    for _ in range(40):
        bench.tick()
        assert bench.fake.open_samples <= 3
    bench.collector.close()
    assert bench.fake.open_samples == 0


def test_answers_that_fail_cost_no_sample_and_what_was_said_before_does_not_stand(bench):
    for _ in range(7):
        bench.tick()
    bench.fake.fail(pynvml.NVML_ERROR_UNKNOWN, function="nvmlGpmMetricsGet", times=9)
    for _ in range(7):
        assert (device.COMPUTE_ACTIVE, ()) not in bench.tick()
        assert bench.fake.open_samples <= 3
    bench.fake.heal()
    bench.tick()
    assert (device.COMPUTE_ACTIVE, ()) in bench.tick()
    bench.collector.close()
    assert bench.fake.open_samples == 0


def test_a_device_that_supports_none_of_the_seldom_ones_is_not_asked_for_nothing(bench):
    seldom = {*ENGINES, pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL}
    bench.fake.gpm_codes.update(dict.fromkeys(seldom, pynvml.NVML_ERROR_NOT_SUPPORTED))
    for _ in range(3):
        bench.tick()
    before = bench.questions
    for _ in range(10):
        bench.tick()
    assert bench.questions == before + 10  # the quick ones alone


def test_on_a_driver_that_takes_long_for_the_quick_ones_they_rest_too(bench):
    bench.spent = SECONDS_DEAR
    for _ in range(4):
        bench.tick()
    before = bench.questions
    for _ in range(10):
        values = bench.tick()
    assert bench.questions - before <= 4
    assert (device.COMPUTE_ACTIVE, ()) in values


def test_one_answer_that_took_long_puts_nothing_to_rest(bench):
    bench.tick()
    bench.spent = SECONDS_DEAR
    bench.tick()
    bench.spent = 0.0
    before = bench.questions
    bench.tick()
    assert bench.questions == before + 1


def test_what_rested_is_asked_at_each_reading_again_once_it_is_quick(bench):
    bench.spent = SECONDS_DEAR
    for _ in range(4):
        bench.tick()
    bench.spent = 0.0
    for _ in range(6):
        bench.tick()
    before = bench.questions
    bench.tick()
    assert bench.questions > before


def test_success_without_a_name_is_no_value_and_is_not_asked_for_again(bench):
    bench.fake.gpm_unknown.add(pynvml.NVML_GPM_METRIC_DMMA_TENSOR_UTIL)
    bench.tick()
    values = bench.tick()
    assert (device.PIPE_ACTIVE, ("tensor_dmma",)) not in values
    assert (device.PIPE_ACTIVE, ("tensor_hmma",)) in values
    bench.fake.gpm_unknown.clear()
    assert (device.PIPE_ACTIVE, ("tensor_dmma",)) not in bench.tick()


def test_a_driver_that_names_nothing_lacks_nothing(bench):
    bench.tick()
    assert (device.PIPE_ACTIVE, ("tensor_dmma",)) in bench.tick()


def test_an_engine_is_absent_until_it_works_and_then_tells_when_it_does_not(bench):
    bench.tick()
    assert (detail.ENGINE_ACTIVE, ("decoder", "1")) not in bench.tick()
    seen = []
    for percent in (30.0, 0.0):
        bench.fake.engines[DECODER_1] = percent
        for _ in range(5):
            values = bench.tick()
        seen.append(values[detail.ENGINE_ACTIVE, ("decoder", "1")])
    assert seen == [pytest.approx(0.3), 0.0]
    assert (detail.ENGINE_ACTIVE, ("decoder", "0")) not in values


def gained(time):
    """Milliseconds and mean by activity."""
    told = {gain.labels[0]: gain for gain in Telling().gains([*time.gains])}
    return {name: (sum(gain.counts), gain.sum / sum(gain.counts)) for name, gain in told.items()}


def reading(value, metric=device.COMPUTE_ACTIVE, *labels):
    return (metric, labels, value)


def test_sum_and_count_give_the_mean_of_all_the_time_whatever_the_readings_spanned():
    time = ActivityTime()
    time.add([reading(0.5)], 100.0, 101.0)
    time.add([reading(0.9)], 101.0, 104.0)  # two ticks were missed
    assert gained(time) == {"compute": (4000, pytest.approx((0.5 + 3 * 0.9) / 4))}


def test_parts_of_milliseconds_are_neither_lost_nor_counted_twice():
    time, moments = ActivityTime(), [100.0 + step * 1.0007 for step in range(1001)]
    for since, now in pairwise(moments):
        time.add([reading(0.5)], since, now)
    assert gained(time)["compute"][0] == int(moments[-1] * 1000) - 100_000


def test_a_pipe_has_a_distribution_once_it_works_and_its_idle_time_before_is_in_it():
    time, told = ActivityTime(), []
    for second, value in enumerate((0.0, 0.0, 0.4, 0.0)):
        time.add([reading(value, device.PIPE_ACTIVE, "fp64"), reading(0.1)], 100.0 + second, 101.0 + second)
        told.append(gained(time).get("fp64"))
    assert told == [None, None, (3000, pytest.approx(0.4 / 3)), (1000, 0.0)]


def test_a_gap_goes_to_the_next_means_up_to_a_minute_and_a_pause_to_none():
    first = ActivityTime()
    first.add([reading(0.5)], 100.0, 101.0)
    second = ActivityTime(first.bookmark)  # another process
    second.add([reading(0.5)], 110.0, 111.0)
    assert gained(second)["compute"][0] == 10_000
    second.add([reading(0.5)], 299.0, 300.0)
    assert gained(second)["compute"][0] == 1000
    second.pause()
    second.add([reading(0.5)], 320.0, 321.0)
    assert gained(second)["compute"][0] == 1000
