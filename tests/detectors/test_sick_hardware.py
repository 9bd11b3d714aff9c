"""Detectors of failing hardware on frames with a known story: each is found at its place, and what is normal is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.fleet_feed import FleetFeed
from tests.detectors.scenes import Lockstep, add_device, add_host, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.health.ecc import EccDegradation, tail_probability
from warpgauge.analyzer.health.hang import Hang
from warpgauge.analyzer.health.links import LinkErrors
from warpgauge.analyzer.health.memory_leak import MemoryLeak
from warpgauge.analyzer.health.pcie import PcieDowntrained
from warpgauge.analyzer.health.row_remap import RowRemap
from warpgauge.analyzer.health.throttle import HardwareThrottle
from warpgauge.core.catalog import device, host, training
from warpgauge.core.finding import FindingKind, Severity
from warpgauge.exporters.synthetic import HARDWARE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

COLUMNS = 360
DEVICES = 4
GIB = 2.0**30


def built(columns: int = COLUMNS, devices: int = DEVICES) -> FrameBuilder:
    builder = FrameBuilder(columns=columns)
    for number in range(devices):
        builder.device("n1", f"GPU-{number}", index=number)
    return builder


def ids(number: int) -> dict[str, str]:
    return {"node": "n1", "uuid": f"GPU-{number}", "index": str(number)}


def uuids(candidates: Sequence[Candidate]) -> list[str | None]:
    return [candidate.scope.uuid for candidate in candidates]


# ---- memory errors


def ecc(
    corrected: Mapping[int, ArrayLike], uncorrected: Mapping[int, ArrayLike] | None = None
) -> tuple[Candidate, ...]:
    builder = built()
    for number in range(DEVICES):
        labels = {"persistence": "volatile", **ids(number)}
        builder.rate(device.ECC_ERRORS, corrected.get(number, 0.0), severity="corrected", **labels)
        builder.rate(device.ECC_ERRORS, (uncorrected or {}).get(number, 0.0), severity="uncorrected", **labels)
    return EccDegradation().detect(builder.build()).candidates


def test_corrected_errors_far_above_the_past_are_a_warning() -> None:
    (found,) = ecc({2: since(COLUMNS, 60, 0.05)})  # 30 in ten minutes
    assert (found.kind, found.severity, found.scope.uuid) == (
        FindingKind.ECC_DEGRADATION, Severity.WARNING, "GPU-2",
    )  # fmt: skip
    assert found.evidence[0].value == pytest.approx(30, abs=1)


def test_a_few_corrected_errors_are_normal() -> None:
    assert ecc({2: since(COLUMNS, 60, 0.012)}) == ()


def test_a_device_that_always_errs_as_much_does_not_get_worse() -> None:
    assert ecc({2: 0.05}) == ()


@pytest.mark.parametrize(("times", "strengths"), [(3, []), (7, [Strength.HOLD]), (15, [Strength.RAISE])])
def test_a_device_is_held_to_its_own_past(times: int, strengths: list[Strength]) -> None:
    found = ecc({1: since(COLUMNS, 60, 0.2 * times, 0.2)})
    assert [candidate.strength for candidate in found] == strengths


def test_one_uncorrected_error_is_critical_at_once() -> None:
    one = np.zeros(COLUMNS)
    one[-3] = 0.1
    (found,) = ecc({}, {1: one})
    assert (found.severity, found.scope.uuid) == (Severity.CRITICAL, "GPU-1")
    assert "reset" in found.remedy


def test_the_tail_of_the_negative_binomial_is_right() -> None:
    # shape 1 is geometric: P(K >= k) = share ** k
    assert tail_probability(3, shape=1.0, share=0.25) == pytest.approx(0.25**3)
    assert tail_probability(0, shape=2.0, share=0.5) == 1.0


# ---- spare rows


def remap(**gauges: Mapping[int, ArrayLike]) -> tuple[Candidate, ...]:
    builder = built()
    for number in range(DEVICES):
        builder.gauge(device.ROW_REMAP_FAILED, gauges.get("failed", {}).get(number, 0.0), **ids(number))
        builder.gauge(device.ROW_REMAP_PENDING, gauges.get("pending", {}).get(number, 0.0), **ids(number))
        for availability, usual in (("max", 640.0), ("low", 0.0), ("none", 0.0)):
            value = gauges.get(availability, {}).get(number, usual)
            builder.gauge(device.ROW_REMAP_BANKS, value, availability=availability, **ids(number))
    return RowRemap().detect(builder.build()).candidates


def test_a_failed_remap_means_another_board() -> None:
    (found,) = remap(failed={3: since(COLUMNS, 5, 1.0)})
    assert (found.severity, found.scope.uuid) == (Severity.CRITICAL, "GPU-3")
    assert "replaced" in found.remedy


def test_a_pending_remap_waits_for_a_reset() -> None:
    (found,) = remap(pending={0: since(COLUMNS, 30, 1.0)})
    assert found.severity is Severity.WARNING
    assert "--gpu-reset -i 0" in found.remedy
    assert found.since == pytest.approx(1_750_000_000.0 + 3300.0, abs=10.0)


def test_of_a_failed_remap_and_one_that_waits_the_failed_one_counts() -> None:
    (found,) = remap(failed={0: 1.0}, pending={0: 1.0})
    assert found.severity is Severity.CRITICAL


def test_banks_without_spares_are_told_before_the_next_error() -> None:
    (found,) = remap(none={1: 2.0})
    assert found.severity is Severity.WARNING
    assert "2 memory banks with no spare rows" in found.summary


def test_banks_that_lose_spares_one_after_the_other_are_a_warning() -> None:
    (found,) = remap(max={1: since(COLUMNS, 20, 637.0, 640.0)})
    assert found.severity is Severity.WARNING
    assert "3 memory banks lost spare rows in the last 60 min." in found.summary


def test_full_banks_are_silent() -> None:
    assert remap() == ()


# ---- NVLink


def links(
    errors: Mapping[tuple[int, int], ArrayLike], *, kind: str = "replay", count: int = 6
) -> tuple[Candidate, ...]:
    builder = built()
    for number in range(DEVICES):
        for link in range(count):
            rate = errors.get((number, link), 0.0)
            builder.rate(device.LINK_ERRORS, rate, link=str(link), error=kind, **ids(number))
    return LinkErrors().detect(builder.build()).candidates


def test_one_link_that_errs_among_quiet_siblings_is_named() -> None:
    (found,) = links({(2, 4): since(COLUMNS, 60, 0.1)})
    assert found.scope.uuid == "GPU-2"
    assert "NVLink 4 had 60 errors" in found.summary


def test_links_that_all_err_alike_are_not_one_bad_link() -> None:
    assert links({(2, link): 0.1 for link in range(6)}) == ()


def test_a_handful_of_replays_is_normal() -> None:
    assert links({(2, 4): since(COLUMNS, 60, 0.005)}) == ()


@pytest.mark.parametrize(("of_others", "is_found"), [(0.0, True), (0.04, False)])
def test_one_number_for_all_links_is_held_against_the_other_devices(of_others: float, *, is_found: bool) -> None:
    builder = built()
    for number in range(DEVICES):
        rate = since(COLUMNS, 60, 0.05) if number == 2 else of_others
        builder.rate(device.LINK_ERRORS, rate, link="", error="replay", **ids(number))
    found = LinkErrors().detect(builder.build()).candidates
    assert uuids(found) == ["GPU-2"] * is_found
    words = "its NVLinks had 30 errors in the last 10 min, the median device had 0."
    assert all(words in one.summary for one in found)


def test_one_recovery_counts() -> None:
    once = np.zeros(COLUMNS)
    once[-5] = 0.1
    (found,) = links({(1, 0): once}, kind="recovery")
    assert found.scope.uuid == "GPU-1"


def states(down: Mapping[int, set[int]], *, up: int = 4, was_up: bool = False) -> tuple[Candidate, ...]:
    """Boards with `up` links that are connected and one that is not; `down` are links that should be up."""
    builder = built()
    for number in range(DEVICES):
        for link in range(up + 1):
            is_down = link in down.get(number, set())
            active = 0.0 if link == up else since(COLUMNS, 30, 0.0, 1.0) if is_down and was_up else float(not is_down)
            active = np.broadcast_to(active, COLUMNS)
            builder.gauge(device.LINK_STATE, active, link=str(link), state="active", **ids(number))
            builder.gauge(device.LINK_STATE, 1.0 - active, link=str(link), state="inactive", **ids(number))
    return LinkErrors().detect(builder.build()).candidates


def test_a_link_that_is_down_where_other_boards_have_it_up_is_critical() -> None:
    (found,) = states({1: {2}})
    assert (found.scope.uuid, found.severity) == ("GPU-1", Severity.CRITICAL)
    assert "n1/gpu1: NVLink 2 is down, while" in found.summary
    assert "n1/gpu1: NVLinks 1 and 2 are down, while" in states({1: {1, 2}})[0].summary


def test_a_link_that_went_down_on_all_boards_is_named_on_each() -> None:
    assert uuids(states({number: {2} for number in range(DEVICES)}, was_up=True)) == [
        f"GPU-{number}" for number in range(DEVICES)
    ]


def test_links_that_no_board_ever_had_up_are_not_connected() -> None:
    assert states({number: {0, 1, 2, 3} for number in range(DEVICES)}) == ()


# ---- PCIe


def pcie(generation: ArrayLike = 5.0, width: ArrayLike = 16.0, activity: ArrayLike = 0.9) -> tuple[Candidate, ...]:
    builder = built(devices=1)
    builder.gauge(device.PCIE_LINK_GENERATION, generation, **ids(0))
    builder.gauge(device.PCIE_LINK_GENERATION_MAX, 5.0, **ids(0))
    builder.gauge(device.PCIE_LINK_WIDTH, width, **ids(0))
    builder.gauge(device.PCIE_LINK_WIDTH_MAX, 16.0, **ids(0))
    builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, activity, **ids(0))
    return PcieDowntrained().detect(builder.build()).candidates


def test_a_busy_device_on_a_lower_generation_is_a_warning() -> None:
    (found,) = pcie(generation=since(COLUMNS, 90, 4.0, 5.0))
    assert found.severity is Severity.WARNING
    assert "generation 4 x16" in found.summary
    assert found.since == pytest.approx(1_750_000_000.0 + 2700.0, abs=10.0)


def test_a_busy_device_on_four_lanes_is_critical() -> None:
    (found,) = pcie(width=4.0)
    assert found.severity is Severity.CRITICAL


def test_an_idle_device_that_saves_power_is_silent() -> None:
    assert pcie(generation=1.0, activity=0.0) == ()


def test_a_device_that_sleeps_between_its_work_is_silent() -> None:
    works = (np.arange(COLUMNS) // 6) % 2 == 0
    assert pcie(generation=np.where(works, 5.0, 1.0), activity=np.where(works, 0.9, 0.0)) == ()


# ---- throttling by the hardware


def throttled(**seconds: ArrayLike) -> tuple[Candidate, ...]:
    builder = built(devices=1)
    builder.gauge(device.CLOCK, 1.2e9, clock="sm", **ids(0))
    builder.gauge(device.CLOCK_MAX, 1.98e9, clock="sm", **ids(0))
    builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, 0.9, **ids(0))
    for reason in ("hw_power_brake", "hw_slowdown", "hw_thermal", "sw_thermal", "sw_power_cap"):
        share = seconds.get(reason, 0.0)
        builder.rate(device.THROTTLE_SECONDS, share, reason=reason, **ids(0))
        builder.gauge(device.THROTTLE_ACTIVE, (np.asarray(share) > 0).astype(float), reason=reason, **ids(0))
    return HardwareThrottle().detect(builder.build()).candidates


def test_a_power_brake_is_told_with_where_to_look() -> None:
    (found,) = throttled(hw_power_brake=since(COLUMNS, 60, 0.8), hw_slowdown=since(COLUMNS, 60, 0.8))
    assert found.severity is Severity.CRITICAL
    assert "power brake" in found.summary
    assert "power supplies" in found.remedy
    assert found.impact is not None


def test_a_slowdown_without_heat_or_brake_is_told() -> None:
    (found,) = throttled(hw_slowdown=since(COLUMNS, 60, 0.3))
    assert "hardware slowdown" in found.summary


def test_a_power_brake_on_a_hot_board_is_told_all_the_same() -> None:
    (found,) = throttled(hw_power_brake=0.9, hw_slowdown=0.9, sw_thermal=0.9)
    assert "power brake" in found.summary


def test_the_power_cap_alone_is_normal() -> None:
    assert throttled(sw_power_cap=1.0) == ()


def test_heat_that_has_its_own_finding_is_left_to_it() -> None:
    assert throttled(hw_thermal=0.9, hw_slowdown=0.9, sw_thermal=0.9) == ()


def test_a_moment_of_braking_is_not_worth_a_word() -> None:
    assert throttled(hw_power_brake=since(COLUMNS, 2, 1.0)) == ()


# ---- hangs


def occupied(watts: ArrayLike, used: ArrayLike = 1.0, **moved: float) -> tuple[Candidate, ...]:
    """A device at some power; `moved` is data that flow, by the metric's name in the catalog."""
    builder = built(devices=1)
    for name, value in moved.items():
        builder.gauge(getattr(device, name), value, **ids(0))
    builder.gauge(device.UTILIZATION, used, engine="compute", **ids(0))
    builder.gauge(device.POWER, watts, **ids(0))
    builder.gauge(device.POWER_LIMIT, 700.0, limit="enforced", **ids(0))
    return Hang().detect(builder.build()).candidates


