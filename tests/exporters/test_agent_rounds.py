"""Visits in one thread while they end, and in more beside those that do not."""

from __future__ import annotations

import threading

import pytest

from warpgauge.core.clock import SystemClock
from warpgauge.exporters.rounds import PATIENCE_TOGETHER_SECONDS, Rounds

ENOUGH_SECONDS = 10.0  # for anything that must come, however busy the machine


class Street:
    """Houses to visit, at some of which the door stays shut behind the visitor until it is opened."""

    def __init__(self, *shut):
        self.rounds = Rounds(SystemClock())
        self.visits = []  # position and thread
        self.opened = threading.Event()
        self.shut = set(shut)

    def visit(self, position):
        self.visits.append((position, threading.current_thread().name))
        if position in self.shut:
            assert self.opened.wait(ENOUGH_SECONDS)

    def go(self, *positions):
        self.rounds.go(positions, self.visit)

    @property
    def seen(self):
        return [position for position, _ in self.visits]


def test_who_answers_is_visited_in_order_by_one_thread():
    street = Street()
    street.go(0, 1, 2, 3)
    street.go(0, 1, 2, 3)
    assert street.rounds.wait(ENOUGH_SECONDS)
    assert street.seen == [0, 1, 2, 3] * 2
    assert len({thread for _, thread in street.visits}) == 1


@pytest.mark.parametrize("shut", [{1}, {0, 1, 2}, {3}])
def test_whoever_does_not_answer_keeps_no_other_waiting(shut):
    street = Street(*shut)
    begun = SystemClock().monotonic()
    street.go(0, 1, 2, 3)
    assert SystemClock().monotonic() - begun < PATIENCE_TOGETHER_SECONDS + 1.0  # of a machine that does other things
    street.opened.wait(0.05)
    assert sorted(street.seen) == [0, 1, 2, 3]
    assert not street.rounds.wait(0.0)
    street.opened.set()
    assert street.rounds.wait(ENOUGH_SECONDS)


def test_each_thread_says_when_nobody_is_left_to_visit():
    done = []
    street = Street()
    street.rounds = Rounds(SystemClock(), lambda: done.append(street.seen))
    street.go(0, 1, 2)
    assert street.rounds.wait(ENOUGH_SECONDS)
    assert done == [[0, 1, 2]]


def test_who_is_still_visited_is_passed_over_until_that_has_ended():
    street = Street(1)
    street.go(0, 1, 2)
    street.go(0, 1, 2)
    assert street.seen.count(1) == 1
    assert street.seen.count(2) == 2
    street.opened.set()
    assert street.rounds.wait(ENOUGH_SECONDS)
    street.go(1)
    assert street.seen.count(1) == 2


def test_nobody_to_visit_is_over_at_once():
    street = Street()
    street.go()
    assert street.rounds.wait(0.0)
