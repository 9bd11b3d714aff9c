"""The outbox: nothing lost, nothing simulated where it must not go, one failing sink holds up no other."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.detectors.test_recommend import finding, plan
from warpgauge.analyzer.recommend import FileSink, Outbox, StreamSink
from warpgauge.core.recommendation import Recommendation, recommendation_from_event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def document(number: int = 1) -> Recommendation:
    (made,) = plan(finding(number=number)).fresh
    return made


class Recorder:
    """A sink that can be told to fail."""

    name = "recorder"
    batch = 100
    acts = False
    is_remote = False

    def __init__(self, *, takes_simulated: bool = False) -> None:
        self.takes_simulated = takes_simulated
        self.failing = False
        self.taken: list[bytes] = []

    def deliver(self, documents: Sequence[bytes]) -> None:
        if self.failing:
            msg = "no route to host"
            raise OSError(msg)
        self.taken += documents


def read_back(lines: str) -> list[Recommendation]:
    return [recommendation_from_event(json.loads(line)) for line in lines.splitlines()]


def test_documents_come_out_as_one_line_each(tmp_path: Path) -> None:
    stream = io.StringIO()
    outbox = Outbox(tmp_path, [FileSink(tmp_path / "out.jsonl"), StreamSink(stream)])
    outbox.put([document(1).to_event(), document(2).to_event()])
    assert outbox.deliver() == ()
    assert read_back(stream.getvalue()) == [document(1), document(2)]
    assert read_back((tmp_path / "out.jsonl").read_text()) == [document(1), document(2)]
    assert outbox.waiting() == 0
    outbox.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_in_words_what_is_advised():
    terminal, made = Terminal(), document(1)
    StreamSink(terminal).deliver([json.dumps(made.to_event()).encode()])
    assert terminal.getvalue() == f"recommendation ({made.kind.value}): {made.text.summary}\n"


def test_the_file_is_appended_to_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for number in (1, 2):
        FileSink(path).deliver([json.dumps(document(number).to_event()).encode()])
    assert len(read_back(path.read_text())) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_is_on_the_disk_before_a_delivery_counts(tmp_path: Path) -> None:
    path, forced = tmp_path / "out.jsonl", []
    sink = FileSink(path, sync=lambda descriptor: forced.append((os.fstat(descriptor).st_ino, path.read_text())))
    sink.deliver([b"{}"])
    assert forced == [(path.stat().st_ino, "{}\n")]


def test_a_line_that_a_crash_cut_short_spoils_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"specversion": "1.')
    FileSink(path).deliver([json.dumps(document().to_event()).encode()])
    assert read_back(path.read_text().split("\n", 1)[1]) == [document()]


def test_a_sink_that_fails_gets_its_documents_later_and_holds_up_no_other(tmp_path: Path) -> None:
    recorder, stream = Recorder(), io.StringIO()
    recorder.failing = True
    outbox = Outbox(tmp_path, [recorder, StreamSink(stream)])
    outbox.put([document().to_event()])
    assert outbox.deliver() == ("documents wait: recorder failed: no route to host",)
    assert stream.getvalue()
    recorder.failing = False
    assert outbox.deliver() == ()
    assert len(recorder.taken) == 1
    outbox.close()


def test_what_was_stored_survives_a_restart(tmp_path: Path) -> None:
    first = Outbox(tmp_path, [Recorder()])
    first.put([document().to_event()])
    first.close()
    recorder = Recorder()
    second = Outbox(tmp_path, [recorder])
    second.deliver()
    assert recommendation_from_event(json.loads(recorder.taken[0])) == document()
    second.close()


def test_nothing_simulated_reaches_a_sink_that_does_not_take_it(tmp_path: Path) -> None:
    recorder, stream = Recorder(), io.StringIO()
    outbox = Outbox(tmp_path, [recorder, StreamSink(stream)])
    outbox.put([replace(document(), simulated=True).to_event()])
    outbox.deliver()
    assert not recorder.taken
    assert read_back(stream.getvalue())[0].simulated
    outbox.close()


def test_what_is_held_while_a_document_is_delivered_waits_and_goes_out_later(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.batch = 1
    outbox = Outbox(tmp_path, [recorder])
    outbox.put([document(1).to_event(), document(2).to_event()])
    assert outbox.deliver(is_held=lambda: bool(recorder.taken)) == ()
    assert (len(recorder.taken), outbox.waiting()) == (1, 1)
    outbox.deliver()
    assert len(recorder.taken) == 2
    outbox.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.detectors.test_outbox import document
from warpgauge.analyzer.recommend import Outbox

class Killer:
    name = "recorder"
    batch = 100
    acts = False
    is_remote = False
    takes_simulated = False
    def deliver(self, documents):
        os.kill(os.getpid(), signal.SIGKILL)

outbox = Outbox(Path(sys.argv[1]), [Killer()])
outbox.put([document(1).to_event(), document(2).to_event()])
outbox.deliver()
"""


def test_a_kill_in_the_middle_of_a_delivery_loses_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    recorder = Recorder()
    outbox = Outbox(tmp_path, [recorder])
    outbox.deliver()
    taken = [recommendation_from_event(json.loads(body)).idempotency_key for body in recorder.taken]
    assert taken == [document(1).idempotency_key, document(2).idempotency_key]
    outbox.close()
