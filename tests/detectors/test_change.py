"""Level shifts, drifts and spikes that nothing explains; and the many changes that something does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.scenes import add_host, in_columns, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.anomalies.change import Change
from warpgauge.core.catalog import device, host
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from warpgauge.analyzer.detection import Candidate

COLUMNS = 360
DEVICES = 4


def noise(seed: int, spread: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, spread, COLUMNS)


def seen(
    celsius: Mapping[int, ArrayLike], *, activity: Mapping[int, ArrayLike] | None = None, held: ArrayLike = 1.0
) -> tuple[Candidate, ...]:
    """What the detector says of a job on four devices whose temperatures have these changes on top of 60 °C."""
    builder = FrameBuilder(columns=COLUMNS)
    for number in range(DEVICES):
        labels = {"node": "n1", "uuid": f"GPU-{number}", "index": str(number)}
        builder.device("n1", f"GPU-{number}", index=number)
        builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, (activity or {}).get(number, 0.95), **labels)
        level = 60.0 + np.asarray(celsius.get(number, 0.0)) + noise(number, 0.4)
        builder.gauge(device.TEMPERATURE, np.round(level), sensor="core", **labels)
    builder.job("train", [("n1", f"GPU-{number}") for number in range(DEVICES)], held=held)
    return Change().detect(builder.build()).candidates


def test_a_device_that_runs_hotter_at_the_same_work_has_a_level_shift() -> None:
    (found,) = seen({2: since(COLUMNS, 60, 12.0)})
    assert (found.kind, found.severity) == (FindingKind.LEVEL_SHIFT, Severity.INFO)
    assert (found.scope.uuid, found.scope.job_id) == ("GPU-2", "train")
    assert found.evidence[0].baseline == pytest.approx(60.0, abs=1.0)
    assert found.evidence[0].value == pytest.approx(72.0, abs=1.0)


def test_the_onset_of_a_shift_is_where_it_began() -> None:
    (found,) = seen({2: since(COLUMNS, 60, 12.0)})
    end = 1_750_000_000.0 + COLUMNS * 10.0
    assert found.since == pytest.approx(end - 600.0, abs=60.0)


def test_a_device_that_warms_slowly_has_a_drift() -> None:
    ramp = np.concatenate([np.zeros(240), np.linspace(0.0, 20.0, 120)])
    (found,) = seen({1: ramp})
    assert found.kind is FindingKind.DRIFT


def test_a_moment_of_heat_is_a_spike() -> None:
    peak = np.zeros(COLUMNS)
    peak[-12:-9] = 20.0
    (found,) = seen({0: peak})
    assert found.kind is FindingKind.SPIKE


def longest(steps: Mapping[int, Mapping[int, float]]) -> list[int | None]:
    """Ranks of eight at two seconds a step that are told of, where some columns held a longer step."""
    builder = FrameBuilder(columns=COLUMNS)
    for rank in range(8):
        seconds = 2.0 + noise(rank, 0.02)
        seconds[: 170 if rank > 2 else 0] = np.nan  # too little history to judge these by
        for column, value in steps.get(rank, {}).items():
            seconds[column] = value
        builder.steps("train", rank=rank, node=f"n{rank // 4}", seconds=seconds)
    return [one.scope.rank for one in Change().detect(builder.build()).candidates]


def test_a_checkpoint_of_all_ranks_is_no_spike_of_those_whose_scrape_held_nothing_else() -> None:
    alone, among_others = {-14: 30.0}, {-17: 11.0, -16: 11.0}
    assert longest({rank: alone if rank < 4 else among_others for rank in range(8)}) == []


def test_a_long_step_that_few_ranks_tell_is_a_spike_of_theirs() -> None:
    assert longest({0: {-14: 30.0}, 1: {-14: 30.0}, 5: {-100: 30.0}}) == [0, 1]


@pytest.mark.parametrize(("worked", "dips"), [(0.95, True), (0.8, False)])
def test_a_device_that_draws_less_for_a_moment_dips_and_in_a_checkpoint_it_rests(worked: float, *, dips: bool) -> None:
    """Where each pod of a job counts for itself, nothing but its own activity tells."""
    builder, watts, activity = FrameBuilder(columns=COLUMNS), 600.0 + noise(0, 4.0), 0.95 + noise(1, 0.01)
    watts[-12:-9], activity[-12:-9] = 400.0, worked
    builder.device("n1", "GPU-0")
    builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, activity, node="n1", uuid="GPU-0", index="0")
    builder.gauge(device.POWER, watts, node="n1", uuid="GPU-0", index="0")
    found = Change().detect(builder.build()).candidates
    assert ["dipped from 599.7 to 400 W (" in one.summary for one in found] == [True] * dips


def test_a_spike_is_not_told_for_ever() -> None:
    peak = np.zeros(COLUMNS)
    peak[-90:-87] = 20.0
    assert seen({0: peak}) == ()


def test_the_same_shift_on_all_devices_of_the_job_is_the_workload() -> None:
    assert seen({number: since(COLUMNS, 60, 12.0) for number in range(DEVICES)}) == ()


@pytest.mark.parametrize("others", [9.0, 0.0])
def test_what_all_shared_stays_shared_where_the_onset_is_told_too_late(others: float) -> None:
    """A device rests for a moment long after all became hotter: its last alarm is then, its change is not."""
    columns = np.arange(COLUMNS)
    own = np.where(columns >= 220, 14.0, 0.0)
    own[270:290] = -10.0
    coarse = {number: np.where(columns >= 220, others, 0.0) + noise(9 + number, 3.0) for number in (0, 1, 3)}
    assert [one.scope.uuid for one in seen({2: own, **coarse})] == ["GPU-2"] * (others == 0)


def test_a_shift_that_came_with_more_work_is_the_workload() -> None:
    assert seen({2: since(COLUMNS, 60, 12.0)}, activity={2: since(COLUMNS, 60, 0.95, 0.5)}) == ()


def test_history_starts_anew_with_the_job() -> None:
    assert seen({2: since(COLUMNS, 60, 12.0)}, held=since(COLUMNS, 100, 1.0, np.nan)) == ()


def test_a_change_below_the_least_effect_is_not_worth_a_word() -> None:
    assert seen({2: since(COLUMNS, 60, 4.0)}) == ()


def test_sound_devices_are_silent() -> None:
    assert seen({}) == ()


def test_a_shift_that_went_back_is_over() -> None:
    hot = np.zeros(COLUMNS)
    hot[-150:-60] = 12.0
    assert seen({2: hot}) == ()


def test_one_machine_whose_storage_became_slow_has_a_level_shift_and_a_slow_cluster_has_none() -> None:
    def found(slow: set[int]) -> list[str | None]:
        builder = FrameBuilder(columns=COLUMNS)
        for number in range(4):
            add_host(builder, f"n{number}", busy=0.4)
            waits = since(COLUMNS, 60, 0.5, 0.02) if number in slow else 0.02
            builder.rate(
                host.PRESSURE_SECONDS,
                waits + np.abs(noise(number, 0.005)),
                node=f"n{number}",
                resource="io",
                scope="some",
            )
        return [candidate.scope.node for candidate in Change().detect(builder.build()).candidates]

    assert found({3}) == ["n3"]
    assert found({0, 1, 2, 3}) == []


def test_with_too_little_history_nothing_is_judged() -> None:
    builder = FrameBuilder(columns=60)
    builder.device("n1", "GPU-0")
    builder.gauge(device.TEMPERATURE, since(60, 20, 90.0, 60.0), sensor="core", node="n1", uuid="GPU-0", index="0")
    detection = Change().detect(builder.build())
    assert (detection.candidates, detection.judged) == ((), None)


def replays(totals: ArrayLike) -> tuple[Candidate, ...]:
    """What is said of a device whose PCIe replays, as counted, are these, among three that have none."""
    builder = FrameBuilder(columns=COLUMNS)
    for number in range(DEVICES):
        labels = {"node": "n1", "uuid": f"GPU-{number}", "index": str(number)}
        builder.device("n1", f"GPU-{number}", index=number)
        builder.gauge(device.PCIE_REPLAY, totals if number == 2 else 0.0, **labels)
    builder.job("train", [("n1", f"GPU-{number}") for number in range(DEVICES)])
    return Change().detect(builder.build()).candidates


def test_a_counter_that_begins_to_rise_has_a_level_shift() -> None:
    (found,) = replays(np.cumsum(since(COLUMNS, 60, 50.0)))
    assert (found.kind, found.scope.uuid) == (FindingKind.LEVEL_SHIFT, "GPU-2")
    assert "went from 0 to 5 a second, " in found.summary


def test_a_level_that_was_next_to_nothing_is_no_measure_of_the_change() -> None:
    (found,) = replays(np.cumsum(since(COLUMNS, 60, 50.0, 1.0)))
    assert "went from 0.1 to 5 a second, " in found.summary


def test_a_counter_that_starts_anew_did_not_change() -> None:
    assert replays(np.concatenate([np.full(300, 9e6), np.zeros(60)])) == ()


def test_a_constant_did_not_change() -> None:
    assert replays(np.full(COLUMNS, 9e6)) == ()


def test_a_gap_is_no_change_nor_is_what_stands_behind_it() -> None:
    silent = in_columns(COLUMNS, slice(270, 330), np.nan, 0.0)
    assert seen({2: silent}) == ()
    assert replays(in_columns(COLUMNS, slice(270, 330), np.nan, 5.0)) == ()
