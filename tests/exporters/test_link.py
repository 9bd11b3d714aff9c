"""When a child is called hung: not sooner than its time is up, and not later because others talk."""

from __future__ import annotations

import asyncio
import contextlib
import io

import pytest

from warpgauge.core.clock import ManualClock, SystemClock
from warpgauge.exporters.link import Link, Program
from warpgauge.exporters.messages import COMMON, At, Done, encode

DEADLINE_SECONDS = 0.1


class Mouth:
    """The process of a child that says only what a test feeds in."""

    def __init__(self):
        self.stdin = io.BytesIO()

    def poll(self):
        return None


def follow(feed, *, start_seconds=0.1, asked=None, asked_later=None, told=None):
    """What becomes of a child that is fed its words by a coroutine, and after how many seconds.

    It was asked something, will be once it has said its first words, or was told to end.
    """

    async def run():
        program = Program(command=(), deadline_seconds=DEADLINE_SECONDS, start_seconds=start_seconds)
        link = Link(Mouth(), program, SystemClock())
        begun = SystemClock().monotonic()
        if asked:
            link._asked = (asked, begun)
        if told:
            link.end(told)

        def utter(spoken):
            if spoken is None:
                link._reader.feed_eof()
            else:
                link._reader.feed_data(spoken)

        def say(*messages):
            utter(b"".join(encode(message) for message in messages))

        def hear(_):
            if asked_later and link._asked is None:
                link._asked = (asked_later, SystemClock().monotonic())

        say.bytes = utter
        feeding = asyncio.create_task(feed(say))
        try:
            async with asyncio.timeout(5):
                end = await link.follow(hear)
        finally:
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding
        return end, SystemClock().monotonic() - begun

    return asyncio.run(run())


async def talk(say):
    """Device 1 never comes back from its reading, while device 0 talks on and on."""
    say(At(1, "read"))
    while True:
        say(At(0, "read"), Done(0))
        await asyncio.sleep(0.005)


async def be_silent(_):
    await asyncio.Event().wait()


def test_who_hangs_is_found_while_the_others_talk_without_a_pause():
    end, seconds = follow(talk)
    assert (end.reason, end.blamed) == ("hung", {1})
    assert DEADLINE_SECONDS <= seconds < 2.0


def test_several_that_hang_cost_one_deadline_and_who_has_just_begun_is_not_blamed():
    async def overdue():
        clock = ManualClock()
        link = Link(Mouth(), Program(command=(), deadline_seconds=2.0), clock)
        for position, seconds in ((1, 0.9), (2, 0.2), (3, 0.9)):
            link._note(At(position, "read"))
            clock.advance(seconds)
        return link._overdue()

    assert asyncio.run(overdue()) == {1, 2}


async def fall_silent(say):
    say(At(COMMON, "open"), Done(COMMON))
    await asyncio.Event().wait()


async def leave_in_the_middle_of_a_word(say):
    say(At(1, "read"))
    say.bytes(encode(Done(1))[:-5])
    say.bytes(None)
    await asyncio.Event().wait()


@pytest.mark.parametrize(("asked", "least"), [("read", DEADLINE_SECONDS), ("open", 0.4), ("add", 0.4)])
def test_a_child_that_was_told_to_open_has_the_time_of_a_start_for_its_first_word(asked, least):
    end, seconds = follow(be_silent, start_seconds=0.4, asked=asked)
    assert end.reason == "hung"
    assert least <= seconds < least + 1.5


def test_a_child_that_never_said_a_word_hung_in_nobody_and_one_that_fell_silent_in_the_driver():
    assert follow(be_silent, asked="open")[0].blamed == frozenset()
    assert follow(fall_silent, asked_later="read")[0].blamed == {COMMON}


@pytest.mark.parametrize(("told", "reason", "blamed"), [("lost", "lost", frozenset()), (None, "crashed", {1})])
def test_half_a_word_is_a_crash_unless_the_child_was_told_to_end(told, reason, blamed):
    end, _ = follow(leave_in_the_middle_of_a_word, told=told)
    assert (end.reason, end.blamed) == (reason, blamed)
