"""Hangs of jobs of which nobody tells more than utilization and power, as dcgm-exporter without its profiling does."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import since
from tests.detectors.test_any_frame import AGE
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.health.hang import Hang
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind

COLUMNS = 360
MINUTE = 6  # columns
PER_NODE = 4
NODES = 4  # the job has three of them


def waiting(
    minutes: float,
    *,
    watts: float = 110.0,
    usual: float = 450.0,
    used: float = 1.0,
    idle: int = 0,
    job: range = range(3 * PER_NODE),
    hertz: float = 1.98e9,
    pipe: float | None = None,
    received: float | None = None,
    steps: bool = False,
) -> list[Candidate]:
    """A job on three of four machines that worked, and all but `idle` of whose devices stand since so many minutes."""
    builder, last, noise = FrameBuilder(columns=COLUMNS), round(minutes * MINUTE), np.random.default_rng(1)
    names = [(f"n{at // PER_NODE}", f"GPU-{at}") for at in range(NODES * PER_NODE)]
    for at, (node, uuid) in enumerate(names):
        ids, stands = {"node": node, "uuid": uuid, "index": str(at % PER_NODE)}, at in job
        drawn = since(COLUMNS, last, watts, usual) if stands else np.full(COLUMNS, usual)
        busy = (0.0 if at < idle else used) if stands else 0.97
        builder.device(node, uuid, index=at % PER_NODE)
        builder.gauge(device.POWER, drawn * (1 + 0.01 * noise.standard_normal(COLUMNS)), **ids)
        builder.gauge(device.UTILIZATION, since(COLUMNS, last, busy, 0.97), engine="compute", **ids)
        builder.gauge(device.CLOCK, since(COLUMNS, last, hertz, 1.98e9), clock="sm", **ids)
        if pipe is not None:
            builder.gauge(device.PIPE_ACTIVE, since(COLUMNS, last, pipe, 0.4), pipe="tensor", **ids)
        if received is not None:
            builder.gauge(device.PCIE_RECEIVE_RATE, since(COLUMNS, last, received, 1e9), **ids)
    builder.job("train", [names[at] for at in job])
    if steps:
        builder.steps("train", rank=0, node="n0", seconds=2.0)
    return list(Hang().detect(builder.build()).candidates)


@pytest.mark.parametrize("story", [{}, {"pipe": 0.0}, {"usual": 620.0, "watts": 150.0}])
def test_a_job_that_draws_a_third_at_full_utilization_hangs_after_five_minutes(story: dict[str, float]) -> None:
    (found,) = waiting(5.5, **story)  # type: ignore[arg-type]
    assert (found.kind, found.scope.job_id, found.strength) == (FindingKind.HANG, "train", Strength.RAISE)
    assert found.summary.startswith("All 12 devices of job train report 100 % utilization at ")
    assert not AGE.search(found.summary)
    assert found.impact is not None
    assert found.impact.lost_device_seconds == pytest.approx(5.5 * 60 * 12, rel=0.05)


@pytest.mark.parametrize(
    "story",
    [
        pytest.param({"minutes": 4}, id="a pause of four minutes"),
        pytest.param({"minutes": 12, "watts": 250.0}, id="an evaluation, or tokens decoded"),
        pytest.param({"minutes": 12, "used": 0.9}, id="light work, not fully utilized"),
        pytest.param({"minutes": 12, "idle": 1}, id="the others wait for the rank that writes a checkpoint"),
        pytest.param({"minutes": 12, "job": range(1)}, id="one device alone"),
        pytest.param({"minutes": 12, "hertz": 0.7e9}, id="work at a clock that fell"),
        pytest.param({"minutes": 12, "pipe": 0.1}, id="work that calculates"),
        pytest.param({"minutes": 12, "received": 20e9}, id="copies"),
        pytest.param({"minutes": 12, "steps": True}, id="a job that steps"),
        pytest.param({"minutes": 57}, id="a job that never drew more for five minutes"),
    ],
)
def test_what_only_looks_like_it_is_no_hang(story: dict[str, float]) -> None:
    assert not [one for one in waiting(**story) if one.strength is Strength.RAISE]  # type: ignore[arg-type]


def test_it_stays_open_when_the_frame_no_longer_holds_the_work_before() -> None:
    (found,) = waiting(60)
    assert (found.strength, found.scope.job_id) == (Strength.HOLD, "train")
