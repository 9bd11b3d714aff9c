"""The executors stdout and file keep the contract, and what they write can be read."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import ExecutorContract, World, advice, undo_of
from warpgauge.executors import FileExecutor, Order, StreamExecutor

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.core.recommendation import Recommendation


class FullDisk(io.StringIO):
    def write(self, _: str) -> int:
        msg = "No space left on device"
        raise OSError(msg)


class StreamWorld:
    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.executor = StreamExecutor(self.stream)
        self.said = ""

    def advice(self) -> Recommendation:
        return advice()

    def state(self) -> Any:
        return self.said if self.stream.closed else self.stream.getvalue()

    def make_unfit(self) -> None:
        self.said = self.stream.getvalue()
        self.stream.close()

    def make_failing(self) -> None:
        self.stream = FullDisk()
        self.executor._stream = self.stream


class TestStdout(ExecutorContract):
    finds_again = False

    @pytest.fixture
    def world(self) -> World:
        return StreamWorld()

    def is_undone(self, world: World) -> bool:
        done, undone = world.state().splitlines()
        return done.startswith("cordon device GPU-1") and undone.startswith("undo device GPU-1 in prod: uncordon it")


def full_disk(_: int) -> None:
    msg = "No space left on device"
    raise OSError(msg)


class FileWorld:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "orders.jsonl"
        self.executor = FileExecutor(self.path)

    def advice(self) -> Recommendation:
        return advice()

    def state(self) -> Any:
        return self.path.read_text() if self.path.is_file() else ""

    def make_unfit(self) -> None:
        self.path.unlink(missing_ok=True)
        self.path.mkdir()

    def make_failing(self) -> None:
        self.executor._sync = full_disk


class TestFile(ExecutorContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return FileWorld(tmp_path)

    def is_undone(self, world: World) -> bool:
        done, undone = map(json.loads, world.state().splitlines())
        return (done["do"], undone["do"], undone["of"]) == ("cordon", "undo", advice().id)


def test_a_line_says_what_to_do_to_what(tmp_path: Path) -> None:
    FileExecutor(tmp_path / "orders.jsonl").execute(Order(recommendation=advice()))
    assert json.loads((tmp_path / "orders.jsonl").read_text()) == {
        "key": advice().idempotency_key,
        "recommendation": advice().id,
        "do": "cordon",
        "of": advice().id,
        "cluster": "prod",
        "type": "device",
        "name": "GPU-1",
        "text": "Replace it.",
    }


def test_a_line_that_a_crash_cut_short_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    executor = FileExecutor(path)
    executor.execute(Order(recommendation=advice()))
    path.write_text(path.read_text()[:40])
    executor.execute(Order(recommendation=advice()))
    assert json.loads(path.read_text().splitlines()[1])["key"] == advice().idempotency_key


def test_an_undo_is_another_line_under_another_key(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    executor, order = FileExecutor(path), Order(recommendation=advice())
    refs = executor.execute(order)
    executor.execute(Order(recommendation=undo_of(advice()), undoes=advice(), refs=refs))
    assert len({json.loads(line)["key"] for line in path.read_text().splitlines()}) == 2
