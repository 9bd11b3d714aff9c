"""The last seconds of steps that are read each second: faults named after four seconds, and forgotten as quickly."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, since
from warpgauge.analyzer.anomalies.straggler.close_up import CloseUp
from warpgauge.analyzer.anomalies.straggler.detector import Straggler
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.frame import Frame
from warpgauge.core.finding import FindingKind

COLUMNS = 60
STEP = 0.1
COMPUTE = 0.08


def seen(scene: Lockstep, *, wide: Frame | None = None) -> Frame:
    """A wide frame with the scene as its close-up."""
    frame = wide or Frame()
    frame.close_up = scene.frame()
    return frame


def close(**changes) -> Lockstep:
    """Four ranks on CPUs with steps of 0.2 s, in columns of a second."""
    compute = dict.fromkeys(range(4), COMPUTE) | changes.pop("compute", {})
    inputs = dict.fromkeys(range(4), 0.001) | changes.pop("input", {})
    usual = {"ranks": 4, "columns": COLUMNS, "step_seconds": 1.0, "has_devices": False, "compute": compute}
    return Lockstep(**usual, input=inputs, **changes)


def late(seconds: int, during: float, before: float) -> np.ndarray:
    return since(COLUMNS, seconds, during, before)


def raised(scene: Lockstep) -> list[Candidate]:
    found = CloseUp().detect(seen(scene)).candidates
    return [candidate for candidate in found if candidate.strength is Strength.RAISE]


def held(scene: Lockstep) -> list[Candidate]:
    return list(CloseUp().detect(seen(scene)).candidates)


SLOW = {
    "compute": (FindingKind.STRAGGLER, {"compute": {3: late(9, 0.2, COMPUTE)}}),
    "input": (FindingKind.INPUT_BOUND, {"input": {3: late(5, 0.12, 0.001)}}),
    "link": (FindingKind.NETWORK_BOUND, {"transfer": {3: late(5, 0.12, 0.002)}}),
    "neighbor": (
        FindingKind.NOISY_NEIGHBOR,
        {"compute": {3: late(5, 0.2, COMPUTE)}, "pressure": {"n0": late(5, 0.9, 0.1)}},
    ),
}


@pytest.mark.parametrize("cause", SLOW)
def test_seconds_name_the_rank_and_the_kind(cause: str):
    kind, changes = SLOW[cause]

    (candidate,) = raised(close(**changes))

    assert (candidate.kind, candidate.scope.rank, candidate.scope.job_id) == (kind, 3, "train")
    assert candidate.since == pytest.approx(close().frame().now - (9 if cause == "compute" else 5), abs=1.0)
    assert candidate.evidence
    assert len(candidate.remedy) > 40


def test_a_straggler_is_asked_for_twice_the_time_since_moving_a_rank_costs_most():
    found = held(close(compute={3: late(5, 0.2, COMPUTE)}))

    assert {one.strength for one in found} == {Strength.HOLD}


@pytest.mark.parametrize("seconds", [1, 2])
def test_two_seconds_are_not_enough(seconds: int):
    assert not raised(close(compute={3: late(seconds, 0.2, COMPUTE)}))


def test_a_lag_of_a_tenth_is_left_to_the_minutes():
    assert not raised(close(compute={3: late(30, COMPUTE + 0.015, COMPUTE)}))


def test_a_lag_of_an_eighth_is_named_half_a_window_later_unless_it_is_a_stragglers():
    assert not raised(close(input={3: late(4, 0.025, 0.001)}))
    assert [one.kind for one in raised(close(input={3: late(7, 0.025, 0.001)}))] == [FindingKind.INPUT_BOUND]
    assert not raised(close(compute={3: late(9, COMPUTE + 0.024, COMPUTE)}))


UNLIKE = {0: 0.10, 1: 0.13, 2: 0.115, 3: 0.10}
"""What ranks that share a core compute: they always differ."""


@pytest.mark.parametrize(
    ("phase", "kind"), [("input", FindingKind.INPUT_BOUND), ("transfer", FindingKind.NETWORK_BOUND)]
)
def test_what_none_of_the_peers_has_stands_out_however_they_differ_elsewhere(phase: str, kind: FindingKind):
    scene = close(compute=UNLIKE, **{phase: {3: late(5, 0.06, 0.001)}})

    assert [(one.kind, one.scope.rank) for one in raised(scene)] == [(kind, 3)]


def test_a_rank_that_became_slow_stands_out_among_peers_that_always_differed():
    scene = close(compute=UNLIKE | {3: late(5, 0.17, 0.10)}, pressure={"n0": late(5, 0.9, 0.1)})

    assert [(one.kind, one.scope.rank) for one in raised(scene)] == [(FindingKind.NOISY_NEIGHBOR, 3)]


def test_ranks_that_always_differed_are_no_news():
    assert not raised(close(compute=UNLIKE, pressure={"n0": late(5, 0.9, 0.1)}))


def test_the_same_shift_on_all_ranks_is_the_workload():
    assert not held(close(compute=dict.fromkeys(range(4), late(10, 0.2, COMPUTE))))


def test_a_rank_that_does_more_and_waits_as_long_holds_nobody_back():
    """Its own extra work hides behind the wait of a rank that is slower still."""
    scene = close(compute={3: late(10, 0.2, COMPUTE), 2: late(10, 0.2, COMPUTE), 1: late(10, 0.2, COMPUTE)})

    assert not raised(scene)


def test_a_finding_is_held_while_the_lag_fades_and_dropped_once_it_is_over():
    ended = [np.roll(late(10, 0.2, COMPUTE), -ago) for ago in (3, 9)]
    for values in ended:
        values[:9] = COMPUTE

    fading, over = (held(close(compute={3: values})) for values in ended)

    assert [one.strength for one in fading] == [Strength.HOLD]
    assert not over


def test_three_ranks_are_too_few_to_compare():
    scene = close(compute={2: late(5, 0.2, COMPUTE)})
    scene.ranks = 3

    detection = CloseUp().detect(seen(scene))

    assert not detection.candidates
    assert detection.judged is None


def test_long_steps_are_judged_over_as_many_seconds_as_twenty_of_them_take():
    scene = close(compute=dict.fromkeys(range(4), 1.0) | {3: late(5, 2.0, 1.0)})

    detection = CloseUp().detect(seen(scene))

    assert not [one for one in detection.candidates if one.strength is Strength.RAISE]
    assert detection.judged is not None
    assert 22 <= detection.judged.window_seconds <= 60


def test_without_steps_that_are_read_each_second_there_is_nothing_to_say():
    detection = CloseUp().detect(Frame())

    assert detection.candidates == ()
    assert detection.judged is None


def minutes(until: int) -> Lockstep:
    """The wide frame of a job whose rank 3 was slow up to so many columns ago."""
    values = since(90, 60, 1.5, 1.0)
    values[len(values) - until :] = 1.0
    return Lockstep(ranks=4, has_devices=False, compute={3: values})


def test_what_the_minutes_still_show_is_over_once_the_last_seconds_show_it_gone():
    wide = minutes(2).frame()
    assert [one.scope.rank for one in Straggler().detect(wide).candidates] == [3]

    assert not Straggler().detect(seen(close(), wide=minutes(2).frame())).candidates


def test_what_both_show_is_one_condition():
    wide = seen(close(compute={3: late(30, 0.2, COMPUTE)}), wide=minutes(0).frame())

    minutes_say, seconds_say = Straggler().detect(wide).candidates, CloseUp().detect(wide).candidates

    assert not minutes_say
    assert [one.scope.rank for one in seconds_say if one.strength is Strength.RAISE] == [3]
