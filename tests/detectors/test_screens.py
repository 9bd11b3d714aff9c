"""A detector that screens all rows by standing windows finds what reading all columns of all rows would find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.anomalies import change
from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.anomalies.straggler import detector as straggler
from warpgauge.analyzer.anomalies.straggler.reading import read
from warpgauge.analyzer.anomalies.straggler.screening import screened
from warpgauge.analyzer.bottlenecks import input_bound
from warpgauge.analyzer.detection.phases import mean_per_step, newest_per_step
from warpgauge.analyzer.health import memory_leak
from warpgauge.core.catalog import device, training

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame

ROWS = 6
COLUMNS = 260
seeds = st.integers(0, 2**32 - 1)


def _walks(random: np.random.Generator, usual: float) -> np.ndarray:
    """[row, column]: noise of all sizes, steps, slopes, peaks, gaps and rows that came late or went."""
    walks = usual * (1 + random.choice([0.001, 0.02, 0.2], (ROWS, 1)) * random.standard_normal((ROWS, COLUMNS)))
    walks *= np.where(np.arange(COLUMNS) >= random.integers(0, COLUMNS, (ROWS, 1)), random.choice([1, 1.08, 2, 0.5]), 1)
    walks *= 1 + random.choice([0, 0, 0.001], (ROWS, 1)) * np.arange(COLUMNS)
    walks[random.random((ROWS, COLUMNS)) < 0.003] *= 3
    is_gone = random.random((ROWS, COLUMNS)) < random.choice([0, 0.01, 0.4], (ROWS, 1))
    is_gone |= np.arange(COLUMNS) < random.choice([0, 0, 60, 120, 220], (ROWS, 1))
    return np.where(is_gone, np.nan, np.abs(walks))


def _devices(values: np.ndarray, *metrics) -> FrameBuilder:
    builder = FrameBuilder(columns=COLUMNS)
    for row, own in enumerate(values):
        for metric, extra in metrics:
            builder.gauge(metric, own, node="n1", uuid=f"GPU-{row}", index=str(row), **extra)
    return builder


def _screened_naively(frame: Frame, signal: change.Signal) -> tuple[list[int], int]:
    values = frame.values(signal.metric, *signal.extra)
    past, newest = values[:, :-60:6], values[:, -30:]
    known = np.isfinite(past)
    count = np.maximum(known.sum(axis=1), 1)
    usual = np.where(known, past, 0).sum(axis=1, dtype=np.float64) / count
    spread = np.sqrt(np.where(known, np.square(past - usual[:, None]), 0).sum(axis=1) / count)
    away = np.fmax.reduce(newest, axis=1) - usual
    if signal.may_fall:
        away = np.fmax(away, usual - np.fmin.reduce(newest, axis=1))
    least = np.maximum(signal.least_ratio * np.abs(usual), signal.least_change)
    has_history = known.sum(axis=1) * 6 >= 180 * 0.8
    far = away >= np.maximum(least, np.minimum(4 * spread, 2 * least))
    return np.flatnonzero(has_history & far).tolist(), int(has_history.sum())


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_rows_that_changed_are_those_that_all_columns_show(seed):
    values = _walks(np.random.default_rng(seed), 300.0)
    frame = _devices(values, (device.POWER, {}), (device.TEMPERATURE, {"sensor": "core"})).build()

    for signal in (one for one in change.SIGNALS if frame.has(one.metric, *one.extra)):
        rows, known = change._screened(frame, signal)

        assert (rows.tolist(), known) == _screened_naively(frame, signal)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_no_leak_is_lost_by_looking_at_the_lowest_values_first(seed):
    values = 1e10 * _walks(np.random.default_rng(seed), 1.0)
    builder = _devices(values, (device.MEMORY_USED, {}))
    for row in range(ROWS):
        builder.gauge(device.MEMORY_TOTAL, 8e10, node="n1", uuid=f"GPU-{row}", index=str(row))
    frame = builder.build()
    memory = memory_leak._DeviceMemory(frame)

    width = COLUMNS // memory_leak.PARTS
    used = frame.values(device.MEMORY_USED)
    newest, oldest = (np.fmin.reduce(part, axis=1) for part in (used[:, -width:], used[:, :width]))
    grow = np.flatnonzero((newest - oldest) / memory.total >= memory_leak.LEAST_RISE)

    assert set(grow.tolist()) <= set(memory_leak._may_grow(memory, width, COLUMNS).tolist())
    assert {trend.row for trend in memory_leak._trends(frame, memory)} <= set(grow.tolist())


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_a_job_that_is_settled_at_a_glance_waits_for_nothing_when_looked_at_closely(seed):
    random = np.random.default_rng(seed)
    builder = FrameBuilder(columns=60)
    for rank in range(4):
        builder.steps("job", rank=rank, node="n1", seconds=1.0, stage=rank // 2)
        shares = {"input": random.choice([0.01, 0.05, 0.09, 0.3]), "compute": 0.7, "communication": random.random() / 5}
        for phase, share in shares.items():
            is_gone = random.random(60) < random.choice([0.0, 0.02, 0.2])
            noisy = share * (1 + 0.02 * random.standard_normal(60))
            builder.phases(
                "job", rank=rank, node="n1", stage=rank // 2, clock="device",
                shares={phase: np.where(is_gone, np.nan, np.abs(noisy))},
            )  # fmt: skip
    frame = builder.build()

    (glance,) = input_bound._screened(frame, input_bound._jobs(frame))
    reading = input_bound._read(frame, frame.jobs["test", "job"])

    if glance != input_bound._Verdict.OPEN:
        assert glance == input_bound._verdict(reading)
        assert reading is None or not reading.is_past(input_bound.HOLD_SHARE, 1)


def test_one_missing_phase_of_one_rank_opens_no_job():
    builder = FrameBuilder(columns=60)
    for rank in range(4):
        builder.steps("job", rank=rank, node="n1", seconds=1.0)
        compute = np.full(60, 0.9)
        compute[40:43] = np.nan if rank == 2 else 0.9
        builder.phases("job", rank=rank, node="n1", clock="device", shares={"input": 0.02, "compute": compute})
    frame = builder.build()

    (glance,) = input_bound._screened(frame, input_bound._jobs(frame))

    assert frame.has(training.PHASE_SECONDS, "compute")
    assert glance == input_bound._Verdict.TIMED


def _jobs_on_cpus(random: np.random.Generator) -> FrameBuilder:
    """Four jobs of five ranks, with slow ones, whose steps and phases have gaps of their own and may be young."""
    builder = FrameBuilder(columns=60)
    for job in range(4):
        is_young = np.arange(60) < random.choice([0, 0, 32, 37, 50])
        gone = random.choice([0.0, 0.0, 0.02, 0.25])
        for rank in range(5):
            at = {"job_id": f"job-{job}", "rank": rank, "node": f"n{rank}"}
            slower = np.where(np.arange(60) >= random.integers(20, 60), random.choice([1.0, 1.0, 1.05, 1.1, 1.6]), 1.0)
            compute = 0.7 * slower * (1 + random.choice([0.0, 0.02]) * random.standard_normal(60))
            missing = [is_young | (random.random(60) < gone) for _ in range(2)]
            builder.steps(**at, seconds=np.where(missing[0], np.nan, 1.0))
            builder.phases(**at, shares={"compute": np.where(missing[1], np.nan, compute)})
            builder.phases(**at, shares={"communication": np.where(missing[1], np.nan, np.maximum(1 - compute, 0.01))})
    return builder


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_group_without_a_suspect_names_nobody_when_looked_at_closely(seed):
    frame = _jobs_on_cpus(np.random.default_rng(seed)).build()

    found, groups = screened(frame), peer_groups(frame).groups

    assert found.judged == sum(len(group.ranks) for group in groups if read(frame, group) is not None)
    assert found.judged + found.blind == sum(len(group.ranks) for group in groups)
    nowhere = np.zeros(len(frame.devices), dtype=bool)
    for group in set(groups) - set(found.suspects):
        assert not list(straggler._within(frame, group, nowhere, straggler._STANDING))
    newest, mean = (per_step(frame, "compute", 60.0) for per_step in (newest_per_step, mean_per_step))
    np.testing.assert_allclose(newest, mean, rtol=1e-12)


def test_a_rank_is_judged_by_its_phases_though_some_of_its_steps_are_missing():
    builder = FrameBuilder(columns=60)
    for rank in range(4):
        at = {"job_id": "job", "rank": rank, "node": f"n{rank}"}
        builder.steps(**at, seconds=np.where((np.arange(60) >= 40) & (np.arange(60) < 50) & (rank == 2), np.nan, 1.0))
        builder.phases(**at, shares={"compute": 0.9, "communication": 0.1})

    assert screened(builder.build()).judged == 4