def test_full_utilization_at_idle_power_is_a_hang() -> None:
    (found,) = occupied(since(COLUMNS, 60, 118.0, 600.0))
    assert (found.kind, found.scope.uuid) == (FindingKind.HANG, "GPU-0")
    assert found.since == pytest.approx(1_750_000_000.0 + 3000.0, abs=20.0)


@pytest.mark.parametrize(("watts", "used"), [(450.0, 1.0), (118.0, 0.4), (70.0, 0.0), (250.0, 1.0)])
def test_work_idleness_and_collectives_are_no_hang(watts: float, used: float) -> None:
    assert occupied(watts, used) == ()


@pytest.mark.parametrize(
    ("moved", "is_hang"),
    [
        ({"PCIE_RECEIVE_RATE": 57e9}, False),
        ({"PCIE_TRANSMIT_RATE": 5e9}, False),
        ({"LINK_TRANSMIT_RATE": 200e9}, False),
        ({"MEMORY_BANDWIDTH_ACTIVE": 0.9}, False),
        ({"PCIE_RECEIVE_RATE": 0.13e9, "LINK_RECEIVE_RATE": 3.1e9, "MEMORY_BANDWIDTH_ACTIVE": 0.01}, True),
    ],
    ids=["from the host", "to the host", "to a peer", "within the memory", "polling"],
)
def test_a_device_that_moves_data_works_and_one_that_polls_does_not(moved: dict[str, float], is_hang: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    assert bool(occupied(118.0, **moved)) is is_hang


@pytest.mark.parametrize(
    ("clock", "pipe", "is_hang"),
    [(0.3, 0.3, False), (0.3, 0.0, True), (0.3, None, False), (0.9, None, True), (0.9, 0.05, False)],
    ids=["calculates", "spins", "nobody can tell", "spins at full clock", "light work"],
)
def test_power_that_a_low_clock_takes_is_no_hang_while_pipes_calculate(
    clock: float, pipe: float | None, *, is_hang: bool
) -> None:
    builder = built(devices=1)
    builder.gauge(device.UTILIZATION, 1.0, engine="compute", **ids(0))
    builder.gauge(device.POWER, 118.0, **ids(0))
    builder.gauge(device.POWER_LIMIT, 700.0, limit="enforced", **ids(0))
    builder.gauge(device.CLOCK, clock * 1.98e9, clock="sm", **ids(0))
    builder.gauge(device.CLOCK_MAX, 1.98e9, clock="sm", **ids(0))
    if pipe is not None:
        builder.gauge(device.PIPE_ACTIVE, pipe, pipe="tensor", **ids(0))
    found = Hang().detect(builder.build()).candidates
    assert len(found) == is_hang
    if found and pipe is not None:
        assert found[0].evidence[-1].metric == device.PIPE_ACTIVE.name


def test_devices_of_one_job_that_are_stuck_together_are_one_hang_of_that_job() -> None:
    builder = built()
    for number in range(DEVICES):
        labels = {"node": "n1", "uuid": f"GPU-{number}", "index": str(number)}
        stuck = number > 0
        builder.gauge(device.UTILIZATION, 1.0 if stuck else 0.0, engine="compute", **labels)
        builder.gauge(device.POWER, 120.0 if stuck else 60.0, **labels)
        builder.gauge(device.POWER_LIMIT, 700.0, limit="enforced", **labels)
    builder.job("train", [("n1", f"GPU-{number}") for number in range(DEVICES)])
    (candidate,) = Hang().detect(builder.build()).candidates
    assert (candidate.scope.job_id, candidate.scope.uuid) == ("train", None)
    assert candidate.summary.startswith("3 of 4 devices of job train report 100 % utilization at 120 W of 700 W")


def test_a_device_whose_job_steps_is_no_hang_however_little_power_a_low_clock_takes() -> None:
    builder = built(devices=1)
    builder.gauge(device.UTILIZATION, 1.0, engine="compute", **ids(0))
    builder.gauge(device.POWER, 118.0, **ids(0))
    builder.gauge(device.POWER_LIMIT, 700.0, limit="enforced", **ids(0))
    builder.steps("train", rank=0, node="n1", seconds=8.0)
    builder.job("train", [("n1", "GPU-0")])
    assert Hang().detect(builder.build()).candidates == ()


def job_without_steps(
    watts_then: float, activity_then: float = 0.99, *, reports: bool = True, pipe_then: float | None = None
) -> tuple[Candidate, ...]:
    """A job whose steps stopped seven minutes ago; its devices draw `watts_then` since, instead of 620 W."""
    last = 42
    builder = built()
    for number in range(DEVICES):
        builder.gauge(device.POWER, since(COLUMNS, last, watts_then, 620.0), **ids(number))
        builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, since(COLUMNS, last, activity_then, 0.95), **ids(number))
        if pipe_then is not None:
            builder.gauge(device.PIPE_ACTIVE, since(COLUMNS, last, pipe_then, 0.4), pipe="tensor", **ids(number))
        rank = {"job_id": "train", "rank": str(number), "stage": "", "node": "n1"}
        then = 0.0 if reports else np.nan
        builder.rate(training.STEP_SECONDS, since(COLUMNS, last, then, 0.5), part="count", **rank)
        builder.rate(training.STEP_SECONDS, since(COLUMNS, last, then, 1.0), part="sum", **rank)
    builder.job("train", [("n1", f"GPU-{number}") for number in range(DEVICES)])
    return Hang().detect(builder.build()).candidates


