"""The durable queue: nothing acknowledged to the caller is lost, nothing lost goes uncounted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import StorageError
from warpgauge.core.queue import DurableQueue, QueueStats

CHILD = Path(__file__).with_name("queue_child.py")


@pytest.fixture
def clock():
    return ManualClock(1000.0)


@pytest.fixture
def make(tmp_path, clock):
    """Open a queue in one and the same file; all are closed at the end."""
    opened = []

    def build(*, max_bytes=1000, max_age_seconds=100.0, path=tmp_path / "queue.db") -> DurableQueue:
        opened.append(DurableQueue(path, max_bytes=max_bytes, max_age_seconds=max_age_seconds, clock=clock))
        return opened[-1]

    yield build
    for queue in opened:
        queue.close()


def bodies(queue: DurableQueue) -> list[bytes]:
    return [batch.body for batch in queue.peek(1000)]


def test_batches_come_out_in_the_order_they_went_in(make):
    queue = make()
    for body in (b"a", b"", b"c"):
        queue.append(body)
    assert bodies(queue) == [b"a", b"", b"c"]


def test_peek_gives_at_most_what_is_asked_for_and_keeps_it(make):
    queue = make()
    for body in (b"a", b"b", b"c"):
        queue.append(body)
    assert [batch.body for batch in queue.peek(2)] == [b"a", b"b"]
    assert queue.stats().records == 3


def test_an_acknowledged_batch_is_gone_and_counted_once(make):
    queue = make()
    number = queue.append(b"a")
    assert (queue.ack([number, number]), queue.ack([number])) == (1, 0)
    assert queue.stats() == QueueStats(records=0, bytes=0, oldest_timestamp=None, acked=1, dropped=0, dead_lettered=0)


def test_ids_rise_and_are_never_used_again(make):
    queue = make()
    first = queue.append(b"a")
    queue.ack([first])
    assert queue.append(b"b") > first


def test_the_oldest_are_dropped_and_counted_when_room_runs_out(make):
    queue = make(max_bytes=25)
    for number in range(4):
        queue.append(bytes([number]) * 10)
    assert bodies(queue) == [bytes([2]) * 10, bytes([3]) * 10]
    assert (queue.stats().dropped, queue.stats().bytes) == (2, 20)


def test_nothing_is_dropped_while_there_is_room(make):
    queue = make(max_bytes=30)
    for number in range(3):
        queue.append(bytes([number]) * 10)
    assert queue.stats().dropped == 0


def test_what_is_too_old_is_dropped_and_counted(make, clock):
    queue = make()
    queue.append(b"old")
    clock.advance(60)
    queue.append(b"young")
    clock.advance(50)
    assert bodies(queue) == [b"young"]
    assert queue.stats().dropped == 1


def test_what_is_too_old_goes_while_nobody_reads(make, clock):
    queue = make()
    queue.append(b"old")
    clock.advance(101)
    queue.append(b"young")
    assert (queue.stats().records, queue.stats().dropped) == (1, 1)


def test_what_is_exactly_as_old_as_allowed_stays(make, clock):
    queue = make()
    queue.append(b"old")
    clock.advance(100)
    assert bodies(queue) == [b"old"]


def test_the_oldest_timestamp_is_that_of_the_first_batch_still_there(make, clock):
    queue = make()
    first = queue.append(b"a")
    clock.advance(5)
    queue.append(b"b")
    queue.ack([first])
    assert queue.stats().oldest_timestamp == 1005.0


def test_a_dead_letter_is_kept_with_its_reason_and_never_delivered(make):
    queue = make()
    number = queue.append(b"bad")
    assert queue.dead_letter([number], "400 Bad Request") == 1
    ((batch, reason),) = queue.dead_letters(10)
    assert (batch.id, batch.body, reason) == (number, b"bad", "400 Bad Request")
    assert bodies(queue) == []
    assert queue.ack([number]) == 0


def test_dead_letters_make_room_first_and_do_not_count_as_dropped(make):
    queue = make(max_bytes=30)
    queue.append(b"live" + b"-" * 6)
    queue.dead_letter([queue.append(b"dead" + b"-" * 6)], "refused")
    for number in range(2):
        queue.append(bytes([number]) * 10)
    assert queue.stats() == QueueStats(
        records=3, bytes=30, oldest_timestamp=1000.0, acked=0, dropped=0, dead_lettered=1
    )


def test_a_batch_larger_than_the_queue_is_refused_and_drops_nothing(make):
    queue = make(max_bytes=10)
    queue.append(b"kept")
    with pytest.raises(StorageError, match="11 bytes is larger than the whole queue may be"):
        queue.append(b"x" * 11)
    assert bodies(queue) == [b"kept"]


def test_contents_and_counters_survive_a_restart(make):
    queue = make(max_bytes=25)
    for number in range(4):
        queue.append(bytes([number]) * 10)
    queue.ack([3])
    before = queue.stats()
    queue.close()
    again = make(max_bytes=25)
    assert again.stats() == before
    assert bodies(again) == [bytes([3]) * 10]


def test_two_openers_of_one_file_see_each_others_batches(make):
    one, two = make(), make()
    number = one.append(b"a")
    assert two.ack([number]) == 1
    assert one.stats().acked == 1


@pytest.mark.parametrize(("synchronous", "level"), [("NORMAL", 1), ("FULL", 2)])
def test_the_promise_for_a_power_cut_reaches_sqlite(tmp_path, synchronous, level):
    path = tmp_path / "queue.db"
    with DurableQueue(path, max_bytes=10, max_age_seconds=1, synchronous=synchronous) as queue:
        assert queue._connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert queue._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_file_is_readable_by_its_owner_only(make, tmp_path):
    make()
    assert (tmp_path / "queue.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\x00", b"\x00" * 4096])
def test_a_file_that_is_no_queue_is_refused_and_left_as_it_was(make, tmp_path, content):
    path = tmp_path / "queue.db"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"queue\.db is not a readable queue of ours .*; move it away"):
        make()
    assert path.read_bytes() == content
    assert [item.name for item in tmp_path.iterdir()] == ["queue.db"]


def test_another_applications_database_is_refused_and_left_as_it_was(make, tmp_path):
    path = tmp_path / "queue.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE precious (x)")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    with pytest.raises(StorageError, match="belongs to another application"):
        make()
    assert path.read_bytes() == content


def test_damage_inside_the_file_is_named_and_nothing_is_deleted(make, tmp_path):
    queue = make(max_bytes=100_000)
    for number in range(50):
        queue.append(bytes([number]) * 1000)
    queue.close()
    path = tmp_path / "queue.db"
    content = path.read_bytes()
    damaged = content[:4096] + b"\xff" * (len(content) - 4096)
    path.write_bytes(damaged)
    with pytest.raises(StorageError, match=r"queue\.db is not a readable queue of ours"):
        make(max_bytes=100_000).peek(10)
    assert path.read_bytes() == damaged


def test_a_missing_directory_is_one_sentence(make, tmp_path):
    with pytest.raises(StorageError, match=r"cannot open the queue .*: No such file or directory"):
        make(path=tmp_path / "absent" / "queue.db")


def test_a_full_disk_is_one_sentence_and_loses_nothing(make):
    queue = make(max_bytes=10**9)
    queue.append(b"kept")
    pages = queue._connection.execute("PRAGMA page_count").fetchone()[0]
    queue._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="full; check free space"):
        queue.append(b"x" * 100_000)
    assert bodies(queue) == [b"kept"]
    assert queue.stats().bytes == 4


def test_a_file_locked_by_another_process_is_one_sentence(make, tmp_path):
    queue = make()
    queue._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="database is locked; check"):
        queue.append(b"x")
    other.close()


def test_use_after_close_is_the_callers_fault(make):
    queue = make()
    queue.close()
    with pytest.raises(sqlite3.ProgrammingError):
        queue.append(b"x")


STEPS = st.lists(
    st.tuples(st.just("append"), st.integers(0, 12))
    | st.tuples(st.sampled_from(["ack", "dead"]), st.integers(1, 12))
    | st.tuples(st.just("advance"), st.integers(1, 40))
    | st.tuples(st.just("reopen"), st.just(0)),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_every_batch_is_stored_acked_dead_or_counted_as_dropped(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("queue") / "queue.db"
    clock = ManualClock(0.0)
    queue = DurableQueue(path, max_bytes=30, max_age_seconds=50, clock=clock)
    appended = 0
    for verb, number in steps:
        if verb == "append":
            appended = queue.append(b"x" * number)
        elif verb == "ack":
            queue.ack([number])
        elif verb == "dead":
            queue.dead_letter([number], "refused")
        elif verb == "advance":
            clock.advance(number)
        else:
            queue.close()
            queue = DurableQueue(path, max_bytes=30, max_age_seconds=50, clock=clock)
        stats = queue.stats()
        assert stats.records + stats.acked + stats.dropped + stats.dead_lettered == appended
        assert stats.bytes == stored_bytes(queue) <= 30
    queue.close()


def stored_bytes(queue: DurableQueue) -> int:
    return queue._connection.execute("SELECT coalesce(sum(length(body)), 0) FROM batches").fetchone()[0]


def run_child(path: Path, fatal: int) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, CHILD, path, str(fatal)], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == (-9 if fatal else 0), done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_log_cut_at_any_byte_leaves_the_first_batches_in_order(make, tmp_path):
    """What a power cut leaves of the write-ahead log is its beginning."""
    stored = [f"batch {number}".encode() for number in range(8)]
    writer = make(path=tmp_path / "whole.db")
    for body in stored:
        writer.append(body)
    main, log = ((tmp_path / f"whole.db{end}").read_bytes() for end in ("", "-wal"))
    found = []
    for cut in (*range(0, len(log), 1277), len(log)):
        (tmp_path / "cut.db").write_bytes(main)
        (tmp_path / "cut.db-wal").write_bytes(log[:cut])
        (tmp_path / "cut.db-shm").unlink(missing_ok=True)
        reader = make(path=tmp_path / "cut.db")
        found.append(bodies(reader))
        reader.close()
    assert all(left == stored[: len(left)] for left in found)
    assert len(found[-1]) == 8
    assert {len(left) for left in found} == set(range(9))


def test_a_process_killed_before_any_statement_breaks_no_promise(tmp_path):
    statements = int(run_child(tmp_path / "whole.db", 0)[-1][1])
    assert statements > 50
    for fatal in range(1, statements + 1):
        path = tmp_path / f"killed-{fatal}.db"
        promises = run_child(path, fatal)
        assert_promises_kept(path, promises)


def assert_promises_kept(path: Path, promises: list[list[str]]) -> None:
    """Compare the file with what the child was told, and with one step more: the kill may have come after a commit."""
    clock = ManualClock(1000.0 if not any(promise[0] == "dead" for promise in promises) else 1101.0)
    with DurableQueue(path, max_bytes=50, max_age_seconds=1000, clock=clock) as queue:
        stats = queue.stats()
        stored = {batch.id for batch in queue.peek(100)}
    appended = [int(promise[1]) for promise in promises if promise[0] == "appended"]
    total = stats.records + stats.acked + stats.dropped + stats.dead_lettered
    assert total in {len(appended), len(appended) + 1}
    newest = deque(appended, maxlen=1)
    acked = any(promise[0] == "acked" for promise in promises)
    assert (stats.acked, 2 in stored) in ({(1, False)} if acked else {(0, True), (0, False), (1, False)})
    assert set(newest) <= stored or len(promises) > 7  # later steps may have removed it, and counted that
    assert stats.bytes <= 50


@pytest.mark.slow
def test_a_process_killed_at_any_moment_loses_no_batch_it_was_told_is_stored(tmp_path):
    program = (
        "import sys; from pathlib import Path; from warpgauge.core.queue import DurableQueue\n"
        "queue = DurableQueue(Path(sys.argv[1]), max_bytes=10**8, max_age_seconds=1e9)\n"
        "while True: print(queue.append(b'x' * 3000), flush=True)\n"
    )
    for lines in (1, 2, 7, 30, 400):
        path = tmp_path / f"{lines}.db"
        child = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
        told = [int(child.stdout.readline()) for _ in range(lines)]
        child.kill()
        told += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        with DurableQueue(path, max_bytes=10**8, max_age_seconds=1e9) as queue:
            stored = [batch.id for batch in queue.peek(10**6)]
            assert stored[: len(told)] == told
            assert len(stored) - len(told) <= 1
            assert queue.stats().bytes == 3000 * len(stored)
