"""When a child is called hung: not sooner than its time is up, and not later because others talk."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from warpgauge.core.clock import SystemClock
from warpgauge.exporters.link import Link, Program
from warpgauge.exporters.messages import At, Done, encode

DEADLINE_SECONDS = 0.1


class Mouth:
    """The process of a child that says only what a test feeds in."""

    stdin = None

    def poll(self):
        return None


def follow(feed, *, start_seconds=0.1, asked=None):
    """What becomes of a child that is fed its words by a coroutine, and after how many seconds."""

    async def run():
        program = Program(command=(), deadline_seconds=DEADLINE_SECONDS, start_seconds=start_seconds)
        link = Link(Mouth(), program, SystemClock())
        begun = SystemClock().monotonic()
        if asked:
            link._asked = (asked, begun)

        def say(*messages):
            link._reader.feed_data(b"".join(encode(message) for message in messages))

        feeding = asyncio.create_task(feed(say))
        try:
            async with asyncio.timeout(5):
                end = await link.follow(lambda _: None)
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


@pytest.mark.parametrize(("asked", "least"), [("read", DEADLINE_SECONDS), ("open", 0.4), ("add", 0.4)])
def test_a_child_that_was_told_to_open_has_the_time_of_a_start_for_its_first_word(asked, least):
    end, seconds = follow(be_silent, start_seconds=0.4, asked=asked)
    assert (end.reason, end.blamed) == ("hung", {-1})
    assert least <= seconds < least + 1.5