def test_a_job_that_waits_in_a_collective_for_ever_is_a_hang() -> None:
    (found,) = job_without_steps(280.0)
    assert (found.scope.job_id, found.severity) == ("train", Severity.CRITICAL)
    assert "waits in a collective" in found.summary


def test_a_job_of_light_work_hangs_when_its_pipes_stand_still() -> None:
    (found,) = job_without_steps(440.0, pipe_then=0.0)
    assert found.evidence[-1].metric == device.PIPE_ACTIVE.name
    assert found.summary.endswith("99 % busy at 440 W instead of 620 W: it waits in a collective.")


def test_an_evaluation_that_draws_little_still_calculates() -> None:
    assert job_without_steps(440.0, pipe_then=0.1) == ()


def test_an_evaluation_draws_power_and_is_no_hang() -> None:
    assert job_without_steps(560.0) == ()


def test_a_checkpoint_leaves_the_devices_idle_and_is_no_hang() -> None:
    assert job_without_steps(120.0, activity_then=0.0) == ()


def test_a_reporter_that_is_gone_is_no_hang() -> None:
    assert job_without_steps(280.0, reports=False) == ()


# ---- memory that leaks


def memory(used: ArrayLike, *, held: ArrayLike = 1.0) -> tuple[Candidate, ...]:
    builder = built(devices=1)
    builder.gauge(device.MEMORY_USED, used, **ids(0))
    builder.gauge(device.MEMORY_TOTAL, 80 * GIB, **ids(0))
    builder.job("train", [("n1", "GPU-0")], held=held)
    return MemoryLeak().detect(builder.build()).candidates


