"""A sink at work: in order, only an acknowledgement removes, nothing is lost uncounted, nobody waits."""

from __future__ import annotations

import threading

import pytest

from warpgauge.core.clock import ManualClock
from warpgauge.core.config import PushConfig
from warpgauge.core.queue import DurableQueue
from warpgauge.core.retry import Backoff
from warpgauge.exporters.push.queues import delivery_of
from warpgauge.exporters.push.sink import Acked, Dead, Outcome, Retry
from warpgauge.exporters.push.worker import Delivery


class Script:
    """A sink that answers as it is told and keeps what it acknowledged."""

    name = "script"

    def __init__(self, *answers: Outcome) -> None:
        self.answers = list(answers)
        self.has: list[bytes] = []
        self.tried: list[bytes] = []
        self.arrived = threading.Semaphore(0)

    def encode(self, batch: str) -> bytes:
        return batch.encode("ascii")

    def send(self, body: bytes) -> Outcome:
        self.tried.append(body)
        answer = self.answers.pop(0) if self.answers else Acked()
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Acked):
            self.has.append(body)
            self.arrived.release()
        return answer

    def check(self) -> str:
        return "here"

    def close(self) -> None:
        pass


@pytest.fixture
def make(tmp_path):
    opened = []

    def build(sink: Script, **options) -> Delivery[str]:
        clock = ManualClock(1000.0)
        queue = DurableQueue(tmp_path / "q.db", max_bytes=100, max_age_seconds=100.0, clock=clock)
        backoff = Backoff(first_seconds=1.0, max_seconds=8.0, jitter=0.0)
        opened.append(Delivery(sink, queue, clock=clock, backoff=backoff, **options))
        return opened[-1]

    yield build
    for delivery in opened:
        delivery.close()


def test_batches_are_sent_in_order_and_leave_on_acknowledgement(make):
    sink = Script()
    delivery = make(sink)
    for word in ("a", "b"):
        delivery.store(word)
    assert [delivery.step(), delivery.step(), delivery.step()] == [0.0, 0.0, None]
    assert sink.has == [b"a", b"b"]
    assert (delivery.stats().records, delivery.stats().acked) == (0, 2)


def test_a_batch_that_is_not_taken_stays_in_front(make):
    sink = Script(Retry("busy"), Retry("busy"))
    delivery = make(sink)
    for word in ("a", "b"):
        delivery.store(word)
    assert [delivery.step(), delivery.step(), delivery.step()] == [1.0, 2.0, 0.0]
    assert sink.tried == [b"a", b"a", b"a"]
    assert delivery.stats().retries == 2


def test_the_wait_that_a_receiver_asks_for_is_kept(make):
    delivery = make(Script(Retry("busy", 30.0)))
    delivery.store("a")
    assert delivery.step() == 30.0
    assert delivery.stats().trouble == "batches wait: busy"


def test_waits_begin_anew_after_a_success(make):
    delivery = make(Script(Retry("busy"), Acked(), Retry("busy")))
    for word in ("a", "b"):
        delivery.store(word)
    assert [delivery.step() for _ in range(3)] == [1.0, 0.0, 1.0]


def test_what_is_refused_for_good_is_set_aside_and_the_next_is_sent(make):
    sink = Script(Dead("HTTP 400 bad"))
    delivery = make(sink)
    for word in ("a", "b"):
        delivery.store(word)
    assert [delivery.step(), delivery.step()] == [0.0, 0.0]
    assert sink.has == [b"b"]
    assert (delivery.stats().dead_lettered, delivery.stats().acked) == (1, 1)


def test_a_fault_of_the_sink_costs_no_batch(make):
    sink = Script(ZeroDivisionError("oops"))
    delivery = make(sink)
    delivery.store("a")
    assert delivery.step() == 1.0
    delivery.step()
    assert sink.has == [b"a"]


def test_a_batch_that_cannot_be_written_down_is_counted(make):
    delivery = make(Script())
    assert not delivery.store("ä")
    assert delivery.stats().dropped == 1


def test_a_receiver_that_is_away_does_not_hide_that_nothing_is_stored(make):
    delivery = make(Script(Retry("away")))
    delivery.store("a")
    delivery.store("a batch without é")
    delivery.step()

    assert delivery.trouble.startswith("a batch was dropped: ")

    delivery.store("b")
    assert delivery.trouble == "batches wait: away"


