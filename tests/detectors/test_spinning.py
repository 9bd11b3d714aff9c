"""Hangs that devices tell alone: of jobs whose steps nobody times, and where nobody tells the power limit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.health.hang import Hang
from warpgauge.core.catalog import device, training
from warpgauge.core.finding import FindingKind

COLUMNS = 360
MINUTE = 6  # columns
DEVICES = 4


def ids(at: int) -> dict[str, str]:
    return {"node": "n1", "uuid": f"GPU-{at}", "index": str(at)}


def spinning(
    minutes: int, *, spin: int = DEVICES, pipe: float = 0.0, before: float = 0.4, bandwidth: float = 0.004
) -> list[Candidate]:
    """A job that calculated and of whose devices so many spin since so many minutes, the others are idle."""
    builder, last = FrameBuilder(columns=COLUMNS), minutes * MINUTE
    for at in range(DEVICES):
        builder.device("n1", f"GPU-{at}", index=at)
        builder.gauge(device.UTILIZATION, since(COLUMNS, last, float(at < spin), 1.0), engine="compute", **ids(at))
        builder.gauge(device.PIPE_ACTIVE, since(COLUMNS, last, pipe, before), pipe="tensor", **ids(at))
        builder.gauge(device.MEMORY_BANDWIDTH_ACTIVE, since(COLUMNS, last, bandwidth, 0.4), **ids(at))
        builder.gauge(device.POWER, since(COLUMNS, last, 250.0, 620.0), **ids(at))
    builder.job("train", [("n1", f"GPU-{at}") for at in range(DEVICES)])
    return list(Hang().detect(builder.build()).candidates)


def test_a_job_whose_devices_stop_calculating_at_once_and_stay_busy_waits_in_a_collective() -> None:
    (found,) = spinning(12)
    assert (found.kind, found.scope.job_id, found.strength) == (FindingKind.HANG, "train", Strength.RAISE)
    assert found.summary.startswith("Job train (4 devices) looks busy at 250 W and does nothing: full utilization")


@pytest.mark.parametrize(
    "story",
    [
        pytest.param({"minutes": 8}, id="a checkpoint of some minutes"),
        pytest.param({"minutes": 12, "pipe": 0.05}, id="an evaluation that calculates"),
        pytest.param({"minutes": 12, "bandwidth": 0.3}, id="tokens decoded out of memory"),
        pytest.param({"minutes": 25, "spin": 3}, id="one rank writes a large checkpoint"),
        pytest.param({"minutes": 12, "before": 0.001}, id="work whose pipes nobody measures"),
        pytest.param({"minutes": 12, "spin": 1}, id="one device alone"),
    ],
)
def test_what_only_looks_like_it_is_no_hang(story: dict[str, float]) -> None:
    assert not [one for one in spinning(**story) if one.strength is Strength.RAISE]  # type: ignore[arg-type]


def test_half_an_hour_is_a_hang_also_where_the_rank_that_is_missing_stands_idle() -> None:
    assert [one.strength for one in spinning(35, spin=3)] == [Strength.RAISE]


def test_it_stays_open_when_the_frame_no_longer_holds_the_time_before() -> None:
    assert [one.strength for one in spinning(60)] == [Strength.HOLD]


def test_a_job_without_a_step_in_the_whole_frame_keeps_its_hang_open_and_raises_none() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    builder.device("n1", "GPU-0")
    builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, 1.0, **ids(0))
    builder.rate(training.STEP_SECONDS, 0.0, part="count", job_id="train", rank="0", stage="", node="n1")
    builder.job("train", [("n1", "GPU-0")])
    (found,) = Hang().detect(builder.build()).candidates
    assert (found.kind, found.strength) == (FindingKind.HANG, Strength.HOLD)
    assert "makes no step; its devices" in found.summary


@pytest.mark.parametrize(("drawn", "is_hang"), [(640.0, True), (300.0, False)])
def test_without_a_limit_the_most_that_a_board_of_the_model_drew_is_the_measure(drawn: float, *, is_hang: bool) -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for at, watts in enumerate((95.0, np.where(np.arange(COLUMNS) % 2, drawn, 200.0))):
        builder.device("n1", f"GPU-{at}", index=at)
        builder.gauge(device.UTILIZATION, 1.0, engine="compute", **ids(at))
        builder.gauge(device.POWER, watts, **ids(at))
    found = Hang().detect(builder.build()).candidates
    assert [one.scope.uuid for one in found] == ["GPU-0"] * is_hang
    assert all("at 95 W of 640 W" in one.summary for one in found)