RAMP = np.linspace(0.0, 1.0, COLUMNS)


def test_memory_that_grows_evenly_is_a_leak_with_the_time_until_it_is_full() -> None:
    (found,) = memory((40 + 20 * RAMP) * GIB)
    assert (found.kind, found.severity) == (FindingKind.MEMORY_LEAK, Severity.WARNING)
    assert "full in 60 min" in found.summary


@pytest.mark.parametrize(("grows", "is_leak"), [(1.0, True), (0.0, False)])
def test_memory_used_and_free_are_enough_where_nobody_tells_the_total(grows: float, *, is_leak: bool) -> None:
    used = (40 + 20 * grows * RAMP) * GIB
    builder = built(devices=1)
    builder.gauge(device.MEMORY_USED, used, **ids(0))
    builder.gauge(device.MEMORY_FREE, 80 * GIB - used, **ids(0))
    assert [one.kind for one in MemoryLeak().detect(builder.build()).candidates] == [FindingKind.MEMORY_LEAK] * is_leak


@pytest.mark.parametrize(("growth", "severity"), [(5, "warning"), (3.5, "warning"), (2.8, "info")])
def test_what_fills_before_the_next_morning_warns(growth: float, severity: str) -> None:
    (found,) = memory((40 + growth * (RAMP - 1)) * GIB)
    assert found.severity == severity  # 40 GiB are free, filled at so many GiB in the hour: the limit is 12 h