def test_a_batch_larger_than_the_queue_is_counted(make):
    delivery = make(Script())
    assert not delivery.store("x" * 101)
    assert delivery.stats().dropped == 1


def test_refused_records_of_a_batch_are_counted_and_told(make):
    delivery = make(Script(Acked(refused=3, reason="no such unit")))
    delivery.store("a")
    delivery.step()
    assert (delivery.stats().refused, delivery.stats().acked) == (3, 1)
    assert delivery.stats().trouble == "3 records were refused: no such unit"


def test_an_offer_waits_for_nothing_and_what_is_too_much_is_counted(make):
    delivery = make(Script())
    for number in range(70):  # nothing stores them: as if the disk hung
        delivery.offer(str(number))
    assert delivery.stats().dropped == 6


def test_the_threads_deliver_what_is_offered(make):
    sink = Script()
    delivery = make(sink)
    delivery.start()
    delivery.offer("a")
    delivery.offer("b")
    assert sink.arrived.acquire(timeout=5)
    assert sink.arrived.acquire(timeout=5)
    assert sink.has == [b"a", b"b"]


def test_a_stop_stores_what_was_offered(tmp_path, make):
    delivery = make(Script(*[Retry("down", 1000.0)] * 3))
    delivery.start()
    for word in ("a", "b", "c"):
        delivery.offer(word)
    delivery.close()
    with DurableQueue(tmp_path / "q.db", max_bytes=100, max_age_seconds=100.0, clock=ManualClock(1000.0)) as queue:
        assert [batch.body for batch in queue.peek(9)] == [b"a", b"b", b"c"]


def test_a_batch_that_a_receiver_cannot_digest_makes_way_once_the_next_is_taken(make):
    fault = Retry("HTTP 500", is_suspect=True)
    sink = Script(*[fault] * 10)
    delivery = make(sink)
    for word in ("poison", "b", "c"):
        delivery.store(word)
    for _ in range(11):
        delivery.step()
    assert sink.has == [b"b", b"c"]
    assert (delivery.stats().dead_lettered, delivery.stats().acked) == (1, 2)


def test_a_receiver_that_takes_nothing_costs_no_batch_however_long(make):
    fault = Retry("HTTP 500", is_suspect=True)
    sink = Script(*[fault] * 60)
    delivery = make(sink)
    for word in ("a", "b"):
        delivery.store(word)
    for _ in range(30):
        delivery.step()
    assert delivery.stats().records == 2
    assert delivery.stats().dead_lettered == 0


def test_a_receiver_that_never_answers_keeps_nobody_from_storing(make):
    answer = threading.Event()

    class Silent(Script):
        def send(self, body: bytes) -> Outcome:
            answer.wait(5)
            return super().send(body)

    sink = Silent()
    delivery = make(sink)
    delivery.start()
    for word in ("a", "b", "c"):
        delivery.offer(word)
    while delivery.stats().records < 3:
        pass
    assert sink.tried == []
    answer.set()
    assert all(sink.arrived.acquire(timeout=5) for _ in range(3))


def test_after_seven_days_without_a_receiver_everything_drains_in_order_and_paced(tmp_path):
    """A push every ten minutes through the settings' own queue, which keeps it for a week."""
    clock, settings, sink = ManualClock(1e9), PushConfig(), Script()
    delivery = delivery_of(sink, tmp_path, settings, clock)
    pushes = 7 * 24 * 6
    for number in range(pushes):
        assert delivery.store(f"{number}")
        if number % 144 == 0:
            sink.answers.append(Retry("no route to host"))
            delivery.step()
        clock.advance(600)
    began, waits = clock.monotonic(), []
    while (seconds := delivery.step()) is not None:
        waits.append(seconds)
        clock.advance(seconds)
    assert sink.has == [str(number).encode() for number in range(pushes)]
    assert set(waits) == {settings.pace_seconds}
    assert clock.monotonic() - began == pytest.approx(pushes * settings.pace_seconds)
    assert (delivery.stats().acked, delivery.stats().dropped) == (pushes, 0)
    delivery.close()
