"""The idle detector: devices that a job holds and does not use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, add_device, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.bottlenecks.idle_allocated import IdleAllocated
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.activity import read_activity
from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from warpgauge.analyzer.frame import Frame

COLUMNS = 360
MINUTE = 6  # columns


def held(*activities: ArrayLike | None, held_since: ArrayLike = 1.0, columns: int = COLUMNS) -> Frame:
    """A job "notebook" on one node with a device per activity."""
    builder = FrameBuilder(columns=columns)
    for index, activity in enumerate(activities):
        add_device(builder, "n1", f"GPU-{index}", index=index, activity=activity)
    builder.job("notebook", [("n1", f"GPU-{index}") for index in range(len(activities))], held=held_since, user="lucia")
    return builder.build()


def raised(frame: Frame) -> list[Candidate]:
    found = IdleAllocated().detect(frame).candidates
    return [candidate for candidate in found if candidate.strength is Strength.RAISE]


def test_a_job_whose_devices_stand_still_for_half_an_hour_is_named() -> None:
    quiet = since(COLUMNS, 40 * MINUTE, 0.0, 0.7)
    (candidate,) = raised(held(quiet, quiet))
    assert (candidate.scope.job_id, candidate.scope.node, candidate.scope.uuid) == ("notebook", "n1", None)
    assert candidate.summary == (
        "Job notebook does not use n1/gpu0 and n1/gpu1 (all that it holds): activity peaked at 0 % in the last 30 min"
        " while 120.0 GiB of device memory is held."
    )
    assert "its owner lucia" in candidate.remedy


def test_one_idle_device_of_two_is_named_itself() -> None:
    (candidate,) = raised(held(0.0, 0.8))
    assert candidate.scope.uuid == "GPU-0"
    assert "(1 of 2 devices)" in candidate.summary


def test_the_loss_counts_every_idle_device_since_the_onset() -> None:
    frame = held(since(COLUMNS, 40 * MINUTE, 0.0, 0.7), since(COLUMNS, 40 * MINUTE, 0.0, 0.7))
    (candidate,) = raised(frame)
    assert candidate.impact is not None
    assert candidate.impact.lost_device_seconds == pytest.approx(2 * 2400, abs=40)
    assert candidate.since == pytest.approx(frame.now - 2400, abs=10)


def test_devices_that_no_job_holds_are_free_and_not_idle() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_device(builder, "n1", "GPU-0", activity=0.0)
    detection = IdleAllocated().detect(builder.build())
    assert not detection.candidates
    assert detection.not_judged[0].missing == ("accel_workload_info",)


def test_a_job_that_came_twenty_minutes_ago_is_still_starting() -> None:
    began = np.where(np.arange(COLUMNS) >= COLUMNS - 20 * MINUTE, 1.0, np.nan)
    detection = IdleAllocated().detect(held(0.0, held_since=began))
    assert not detection.candidates
    assert detection.not_judged[0].why == "held or measured for less than 30 min"


def test_a_pause_of_twenty_minutes_is_a_pause() -> None:
    assert not IdleAllocated().detect(held(since(COLUMNS, 20 * MINUTE, 0.0, 0.7))).candidates


def test_a_short_burst_keeps_an_open_finding_but_opens_none() -> None:
    activity = np.zeros(COLUMNS)
    activity[-40:-34] = 0.4
    found = IdleAllocated().detect(held(activity)).candidates
    assert [candidate.strength for candidate in found] == [Strength.HOLD]
    assert "hardly uses n1/gpu0 (all that it holds)" in found[0].summary


def test_a_notebook_that_worked_now_and_then_is_idle_since_it_worked_last() -> None:
    activity = np.where(np.arange(COLUMNS) == COLUMNS - 35 * MINUTE - 1, 0.6, 0.0)
    frame = held(activity)
    (candidate,) = raised(frame)
    assert candidate.since == frame.now - 35 * 60
    assert "does not use n1/gpu0 (all that it holds): activity peaked at 0 %" in candidate.summary


def test_three_minutes_of_work_end_it() -> None:
    activity = np.zeros(COLUMNS)
    activity[-20:] = 0.4
    assert not IdleAllocated().detect(held(activity)).candidates


def test_a_trickle_of_two_percent_is_use() -> None:
    assert not IdleAllocated().detect(held(0.02)).candidates


def test_activity_that_was_never_measured_is_not_idleness() -> None:
    detection = IdleAllocated().detect(held(None))
    assert not detection.candidates
    assert detection.judged is None
    assert detection.not_judged[0].missing == (
        "accel_graphics_engine_active_ratio",
        "accel_compute_active_ratio",
        "accel_utilization_ratio",
    )


def test_utilization_serves_where_nothing_better_is_measured() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_device(builder, "n1", "GPU-0", activity=None)
    builder.gauge(device.UTILIZATION, 0.0, engine="compute", node="n1", uuid="GPU-0", index="0")
    builder.job("notebook", [("n1", "GPU-0")])
    (candidate,) = raised(builder.build())
    assert candidate.evidence[0].metric == "accel_utilization_ratio"


def test_the_one_device_of_many_that_nothing_better_is_measured_of_is_judged_by_its_utilization() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for index in range(40):
        add_device(builder, "n1", f"GPU-{index}", index=index, activity=0.5)
    for uuid in ("GPU-40", "GPU-41"):
        add_device(builder, "n1", uuid, activity=None)
    builder.gauge(device.UTILIZATION, 0.0, engine="compute", node="n1", uuid="GPU-40", index="40")
    activity = read_activity(builder.build(), 300.0)
    assert activity.signal.tolist() == [0] * 40 + [2, -1]
    assert activity.mean[[0, 40]].tolist() == [0.5, 0.0]


def test_a_gap_of_ten_minutes_leaves_too_little_to_judge() -> None:
    activity = np.zeros(COLUMNS)
    activity[-100:-40] = np.nan
    detection = IdleAllocated().detect(held(activity))
    assert not detection.candidates
    assert detection.not_judged


def test_a_working_job_is_silent() -> None:
    assert not IdleAllocated().detect(Lockstep(columns=COLUMNS).frame()).candidates
