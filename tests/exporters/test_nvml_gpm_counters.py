"""GPM's totals: true counters where a driver has them, one source for each series, no unit that nobody stated."""

from __future__ import annotations

import pynvml
import pytest

from tests.exporters.test_nvml_readings import Bench
from tests.fakes.nvml_abi import FIELD, installed
from tests.fakes.nvml_profiles import A100, H100
from warpgauge.core.catalog import Tier, cycles, device
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.nvml_api import NvmlApi
from warpgauge.exporters.collectors.nvml_gpm import Gpm, GpmPace

ELAPSED, ACTIVE = pynvml.NVML_GPM_METRIC_SM_CYCLES_ELAPSED, pynvml.NVML_GPM_METRIC_SM_CYCLES_ACTIVE
TENSOR, PCIE = pynvml.NVML_GPM_METRIC_MMA_CYCLES_ACTIVE, pynvml.NVML_GPM_METRIC_PCIE_TX


class Totals(Bench):
    """A board whose driver has some totals; `read` is a fast and then a normal tick."""

    def __init__(self, totals, profile=H100):
        super().__init__(profile)
        self.fake.gpm_totals.update(totals)

    def ticks(self, gpu, times=2):
        for _ in range(times):
            self.pass_time()
            values, reasons = self.read(gpu, Tier.FAST, Tier.NORMAL)
        return values, reasons


def made(totals, profile=H100, *lacking):
    """What two ticks of a board tell that lacks some fields."""
    bench = Totals(totals, profile)
    for name in lacking:
        bench.fake.gpus[0].lacking.add(FIELD[f"NVML_FI_DEV_{name}"])
    with installed(bench.fake):
        (gpu,) = bench.open()
        return bench.ticks(gpu)[0]


def test_cycles_are_counters_and_their_shares_are_the_ratios():
    values = made({ELAPSED: (4e15, None), ACTIVE: (1e15, None), TENSOR: (5e14, None)})
    assert values[cycles.COMPUTE_CYCLES, ()] == 4e15
    assert values[cycles.COMPUTE_ACTIVE_CYCLES, ()] == 1e15
    assert values[cycles.PIPE_ACTIVE_CYCLES, ("tensor",)] == 5e14
    assert (cycles.PIPE_ACTIVE_CYCLES, ("fp64",)) not in values


def test_what_the_driver_does_not_support_is_not_asked_again():
    bench = Totals({ELAPSED: (1.0, None)})
    with installed(bench.fake):
        (gpu,) = bench.open()
        bench.ticks(gpu)
        bench.fake.gpm_totals[ACTIVE] = (7.0, None)
        values, errors = bench.ticks(gpu)
    assert (cycles.COMPUTE_ACTIVE_CYCLES, ()) not in values
    assert errors == []


def test_a_driver_without_any_is_asked_once_and_that_is_no_error():
    bench = Totals({})
    with installed(bench.fake):
        (gpu,) = bench.open()
        _, errors = bench.ticks(gpu)
        asked = bench.fake.calls["nvmlGpmMetricsGet"]
        bench.pass_time()
        bench.read(gpu, Tier.NORMAL)
    assert errors == []
    assert bench.fake.calls["nvmlGpmMetricsGet"] == asked


def test_pcie_bytes_come_from_the_fields_where_those_exist():
    values = made({PCIE: (99.0, b"bytes")})
    assert values[device.PCIE_TRANSMIT, ()] == pytest.approx(1002e6)


@pytest.mark.parametrize(("unit", "factor"), [(b"KiB", 2**10), (b"MiB", 2**20), (b"kB", 1e3), (b"MB", 1e6)])
def test_pcie_bytes_come_from_gpm_where_the_fields_are_missing_in_the_unit_that_it_says(unit, factor):
    values = made({PCIE: (3.0, unit)}, H100, "PCIE_COUNT_TX_BYTES")
    assert values[device.PCIE_TRANSMIT, ()] == 3.0 * factor


def test_a_total_in_a_unit_that_nobody_stated_is_no_value():
    values = made({PCIE: (3.0, None)}, H100, "PCIE_COUNT_TX_BYTES")
    assert (device.PCIE_TRANSMIT, ()) not in values


def test_a_unit_is_not_taken_over_from_the_metric_that_stood_in_that_place_before():
    bench = Totals({ELAPSED: (1.0, None), ACTIVE: (1.0, b"bytes"), PCIE: (3.0, None)})
    bench.fake.gpus[0].lacking.add(FIELD["NVML_FI_DEV_PCIE_COUNT_TX_BYTES"])
    with installed(bench.fake):
        (gpu,) = bench.open()
        bench.ticks(gpu)
        del bench.fake.gpm_totals[ACTIVE]  # from now on the next one is asked for in its place
        values, _ = bench.ticks(gpu)
    assert (device.PCIE_TRANSMIT, ()) not in values


def test_link_bytes_come_from_gpm_only_where_no_field_tells_them():
    totals = {pynvml.NVML_GPM_METRIC_NVLINK_L1_TX: (77.0, None)}
    fields = ("NVLINK_THROUGHPUT_DATA_TX", "NVLINK_COUNT_XMIT_BYTES")
    assert made(totals)[device.LINK_TRANSMIT, ("1",)] != 77.0
    assert made(totals, H100, *fields)[device.LINK_TRANSMIT, ("1",)] == 77.0


def test_the_older_sample_of_a_pair_comes_first():
    bench = Bench(H100)
    with installed(bench.fake):
        bench.collector.check()
        api = NvmlApi(pynvml, CallTimes(), bench.clock)
        gpm = Gpm.of(api, api.call("nvmlDeviceGetHandleByIndex", 0), GpmPace(bench.clock))
        for percent in (10.0, 20.0, 30.0):
            bench.fake.gpus[0].gpm_percent = percent
            bench.pass_time()
            gpm.read()
        taken = [bench.fake.percent_at(sample) for sample in gpm.pair]
        gpm.close()
    assert taken == [20.0, 30.0]
    assert gpm.pair is None


def test_an_older_board_is_not_asked():
    bench = Totals({ELAPSED: (1.0, None)}, A100)
    with installed(bench.fake):
        (gpu,) = bench.open()
        bench.ticks(gpu)
    assert bench.fake.calls["nvmlGpmMetricsGet"] == 0
