"""The NVLink fabric: joined or not, with whom, and what is wrong; nothing where there is none."""

from __future__ import annotations

import pynvml
import pytest

from tests.exporters.test_nvml_readings import Bench
from tests.fakes.nvml_abi import installed
from tests.fakes.nvml_abi_families import FakeFabric
from tests.fakes.nvml_profiles import H100
from warpgauge.core.catalog import Tier, link

MASK = "NVML_GPU_FABRIC_HEALTH_MASK_"


def part(name, word):
    """One part of the health mask saying a word."""
    return getattr(pynvml, f"{MASK}{name}_{word}") << getattr(pynvml, f"{MASK}SHIFT_{name}")


def told(fabric, times=1):
    """Values by (metric, labels) and the reasons of errors of the last of some slow ticks."""
    bench = Bench(H100)
    if fabric is not None:
        bench.fake.fabrics[0] = fabric
    with installed(bench.fake):
        (gpu,) = bench.open()
        for _ in range(times):
            values, reasons = bench.read(gpu, Tier.SLOW)
    return {key: value for key, value in values.items() if key[0].name.startswith("accel_fabric_")}, reasons


def faults(fabric):
    return {labels[0]: value for (metric, labels), value in told(fabric)[0].items() if metric is link.FABRIC_FAULT}


def test_a_gpu_that_joined_says_where_it_is():
    values, _ = told(FakeFabric())
    assert values[link.FABRIC_INFO, ("00010203-0405-0607-0809-0a0b0c0d0e0f", "7")] == 1.0
    assert values[link.FABRIC_REGISTERED, ()] == 1.0
    assert [values[link.FABRIC_STATE, (state,)] for state in link.FABRIC_STATE.states] == [0.0, 0.0, 1.0]
    assert values[link.FABRIC_HEALTH, ("healthy",)] == 1.0


def test_a_board_without_a_fabric_says_nothing_and_is_not_asked_again():
    assert told(None, times=2) == ({}, [])
    assert told(FakeFabric(state=pynvml.NVML_GPU_FABRIC_STATE_NOT_SUPPORTED))[0] == {}


def test_a_registration_that_ended_in_an_error_is_none():
    values, _ = told(FakeFabric(status=pynvml.NVML_ERROR_UNKNOWN))
    assert values[link.FABRIC_REGISTERED, ()] == 0.0
    assert not [metric for metric, _ in values if metric is link.FABRIC_INFO]


def test_the_status_of_a_registration_that_still_runs_means_nothing():
    values, _ = told(FakeFabric(state=pynvml.NVML_GPU_FABRIC_STATE_IN_PROGRESS, status=0))
    assert (values[link.FABRIC_STATE, ("in_progress",)], values[link.FABRIC_REGISTERED, ()]) == (1.0, 0.0)


def test_faults_that_the_driver_cannot_tell_are_absent():
    assert faults(FakeFabric(mask=0)) == {}


def test_each_part_of_the_health_mask_is_a_fault_of_its_own():
    mask = part("DEGRADED_BW", "TRUE") | part("ROUTE_UNHEALTHY", "FALSE") | part("PARTITION_ASSIGNED", "FALSE")
    found = {"degraded_bandwidth": 1.0, "route_unhealthy": 0.0, "no_partition_assigned": 1.0}
    assert faults(FakeFabric(mask=mask)) == found


@pytest.mark.parametrize(("word", "value"), [("NONE", 0.0), ("INCORRECT_SYSGUID", 1.0), ("GPU_STATE_INVALID", 1.0)])
def test_every_wrong_configuration_is_a_fault(word, value):
    assert faults(FakeFabric(mask=part("INCORRECT_CONFIGURATION", word))) == {"incorrect_configuration": value}


def test_a_driver_that_knows_only_the_older_structure_gives_all_but_the_summary():
    values, reasons = told(FakeFabric(oldest_only=True, mask=part("DEGRADED_BW", "FALSE")), times=2)
    assert values[link.FABRIC_REGISTERED, ()] == 1.0
    assert values[link.FABRIC_FAULT, ("degraded_bandwidth",)] == 0.0
    assert not [metric for metric, _ in values if metric is link.FABRIC_HEALTH]
    assert reasons == []
