"""Clock, backoff, atomic files, tables and links."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.atomic import write_atomically
from warpgauge.core.clock import ManualClock, SystemClock
from warpgauge.core.errors import MissingExtraError, StorageError, WarpgaugeError
from warpgauge.core.links import dashboard_path, dashboard_uid, runbook_path
from warpgauge.core.retry import Backoff
from warpgauge.core.table import table

if TYPE_CHECKING:
    from pathlib import Path


def test_a_manual_clock_moves_only_when_told_to():
    clock = ManualClock(100.0)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (102.5, 102.5)


def test_a_manual_clock_never_goes_back():
    with pytest.raises(ValueError, match="a clock cannot go back"):
        ManualClock().advance(-1.0)


def test_the_system_clock_is_the_machines():
    before = time.time()
    assert before <= SystemClock().now() <= time.time()
    assert SystemClock().monotonic() <= SystemClock().monotonic()


def test_waits_double_up_to_the_limit():
    delays = Backoff(first_seconds=1, factor=2, max_seconds=5, jitter=0).delays()
    assert [next(delays) for _ in range(5)] == [1, 2, 4, 5, 5]


@given(st.floats(0.001, 10), st.floats(1, 5), st.floats(10, 1000), st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_jitter_only_shortens_and_never_passes_the_limit(first, factor, limit, jitter, chance):
    policy = Backoff(first_seconds=first, factor=factor, max_seconds=limit, jitter=jitter, random=lambda: chance)
    plain = Backoff(first_seconds=first, factor=factor, max_seconds=limit, jitter=0)
    for delay, whole, _ in zip(policy.delays(), plain.delays(), range(20), strict=False):
        assert whole * (1 - jitter) <= delay + 1e-9
        assert 0 <= delay <= whole <= limit


@pytest.mark.parametrize(
    "wrong", [{"first_seconds": 0}, {"factor": 0.5}, {"max_seconds": 0.5}, {"jitter": 1.5}, {"jitter": -0.1}]
)
def test_a_policy_that_would_not_wait_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Backoff(**wrong)


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_a_written_file_has_exactly_the_content_and_the_mode(tmp_path):
    path = tmp_path / "state.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["state.json"]


def test_content_is_on_disk_before_the_rename_and_the_rename_after_it(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"old")
    seen = []

    def sync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((kind, os.fstat(descriptor).st_size if kind == "file" else None, path.read_bytes()))

    write_atomically(path, b"newer", sync=sync)
    assert seen == [("file", 5, b"old"), ("directory", None, b"newer")]


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "state"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(StorageError, match=f"cannot write {path}"):
        write_atomically(path, b"new")
    assert names(tmp_path) == ["state"]
    assert names(path) == ["kept"]


def test_a_missing_directory_is_one_sentence(tmp_path):
    with pytest.raises(StorageError, match="No such file or directory"):
        write_atomically(tmp_path / "absent" / "file", b"")


def test_a_table_aligns_words_left_and_numbers_right():
    text = table(("NAME", "WATTS"), [("gpu0", 9.5), ("a long name", 412.5)], numeric={"WATTS"})
    assert text.split("\n") == ["NAME         WATTS", "gpu0           9.5", "a long name  412.5"]


def test_a_table_without_rows_is_its_header():
    assert table(("A", "B"), []) == "A  B"


def test_an_absent_cell_is_empty():
    assert table(("A", "B"), [(None, 1)]) == "A  B\n   1"


def test_a_label_from_outside_cannot_steer_the_terminal():
    assert "\x1b" not in table(("A",), [("\x1b[2J\n",)])


def test_a_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match="zip"):
        table(("A", "B"), [(1,)])


def test_dashboards_have_stable_addresses():
    assert dashboard_uid("fleet") == "warpgauge-fleet"
    assert dashboard_path("fleet", node="a b") == "/d/warpgauge-fleet/fleet?var-node=a%20b"


@pytest.mark.parametrize("name", ["x" * 31, "Fleet", "a/b", ""])
def test_a_name_that_grafana_would_refuse_is_refused(name):
    with pytest.raises(ValueError, match=r"must be lower-case|too long"):
        dashboard_uid(name)


def test_a_runbook_name_cannot_leave_its_folder():
    assert runbook_path("../../etc") == "/runbooks/..%2F..%2Fetc"


def test_a_missing_extra_names_the_command_that_brings_it():
    error = MissingExtraError(what="warpgauge analyze", package="numpy", extra="analyzer")
    assert str(error) == "warpgauge analyze needs numpy: pip install '.[analyzer]' in the checkout"
    assert isinstance(error, WarpgaugeError)
