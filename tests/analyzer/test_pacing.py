"""Who looks back minutes is asked every half minute, and what it said stands in between."""

from __future__ import annotations

from collections import Counter
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, since
from warpgauge.analyzer.anomalies.peers import Group
from warpgauge.analyzer.anomalies.straggler.detector import Straggler
from warpgauge.analyzer.detection import Detection, Explainer, Judgement
from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.incidents.pacing import LAP_TURN, LAPS, PACE_SECONDS, TURNS, paced

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame

PATIENT, PROMPT = "input_bound", "device_lost"


class Counting:
    """A detector that says how often it was asked, and fails as often as it is told to."""

    def __init__(self, name: str, failures: int = 0) -> None:
        self.name = name
        self.asked = 0
        self._failures = failures

    def detect(self, _frame: Frame) -> Detection:
        self.asked += 1
        if self.asked <= self._failures:
            raise RuntimeError
        return Detection(judged=Judgement(detector=self.name, what="calls", entities=self.asked, window_seconds=60.0))


def next_column(frame: Frame) -> None:
    frame.advance(frame.now)


def said_by(detector: Counting, columns: int, *, pace_seconds: float = PACE_SECONDS) -> list[int]:
    """How often it had been asked, at each of so many columns."""
    frame, (one,) = Lockstep(ranks=4).frame(), paced([detector])
    frame.pace_seconds = pace_seconds
    said = []
    for _ in range(columns):
        judged = one.detect(frame).judged
        said.append(judged.entities if judged else 0)
        next_column(frame)
    return said


def test_it_is_asked_at_first_and_then_at_every_third_column_of_ten_seconds() -> None:
    said = said_by(Counting(PATIENT), 9)
    rises = [at for at in range(1, 9) if said[at] > said[at - 1]]
    assert said[0] == 1
    assert np.diff(rises).tolist() == [3] * (len(rises) - 1)
    assert len(rises) >= 2


@pytest.mark.parametrize("name", list(chain.from_iterable(LAPS)))
def test_who_looks_back_ten_minutes_is_asked_once_a_minute(name: str) -> None:
    said = said_by(Counting(name), 18)
    rises = [at for at in range(1, 18) if said[at] > said[at - 1]]
    assert said[0] == 1
    assert np.diff(rises).tolist() == [6] * (len(rises) - 1)
    assert len(rises) >= 2


def test_those_asked_once_a_minute_have_their_turns_half_a_minute_apart() -> None:
    beside, *others = ([*names] for names in ((TURNS[LAP_TURN][0],), *LAPS))
    said = [said_by(Counting(names[0]), 7) for names in (beside, *others)]
    rises = [{at for at in range(1, 7) if one[at] > one[at - 1]} for one in said]
    assert len(rises[0]) == 2
    assert sorted(chain.from_iterable(rises[1:])) == sorted(rises[0])


def test_who_tells_within_seconds_is_asked_at_every_column() -> None:
    assert said_by(Counting(PROMPT), 4) == [1, 2, 3, 4]


def test_the_turns_come_in_different_columns() -> None:
    said = [said_by(Counting(names[0]), 4) for names in TURNS]
    rises = [[at for at in (1, 2, 3) if one[at] > one[at - 1]] for one in said]
    assert sorted(rises) == [[1], [2], [3]]


def test_one_that_fails_is_asked_again() -> None:
    detector, frame = Counting(PATIENT, failures=1), Lockstep(ranks=4).frame()
    frame.pace_seconds = PACE_SECONDS
    (one,) = paced([detector])
    with pytest.raises(RuntimeError):
        one.detect(frame)
    one.detect(frame)
    assert detector.asked == 2


def test_nobody_waits_for_a_turn_on_a_frame_without_a_pace() -> None:
    """Of a file or a page, which are judged once."""
    assert said_by(Counting(PATIENT), 3, pace_seconds=0.0) == [1, 2, 3]


def test_only_detectors_that_look_back_five_minutes_have_turns() -> None:
    names = [one.name for one in DETECTORS]
    turns = list(chain.from_iterable((*TURNS, *LAPS)))
    assert len(set(turns)) == len(turns)
    assert set(turns) <= set(names)
    assert not [one.name for one in DETECTORS if one.name in turns and isinstance(one, Explainer)]
    assert {"device_state", "telemetry_gap", "xid", "straggler", "close_up", "host_saturated"}.isdisjoint(turns)


def test_groups_of_equal_jobs_are_spread_evenly_over_the_turns() -> None:
    jobs = range(3, 1203, 12)  # of 64 ranks each; by their rows alone all of these had the same turn
    groups = [Group(key=("c", f"job-{job}"), devices=(64 * job,), ranks=(64 * job,)) for job in jobs]
    numbers = Counter(group.turn % 3 for group in groups)
    assert min(numbers.values()) > len(groups) / 5


def test_what_five_minutes_show_of_a_rank_stands_until_the_turn_of_its_peers() -> None:
    frame = Lockstep(ranks=8, compute={3: since(90, 60, 1.5, 1.0)}).frame()
    frame.pace_seconds = PACE_SECONDS
    said = []
    for _ in range(4):
        said += Straggler().detect(frame).candidates
        next_column(frame)
    is_new = [one is not before for before, one in pairwise(said)]
    assert len(said) == 4
    assert sum(is_new) == 1
