"""The AMD collector over a double of amdsmi: units, "N/A", what is not supported, and a counter that lies."""

from __future__ import annotations

import pytest

from tests.exporters.collector_contract import TIERS, holds, refuses_what_is_not_there
from tests.fakes import amdsmi_double
from tests.fakes.amdsmi_double import Amdsmi
from warpgauge.core.catalog import Tier, device, process, vendor
from warpgauge.core.clock import ManualClock
from warpgauge.core.sample import Unavailable
from warpgauge.exporters.collectors.amd import AmdCollector
from warpgauge.exporters.collectors.amd_energy import EnergyCheck, Trust
from warpgauge.exporters.collectors.amd_rows import number
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError


class Bench:
    def __init__(self):
        self.library, self.clock = Amdsmi(), ManualClock()
        self.collector = AmdCollector(load=lambda: self.library, sys_root="/nonexistent", clock=self.clock)
        assert self.collector.check() is None
        self.gpus = self.collector.devices()

    def read(self, *tiers, gpu=0):
        values, reasons = {}, []
        for tier in tiers or TIERS:
            samples, errors = self.collector.read(tier, self.gpus[gpu])
            values.update({(sample.metric, sample.labels[2:]): sample.value for sample in samples})
            reasons += [error.reason for error in errors]
        return values, reasons

    def pass_seconds(self, seconds, *, counter_speed=1.0):
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.library.joules += self.library.watts * counter_speed
            values, _ = self.read(Tier.FAST)
        return values


@pytest.fixture
def bench():
    return Bench()


def test_it_keeps_every_collectors_promises(bench):
    def all_is_lost():
        for function in ("amdsmi_get_gpu_activity", "amdsmi_get_power_info", "amdsmi_get_gpu_memory_total"):
            bench.library.answers[function] = "NOT_FOUND"

    holds(bench.collector, is_gone=all_is_lost)
    refuses_what_is_not_there(bench.collector, 99)


def test_a_gpu_is_described_by_what_the_library_says(bench):
    gpu = bench.gpus[1]
    assert (gpu.vendor, gpu.model, gpu.architecture) == ("amd", "AMD Instinct MI300X", "gfx942")
    assert gpu.pci_bus_id == "0000:06:00.0"


def test_units_are_base_units(bench):
    values, reasons = bench.read()
    expected = {
        (device.UTILIZATION, ("compute",)): 0.87,
        (device.MEMORY_ACCESS, ()): 0.40,
        (device.POWER, ()): 500.0,
        (device.POWER_LIMIT, ("enforced",)): 750.0,
        (device.TEMPERATURE, ("core",)): 71.0,
        (device.TEMPERATURE, ("memory",)): 62.0,
        (device.CLOCK, ("graphics",)): 2.1e9,
        (device.MEMORY_TOTAL, ()): 206_141_652_992.0,
        (device.MEMORY_FREE, ()): 106_141_652_992.0,
        (device.PCIE_LINK_GENERATION, ()): 5.0,
        (device.PCIE_ERRORS, ("nak_sent",)): 7.0,
        (device.LINK_RECEIVE, ("0",)): 10240.0,
        (device.LINK_TRANSMIT, ("0",)): 20480.0,
        (device.LINK_SPEED, ("0",)): 4e9,
        (device.ECC_ERRORS, ("uncorrected", "volatile")): 1.0,
        (device.ECC_LOCATION_ERRORS, ("corrected", "volatile", "umc")): 4.0,
        (device.PAGES_RETIRED, ("ras",)): 1.0,
        (device.PAGE_RETIREMENT_PENDING, ()): 1.0,
        (vendor.VIOLATION, ("power",)): 0.4,
        (device.THROTTLE_ACTIVE, ("sw_power_cap",)): 1.0,
        (device.THROTTLE_ACTIVE, ("hw_thermal",)): 0.0,
        (vendor.PARTITION_INFO, ("SPX", "NPS1", "0")): 1.0,
        (device.PROCESSES, ()): 2.0,
    }
    assert {key: values[key] for key in expected} == pytest.approx(expected)
    assert reasons == []


def test_what_is_not_available_has_no_series(bench):
    values, _ = bench.read()
    assert (device.UTILIZATION, ("media",)) not in values
    assert (vendor.VIOLATION, ("vr_thermal",)) not in values
    assert (device.PCIE_ERRORS, ("nak_received",)) not in values
    assert (device.LINK_SPEED, ("1",)) not in values  # slots without a link, and PCIe


