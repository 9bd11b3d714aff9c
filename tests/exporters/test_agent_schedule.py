"""When tiers are due, and when devices that stopped answering are tried again."""

from __future__ import annotations

import asyncio
import threading

import pytest

from warpgauge.core.catalog import Tier, host, own
from warpgauge.core.clock import ManualClock
from warpgauge.core.retry import Backoff
from warpgauge.core.sample import Sample
from warpgauge.exporters.inprocess import InProcess
from warpgauge.exporters.quarantine import Quarantine
from warpgauge.exporters.readings import Readings
from warpgauge.exporters.schedule import Schedule
from warpgauge.exporters.worker import Worker

INTERVALS = {Tier.FAST: 1.0, Tier.NORMAL: 10.0}


def started():
    clock = ManualClock()
    schedule = Schedule(INTERVALS, clock)
    schedule.start_over()
    return schedule, clock


def test_each_tier_is_due_after_its_own_interval():
    schedule, clock = started()
    assert schedule.seconds_to_next == 1.0
    clock.advance(1.0)
    assert schedule.take() == ([Tier.FAST], {})
    clock.advance(9.0)
    assert schedule.take()[0] == [Tier.FAST, Tier.NORMAL]


def test_nothing_is_due_before_its_time():
    schedule, clock = started()
    clock.advance(0.9)
    assert schedule.take() == ([], {})


def test_a_late_reading_does_not_shift_the_grid_and_what_passed_is_counted():
    schedule, clock = started()
    clock.advance(3.4)
    assert schedule.take() == ([Tier.FAST], {Tier.FAST: 2})
    assert schedule.seconds_to_next == pytest.approx(0.6)


def test_a_single_missed_reading_is_counted():
    schedule, clock = started()
    clock.advance(2.1)
    assert schedule.take() == ([Tier.FAST], {Tier.FAST: 1})


def test_starting_over_counts_what_passed_while_nobody_read():
    schedule, clock = started()
    clock.advance(2.5)
    assert schedule.start_over() == {Tier.FAST: 2}
    assert schedule.seconds_to_next == 1.0


def test_schedules_in_one_phase_are_due_at_the_same_moments_whenever_they_were_started():
    clock = ManualClock(100.0)
    one, other = (Schedule(INTERVALS, clock, phase=100.0) for _ in range(2))
    one.start_over()
    clock.advance(3.3)
    other.start_over()
    assert other.seconds_to_next == pytest.approx(0.7)
    one.take()
    assert one.seconds_to_next == pytest.approx(0.7)


@pytest.mark.parametrize("started", [0.0, 0.49, 0.51, 0.99])
def test_the_first_tick_in_a_phase_comes_within_an_interval_give_or_take_half_a_tick(started):
    clock = ManualClock(100.0 + started)
    schedule = Schedule(INTERVALS, clock, phase=100.0)
    schedule.start_over()
    assert 0.5 <= schedule.seconds_to_next <= 1.5


def quarantined():
    clock = ManualClock()
    return Quarantine(clock, Backoff(first_seconds=1, factor=2, max_seconds=8, jitter=0)), clock


def test_a_device_is_tried_after_pauses_that_grow():
    quarantine, clock = quarantined()
    for pause in (1, 2, 4, 8, 8):
        quarantine.put(3)
        clock.advance(pause - 0.1)
        assert quarantine.due() == frozenset()
        clock.advance(0.1)
        assert quarantine.due() == {3}


def test_a_device_that_fails_again_soon_waits_longer_than_the_last_time():
    quarantine, clock = quarantined()
    quarantine.put(3)
    quarantine.release(3)
    clock.advance(60)
    quarantine.put(3)
    clock.advance(1)
    assert quarantine.due() == frozenset()


def test_a_device_that_was_well_for_long_starts_with_the_shortest_pause():
    quarantine, clock = quarantined()
    quarantine.put(3)
    quarantine.release(3)
    clock.advance(301)
    quarantine.put(3)
    clock.advance(1)
    assert quarantine.due() == {3}


def test_a_device_on_which_a_process_still_hangs_is_left_alone():
    class Undead:
        status = None

        def poll(self):
            return self.status

    quarantine, clock = quarantined()
    process = Undead()
    quarantine.put(3, process)
    clock.advance(100)
    assert quarantine.due() == frozenset()
    process.status = -9
    assert quarantine.due() == {3}


