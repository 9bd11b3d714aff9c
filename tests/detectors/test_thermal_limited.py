"""The thermal detector: heat that costs clock, and all that throttles without being heat."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import MAX_HERTZ, Lockstep, add_device, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.bottlenecks.thermal_limited import ThermalLimited
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity

COLUMNS = 90
TEN_MINUTES = 60  # columns


def hot(reason: str = "sw_thermal", *, clock: float = 0.75, throttled: float = 1.0) -> Lockstep:
    return Lockstep(
        columns=COLUMNS,
        throttled={2: {reason: since(COLUMNS, TEN_MINUTES, throttled)}},
        sm_hertz={2: since(COLUMNS, TEN_MINUTES, clock * MAX_HERTZ, MAX_HERTZ)},
        compute={2: since(COLUMNS, TEN_MINUTES, 1 / clock, 1.0)},
    )


def raised(scene: Lockstep) -> list[Candidate]:
    found = ThermalLimited().detect(scene.frame()).candidates
    return [candidate for candidate in found if candidate.strength is Strength.RAISE]


@pytest.mark.parametrize("reason", ["sw_thermal", "hw_thermal", "hw_slowdown"])
def test_a_throttled_device_with_a_lower_clock_is_named(reason: str) -> None:
    (candidate,) = raised(hot(reason))
    assert (candidate.scope.uuid, candidate.scope.node, candidate.scope.job_id) == ("GPU-2", "n0", "train")
    assert candidate.severity is Severity.WARNING


def test_the_words_give_temperature_share_and_clocks() -> None:
    (candidate,) = raised(hot())
    assert candidate.summary == (
        "n0/gpu2 is slowed down by heat at 87 °C: throttled 100 % of the last 5 min, at 1.48 GHz where its peers run at"
        " 1.98 GHz."
    )
    assert candidate.remedy.startswith("Check the cooling of n0/gpu2: ")


def test_its_impact_is_what_the_job_lost_since() -> None:
    (candidate,) = raised(hot(clock=0.75))
    assert candidate.impact is not None
    assert candidate.impact.slowdown_ratio == pytest.approx((1 / 0.75 + 0.11) / 1.11, rel=0.02)
    assert candidate.impact.method == "step time of the job since the onset against before"


def test_its_onset_is_when_throttling_began() -> None:
    scene = hot()
    (candidate,) = raised(scene)
    assert candidate.since == pytest.approx(scene.frame().now - 600, abs=10)


def test_half_the_clock_is_critical() -> None:
    assert raised(hot(clock=0.5))[0].severity is Severity.CRITICAL


def test_seconds_that_the_driver_counted_are_enough_without_a_bit() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for index in range(4):
        add_device(builder, "n0", f"GPU-{index}", index=index, sm_hertz=MAX_HERTZ * (0.7 if index == 1 else 1.0))
        seconds = 0.6 if index == 1 else 0.0
        builder.rate(
            device.THROTTLE_SECONDS, seconds, node="n0", uuid=f"GPU-{index}", index=str(index), reason="sw_thermal"
        )
    (candidate,) = ThermalLimited().detect(builder.build()).candidates
    assert candidate.scope.uuid == "GPU-1"
    assert candidate.evidence[0].metric == "accel_throttle_seconds_total"
    assert candidate.evidence[0].value == pytest.approx(0.6, abs=0.01)


def test_a_device_without_peers_is_compared_with_its_own_highest_clock() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_device(builder, "n0", "GPU-0", sm_hertz=0.7 * MAX_HERTZ, throttled={"hw_thermal": 1.0})
    (candidate,) = ThermalLimited().detect(builder.build()).candidates
    assert "its highest clock is 1.98 GHz" in candidate.summary


def test_a_device_with_a_job_of_its_own_is_compared_with_those_of_its_machine() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for index in range(4):
        level, heat = (0.7, {"sw_thermal": 1.0}) if index == 1 else (0.9, None)
        add_device(builder, "n0", f"GPU-{index}", index=index, sm_hertz=level * MAX_HERTZ, throttled=heat)
    builder.job("alone", [("n0", "GPU-1")])
    (candidate,) = ThermalLimited().detect(builder.build()).candidates
    assert "where its peers run at 1.78 GHz" in candidate.summary


@pytest.mark.parametrize("jobs", [0, 1])
def test_boards_of_another_model_are_no_peers(jobs: int) -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for number in range(jobs):
        builder.job(f"job-{number}", [("n0", f"GPU-{index}") for index in range(4)])
    add_device(builder, "n0", "GPU-0", index=0, sm_hertz=0.99 * MAX_HERTZ, throttled={"sw_thermal": 1.0})
    for index in range(1, 4):
        add_device(builder, "n0", f"GPU-{index}", index=index, sm_hertz=1.3 * MAX_HERTZ)
        builder.device("n0", f"GPU-{index}", index=index, model="a faster one")
    assert not ThermalLimited().detect(builder.build()).candidates


def hall(*, hot_nodes: int, clock: float = 0.7, activity: float = 0.95) -> FrameBuilder:
    """Three machines of four devices, some heat up; no highest clock is told, as dcgm-exporter does by default."""
    builder = FrameBuilder(columns=COLUMNS)
    for at in range(12):
        is_hot = at // 4 < hot_nodes
        labels = {"node": f"n{at // 4}", "uuid": f"GPU-{at}", "index": str(at % 4)}
        builder.device(labels["node"], labels["uuid"], index=at % 4)
        builder.gauge(device.UTILIZATION, activity if is_hot else 0.95, engine="compute", **labels)
        level = since(COLUMNS, TEN_MINUTES, clock * MAX_HERTZ, MAX_HERTZ) if is_hot else MAX_HERTZ
        builder.gauge(device.CLOCK, level, clock="sm", **labels)
        throttled = since(COLUMNS, TEN_MINUTES, 1.0) if is_hot else 0.0
        builder.gauge(device.THROTTLE_ACTIVE, throttled, reason="sw_thermal", **labels)
    return builder


@pytest.mark.parametrize(("hot_nodes", "words"), [(2, "where its peers run at 1.98"), (3, "its highest clock is 1.98")])
def test_where_all_neighbors_are_hot_the_fleet_tells_the_clock_and_where_all_are_each_ones_past(
    hot_nodes: int, words: str
) -> None:
    found = ThermalLimited().detect(hall(hot_nodes=hot_nodes).build()).candidates
    assert [one.scope.uuid for one in found] == [f"GPU-{at}" for at in range(4 * hot_nodes)]
    assert all(words in one.summary for one in found)


def test_another_model_elsewhere_does_not_tell_the_clock() -> None:
    builder = hall(hot_nodes=2)
    for at in range(8, 12):
        builder.device("n2", f"GPU-{at}", index=at % 4, model="a faster one")
    found = ThermalLimited().detect(builder.build()).candidates
    assert len(found) == 8
    assert all("its highest clock is 1.98" in one.summary for one in found)


@pytest.mark.parametrize("changed", [{"clock": 0.97}, {"activity": 0.4}])
def test_a_hall_that_keeps_its_clock_or_rests_in_between_is_not_slowed_by_heat(changed: dict[str, float]) -> None:
    assert not ThermalLimited().detect(hall(hot_nodes=2, **changed).build()).candidates


def test_cool_devices_are_judged_without_a_clock_to_compare_with() -> None:
    detection = ThermalLimited().detect(hall(hot_nodes=0).build())
    assert detection.judged is not None
    assert (detection.judged.entities, detection.not_judged) == (12, ())


def test_a_thermal_bit_that_costs_no_clock_is_no_finding() -> None:
    assert not ThermalLimited().detect(hot(clock=1.0).frame()).candidates


def test_a_flicker_of_one_poll_is_no_finding() -> None:
    scene = hot(clock=0.8)
    scene.throttled = {2: {"sw_thermal": since(COLUMNS, 1, 1.0)}}
    assert not ThermalLimited().detect(scene.frame()).candidates


def test_a_power_cap_alone_is_normal_operation() -> None:
    assert not ThermalLimited().detect(hot("sw_power_cap").frame()).candidates


def test_a_power_brake_sets_the_slowdown_bit_and_is_not_heat() -> None:
    scene = hot("hw_slowdown")
    scene.throttled = {2: {"hw_slowdown": 1.0, "hw_power_brake": 1.0}}
    assert not ThermalLimited().detect(scene.frame()).candidates


def test_locked_clocks_on_all_devices_hide_no_heat_and_make_none() -> None:
    locked = dict.fromkeys(range(8), 1.2e9)
    assert not ThermalLimited().detect(Lockstep(sm_hertz=locked).frame()).candidates
    assert not ThermalLimited().detect(Lockstep(sm_hertz=locked, throttled={2: {"sw_thermal": 1.0}}).frame()).candidates


def test_a_share_between_the_thresholds_holds_but_does_not_raise() -> None:
    scene = hot(clock=0.93)
    assert [one.strength for one in ThermalLimited().detect(scene.frame()).candidates] == [Strength.HOLD]


def test_it_clears_five_minutes_after_the_heat() -> None:
    scene = Lockstep(
        columns=COLUMNS,
        throttled={2: {"sw_thermal": np.where(np.arange(COLUMNS) < COLUMNS - 31, 1.0, 0.0)}},
        sm_hertz={2: np.where(np.arange(COLUMNS) < COLUMNS - 31, 1.4e9, MAX_HERTZ)},
    )
    assert not ThermalLimited().detect(scene.frame()).candidates


def test_devices_without_throttle_reasons_are_not_judged_and_the_metric_is_named() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    builder.device("n0", "GPU-0")
    builder.gauge(device.CLOCK, 1e9, clock="sm", node="n0", uuid="GPU-0", index="0")
    detection = ThermalLimited().detect(builder.build())
    assert detection.judged is None
    assert [item.missing for item in detection.not_judged] == [("accel_throttle_active",)]


def test_devices_without_clocks_are_not_judged_and_the_metric_is_named() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_device(builder, "n0", "GPU-0", sm_hertz=None, throttled={"sw_thermal": 1.0})
    detection = ThermalLimited().detect(builder.build())
    assert not detection.candidates
    assert [item.missing for item in detection.not_judged] == [("accel_clock_hertz",)]


def test_a_gap_in_the_samples_is_not_coolness() -> None:
    scene = hot()
    scene.gap = (np.arange(COLUMNS) > 70) & (np.arange(COLUMNS) < 76)
    assert [candidate.scope.uuid for candidate in raised(scene)] == ["GPU-2"]
