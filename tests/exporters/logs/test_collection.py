"""What is collected reaches every queue, within a rate; lines of files are told again after a crash, never left out."""

from __future__ import annotations

import logging

import pytest

from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import StorageError
from warpgauge.exporters.logs.collection import Collection
from warpgauge.exporters.logs.files import LogFiles, read_positions
from warpgauge.exporters.logs.own_events import OwnEvents

XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
OURS = '{"schema": "warpgauge.log-positions/v1", "files": {"a": %s}}'
OUT_OF_RANGE = '{"device": 1, "inode": 1, "offset": 9, "seen": 1, "head": "", "generation": 0, "is_in_cut_line": false}'


class Store:
    def __init__(self):
        self.records = []
        self.is_full = False

    def store(self, batch):
        if not self.is_full:
            self.records += batch
        return not self.is_full

    @property
    def messages(self):
        return [record.message for record in self.records]


class Site:
    """A collection over a folder of logs, which can be ended as a crash would end it."""

    def __init__(self, folder, *, rate=1000, most_files=8, events=None):
        self.folder, self.rate, self.most_files, self.events = folder, rate, most_files, events
        self.clock, self.store, self.second = ManualClock(), Store(), Store()
        self.start()

    def start(self):
        self.files = LogFiles(
            [str(self.folder / "*.log")], self.folder / "positions.json",
            most_files=self.most_files, max_line_bytes=100,
        )  # fmt: skip
        self.collection = Collection(
            [self.store, self.second], node="n1", clock=self.clock,
            whose=lambda address: ("GPU-1", "77") if address == "0000:3b:00.0" else ("", ""),
            events=self.events, files=self.files, most_per_second=self.rate,
        )  # fmt: skip

    def collect(self, times=1):
        for _ in range(times):
            self.clock.advance(1)
            self.collection.collect()

    def write(self, name, text):
        with (self.folder / name).open("a") as file:
            file.write(text)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.collect()
    yield made
    made.files.close()


def test_a_report_of_the_kernel_names_device_and_job(site):
    site.collection.hear(XID)
    site.collect()
    (record,) = site.store.records
    assert record.time == site.clock.now() - 1
    assert {**record.document(), "id": ""} == {
        "id": "", "source": "kernel", "kind": "xid", "severity": "critical", "message": XID, "node": "n1",
        "uuid": "GPU-1", "pci_bus_id": "0000:3b:00.0", "job_id": "77", "xid": 79,
    }  # fmt: skip


def test_other_lines_of_the_kernel_stay_where_they_are(site):
    site.collection.hear("usb 1-1: new device")
    site.collect()
    assert site.store.records == []


def test_lines_of_files_come_with_their_file(site):
    site.write("a.log", "one\ntwo\n")
    site.collect()
    assert [(it.message, it.source, it.kind) for it in site.store.records] == [
        ("one", str(site.folder / "a.log"), "line"), ("two", str(site.folder / "a.log"), "line"),
    ]  # fmt: skip


def test_every_sink_gets_every_record(site):
    site.write("a.log", "one\n")
    site.collection.hear(XID)
    site.collect()
    assert sorted(site.second.messages) == sorted(site.store.messages) == sorted(["one", XID])


def test_what_a_file_held_before_the_first_start_is_not_told(tmp_path):
    (tmp_path / "a.log").write_text("old\n")
    site = Site(tmp_path)
    site.collect()
    site.write("a.log", "new\n")
    site.write("b.log", "of a file that came later\n")
    site.collect()
    site.files.close()
    assert sorted(site.store.messages) == ["new", "of a file that came later"]


def test_a_restart_goes_on_where_it_was(site):
    site.write("a.log", "one\n")
    site.collect()
    site.files.close()
    site.write("a.log", "two\n")
    site.start()
    site.collect()
    assert site.store.messages == ["one", "two"]


def test_while_a_queue_takes_nothing_the_lines_wait_and_after_a_crash_they_come_again_with_the_same_id(site):
    site.second.is_full = True
    site.write("a.log", "one\n")
    site.collect(3)
    site.files.close()  # a crash: nothing of memory is left
    site.second.is_full = False
    site.start()
    site.collect()
    assert site.second.messages == ["one"]
    assert len({record.id for record in site.store.records}) == 1


