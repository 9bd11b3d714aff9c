"""Work that is unevenly shared: data that moves from rank to rank, and a pipeline stage that takes longer."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, in_columns, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.anomalies.imbalance.detector import Imbalance
from warpgauge.analyzer.anomalies.imbalance.moving import expected_maximum, most_lost_to_moving
from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.anomalies.straggler.detector import Straggler
from warpgauge.analyzer.bottlenecks.bound import Bound
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.frame import Frame
from warpgauge.core.catalog import host, training
from warpgauge.core.finding import FindingKind

COLUMNS = 90
RANKS = 8
TEN_MINUTES = 60


class Moving:
    """A job whose large share falls to one rank by lot each step; phases are summed over the steps of a column."""

    def __init__(
        self, *, large: float = 1.6, share: float = 1.0, first: int = 0, spread: float = 0.01, seed: int = 1
    ) -> None:
        self.large, self.share, self.first, self.spread = large, share, first, spread
        self.lot = np.random.default_rng(seed)
        self.pressure = np.zeros(COLUMNS)

    def frame(self):
        builder = FrameBuilder(columns=COLUMNS)
        rates = [self.column(column) for column in range(COLUMNS)]
        for rank in range(RANKS):
            labels = {"job_id": "train", "rank": str(rank), "stage": "", "node": f"n{rank // 4}"}
            builder.rate(training.STEP_SECONDS, [one[0] for one in rates], part="count", **labels)
            builder.rate(training.STEP_SECONDS, [one[1] for one in rates], part="sum", **labels)
            for phase, place in (("compute", 2), ("communication", 3)):
                spent = [one[place][rank] for one in rates]
                builder.rate(training.PHASE_SECONDS, spent, phase=phase, clock="host", **labels)
        builder.rate(host.PRESSURE_SECONDS, self.pressure, resource="cpu", scope="some", node="n0")
        return builder.build()

    def column(self, column: int):
        """Steps, their seconds, and each rank's compute and wait, per second of the column."""
        steps = self.lot.normal(1.0, self.spread if column >= self.first else 0.01, (8, RANKS))
        if column >= self.first:
            for step in range(8):
                if self.lot.random() < self.share:
                    steps[step, self.lot.integers(RANKS)] *= self.large
        lengths = steps.max(axis=1) + 0.05
        return 0.8, lengths.sum() / 10, steps.sum(axis=0) / 10, (lengths[:, None] - steps).sum(axis=0) / 10


def raised(scene: Moving | Lockstep) -> list[Candidate]:
    found = Imbalance().detect(scene.frame()).candidates
    return [candidate for candidate in found if candidate.strength is Strength.RAISE]


def test_a_large_share_that_moves_every_step_is_imbalance_of_the_job():
    (candidate,) = raised(Moving())

    assert candidate.kind is FindingKind.WORKLOAD_IMBALANCE
    assert (candidate.scope.job_id, candidate.scope.node, candidate.scope.rank) == ("train", None, None)
    assert "unevenly shared and the large share moves from rank to rank" in candidate.summary
    assert "Hardware is not at fault: move and drain nothing." in candidate.remedy


def test_what_it_costs_is_never_overstated():
    (candidate,) = raised(Moving())

    impact = candidate.impact
    assert impact is not None
    assert impact.slowdown_ratio is not None
    assert 1.15 < impact.slowdown_ratio < 1.65 / 1.125  # a step as it is, and with shares of the mean size
    waited, lost = (float(one) for one in re.findall(r"(\d+) ms (?:that all wait|at least are for)", candidate.summary))
    assert lost < waited  # not all of a wait is for whoever has most
    assert lost == pytest.approx(1000 * 1.65 * (1 - 1 / impact.slowdown_ratio), rel=0.02)


def test_it_is_no_straggler():
    assert not [one for one in Straggler().detect(Moving().frame()).candidates if one.strength is Strength.RAISE]


def test_that_ranks_wait_for_it_is_no_communication():
    assert not [one for one in Bound().detect(Moving().frame()).candidates if one.strength is Strength.RAISE]


def test_its_onset_is_the_first_column_that_scatters():
    scene = Moving(first=COLUMNS - TEN_MINUTES)

    (candidate,) = raised(scene)

    assert candidate.since == pytest.approx(scene.frame().now - 600, abs=40)


@pytest.mark.parametrize("moving", [{"large": 1.0}, {"large": 1.05}, {"share": 0.03}], ids=str)
def test_small_or_rare_differences_are_not(moving: dict[str, float]):
    assert not raised(Moving(**moving))


