"""The agent's page: what is on it, what is not, and that it means to prometheus_client what it means to us."""

from __future__ import annotations

import gzip
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.exporters.test_nvml_readings import TIERS, Bench
from tests.fakes.nvml_abi import installed
from tests.fakes.nvml_profiles import PROFILES
from warpgauge.core.catalog import Tier, device, own
from warpgauge.core.clock import ManualClock
from warpgauge.core.device import Device, DeviceKind, DeviceState
from warpgauge.core.exposition import Format
from warpgauge.core.sample import Sample
from warpgauge.exporters.pages import Pages, packed
from warpgauge.exporters.readings import Readings

GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
OTHER = Device(uuid="GPU-2", index=1, kind=DeviceKind.GPU, vendor="nvidia", model="H100")


class Desk:
    """Readings and their pages on a clock that tests move."""

    def __init__(self):
        self.clock = ManualClock()
        self.readings = Readings(self.clock)
        self.pages = Pages(self.readings, self.clock)

    def say(self, gpu, *samples, tier=Tier.FAST):
        self.readings.see("nvml", gpu)
        self.readings.update("nvml", tier, gpu.uuid, samples)

    def text(self):
        self.pages.publish()
        return self.pages.body(Format.TEXT, is_compressed=False).decode()

    def lines(self, metric):
        return [line for line in self.text().splitlines() if line.startswith(f"{metric.name}{{")]


def power(gpu, watts):
    return Sample(device.POWER, gpu.labels, watts)


def page_of(profile):
    """The devices' part of the page of one board, after two ticks."""
    desk, bench = Desk(), Bench(PROFILES[profile])
    with installed(bench.fake):
        (gpu,) = bench.open()
        desk.readings.see("nvml", gpu)
        for _ in range(2):
            for tier in TIERS:
                desk.readings.update("nvml", tier, gpu.uuid, bench.collector.read(tier, gpu)[0])
            bench.pass_time()
        desk.readings.update("nvml", Tier.SLOW, None, bench.collector.read(Tier.SLOW, None)[0])
    return desk.text().partition("# HELP warpgauge_agent_build_info")[0]


@pytest.mark.parametrize("profile", ["a100", "b200", "h100", "h100-mig", "h200", "l40s", "t4"])
def test_the_page_of_a_board_is_exactly_the_golden_text(golden, profile):
    golden(f"agent-{profile}.txt", page_of(profile))


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_promtool_has_no_complaint_about_the_page(promtool, profile):
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=page_of(profile), text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_prometheus_client_reads_the_same_from_both_formats():
    desk = Desk()
    desk.say(GPU, power(GPU, 350.5), Sample(device.ENERGY, GPU.labels, 12.5))
    plain = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(desk.text())
        for sample in family.samples
    }
    openmetrics = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_openmetrics(desk.pages.body(Format.OPENMETRICS, is_compressed=False).decode())
        for sample in family.samples
    }
    assert plain == openmetrics
    assert plain["accel_power_watts", (("index", "0"), ("uuid", "GPU-1"))] == 350.5


def test_compressed_is_the_same_page():
    desk = Desk()
    desk.say(GPU, power(GPU, 1.0))
    plain = desk.text().encode()
    assert gzip.decompress(desk.pages.body(Format.TEXT, is_compressed=True)) == plain


def tick(desk, watts):
    """A second passes, a device is read, and the page may be made."""
    desk.clock.advance(1)
    desk.say(GPU, power(GPU, watts))
    for _ in desk.pages.offer():
        pass


def versions_of(desk, asked_at, seconds=60):
    """At which seconds a page was made ahead, while somebody asked at some."""
    made = []
    for second in range(seconds):
        before = desk.pages.version
        tick(desk, float(second))
        made += [second] * (desk.pages.version > before)
        if second in asked_at:
            body = desk.pages.body(Format.OPENMETRICS, is_compressed=True)
            assert f" {float(second)}\n" in gzip.decompress(body).decode()  # nobody ever gets an old page
    return made


def test_whoever_asks_in_a_rhythm_finds_the_page_ready_and_else_none_is_made():
    made = versions_of(Desk(), {0, 15, 30, 45})
    assert {30, 45} <= set(made) <= {29, 30, 44, 45, 59}


def test_two_rhythms_are_told_apart():
    made = versions_of(Desk(), {0, 10, 20, 30, 40, 50} | {5, 20, 35, 50}, 61)
    assert {20, 30, 40, 50, 60} <= set(made)


def test_somebody_who_asks_all_the_time_finds_every_page_ready():
    assert versions_of(Desk(), set(range(60))) == list(range(2, 60))


