"""The file of a recording: what is written is what is read, and nothing else is taken for a recording."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from warpgauge.core.catalog import Tier
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import InputError, StorageError
from warpgauge.exporters.recording.lines import (
    ENDINGS,
    LINE_LIMIT,
    STEPS,
    BadLineError,
    Buffer,
    Call,
    End,
    Handle,
    Header,
    Mark,
    Text,
    decode,
    decode_header,
    encode,
    encode_header,
)
from warpgauge.exporters.recording.storage import FLUSH_SECONDS, Writer, read_recording, zstd

SECONDS = st.floats(0, 1e6).map(lambda value: round(value, 6))
TEXTS = st.text(min_size=1, max_size=40)
NAMES = st.from_regex(r"nvml[A-Za-z0-9_]{1,40}", fullmatch=True)
BUFFERS = st.binary(max_size=64).flatmap(
    lambda data: st.integers(len(data), 200).map(lambda size: Buffer(size, data.rstrip(b"\0")))
)
PLAIN = (
    st.none() | st.integers(-(1 << 63), 1 << 64) | st.builds(Handle, st.integers(0, 1 << 20)) | st.builds(Text, TEXTS)
)


@st.composite
def calls(draw):
    arguments = tuple(draw(st.lists(PLAIN | BUFFERS, max_size=6)))
    buffers = [place for place, one in enumerate(arguments) if isinstance(one, Buffer)]
    written = draw(st.lists(st.sampled_from(buffers), unique=True)) if buffers else []
    outputs = {place: draw(st.binary(max_size=arguments[place].size)) for place in written}
    texts = tuple((place, 0, draw(TEXTS)) for place in written)
    return Call(
        seconds=draw(SECONDS),
        function=draw(NAMES),
        device=draw(st.none() | st.integers(0, 999)),
        arguments=arguments,
        code=draw(st.none() | st.integers(0, 999)),
        outputs=outputs,
        texts=texts,
        microseconds=round(draw(st.floats(0, 1e9)), 1),
    )


MARKS = st.builds(
    Mark,
    SECONDS,
    st.sampled_from(STEPS),
    st.none() | st.integers(-1, 999),
    st.lists(st.sampled_from(list(Tier)), max_size=3).map(tuple),
)
ENDS = st.builds(
    End, SECONDS, st.sampled_from(ENDINGS), NAMES | st.just(""), st.none() | st.integers(0, 999), st.text(max_size=40)
)
A_CALL = Call(seconds=1.5, function="nvmlX", arguments=(Handle(1), Buffer(4, b"")), code=0, outputs={1: b"\x07"})


@settings(max_examples=50)
@given(calls() | MARKS | ENDS)
def test_what_is_written_is_what_is_read(entry):
    assert decode(encode(entry)) == entry


@given(
    st.builds(Header, start=SECONDS, driver=st.text(max_size=20), machine=st.text(max_size=20), is_masked=st.booleans())
)
def test_a_header_too(header):
    assert decode_header(encode_header(header)) == header


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["t", "f", "d", "a", "r", "o", "s", "us", "do", "tiers", "end", "h"]), inner),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
@example(b'{"t":0,"f":"nvmlX","a":[[4,""]],"r":0,"o":{"\xc2\xb2":""},"us":0}')
@example(b'{"t":1e999,"f":"nvmlX","r":0,"us":0}')
@example(b'{"t":0,"f":"nvmlX","r":0,"us":0,"s":[[0,0,"x"]]}')
@example(b"[" * 100_000)
def test_any_other_line_is_refused_in_one_way(line):
    with suppress(BadLineError):
        entry = decode(line)
        assert decode(encode(entry)) == entry
    with suppress(BadLineError):
        decode_header(line)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"us": -1}, "us must be a number from 0"),
        ({"f": "system"}, "f must name a function of NVML"),
        ({"r": 1.5}, "r must be a whole number"),
        ({"o": {"0": ""}}, "argument 0 is no buffer"),
        ({"o": {"1": "AAAAAAAA"}}, "a buffer of 4 bytes cannot hold"),
        ({"o": {"1": "*"}}, "not base64"),
        ({"a": [[1 << 40, ""]]}, "a must be a whole number"),
        ({"a": [{"x": 1}]}, "not an argument"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"t": True}, "t must be a number"),
    ],
)
def test_a_broken_call_is_refused_with_the_reason(change, complaint):
    body = {**json.loads(encode(A_CALL)), **change}
    with pytest.raises(BadLineError, match=complaint.replace("(", r"\(")):
        decode(json.dumps(body).encode())


def written(path, *lines, header=None):
    writer = Writer(path, ManualClock())
    for line in (encode_header(header or Header(start=1.0)), *lines):
        writer.write(line)
    writer.close()
    return path


def test_a_file_is_its_owners_alone_and_never_overwritten(tmp_path):
    path = written(tmp_path / "a.jsonl.zst", encode(A_CALL), encode(End(2.0, "done")))
    assert path.stat().st_mode & 0o777 == 0o600
    recording = read_recording(path)
    assert recording.entries == (A_CALL, End(2.0, "done"))
    assert (recording.is_truncated, recording.size_bytes) == (False, path.stat().st_size)
    with pytest.raises(StorageError, match="exists; name another file"):
        Writer(path, ManualClock())


def test_a_broken_line_is_named_with_its_number(tmp_path):
    path = written(tmp_path / "a.jsonl.zst", encode(A_CALL), b'{"t":1}\n')
    with pytest.raises(InputError, match=r"a\.jsonl\.zst:3: f must name"):
        read_recording(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", r":1: holds no whole line"),
        (b"not compressed\n", r":1: not what `warpgauge record` writes, or damaged"),
        (zstd.compress(b'{"t":1}\n'), r":1: not a recording: its first line names no schema"),
        (zstd.compress(b'{"schema":"warpgauge.recording/v9"}\n'), r":1: not a warpgauge.recording/v1: schema is"),
        (zstd.compress(encode_header(Header(start=1.0)) + b"{}"), r":2: ends without a newline"),
        (zstd.compress(encode_header(Header(start=1.0))) + b"x", r":1: something follows the end"),
        (zstd.compress(b"x" * (LINE_LIMIT + 1)), rf":1: is longer than {LINE_LIMIT}"),
        (
            zstd.compress(encode_header(Header(start=1.0)) + encode(End(1.0, "done")) + encode(A_CALL)),
            r":3: something follows the end",
        ),
    ],
)
def test_what_is_no_recording_is_refused_with_its_line(tmp_path, content, complaint):
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        read_recording(path)


def test_a_small_file_that_swells_up_is_read_no_further_than_its_first_line(tmp_path):
    path = tmp_path / "bomb.jsonl.zst"
    path.write_bytes(zstd.compress(bytes(200 << 20)))
    with pytest.raises(InputError, match="is longer than"):
        read_recording(path)


@given(st.data())
def test_a_file_cut_anywhere_is_read_up_to_there(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / f"cut-{os.getpid()}.jsonl.zst"
    path.unlink(missing_ok=True)
    clock = ManualClock()
    writer = Writer(path, clock)
    lines = [encode(Call(seconds=float(second), function="nvmlX", code=0)) for second in range(30)]
    for line in (encode_header(Header(start=1.0)), *lines):
        clock.advance(FLUSH_SECONDS)
        writer.write(line)
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(60, len(whole) - 1))])
    with suppress(InputError):  # not even the header is whole
        recording = read_recording(path)
        assert recording.is_truncated
        assert recording.end is None
        assert [entry.seconds for entry in recording.entries] == [float(at) for at in range(len(recording.entries))]


def test_what_was_written_a_second_ago_survives_a_kill(tmp_path):
    path = tmp_path / "killed.jsonl.zst"
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from warpgauge.core.clock import ManualClock\n"
        "from warpgauge.exporters.recording.storage import Writer\n"
        "from warpgauge.exporters.recording.lines import *\n"
        "clock = ManualClock(); writer = Writer(Path(sys.argv[1]), clock)\n"
        "writer.write(encode_header(Header(start=1.0)))\n"
        "for second in range(10):\n"
        "    clock.advance(1.0); writer.flush_if_due()\n"
        "    writer.write(encode(Call(seconds=float(second), function='nvmlX', code=0)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, path], check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    recording = read_recording(path)
    assert recording.is_truncated
    assert len(recording.entries) >= 9