@pytest.mark.parametrize(
    "used",
    [
        60.0 * np.ones(COLUMNS),  # constant
        20 + 40 * (1 - np.exp(-8 * RAMP)),  # a warm-up
        np.minimum(20 + 60 * RAMP, 50.0),  # a plateau
        20 + 50 * (1 - np.exp(-RAMP)),  # a cache that fills for hours, and fits
        np.where(np.arange(COLUMNS) < 40, np.nan, 20 + 50 * (1 - np.exp(-RAMP))),  # the same, heard of later
        45 + 25 * (1 - np.exp(-RAMP)) + np.random.default_rng(0).normal(0.0, 0.2, COLUMNS),  # and one that varies
        30 + 20 * ((np.arange(COLUMNS) % 90) / 90),  # garbage collection
        since(COLUMNS, 100, 70.0, 30.0),  # another model
        40 + 0.5 * RAMP,  # too little to matter
        60 - 20 * RAMP,  # it shrinks
    ],
    ids=["constant", "warm-up", "plateau", "cache", "young", "unsteady", "sawtooth", "step", "tiny", "shrinking"],
)
def test_memory_that_does_not_grow_without_end_is_no_leak(used: np.ndarray) -> None:
    assert memory(used * GIB) == ()


@pytest.mark.parametrize(("used", "strength"), [(62, Strength.RAISE), (50, Strength.HOLD)])
def test_a_slow_leak_is_told_once_little_is_left(used: float, strength: Strength) -> None:
    (found,) = memory((used + 2 * (RAMP - 1)) * GIB)  # 2.5 % an hour, full in 9 or in 15 hours
    assert found.strength is strength


