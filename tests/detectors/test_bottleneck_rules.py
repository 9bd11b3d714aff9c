"""The ordered class rules at their thresholds, and laws that hold for any levels."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.analyzer.bottlenecks.levels import Levels, pcie_capacity
from warpgauge.analyzer.bottlenecks.rules import HOLD, ORDER, RAISE, Bar, Setting, classify, missing_for
from warpgauge.analyzer.bottlenecks.step_shares import Shares
from warpgauge.core.finding import FindingKind

NAN = float("nan")
SOUND = {
    "engine": 0.95,
    "busy": 0.95,
    "compute": 0.70,
    "pipe": 0.30,
    "bandwidth": 0.30,
    "link": 0.05,
    "pcie": 0.05,
    "fill": 0.60,
    "capped": 0.0,
    "clock": 1.0,
    "power": 0.95,
}
PLAIN = SOUND | dict.fromkeys(("compute", "pipe", "bandwidth"), NAN)  # a board without GPM
STEPS = {"input": 0.01, "communication": 0.09, "compute": 0.88, "other": 0.02, "computing": 0.88}
UNTIMED = dict.fromkeys(STEPS, NAN)
HOST_CLOCK = STEPS | dict.fromkeys(("communication", "compute", "computing"), NAN)
PLACE = {"is_hot": False, "is_alone": False, "is_spread": False, "cpu": 0.4, "growth": 0.0}

ratios = st.floats(0.0, 1.0) | st.just(NAN)


def arrays(cls: Any, values: dict[str, Any]) -> Any:
    return cls(**{name: np.array([value]) for name, value in values.items()})


def class_of(*, steps: dict[str, float] = UNTIMED, bar: Bar = RAISE, board: Any = SOUND, **changed: Any) -> FindingKind:
    """The class of one device: a sound board in no timed job, but for what is changed."""
    levels = board | {name: value for name, value in changed.items() if name in SOUND}
    levels["busy"] = changed.get("busy", levels["engine"])  # nothing is copied, unless it is said
    place = PLACE | {name: value for name, value in changed.items() if name in PLACE}
    shares = steps | {name: value for name, value in changed.items() if name in STEPS}
    codes = classify(arrays(Levels, levels), arrays(Shares, shares), arrays(Setting, place), bar)
    return ORDER[int(codes[0])]


FIRES = [
    (FindingKind.IDLE_ALLOCATED, {"engine": 0.01, "busy": 0.01}, {"engine": 0.01, "busy": 0.011}),
    (FindingKind.THERMAL_LIMITED, {"is_hot": True}, {"is_hot": False}),
    (FindingKind.INPUT_BOUND, {"steps": STEPS, "input": 0.10}, {"steps": STEPS, "input": 0.099}),
    (
        FindingKind.NETWORK_BOUND,
        {"steps": STEPS, "is_spread": True, "communication": 0.20},
        {"steps": STEPS, "is_spread": True, "communication": 0.199},
    ),
    (FindingKind.INTERCONNECT_BOUND, {"steps": STEPS, "communication": 0.20}, {"steps": STEPS, "communication": 0.199}),
    (FindingKind.INTERCONNECT_BOUND, {"pcie": 0.50, "compute": 0.29}, {"pcie": 0.49, "compute": 0.29}),
    (FindingKind.INTERCONNECT_BOUND, {"link": 0.50, "bandwidth": 0.2}, {"link": 0.49, "bandwidth": 0.2}),
    (FindingKind.HOST_BOUND, {"steps": STEPS, "other": 0.20}, {"steps": STEPS, "other": 0.199}),
    (FindingKind.HOST_BOUND, {"steps": STEPS, "computing": 0.88, "engine": 0.62}, {"steps": STEPS, "engine": 0.64}),
    (FindingKind.HOST_BOUND, {"engine": 0.5, "cpu": 0.90}, {"engine": 0.5, "cpu": 0.89}),
    (FindingKind.INTERCONNECT_BOUND, {"engine": 0.3, "busy": 0.80}, {"engine": 0.3, "busy": 0.79}),
    (
        FindingKind.POWER_LIMITED,
        {"capped": 0.9, "clock": 0.8, "power": 0.80},
        {"capped": 0.9, "clock": 0.8, "power": 0.79},
    ),
    (
        FindingKind.LAUNCH_BOUND,
        {"is_alone": True, "engine": 0.10, "compute": 0.0049},
        {"is_alone": True, "engine": 0.099, "compute": 0.0049},
    ),
    (
        FindingKind.LAUNCH_BOUND,
        {"is_alone": True, "engine": 1.0, "compute": 0.12, "pipe": 0.021, "bandwidth": 0.0},
        {"is_alone": True, "engine": 1.0, "compute": 0.12, "pipe": 0.02, "bandwidth": 0.0},
    ),
    (
        FindingKind.LAUNCH_BOUND,
        {"is_alone": True, "engine": 1.0, "compute": 0.12, "pipe": 0.0, "bandwidth": 0.05},
        {"is_alone": True, "engine": 1.0, "compute": 0.12, "pipe": 0.0, "bandwidth": 0.049},
    ),
    (
        FindingKind.LAUNCH_BOUND,
        {"is_alone": True, "engine": 0.20, "compute": 0.0099},
        {"is_alone": True, "engine": 0.20, "compute": 0.0101},
    ),
    (FindingKind.POWER_LIMITED, {"capped": 0.50, "clock": 0.89}, {"capped": 0.50, "clock": 0.90}),
    (FindingKind.MEMORY_CAPACITY_BOUND, {"fill": 0.95}, {"fill": 0.949}),
    (FindingKind.MEMORY_CAPACITY_BOUND, {"fill": 0.90, "growth": 0.01}, {"fill": 0.90, "growth": 0.009}),
    (FindingKind.MEMORY_BANDWIDTH_BOUND, {"bandwidth": 0.50}, {"bandwidth": 0.499}),
    (FindingKind.COMPUTE_BOUND, {"compute": 0.80}, {"compute": 0.799}),
    (FindingKind.COMPUTE_BOUND, {"pipe": 0.50}, {"pipe": 0.499}),
    (
        FindingKind.LAUNCH_BOUND,
        {"is_alone": True, "engine": 0.40, "compute": 0.15},
        {"is_alone": True, "engine": 0.39, "compute": 0.15},
    ),
    (
        FindingKind.LAUNCH_BOUND,
        {"is_alone": True, "engine": 0.50, "compute": 0.19},
        {"is_alone": True, "engine": 0.50, "compute": 0.20},
    ),
    (FindingKind.LAUNCH_BOUND, {"steps": STEPS, "compute": 0.24}, {"steps": STEPS, "compute": 0.25}),
]


@pytest.mark.parametrize(("kind", "fires", "silent"), FIRES, ids=lambda value: str(value) if value in ORDER else "")
def test_a_class_begins_at_its_threshold_and_not_below(
    kind: FindingKind, fires: dict[str, Any], silent: dict[str, Any]
) -> None:
    assert class_of(**fires) is kind
    assert class_of(**silent) is not kind


def test_a_sound_device_whose_counters_are_all_there_is_mixed() -> None:
    assert class_of() is FindingKind.MIXED
    assert class_of(steps=STEPS) is FindingKind.MIXED


def test_step_phases_beat_device_counters() -> None:
    assert class_of(steps=STEPS, communication=0.3, capped=1.0, clock=0.7) is FindingKind.INTERCONNECT_BOUND
    assert class_of(steps=STEPS, input=0.3, compute=0.9, bandwidth=0.7) is FindingKind.INPUT_BOUND
    assert class_of(steps=STEPS, link=0.9, bandwidth=0.2) is FindingKind.MIXED


def test_a_hosts_clock_is_believed_about_input_and_its_own_work_only() -> None:
    assert class_of(steps=HOST_CLOCK, input=0.2) is FindingKind.INPUT_BOUND
    assert class_of(steps=HOST_CLOCK, other=0.3) is FindingKind.HOST_BOUND
    assert class_of(steps=HOST_CLOCK, engine=0.3) is not FindingKind.HOST_BOUND


def test_thin_load_of_several_devices_without_phases_may_be_waiting_and_is_undetermined() -> None:
    assert class_of(compute=0.1) is FindingKind.UNDETERMINED
    assert class_of(steps=HOST_CLOCK, compute=0.1) is FindingKind.UNDETERMINED


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, FindingKind.UNDETERMINED),
        ({"engine": 0.2, "pcie": 0.9, "link": 0.9}, FindingKind.UNDETERMINED),
        ({"engine": 0.0}, FindingKind.IDLE_ALLOCATED),
        ({"is_hot": True}, FindingKind.THERMAL_LIMITED),
        ({"capped": 0.9, "clock": 0.7}, FindingKind.POWER_LIMITED),
        ({"fill": 0.97}, FindingKind.MEMORY_CAPACITY_BOUND),
    ],
)
def test_plain_nvml_supports_only_what_it_can_see(changed: dict[str, Any], kind: FindingKind) -> None:
    assert class_of(board=PLAIN, **changed) is kind


def test_an_undetermined_class_names_what_is_missing() -> None:
    missing = missing_for(arrays(Levels, PLAIN), arrays(Shares, UNTIMED), 0)
    assert missing == (
        "accel_compute_active_ratio",
        "accel_pipe_active_ratio",
        "accel_memory_bandwidth_active_ratio",
        "training_phase_seconds_total",
    )
    host = missing_for(arrays(Levels, SOUND), arrays(Shares, HOST_CLOCK), 0)
    assert host == ('training_phase_seconds_total{clock="device"}',)


def test_what_raises_also_holds() -> None:
    for kind, fires, _ in FIRES:
        assert class_of(**fires, bar=HOLD) is kind


@given(
    levels=st.fixed_dictionaries(dict.fromkeys(SOUND, ratios)),
    steps=st.fixed_dictionaries(dict.fromkeys(STEPS, ratios)),
    is_alone=st.booleans(),
    is_spread=st.booleans(),
)
def test_any_levels_give_exactly_one_class_and_none_that_its_signals_do_not_support(
    levels: dict[str, float], steps: dict[str, float], *, is_alone: bool, is_spread: bool
) -> None:
    kind = class_of(board=levels, steps=steps, is_alone=is_alone, is_spread=is_spread)
    assert kind in ORDER
    if np.isnan(steps["communication"]):
        assert kind is not FindingKind.NETWORK_BOUND
    if np.isnan(levels["compute"]):
        assert kind not in {FindingKind.LAUNCH_BOUND, FindingKind.MIXED}


@given(
    levels=st.fixed_dictionaries(dict.fromkeys(SOUND, ratios)),
    phase=st.sampled_from(["input", "communication", "other"]),
    low=st.floats(0, 1),
    more=st.floats(0, 1),
)
def test_a_larger_share_of_a_step_never_takes_the_class_away_from_it(
    levels: dict[str, float], phase: str, low: float, more: float
) -> None:
    before = class_of(board=levels, steps=STEPS, **{phase: low})
    after = class_of(board=levels, steps=STEPS, **{phase: min(1.0, low + more)})
    by_phase = {
        "input": {FindingKind.INPUT_BOUND},
        "communication": {FindingKind.NETWORK_BOUND, FindingKind.INTERCONNECT_BOUND},
        "other": {FindingKind.HOST_BOUND},
    }[phase]
    if low >= RAISE.communication_share and before in by_phase:
        assert after is before


def test_a_pcie_slot_carries_what_its_lanes_do() -> None:
    generation, width = np.array([5.0, 3.0, 0.0, NAN, 9.0]), np.array([16.0, 8.0, 16.0, 16.0, 16.0])
    assert pcie_capacity(generation, width) == pytest.approx([63.0e9, 7.88e9, NAN, NAN, NAN], rel=0.01, nan_ok=True)


def test_holding_never_asks_for_more_than_raising() -> None:
    upper = {"idle", "tiny_fill", "clock", "pcie_compute", "load", "launch_compute", "launch_fill", "host_engine"}
    for field in fields(Bar):
        raises, holds = getattr(RAISE, field.name), getattr(HOLD, field.name)
        assert holds >= raises if field.name in upper else holds <= raises
