"""GPM beside DCGM: who reads the counters, by which setting, and how that is told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.exporters.test_nvml_readings import Bench
from tests.fakes.nvml_abi import installed
from tests.fakes.nvml_profiles import H100
from warpgauge.core.catalog import Tier, device, own
from warpgauge.exporters.gpm_mode import GpmMode
from warpgauge.exporters.hostengine import Running, find_hostengine
from warpgauge.exporters.tally import Tally


class Place:
    """A mode with a machine where DCGM comes and goes."""

    def __init__(self, setting):
        self.running = None
        self.tally = Tally()
        self.mode = GpmMode(setting, "/proc", self.tally, find=lambda _: self.running)

    def look(self):
        asyncio.run(self.mode.look())

    @property
    def shown(self):
        return [sample.labels[0] for sample in self.tally.samples() if sample.metric is own.GPM_MODE and sample.value]


def program(proc, pid, name):
    (proc / str(pid)).mkdir()
    (proc / f"{pid}/comm").write_text(f"{name}\n")


@pytest.mark.parametrize("name", ["nv-hostengine", "dcgm-exporter"])
def test_dcgm_is_found_alone_or_inside_its_exporter(tmp_path, name):
    program(tmp_path, 12, "python3")
    program(tmp_path, 77, name)
    assert find_hostengine(tmp_path) == Running(name, 77)


def test_no_dcgm_and_no_proc_are_none(tmp_path):
    program(tmp_path, 12, "nv-hostengine-not")
    (tmp_path / "13").mkdir()  # a process that ended while it was looked at
    assert find_hostengine(tmp_path) is None
    assert find_hostengine(tmp_path / "nowhere") is None


def test_auto_leaves_the_counters_to_dcgm_and_takes_them_up_again(caplog):
    place = Place("auto")
    place.mode.show()
    assert (place.mode.is_on, place.shown) == (True, ["auto_reading"])
    place.running = Running("nv-hostengine", 77)
    with caplog.at_level(logging.WARNING):
        place.look()
        place.look()
    assert (place.mode.is_on, place.shown) == (False, ["auto_yielding"])
    assert [(record.message, record.why) for record in caplog.records] == [("gpm mode", "nv-hostengine runs (pid 77)")]
    place.running = None
    place.look()
    assert (place.mode.is_on, place.shown) == (True, ["auto_reading"])


@pytest.mark.parametrize(("setting", "is_on"), [("on", True), ("off", False)])
def test_a_setting_holds_whoever_else_runs(setting, is_on):
    place = Place(setting)
    place.running = Running("nv-hostengine", 77)
    place.look()
    place.mode.show()
    assert (place.mode.is_on, place.shown) == (is_on, [setting])


def test_the_mode_is_not_on_the_page_of_a_machine_that_it_does_not_concern():
    place = Place("auto")
    place.look()
    assert place.shown == []


def test_a_collector_without_leave_reads_no_gpm_and_holds_no_sample():
    bench = Bench(H100)
    with installed(bench.fake):
        (gpu,) = bench.open()
        seen = []
        for is_on in (True, True, False, False, True, True):
            bench.collector.adjust({"gpm": is_on})
            bench.pass_time()
            values, reasons = bench.read(gpu, Tier.FAST)
            seen.append(((device.COMPUTE_ACTIVE, ()) in values, bench.fake.open_samples))
    assert seen == [(False, 1), (True, 2), (False, 0), (False, 0), (False, 1), (True, 2)]
    assert reasons == []
