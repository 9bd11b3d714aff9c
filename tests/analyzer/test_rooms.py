"""Arrays that hold something of each series grow one after the other and lose nothing."""

from __future__ import annotations

import numpy as np

from warpgauge.analyzer.frame.rooms import room, roomy, widened
from warpgauge.analyzer.frame.states import Behavior, SeriesStates

NAMES = ("early", "late")


class Owner:
    def __init__(self) -> None:
        self.early = room(0, np.int64)
        self.late = room(8, np.int64)


def test_arrays_of_other_turns_are_widened_at_another_size():
    owner, fits, moments = Owner(), len(room(0, np.int64)), {}
    for size in range(2_000):
        if size == fits:
            before = [len(getattr(owner, name)) for name in NAMES]
            fits = widened(owner, NAMES, size)
            wider = [name for name, was in zip(NAMES, before, strict=True) if len(getattr(owner, name)) > was]
            moments[size] = wider
        owner.early[size], owner.late[size] = size, -size

    assert {len(wider) for wider in moments.values()} == {1}
    assert owner.early[:2_000].tolist() == list(range(2_000))
    assert owner.late[:2_000].tolist() == [-size for size in range(2_000)]


def test_what_a_snapshot_held_has_room_for_more_in_all_arrays_but_the_first():
    kept = np.arange(1_600)

    assert [len(roomy(kept, turn, kept.dtype)) for turn in (0, 4, 15)] == [1_600, 2_000, 3_100]
    assert roomy(kept, 4, kept.dtype)[:1_600].tolist() == kept.tolist()


def test_states_of_a_snapshot_go_on_growing():
    states, restored = SeriesStates(), SeriesStates()
    for _ in range(700):
        states.add(Behavior.COUNTER)
    restored.fill(states.content())

    numbers = [restored.add(Behavior.GAUGE) for _ in range(3_000)]

    assert numbers == list(range(700, 3_700))
    assert restored.behavior[:700].tolist() == [Behavior.COUNTER] * 700
    assert min(len(getattr(restored, name)) for name in states.content()) >= 3_700
