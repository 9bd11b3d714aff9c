"""The history's thread: bounded, never in the way, and honest about what it lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.history.conftest import START, page
from tests.real_servers import wait_until
from warpgauge.analyzer.history import keeping
from warpgauge.analyzer.history.book import Book
from warpgauge.analyzer.history.recorder import Recorder
from warpgauge.analyzer.history.rows import Rows
from warpgauge.analyzer.history.writer import HistoryWriter
from warpgauge.analyzer.parquet import encoded, encoded_told
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import HistoryConfig
from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def rows(count: int, at: float = START, book: Book | None = None) -> Rows:
    book = book or Book(most_series=10)
    number = book.number("host_load1", {"node": "n1"})
    times_ms = np.full(count, int(at * 1000), dtype=np.int64)
    return Rows(book, np.full(count, number, dtype=np.int32), times_ms, np.ones(count))


def writer(folder: Path, **settings) -> HistoryWriter:
    most = settings.pop("most_waiting", 1000)
    config = HistoryConfig(enabled=True, **settings)
    return HistoryWriter(config, folder, ManualClock(START), encoded, encoded_told, most_waiting=most)


def test_what_finds_no_room_is_dropped_and_counted(tmp_path):
    history = writer(tmp_path, most_waiting=100)
    for _ in range(5):
        history.offer(rows(30))

    stats = history.stats()

    assert (stats.waiting, stats.dropped["queue"]) == (90, 60)


def test_a_disk_that_fails_leaves_the_rows_waiting_and_says_so(tmp_path):
    history = writer(tmp_path)
    (tmp_path / "date=2025-06-15").write_text("in the way")
    history.offer(rows(10))
    history.flush()

    assert history.stats().waiting == 10
    assert "date=2025-06-15" in history.stats().trouble

    (tmp_path / "date=2025-06-15").unlink()
    history.flush()

    stats = history.stats()
    assert (stats.waiting, stats.written, stats.trouble) == (0, 10, "")


def test_a_disk_that_goes_on_failing_costs_no_more_memory_than_may_wait(tmp_path):
    history = writer(tmp_path, most_waiting=100)
    (tmp_path / "date=2025-06-15").write_text("in the way")
    for _ in range(10):
        history.offer(rows(40))
        history.flush()

    stats = history.stats()
    assert stats.waiting <= 100
    assert stats.waiting + stats.dropped["queue"] == 400


def test_what_is_older_than_it_may_be_is_not_written_at_all(tmp_path):
    history = writer(tmp_path, max_age_seconds=3600.0)
    history.offer(rows(3, at=START - 3601))
    history.flush()

    assert history.stats().dropped["age"] == 3


def test_files_that_are_too_old_or_too_much_go_and_are_counted(tmp_path):
    history = writer(tmp_path, max_age_seconds=7200.0, max_bytes=1_000_000)
    for hours in (1.5, 0.5):
        history.offer(rows(5, at=START - 3600 * hours))
        history.flush()
    history._clock.advance(3600)
    history.flush()

    assert history.stats().dropped["age"] == 5
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_the_thread_writes_at_the_interval_and_the_rest_at_the_end(tmp_path):
    with keeping(HistoryConfig(enabled=True, flush_interval_seconds=0.05), tmp_path, ManualClock(START)) as history:
        history.offer(rows(1))
        wait_until(lambda: history.stats().written == 1, what="the first file")
        history.offer(rows(2))

    assert history.stats().written == 3
    assert (tmp_path / "history").is_dir()


def test_without_the_setting_nothing_is_made(tmp_path):
    with keeping(HistoryConfig(), tmp_path, ManualClock()) as history:
        assert history is None

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "history").write_text("")

    with pytest.raises(StorageError, match="history"), keeping(HistoryConfig(enabled=True), tmp_path, ManualClock()):
        pass


def test_a_disk_that_hangs_does_not_hold_up_the_frame(tmp_path):
    """Encoding stands for everything slow: what the frame's thread does meanwhile takes as long as ever."""
    begun: list[float] = []

    def slow(found: Rows) -> memoryview:
        begun.append(time.monotonic())
        while not history._is_closing:
            time.sleep(0.001)
        return encoded(found)

    config = HistoryConfig(enabled=True, flush_interval_seconds=0.01)
    history = HistoryWriter(config, tmp_path, ManualClock(START), slow, encoded_told, most_waiting=50)
    history.start()
    history.offer(rows(10))
    wait_until(lambda: begun, what="the writer is at work")
    for _ in range(10):
        history.offer(rows(10))  # none of these may wait; a test that hangs fails
    stats = history.stats()
    history.close()

    assert (stats.waiting, stats.dropped["queue"]) == (50, 50)


def test_a_batch_costs_the_frames_thread_a_few_array_operations(kept):
    """No series is looked at one by one after its first sight."""
    history = kept()
    history.scrape(0, page(0))
    described: list[object] = []
    history.recorder.describe = lambda *told: described.append(told)
    history.scrape(10, page(1))

    assert isinstance(history.recorder, Recorder)
    assert described == []
    assert history.writer.stats().waiting == 24
