"""Remote write's message: what Google's library writes is read the same, and any bytes are read or refused."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from tests.analyzer.prompb import WriteRequest, message, samples_of
from warpgauge.analyzer.sources.snappy import decompressed
from warpgauge.analyzer.sources.write_request import SeriesBook, labels_in
from warpgauge.core.errors import InputError

T0 = 1_750_000_000_000
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]

labels = st.dictionaries(st.text(min_size=1, max_size=12), st.text(max_size=12), max_size=6).map(
    lambda found: {**found, "__name__": "m"}
)
times = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(T0, T0 + 10**9)
values = st.floats(width=64) | st.sampled_from([0.0, -0.0, STALE])
series = st.lists(st.tuples(labels, st.lists(st.tuples(times, values), max_size=3)), max_size=6)


def read(book: SeriesBook, body: bytes) -> list[tuple[tuple[tuple[str, str], ...], int, bytes]]:
    written = book.read(body)
    rows = zip(written.numbers.tolist(), written.times_ms.tolist(), written.values.tolist(), strict=True)
    return sorted((tuple(sorted(labels_in(book.blocks[n]).items())), time, struct.pack("<d", v)) for n, time, v in rows)


def oracle(body: bytes) -> list[tuple[tuple[tuple[str, str], ...], int, bytes]]:
    return sorted((tuple(sorted(found.items())), t, struct.pack("<d", v)) for found, t, v in samples_of(body))


@given(series, series)
def test_what_the_library_writes_is_read_the_same_whether_series_are_new_or_known(first, second):
    book, bodies = SeriesBook(), [message(first), message(second), message(first)]

    assert [read(book, body) for body in bodies] == [oracle(body) for body in bodies]


def test_a_series_is_known_by_its_bytes_after_the_first_sight():
    book = SeriesBook()
    body = message([({"__name__": "up", "instance": f"{n}:9100"}, [(T0, float(n % 2))]) for n in range(200)])
    first = book.read(body)
    again = book.read(body)

    assert len(book) == 200
    assert sorted(first.numbers.tolist()) == sorted(again.numbers.tolist())


def test_a_stale_marker_keeps_being_not_a_number():
    written = SeriesBook().read(message([({"__name__": "up"}, [(T0, STALE)])]))

    assert math.isnan(written.values[0])


def test_native_histograms_are_counted_and_metadata_is_passed_over():
    request = WriteRequest.FromString(message([({"__name__": "h"}, [(T0, 1.0)])]))
    request.timeseries[0].histograms.add(timestamp=T0)
    request.metadata.add(metric_family_name="h")

    written = SeriesBook().read(request.SerializeToString())
    assert (len(written.numbers), written.histograms) == (1, 1)


def test_a_full_book_takes_known_series_and_counts_the_others():
    book = SeriesBook(most_series=1)
    book.read(message([({"__name__": "a"}, [(T0, 1.0)])]))
    written = book.read(message([({"__name__": "a"}, [(T0, 2.0)]), ({"__name__": "b"}, [(T0, 3.0)])]))

    assert (written.values.tolist(), written.refused) == ([2.0], 1)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (message([({"a": "b"}, [(T0, 1.0)])]), "a series has no __name__"),
        (message([({"__name__": "m", "": "b"}, [(T0, 1.0)])]), "label '' is empty"),
        (message([({"__name__": "m" * 9000}, [(T0, 1.0)])]), "a label has over"),
        (message([({"__name__": "m"} | {f"l{n}": "x" for n in range(200)}, [(T0, 1.0)])]), "is one of over 128"),
        (message([({"__name__": "m"}, [(T0, 1.0)])])[:-3], "a series is cut short"),
        (b"\xff" * 11, "a number is cut short"),
        (b"\x0b\x01", "wire type 3 is none"),
    ],
)
def test_a_malformed_message_is_refused_with_its_place(body: bytes, complaint: str):
    with pytest.raises(InputError, match="malformed write request at byte") as refused:
        SeriesBook().read(body)
    assert complaint in str(refused.value)


good = message([({"__name__": "m", "a": "b"}, [(T0, 1.5)]), ({"__name__": "z"}, [(T0, 0.0)])])


@given(st.binary(max_size=80) | st.tuples(st.integers(0, len(good) - 1), st.binary(max_size=4)).map(
    lambda cut: good[: cut[0]] + cut[1] + good[cut[0] + len(cut[1]) :]
))  # fmt: skip
@example(good[:-1])
def test_any_bytes_are_read_as_the_library_reads_them_or_refused(body: bytes):
    book = SeriesBook()
    book.read(good)
    try:
        found = read(book, body)
    except InputError:
        return
    try:
        expected = oracle(body)
    except DecodeError:
        return  # the library is stricter in what we pass over
    assert found == expected


@given(st.lists(st.binary(max_size=12), max_size=4))
def test_any_contents_of_labels_are_read_as_the_library_reads_them_or_refused(contents: list[bytes]):
    sample = b"\x12\x10\x09" + struct.pack("<d", 1.0) + b"\x10\x80\xb8\x83\xa1\xf7\x32"
    inner = b"".join(b"\x0a" + bytes([len(one)]) + one for one in (b"\x0a\x08__name__\x12\x01m", *contents)) + sample
    body = b"\x0a" + bytes([len(inner)]) + inner
    try:
        found = read(SeriesBook(), body)
    except InputError:
        return
    assert found == oracle(body)


def test_a_block_that_would_be_too_large_is_refused_before_it_is_unpacked():
    cramjam = pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[remote-write]'")
    bomb = bytes(cramjam.snappy.compress_raw(bytes(50_000_000)))

    assert len(bomb) < 3_000_000
    with pytest.raises(InputError, match="50,000,000 bytes decompressed"):
        decompressed(bomb, 1 << 20)


@pytest.mark.parametrize("block", [b"", b"\xff\xff\xff\xff\xff", b"\x05abc", b"not snappy at all"])
def test_what_is_no_snappy_block_is_refused(block: bytes):
    with pytest.raises(InputError, match=r"no snappy block|decompressed"):
        decompressed(block, 1 << 20)


@given(st.binary(max_size=2000))
def test_a_block_gives_back_what_was_packed(content: bytes):
    cramjam = pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[remote-write]'")

    assert decompressed(bytes(cramjam.snappy.compress_raw(content)), 1 << 20) == content
    assert np.frombuffer(content, dtype=np.uint8).size == len(content)