def test_ranks_that_always_scattered_a_little_are_as_their_data_are():
    always, for_a_while = Moving(large=1.0, spread=0.05), Moving(large=1.0, spread=0.05, first=COLUMNS // 2)

    assert not raised(always)  # a tenth may be lost, a twentieth is for sure
    assert raised(for_a_while)


def test_one_minute_of_it_is_not_yet_a_finding():
    assert not raised(Moving(first=COLUMNS - 6))


def test_one_slow_rank_is_not_imbalance():
    assert not raised(Lockstep(compute={5: 1.6}))


@pytest.mark.parametrize("columns", [6, 15, 24])
def test_a_machine_that_became_slow_is_not_moving_work(columns: int):
    compute = dict.fromkeys(range(4), since(COLUMNS, columns, 1.5, 1.0))

    assert not Imbalance().detect(Lockstep(columns=COLUMNS, compute=compute).frame()).candidates


@pytest.mark.parametrize("interval", [10, 30, 60])
def test_it_is_found_however_seldom_the_ranks_are_read(interval: int):
    (candidate,) = Imbalance().detect(read_every(interval, large=1.6)).candidates

    assert candidate.strength is Strength.RAISE
    assert candidate.evidence[0].value == pytest.approx(0.6 * (1 / 8 * 7 / 8) ** 0.5, rel=0.35)


@pytest.mark.parametrize("interval", [10, 30, 60])
def test_even_ranks_are_left_alone_however_seldom_they_are_read(interval: int):
    assert not Imbalance().detect(read_every(interval, large=1.0)).candidates


@pytest.mark.parametrize("minutes", [3, 4, 5, 8])
def test_what_waits_for_work_that_just_began_to_move_is_explained_though_read_once_a_minute(minutes: int):
    frame = read_every(60, large=1.6, first=60 * (59 - minutes))
    (group,) = peer_groups(frame).groups
    waited = frame.values(training.PHASE_SECONDS, "communication", seconds=300.0, rows=list(group.ranks))
    steps = frame.values(training.STEP_SECONDS, "count", seconds=300.0, rows=list(group.ranks))

    assert most_lost_to_moving(frame, group, 300.0) >= 0.8 * waited.mean() / steps.mean()


def test_even_ranks_explain_no_wait_though_read_once_a_minute():
    frame = read_every(60, large=1.0)
    assert most_lost_to_moving(frame, peer_groups(frame).groups[0], 300.0) == 0.0


def test_long_steps_too_few_to_tell_that_work_moves_are_enough_to_doubt_that_it_is_communication():
    frame = read_every(60, large=2.0, length=17.0)

    assert not [one for one in Imbalance().detect(frame).candidates if one.strength is Strength.RAISE]
    assert [one.strength for one in Bound().detect(frame).candidates] == [Strength.HOLD]


def test_communication_of_even_ranks_is_told_in_long_steps_too():
    (candidate,) = Bound().detect(read_every(60, large=1.0, length=20.0, exchange=0.6)).candidates
    assert (candidate.kind, candidate.strength) == (FindingKind.NETWORK_BOUND, Strength.RAISE)


def read_every(interval: int, *, large: float, first: int = 0, length: float = 1.0, exchange: float = 0.0) -> Frame:
    """An hour of steps of which from one on a rank's share is large, by counters read now and then.

    An even step computes for `length` seconds and exchanges for `exchange` times that.
    """
    lot = np.random.default_rng(1)
    steps = lot.normal(length, 0.01 * length, (round(3600 / length), RANKS))
    steps[np.arange(first, len(steps)), lot.integers(0, RANKS, len(steps) - first)] *= large
    ends = steps.max(axis=1) + exchange * length
    frame = Frame()
    told = {}
    for rank in range(RANKS):
        labels = {"job_id": "train", "rank": str(rank), "stage": "", "node": f"n{rank // 4}", "cluster": "c"}
        told[frame.series_id(training.STEP_SECONDS, labels, part="count")] = np.ones(len(ends))
        told[frame.series_id(training.STEP_SECONDS, labels, part="sum")] = ends
        for phase, spent in (("compute", steps[:, rank]), ("communication", ends - steps[:, rank])):
            labels |= {"phase": phase, "clock": "host"}
            told[frame.series_id(training.PHASE_SECONDS, labels)] = spent
    ids, counted = np.array(sorted(told)), np.cumsum([told[id_] for id_ in sorted(told)], axis=1)
    for now in range(interval, 3600, interval):
        done = int(np.searchsorted(np.cumsum(ends), now))
        times = np.full(len(ids), 1_700_000_000_000 + now * 1000)
        frame.ingest(ids, times, counted[:, max(done - 1, 0)], hold_seconds=2.5 * interval)
    return frame


def test_what_all_ranks_share_is_not_imbalance():
    lengths = np.random.default_rng(3).uniform(0.6, 1.6, COLUMNS)

    assert not raised(Lockstep(ranks=RANKS, columns=COLUMNS, compute=dict.fromkeys(range(RANKS), lengths)))


def test_ranks_that_scatter_because_tasks_wait_for_cpus_are_left_to_the_host():
    scene = Moving(first=COLUMNS - TEN_MINUTES)
    scene.pressure = since(COLUMNS, TEN_MINUTES, 0.9, 0.02)

    assert not raised(scene)


def test_scatter_that_no_wait_mirrors_is_noise_of_the_measurement():
    noise = np.random.default_rng(4)
    builder = FrameBuilder(columns=COLUMNS)
    for rank in range(RANKS):
        labels = {"job_id": "train", "rank": str(rank), "stage": "", "node": "n0"}
        builder.rate(training.STEP_SECONDS, np.full(COLUMNS, 0.8), part="count", **labels)
        builder.rate(training.STEP_SECONDS, np.full(COLUMNS, 1.0), part="sum", **labels)
        for phase, level in (("compute", 0.8), ("communication", 0.2)):
            spent = level * noise.uniform(0.8, 1.2, COLUMNS)
            builder.rate(training.PHASE_SECONDS, spent, phase=phase, clock="host", **labels)

    assert not Imbalance().detect(builder.build()).candidates


def staged(**changes) -> Lockstep:
    usual = {
        "ranks": 12,
        "compute": dict.fromkeys(range(8, 12), 1.4),
        "stages": {rank: rank // 4 for rank in range(12)},
    }
    return Lockstep(**(usual | changes))


def test_a_stage_with_one_layer_of_eight_too_many_is_named():
    (candidate,) = raised(staged(compute=dict.fromkeys(range(8, 12), 1.125)))
    assert candidate.scope.stage == 2


def test_a_stage_that_takes_longer_than_the_others_is_named_with_what_to_move():
    (candidate,) = raised(staged())

    assert candidate.kind is FindingKind.WORKLOAD_IMBALANCE
    assert (candidate.scope.job_id, candidate.scope.stage, candidate.scope.rank) == ("train", 2, None)
    assert candidate.summary.startswith("Stage 2 of job train computes 1.40 times as long per step as the median")
    assert candidate.remedy.startswith("Move layers from stage 2 to the other stages (29 % of its work is too much)")
    assert candidate.impact is not None
    assert candidate.impact.slowdown_ratio == pytest.approx(1.51 / 1.11, rel=0.02)


@pytest.mark.parametrize(
    "scene",
    [
        staged(compute=dict.fromkeys(range(8, 12), 1.05)),
        staged(compute=dict.fromkeys(range(8, 12), 1.1)),
        staged(compute=dict.fromkeys(range(12), 1.4)),
        staged(stages={}),
        staged(clock_of_phases="host"),
        staged(compute=dict.fromkeys(range(8, 12), since(COLUMNS, 6, 1.4, 1.0))),
        staged(busy={"n2": 0.97}),
    ],
    ids=[
        "too little",
        "less than a layer",
        "all stages",
        "no stages",
        "the host's clock",
        "for a minute",
        "its machine is saturated",
    ],
)
def test_a_job_without_a_slow_stage_is_left_alone(scene: Lockstep):
    assert not raised(scene)


def test_machines_that_are_all_busy_excuse_no_stage():
    (candidate,) = raised(staged(cpu=0.97))
    assert candidate.scope.stage == 2


def test_a_stage_is_not_blamed_for_strangers_that_just_left_its_machine():
    slow, busy = (in_columns(COLUMNS, slice(-1), there, gone) for there, gone in ((1.4, 1.0), (0.97, 0.4)))

    assert not raised(staged(compute=dict.fromkeys(range(8, 12), slow), busy={"n2": busy}))


@pytest.mark.parametrize("while_busy", [slice(-36, -30), slice(-6, None)], ids=["long gone", "for a minute"])
def test_strangers_excuse_no_stage_that_is_slow_without_them(while_busy: slice):
    (candidate,) = raised(staged(busy={"n2": in_columns(COLUMNS, while_busy, 0.97, 0.4)}))
    assert candidate.scope.stage == 2


def test_ranks_that_report_no_phases_are_not_judged():
    detection = Imbalance().detect(Lockstep(has_phases=False).frame())

    assert detection.judged is None
    assert detection.not_judged[0].missing == ("training_phase_seconds_total",)


def test_the_expected_maximum_of_normals_is_that_of_many_draws():
    draws = np.random.default_rng(5).standard_normal((20_000, 8)).max(axis=1).mean()

    assert expected_maximum(8) == pytest.approx(draws, rel=0.03)
    assert expected_maximum(1) == 0.0