def test_who_is_released_is_in_no_longer():
    quarantine, _ = quarantined()
    quarantine.put(3)
    quarantine.release(3)
    assert quarantine.positions == frozenset()
    assert quarantine.seconds_to_next() is None


class Host:
    """A collector whose readings a test holds back or breaks."""

    name = "host"
    isolated = False

    def __init__(self, why=None):
        self.why = why
        self.gate = threading.Event()
        self.gate.set()
        self.error = None
        self.closed = False

    def check(self):
        return self.why

    def devices(self):
        return ()

    def read(self, tier, _device):
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return ([Sample(host.LOAD1, (), 1.5)] if tier is Tier.FAST else []), []

    def close(self):
        self.closed = True


def observe(collector, claim):
    """Run the collector until a claim about (readings, runner) holds."""

    async def run():
        readings = Readings(ManualClock())
        runner = InProcess(collector, readings, intervals={Tier.FAST: 0.02}, deadline_seconds=0.1)
        task = asyncio.create_task(runner.run())
        async with asyncio.timeout(5):
            while not claim(readings, runner):  # noqa: ASYNC110 - a claim about two threads has no event
                await asyncio.sleep(0.005)
        collector.gate.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


class Silent(Host):
    """A collector that has nothing to tell, and counts how often it is asked."""

    asked = 0

    def has_never_changed(self):
        return True

    def read(self, tier, device):
        self.asked += 1
        return super().read(tier, device)


def test_who_has_nothing_new_to_tell_is_asked_once_and_counts_as_read_all_the_same():
    collector, successes = Silent(), set()

    def several_ticks(readings, _):
        successes.add(value(readings, own.COLLECTOR_LAST_SUCCESS, "host"))
        return len(successes - {None}) >= 3

    observe(collector, several_ticks)
    assert collector.asked == 1


def value(readings, metric, *labels):
    return next((one.value for one in readings.tally.samples() if (one.metric, one.labels) == (metric, labels)), None)


def loads(readings):
    return [family for families in readings.families() for family in families if family is host.LOAD1]


def test_a_collector_in_this_process_is_read_and_closed():
    collector = Host()
    observe(collector, lambda readings, _: loads(readings) and value(readings, own.COLLECTOR_UP, "host") == 1.0)
    assert collector.closed


def test_a_collector_whose_devices_are_not_here_is_absent_and_not_down():
    def claim(readings, runner):
        return runner.absence == "no such machine" and value(readings, own.COLLECTOR_UP, "host") is None

    observe(Host(why="no such machine"), claim)


def test_a_collector_that_hangs_loses_its_samples_and_misses_ticks():
    collector = Host()

    def claim(readings, _):
        if value(readings, own.COLLECTOR_UP, "host") == 1.0:
            collector.gate.clear()
        return (
            value(readings, own.COLLECTOR_UP, "host") == 0.0
            and not loads(readings)
            and (value(readings, own.MISSED_TICKS, "host", "fast") or 0) > 1
        )

    observe(collector, claim)


def test_an_answer_that_comes_late_is_taken_all_the_same():
    collector, seen = Host(), []
    collector.gate.clear()

    def claim(readings, _):
        seen.append(value(readings, own.COLLECTOR_UP, "host"))
        if 0.0 in seen:
            collector.gate.set()
        return seen[-1] == 1.0 and loads(readings)

    observe(collector, claim)
    assert seen.index(0.0) < seen.index(1.0)


def test_a_collector_that_raises_loses_its_samples_and_comes_back():
    collector = Host()
    seen = []

    def claim(readings, _):
        seen.append(value(readings, own.COLLECTOR_UP, "host"))
        if 0.0 in seen:
            collector.error = None
        elif 1.0 in seen:
            collector.error = OSError("no /proc")
        return 0.0 in seen and seen[-1] == 1.0 and loads(readings)

    observe(collector, claim)


def test_a_worker_answers_in_order_and_passes_exceptions_on():
    async def run():
        worker = Worker("test")
        answers = await asyncio.gather(*[worker.ask(lambda number=number: number) for number in range(5)])
        with pytest.raises(ZeroDivisionError):
            await worker.ask(lambda: 1 // 0)
        return answers

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_who_stops_waiting_for_a_worker_disturbs_nobody():
    async def run():
        worker, gate = Worker("test"), threading.Event()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await worker.ask(gate.wait)
        next_answer = asyncio.create_task(worker.ask(lambda: "next"))
        await asyncio.sleep(0)
        gate.set()
        return await next_answer

    assert asyncio.run(run()) == "next"
