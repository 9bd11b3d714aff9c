"""A followed file loses no byte, wherever it is rotated, cut or the reader is restarted."""

from __future__ import annotations

import gzip
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warpgauge.exporters.logs.follow import FollowedFile

TEXT = b"one\ntwo two\n\nthree, longer than the others\nfour\n"
LIMIT = 64


class Reader:
    """A follower that can be killed: it goes on from the position it had, with nothing else."""

    def __init__(self, path, *, limit=LIMIT, **options):
        self.path, self.limit = path, limit
        self.file = FollowedFile(path, max_line_bytes=limit, **options)
        self.lines = []

    def read(self, times=5):
        for _ in range(times):
            self.lines += self.file.read(1000)

    def restart(self):
        self.file.close()
        self.file = FollowedFile(self.path, self.file.position, max_line_bytes=self.limit)

    @property
    def text(self):
        return b"".join(line.content for line in self.lines)

    @property
    def contents(self):
        return [line.content for line in self.lines]


def rename(path):
    for number in (2, 1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))
    path.touch()


def copy_and_truncate(path):
    for number in (2, 1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    path.write_bytes(b"")


def append(path, content):
    with path.open("ab") as file:
        file.write(content)


def without_ends(content):
    return content.replace(b"\n", b"")


@pytest.mark.parametrize("rotate", [rename, copy_and_truncate])
@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
def test_no_byte_is_lost_or_told_twice_wherever_the_file_is_rotated(tmp_path, rotate, is_restarted):
    for at in range(len(TEXT) + 1):
        path = tmp_path / str(at) / "app.log"
        path.parent.mkdir()
        path.write_bytes(TEXT[:at])
        reader = Reader(path)
        reader.read()
        rotate(path)
        if is_restarted:
            reader.restart()
        append(path, TEXT[at:])
        reader.read()
        append(path, b"end\n")
        reader.read()
        assert reader.text == without_ends(TEXT) + b"end", at
        reader.file.close()


@pytest.mark.parametrize("rotate", [rename, copy_and_truncate])
def test_what_was_written_before_the_rotation_and_not_yet_read_is_read_from_the_rotated_file(tmp_path, rotate):
    for at in range(1, len(TEXT) + 1):  # from the first byte on the file can be known again
        path = tmp_path / str(at) / "app.log"
        path.parent.mkdir()
        path.write_bytes(TEXT[:at])
        reader = Reader(path)
        reader.read()
        append(path, TEXT[at:])
        rotate(path)
        append(path, b"new\n")
        reader.read(8)
        assert reader.text == without_ends(TEXT) + b"new", at
        reader.file.close()


steps = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=40).map(lambda content: ("write", content.replace(b"\r", b""))),
        st.sampled_from([("rename", b""), ("copy", b""), ("restart", b"")]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_order_of_writes_rotations_and_restarts_loses_nothing(tmp_path_factory, story):
    path = tmp_path_factory.mktemp("logs") / "app.log"
    path.touch()
    reader = Reader(path, limit=10_000)
    written = b""
    for what, content in story:
        if what == "write":
            append(path, content)
            written += content
        elif what == "restart":
            reader.restart()
        else:
            {"rename": rename, "copy": copy_and_truncate}[what](path)
        reader.read()
    append(path, b"\n")
    reader.read()
    reader.file.close()
    assert reader.text == without_ends(written)


def test_several_rotations_while_nobody_read_are_caught_up_in_order(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"a\n")
    reader = Reader(path)
    reader.read()
    for name in (b"b\n", b"c\n", b"d\n"):
        rename(path)
        append(path, name)
    reader.restart()
    reader.read(20)
    assert reader.contents == [b"a", b"b", b"c", b"d"]


def test_what_a_writer_still_writes_into_the_renamed_file_comes_before_the_new_file(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"a\n")
    reader = Reader(path)
    reader.read()
    rename(path)
    append(path, b"c\n")
    reader.read(1)
    append(tmp_path / "app.log.1", b"b\n")
    reader.read()
    assert reader.contents == [b"a", b"b", b"c"]


def test_a_file_that_was_cut_without_a_copy_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(TEXT)
    reader = Reader(path)
    reader.read()
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(TEXT))
    path.write_bytes(b"new, and already longer than all that was there before: " + TEXT)
    reader.read()
    assert reader.contents[5].startswith(b"new, and already")


def test_the_same_line_of_a_file_begun_anew_has_another_generation(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"up\n")
    reader = Reader(path)
    reader.read()
    copy_and_truncate(path)
    reader.read()  # or nothing could tell the same bytes from those that were there
    append(path, b"up\n")
    reader.read()
    assert [(line.offset, line.generation) for line in reader.lines] == [(0, 0), (0, 1)]


def test_a_line_longer_than_lines_may_be_is_cut_and_says_so(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"x" * 200_000)
    reader = Reader(path)
    reader.read()
    reader.restart()
    append(path, b"x" * 200_000 + b"\nnext\n")
    reader.read()
    assert [(len(line.content), line.is_cut) for line in reader.lines] == [(LIMIT, True), (4, False)]


def test_an_unfinished_line_waits_for_its_end(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"begun")
    reader = Reader(path)
    reader.read()
    assert reader.contents == []
    append(path, b" and ended\n")
    reader.read()
    assert reader.contents == [b"begun and ended"]


def test_a_pipe_is_no_log(tmp_path):
    path = tmp_path / "app.log"
    os.mkfifo(path)
    assert FollowedFile(path, max_line_bytes=LIMIT).read(10) == []


def test_reading_stops_at_the_number_of_lines_asked_for_and_goes_on_there(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(100)))
    file = FollowedFile(path, max_line_bytes=LIMIT)
    assert [len(file.read(30)) for _ in range(5)] == [30, 30, 30, 10, 0]


def test_a_file_that_was_there_before_us_is_told_from_its_end_if_so_wished(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"old\n")
    reader = Reader(path, from_end=True)
    reader.read()
    append(path, b"new\n")
    reader.read()
    assert reader.contents == [b"new"]


def test_a_neighbor_with_a_similar_name_is_no_rotated_file(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"a\n")
    reader = Reader(path)
    reader.read()
    path.rename(tmp_path / "app.log.1")
    (tmp_path / "app.log.errors").write_bytes(b"not ours\n")
    path.write_bytes(b"b\n")
    reader.read()
    assert reader.contents == [b"a", b"b"]


def test_what_is_no_regular_file_is_not_read(tmp_path):
    (tmp_path / "app.log").mkdir()
    assert FollowedFile(tmp_path / "app.log", max_line_bytes=LIMIT).read(10) == []