def test_a_cache_that_fills_for_hours_and_does_not_fit_is_a_leak() -> None:
    (found,) = memory((20 + 100 * (1 - np.exp(-0.7 * RAMP))) * GIB)
    assert found.kind is FindingKind.MEMORY_LEAK


@pytest.mark.parametrize("seed", range(20))
def test_an_even_leak_under_noise_is_not_taken_for_one_that_slows(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0.0, 0.1, COLUMNS)
    assert len(memory((40 + 5 * RAMP + noise) * GIB)) == 1


def test_a_job_that_began_within_the_hour_is_starting() -> None:
    assert memory((40 + 20 * RAMP) * GIB, held=since(COLUMNS, 200, 1.0, np.nan)) == ()


def test_a_machine_whose_memory_grows_is_named_with_when_it_is_full() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_host(builder, "n1", busy=0.3, available=0.9 - 0.5 * RAMP)
    add_host(builder, "n2", busy=0.3, available=0.5)
    (found,) = MemoryLeak().detect(builder.build()).candidates
    assert (found.scope.node, found.scope.uuid) == ("n1", None)
    assert found.evidence[0].metric == host.MEMORY_AVAILABLE.name


# ---- all together


@pytest.mark.parametrize(
    "detector",
    [EccDegradation(), RowRemap(), LinkErrors(), PcieDowntrained(), HardwareThrottle(), Hang(), MemoryLeak()],
    ids=lambda detector: detector.name,
)
def test_a_sound_job_is_silent(detector: EccDegradation) -> None:
    assert detector.detect(Lockstep(columns=COLUMNS).frame()).candidates == ()