def test_a_page_that_nobody_asks_for_is_never_made():
    assert versions_of(Desk(), set()) == []


def test_a_rhythm_that_ended_is_forgotten():
    assert max(versions_of(Desk(), {0, 15, 30}, 300)) < 70


def test_between_two_portions_of_the_work_the_last_page_is_served_whole():
    desk = Desk()
    for second in range(3):
        tick(desk, float(second))
        desk.pages.body(Format.TEXT, is_compressed=False)
    desk.clock.advance(1)
    desk.say(GPU, power(GPU, 9.0))
    served = [desk.pages.body(Format.TEXT, is_compressed=False).decode() for _ in desk.pages.offer()]
    assert len(served) >= 2
    assert all(" 2.0\n" in page and " 9.0\n" not in page for page in served)
    assert " 9.0\n" in desk.pages.body(Format.TEXT, is_compressed=False).decode()


def test_work_that_is_overtaken_by_a_later_page_is_dropped():
    desk = Desk()
    for second in range(3):
        tick(desk, float(second))
        desk.pages.body(Format.TEXT, is_compressed=False)
    desk.clock.advance(1)
    for _ in desk.pages.offer():
        desk.say(GPU, power(GPU, 9.0))
        desk.pages.publish()
    assert " 9.0\n" in desk.pages.body(Format.TEXT, is_compressed=False).decode()


def test_while_a_page_is_compressed_the_one_before_is_served_and_then_the_new_one():
    desk, waiting = Desk(), []
    desk.pages = Pages(desk.readings, desk.clock, pack=lambda plain, take: waiting.append((plain, take)))

    def asked():
        return gzip.decompress(desk.pages.body(Format.TEXT, is_compressed=True)).decode()

    for watts in (1.0, 2.0, 3.0):
        tick(desk, watts)
        page = asked()
    assert " 2.0\n" in page
    plain, take = waiting[-1]
    take(packed(plain))
    assert " 3.0\n" in asked()


def test_a_page_that_was_compressed_too_late_is_not_served():
    desk, waiting = Desk(), []
    desk.pages = Pages(desk.readings, desk.clock, pack=lambda plain, take: waiting.append((plain, take)))
    for watts in (1.0, 2.0, 3.0, 4.0):
        tick(desk, watts)
        desk.pages.body(Format.TEXT, is_compressed=True)
    plain, take = waiting[0]
    take(packed(plain))
    desk.clock.advance(30)
    tick(desk, 5.0)
    assert " 5.0\n" in gzip.decompress(desk.pages.body(Format.TEXT, is_compressed=True)).decode()


def test_a_scrape_gets_bytes_made_beforehand_and_asks_nobody():
    desk = Desk()
    desk.say(GPU, power(GPU, 1.0))
    forms = [(fmt, is_compressed) for fmt in Format for is_compressed in (False, True)]
    for _ in range(2):  # a rhythm
        for fmt, is_compressed in forms:
            desk.pages.body(fmt, is_compressed=is_compressed)
        desk.clock.advance(1)
    desk.pages.publish()
    made = dict(desk.pages._bodies)
    desk.pages._readings = None  # whatever were asked for now would end in an error
    desk.pages._families = None
    assert len(made) == len(forms)
    for fmt, is_compressed in forms:
        assert desk.pages.body(fmt, is_compressed=is_compressed) is made[fmt, is_compressed]


def test_readings_reach_the_page_when_it_is_published_and_not_before():
    desk = Desk()
    desk.text()
    desk.say(GPU, power(GPU, 1.0))
    assert b"accel_power_watts" not in desk.pages.body(Format.TEXT, is_compressed=False)
    assert desk.lines(device.POWER)


def test_a_reading_that_comes_while_lines_are_made_is_on_the_page():
    desk = Desk()
    for watts in (1.0, 2.0):
        desk.say(GPU, power(GPU, watts), Sample(device.ENERGY, GPU.labels, watts))
        desk.text()
    desk.say(GPU, power(GPU, 3.0), Sample(device.ENERGY, GPU.labels, 3.0))
    making = desk.readings.freshen()
    next(making)
    desk.say(GPU, power(GPU, 4.0), Sample(device.ENERGY, GPU.labels, 4.0))
    for _ in making:
        pass
    assert [line.rpartition(" ")[2] for line in desk.lines(device.POWER)] == ["4.0"]


def test_each_family_stands_once_with_all_its_devices_together():
    desk = Desk()
    desk.say(GPU, power(GPU, 1.0))
    desk.say(OTHER, power(OTHER, 2.0))
    desk.say(GPU, Sample(device.MEMORY_USED, GPU.labels, 3.0), tier=Tier.NORMAL)
    text = desk.text()
    assert text.count("# TYPE accel_power_watts ") == 1
    assert len(desk.lines(device.POWER)) == 2


