"""What simulated boards say beyond load and heat: links, distributions, margins and rates follow the same laws."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings

from tests.exporters.test_synthetic_gpu import BUSY, lives, new_gpu, run
from warpgauge.core.catalog import Kind, device
from warpgauge.exporters.synthetic.board_series import of_board
from warpgauge.exporters.synthetic.time_spent import TimeSpent


def values(gpu, metric):
    """By the labels after the identity."""
    return {row.labels[2:]: row.read() for row in of_board(gpu) if row.metric is metric}


@settings(max_examples=40, deadline=None)
@given(lives)
def test_the_power_distribution_holds_the_energy_and_all_of_the_time(life):
    gpu = new_gpu()
    energy, elapsed, watts = gpu.energy_joules, 0.0, [0.0]
    for seconds, work, ceiling, cooling in life:
        gpu.clock_ceiling, gpu.cooling_ratio = ceiling, cooling
        gpu.advance(seconds, work)
        elapsed += seconds
        watts.append(gpu.power_watts)
    spent = gpu.power_time.histogram()
    assert spent.counts[-1] == pytest.approx(elapsed * 1000.0, abs=1.0)
    # The last millisecond of each step may stand in the next one's bucket, so no more than its power is off.
    assert spent.sum / 1000.0 == pytest.approx(gpu.energy_joules - energy, abs=0.001 * (len(life) * 10 + 1) * 700.0)


@given(lives)
@settings(max_examples=20, deadline=None)
def test_counters_of_a_board_never_fall_and_ratios_stay_within_1(life):
    gpu = new_gpu()
    rows = [row for row in of_board(gpu) if row.metric.kind is Kind.COUNTER]
    for seconds, work, ceiling, cooling in life:
        before = [row.read() for row in rows]
        gpu.clock_ceiling, gpu.cooling_ratio = ceiling, cooling
        gpu.advance(seconds, work)
        assert all(row.read() >= then for row, then in zip(rows, before, strict=True))
        assert 0.0 <= gpu.memory_access_ratio <= gpu.engine_active_ratio


def test_links_share_the_traffic_of_the_board_and_differ_a_little():
    gpu = run(new_gpu(), BUSY._replace(link_bytes=1e11), 60.0)
    links = list(values(gpu, device.LINK_TRANSMIT).values())
    assert len(links) == 18
    assert sum(links) == pytest.approx(gpu.link_transmit_bytes, abs=18 * 1024)
    assert 1.0 < max(links) / min(links) < 1.05


def test_a_rate_is_what_the_counter_gained_over_the_interval():
    gpu = new_gpu()
    before = gpu.pcie_receive_bytes
    gpu.advance(5.0, BUSY._replace(pcie_receive_bytes=4e9))
    assert values(gpu, device.PCIE_RECEIVE_RATE)[()] == pytest.approx((gpu.pcie_receive_bytes - before) / 5.0)


def test_the_margin_is_used_up_where_heat_takes_the_clocks():
    gpu = new_gpu()
    gpu.cooling_ratio = 2.8
    run(gpu, BUSY, 900.0, step=1.0)
    assert "sw_thermal" in gpu.reasons
    assert values(gpu, device.TEMPERATURE_MARGIN)[()] <= 2.0
    assert values(gpu, device.TEMPERATURE_MARGIN_LIMIT)["shutdown",] == -8.0


def test_memory_errors_by_place_are_those_of_the_totals():
    gpu = new_gpu()
    gpu.corrected_errors_volatile, gpu.corrected_errors_aggregate = 2, 7
    places = values(gpu, device.ECC_LOCATION_ERRORS)
    assert places["corrected", "volatile", "device_memory"] == 2.0
    assert places["corrected", "aggregate", "device_memory"] == 7.0


def test_what_is_said_to_be_constant_is():
    gpu = new_gpu()
    rows = [row for row in of_board(gpu) if row.is_constant]
    before = [row.read() for row in rows]
    run(gpu, BUSY._replace(link_bytes=1e11), 300.0)
    assert rows
    assert [row.read() for row in rows] == before


def test_time_is_counted_in_whole_milliseconds_and_none_is_lost():
    spent, random = TimeSpent((1.0, 2.0)), Random(7)
    seconds = [random.uniform(0.0001, 0.01) for _ in range(1000)]
    for each in seconds:
        spent.add(1.5, each)
    assert spent.histogram().counts[-1] == int(sum(seconds) * 1000.0)
    assert spent.histogram().sum == pytest.approx(1.5 * spent.histogram().counts[-1])