@pytest.mark.parametrize("raw", ["N/A", None, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, -1, True, "12", [1]])
def test_no_word_is_taken_for_a_number(raw):
    assert number(raw) is None


def test_a_call_that_is_not_supported_is_made_once(bench):
    bench.library.answers["amdsmi_get_gpu_activity"] = "NOT_SUPPORTED"
    for _ in range(3):
        values, reasons = bench.read(Tier.FAST)
    assert bench.library.asked.count("amdsmi_get_gpu_activity") == 1
    assert (device.UTILIZATION, ("compute",)) not in values
    assert (device.POWER, ()) in values
    assert reasons == []


def test_a_call_that_fails_costs_its_own_rows(bench):
    bench.library.answers["amdsmi_get_pcie_info"] = "NO_PERM"
    values, reasons = bench.read(Tier.NORMAL)
    assert reasons == ["permission"]
    assert (device.MEMORY_USED, ()) in values


def test_a_gpu_whose_every_call_fails_is_lost(bench):
    for function in list(vars(amdsmi_double)["_USUAL"]):
        bench.library.answers[function] = "NOT_FOUND"
    values, reasons = bench.read(Tier.FAST)
    assert (values, reasons[-1]) == ({}, "lost")


def test_a_true_energy_counter_appears_once_it_was_checked(bench):
    assert (device.ENERGY, ()) not in bench.pass_seconds(5)
    values = bench.pass_seconds(30)
    assert values[device.ENERGY, ()] == pytest.approx(bench.library.joules, rel=1e-6)


@pytest.mark.parametrize("speed", [0.1, 0.5, 2.0, 16.0])
def test_an_energy_counter_that_lies_is_dropped_with_the_reason(bench, speed):
    values = bench.pass_seconds(40, counter_speed=speed)
    dropped = values[device.ENERGY, ()]
    assert isinstance(dropped, Unavailable)
    assert f"{speed:.2f} x the board's power" in dropped.reason
    bench.library.asked.clear()
    bench.pass_seconds(1)
    assert "amdsmi_get_energy_count" not in bench.library.asked


def test_a_pause_or_a_reset_of_the_counter_decides_nothing():
    check = EnergyCheck()
    for second in range(60):
        check.observe(second * 10.0, 500.0, second * 1.0)  # too far apart to integrate
    assert check.trust is Trust.UNKNOWN
    check.observe(601.0, 500.0, 0.0)  # the driver was loaded anew
    assert check.trust is Trust.UNKNOWN


def test_the_parts_of_a_board_are_devices_of_their_own():
    library = Amdsmi(gpus=2)
    library.answers["amdsmi_get_gpu_device_uuid"] = "one-board"
    library.answers["amdsmi_get_gpu_kfd_info"] = lambda _, handle: {"current_partition_id": int(handle[-1])}
    collector = AmdCollector(load=lambda: library, sys_root="/nonexistent")
    collector.check()
    assert [gpu.uuid for gpu in collector.devices()] == ["one-board", "one-board/1"]


def test_older_rocm_calls_the_energy_ticks_power(bench):
    bench.library.answers["amdsmi_get_energy_count"] = lambda lib, _: {
        "power": lib.joules * 1e6, "counter_resolution": 1.0,
    }  # fmt: skip
    assert bench.pass_seconds(30)[device.ENERGY, ()] == pytest.approx(bench.library.joules)


def test_processes_get_series_only_where_asked_for(bench):
    assert not [key for key in bench.read()[0] if key[0] is process.PROCESS_MEMORY]
    bench.collector.adjust({"processes": 1})
    assert bench.read()[0][process.PROCESS_MEMORY, ("4712", "N/A")] == 6e9


@pytest.mark.parametrize("error", [KeyError("libamd_smi.so"), OSError("version"), AttributeError("symbol")])
def test_a_library_that_does_not_load_is_a_sentence(error):
    def load():
        raise error

    assert "must match the ROCm" in (AmdCollector(load=load).check() or "")


def test_a_machine_without_amdsmi_is_told_where_it_is():
    assert "/opt/rocm/share/amd_smi" in (AmdCollector().check() or "")


def test_a_driver_that_lists_no_gpu_is_a_failure_and_a_gpu_that_is_refused_is_not():
    library = Amdsmi(gpus=0)
    collector = AmdCollector(load=lambda: library)
    collector.check()
    with pytest.raises(DriverError, match="no_devices"):
        collector.positions()
    library.gpus = 1
    library.answers["amdsmi_get_gpu_device_uuid"] = "NO_PERM"
    with pytest.raises(DeviceRefusedError, match="permission"):
        collector.identify(0)