def test_a_device_that_disappears_leaves_no_stale_series_but_its_state():
    desk = Desk()
    desk.say(GPU, power(GPU, 1.0))
    desk.say(GPU, Sample(device.MEMORY_USED, GPU.labels, 3.0), tier=Tier.NORMAL)
    desk.say(OTHER, power(OTHER, 2.0))
    desk.readings.mark(GPU.uuid, DeviceState.LOST)
    text = desk.text()
    of_gpu = {line.partition("{")[0] for line in text.splitlines() if GPU.uuid in line}
    kept = (device.DEVICE_UP, device.DEVICE_STATE, device.LAST_SAMPLE, device.XID_EVENTS)
    assert of_gpu == {metric.name for metric in kept}
    assert 'accel_device_state{index="0",state="lost",uuid="GPU-1"} 1.0' in text
    assert 'accel_device_up{index="0",uuid="GPU-1"} 0.0' in text
    assert len(desk.lines(device.POWER)) == 1


def test_exactly_one_state_holds_at_a_time():
    desk = Desk()
    desk.say(GPU, power(GPU, 1.0))
    for state in DeviceState:
        desk.readings.mark(GPU.uuid, state)
        holding = [line for line in desk.lines(device.DEVICE_STATE) if line.endswith(" 1.0")]
        assert holding == [f'accel_device_state{{index="0",state="{state.value}",uuid="GPU-1"}} 1.0']


def test_a_device_that_answers_again_is_well_again():
    desk = Desk()
    desk.say(GPU, power(GPU, 1.0))
    desk.readings.mark(GPU.uuid, DeviceState.HUNG)
    desk.clock.advance(5)
    desk.say(GPU, power(GPU, 1.0))
    (standing,) = desk.readings.standings
    assert (standing.state, standing.last_sample) == (DeviceState.OK, desk.clock.now())


def test_a_device_that_reports_a_failed_remap_is_degraded_until_it_says_otherwise():
    desk = Desk()
    desk.say(GPU, Sample(device.ROW_REMAP_FAILED, GPU.labels, 1.0), tier=Tier.SLOW)
    desk.say(GPU, power(GPU, 1.0))
    assert desk.readings.standings[0].state is DeviceState.DEGRADED
    assert desk.lines(device.DEVICE_UP)[0].endswith(" 1.0")
    desk.say(GPU, Sample(device.ROW_REMAP_FAILED, GPU.labels, 0.0), tier=Tier.SLOW)
    assert desk.readings.standings[0].state is DeviceState.OK


def test_a_reading_that_does_not_speak_of_a_failed_remap_heals_nothing():
    desk = Desk()
    desk.say(GPU, Sample(device.ROW_REMAP_FAILED, GPU.labels, 1.0), tier=Tier.SLOW)
    desk.say(GPU, Sample(device.POWER_LIMIT, (*GPU.labels, "enforced"), 700.0), tier=Tier.SLOW)
    assert desk.readings.standings[0].state is DeviceState.DEGRADED


def test_a_device_that_never_answered_is_not_up_and_has_no_last_sample():
    desk = Desk()
    desk.readings.see("nvml", GPU, DeviceState.HUNG)
    assert desk.lines(device.DEVICE_UP) == ['accel_device_up{index="0",uuid="GPU-1"} 0.0']
    assert desk.lines(device.LAST_SAMPLE) == []


def test_own_histograms_are_cumulative_and_counters_add_up():
    desk = Desk()
    tally = desk.readings.tally
    tally.count(own.SCRAPES, "text")
    tally.count(own.SCRAPES, "text")
    for seconds in (0.00001, 0.02, 100.0):
        tally.observe(own.COLLECT_SECONDS, "nvml", seconds=seconds)
    families = {family.name: family for family in parse_text(desk.text())}
    (scrapes,) = families["warpgauge_agent_scrapes"].samples
    assert scrapes.value == 2.0
    collected = {
        sample.labels.get("le", sample.name): sample.value
        for sample in families["warpgauge_agent_collect_seconds"].samples
    }
    assert (collected["1e-05"], collected["0.025"], collected["2.0"], collected["+Inf"]) == (1, 2, 2, 3)


def test_a_portion_of_driver_calls_with_another_number_of_buckets_is_not_counted():
    desk = Desk()
    desk.readings.tally.add_calls("nvml", {"f": ([1, 2], 3.0)})
    assert desk.lines(own.CALL_SECONDS) == []