def test_the_rate_makes_files_wait_and_loses_no_line(tmp_path):
    site = Site(tmp_path, rate=10)
    site.collect()
    site.write("a.log", "".join(f"{number}\n" for number in range(35)))
    counts = []
    for _ in range(5):
        site.collect()
        counts.append(len(site.store.records))
    site.files.close()
    assert counts == [10, 20, 30, 35, 35]


def test_a_busy_file_does_not_starve_another(tmp_path):
    site = Site(tmp_path, rate=10)
    site.collect()
    site.write("a.log", "busy\n" * 1000)
    site.write("b.log", "quiet\n")
    site.collect(3)
    site.files.close()
    assert "quiet" in site.store.messages


def test_the_kernel_beyond_the_rate_is_dropped_and_counted(tmp_path):
    site = Site(tmp_path, rate=10)
    for _ in range(25):
        site.collection.hear(XID)
    site.collect()
    assert (len(site.store.records), site.collection.dropped) == (10, 15)


def test_more_files_than_allowed_are_left_out_and_counted(tmp_path, caplog):
    site = Site(tmp_path, most_files=2)
    for name in "abc":
        site.write(f"{name}.log", "x\n")
    site.collect()
    site.collect()
    site.files.close()
    assert site.files.left_out == 1
    assert [record.message for record in caplog.records] == ["log files left out"]


def test_files_are_searched_for_at_every_nth_reading_only(tmp_path):
    (tmp_path / "positions.json").write_text(OURS.replace('{"a": %s}', "{}"))
    files = LogFiles(
        [str(tmp_path / "*.log")],
        tmp_path / "positions.json",
        most_files=8,
        max_line_bytes=100,
        reads_between_searches=3,
    )
    assert files.read(10) == []
    (tmp_path / "a.log").write_text("one\n")
    assert [len(files.read(10)) for _ in range(3)] == [0, 0, 1]
    files.close()


def test_a_file_that_is_removed_is_let_go(site):
    site.write("a.log", "one\n")
    site.collect()
    (site.folder / "a.log").unlink()
    site.collect()
    site.write("a.log", "again\n")
    site.collect()
    assert site.store.messages == ["one", "again"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema": "other", "files": {}}', OURS % "{}", OURS % OUT_OF_RANGE],
)  # fmt: skip
def test_positions_that_are_not_ours_are_refused_not_overwritten(tmp_path, content):
    path = tmp_path / "positions.json"
    path.write_text(content)
    with pytest.raises(StorageError, match="holds no log positions of ours"):
        read_positions(path)
    assert path.read_text() == content


def test_our_own_events_become_records_with_their_fields(tmp_path):
    events = OwnEvents()
    site = Site(tmp_path, events=events)
    logger = logging.getLogger("warpgauge.exporters.supervisor")
    events.handle(logger.makeRecord(logger.name, logging.WARNING, "", 0, "device lost", (), None,
                                    extra={"device": "GPU-1", "seconds": 2.5}))  # fmt: skip
    site.collect()
    (record,) = site.store.records
    assert (record.kind, record.severity, record.message, record.uuid) == ("event", "warning", "device lost", "GPU-1")
    assert record.attributes == {"device": "GPU-1", "seconds": 2.5, "logger": "warpgauge.exporters.supervisor"}


@pytest.mark.parametrize(
    ("name", "source"), [("warpgauge.exporters.push.worker", ""), ("warpgauge.exporters.device_events", "kernel_log")]
)
def test_what_would_come_back_or_twice_is_no_event(name, source):
    events = OwnEvents()
    logger = logging.getLogger(name)
    events.handle(logger.makeRecord(name, logging.ERROR, "", 0, "x", (), None, extra={"source": source}))
    assert events.take() == ([], 0)


def test_events_that_nobody_takes_are_bounded_and_counted():
    events = OwnEvents()
    record = logging.makeLogRecord({"name": "warpgauge.x", "levelno": logging.INFO, "msg": "x" * 10_000})
    for _ in range(1200):
        events.handle(record)
    taken, dropped = events.take()
    assert (len(taken), dropped, len(taken[0][2])) == (1000, 200, 1024)