@pytest.mark.parametrize(
    ("detector", "metric"),
    [
        (EccDegradation(), device.ECC_ERRORS),
        (RowRemap(), device.ROW_REMAP_FAILED),
        (LinkErrors(), device.LINK_ERRORS),
        (PcieDowntrained(), device.PCIE_LINK_WIDTH),
        (Hang(), device.POWER),
    ],
    ids=lambda item: getattr(item, "name", ""),
)
def test_what_is_not_measured_is_not_judged_and_says_what_is_missing(detector: EccDegradation, metric: object) -> None:
    builder = FrameBuilder(columns=60)
    add_device(builder, "n1", "GPU-0")
    detection = detector.detect(builder.build())
    assert detection.judged is None
    assert metric.name in detection.not_judged[0].missing  # type: ignore[attr-defined]


# ---- on the fleet model: a fault is a cause there, and the laws of the model show the signals


@pytest.mark.slow
def test_every_fault_of_the_fleet_model_is_found_at_its_place_and_nothing_else() -> None:
    feed = FleetFeed(1000, HARDWARE_FAULTS)
    feed.past()
    (*_, result) = feed.live(30.0)
    found = {
        (finding.kind.value, finding.scope.uuid) for finding in result.findings if finding.kind.value in HARDWARE_FAULTS
    }
    truth = {(fault["kind"], fault["scope"]["uuid"]) for fault in feed.fleet.truth()["faults"]}
    # A row that broke for good is both an error that could not be corrected and a remap that waits.
    broken = {(FindingKind.ECC_DEGRADATION.value, uuid) for kind, uuid in truth if kind == FindingKind.ROW_REMAP}
    assert found - broken == truth
