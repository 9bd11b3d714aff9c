"""Causes that only the own history of a device or machine tells: what they change in the model, and by how much."""

from __future__ import annotations

import pytest

from warpgauge.exporters.synthetic.scenario import SCENARIO_SCHEMA, FaultPlan, FleetPlan, JobPlan, Scenario, World

ONSET = 60.0
JOB = JobPlan(id="a", nodes=[0])


def after(seconds: float, **fault) -> World:
    """The world so long after the onset of its one fault."""
    world = World(
        Scenario(
            schema=SCENARIO_SCHEMA,
            duration_seconds=20_000.0,
            fleet=FleetPlan(nodes=1, devices_per_node=2),
            jobs=(JOB,),
            faults=(FaultPlan(start_seconds=ONSET, **fault),),
        )
    )
    world.advance(world.scenario.start + ONSET + seconds)
    return world


def test_garbled_packets_are_sent_again_as_often_as_the_scenario_says_and_cost_no_lane():
    gpu, other = after(100.0, cause="noisy_riser", device="0:1", size=20.0).nodes[0].gpus[::-1]
    assert gpu.pcie_replays == pytest.approx(2000, abs=20)
    assert gpu.pcie_lanes == gpu.board.pcie_width
    assert other.pcie_replays == 0


def test_damaged_frames_are_counted_by_the_machine_that_gets_them():
    assert after(100.0, cause="bad_cable", node=0, size=5.0).nodes[0].host.network_receive_errors == 500


@pytest.mark.parametrize("size", [0.2, 1.0])
def test_a_fouling_heat_sink_warms_its_core_the_more_the_longer_it_fouls(size):
    gpu, sound = after(1200.0, cause="fouling_heat_sink", device="0:0", size=size).nodes[0].gpus
    assert gpu.cooling_ratio == pytest.approx(1.0 + size / 3.0)
    assert gpu.core_celsius - sound.core_celsius > 3.0 * size
    assert gpu.mean_clock_ratio == pytest.approx(sound.mean_clock_ratio, rel=0.05)


@pytest.mark.parametrize(("size", "is_due"), [(0.3, False), (2.0, True)])
def test_it_must_be_told_where_ten_kelvin_more_last_for_half_of_the_time(size, is_due):
    world = after(2000.0, cause="fouling_heat_sink", device="0:0", size=size)
    assert world.truth()["faults"][0]["must_be_found"] is is_due
