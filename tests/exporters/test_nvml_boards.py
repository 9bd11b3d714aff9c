"""Boards of other ages over the fake library: what each has that another lacks."""

from __future__ import annotations

import pytest

from tests.exporters.test_nvml_readings import Bench, of
from tests.exporters.test_nvml_readings import bench as bench  # noqa: PLC0414 - a fixture
from tests.fakes.nvml_abi import installed
from tests.fakes.nvml_profiles import B200, H200, L40S, RTX_4090
from warpgauge.core.catalog import device


def link_errors(values):
    return {labels[1] for metric, labels in values if metric is device.LINK_ERRORS}


@of(B200)
def test_the_links_of_a_blackwell_board_count_other_errors_than_those_before(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert not link_errors(values) & {"crc", "replay", "recovery"}
    assert link_errors(values) >= {"recovery_successful", "recovery_failed", "effective", "symbol"}
    assert values[device.LINK_ERRORS, ("4", "recovery_successful")] == 4
    assert values[device.LINK_SPEED, ("0",)] == pytest.approx(53.125e9)
    assert gpu.architecture == "blackwell"


@of(H200)
def test_an_h200_is_an_h100_with_more_memory(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    with installed((other := Bench()).fake):
        twin, _ = other.read(*other.open())
    assert {metric for metric, _ in values} == {metric for metric, _ in twin}
    assert values[device.MEMORY_TOTAL, ()] > 1.7 * twin[device.MEMORY_TOTAL, ()]


@pytest.mark.parametrize("bench", [(L40S,), (RTX_4090,)], indirect=True)
def test_a_board_without_links_gpm_and_mig_tells_of_none_of_them(bench):
    (gpu,) = bench.open()
    bench.read(gpu)
    bench.pass_time()
    values, _ = bench.read(gpu)
    told = {metric for metric, _ in values}
    assert not told & {device.LINK_STATE, device.LINK_TRANSMIT, device.COMPUTE_ACTIVE, device.MIG_MODE}
    assert (device.UTILIZATION, ("encoder",)) in values
