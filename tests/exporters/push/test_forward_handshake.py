"""HELO, PING and PONG: who does not prove the key is not trusted, whatever else it says."""

from __future__ import annotations

import gzip
import hashlib
import io

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.errors import InputError
from warpgauge.exporters.push.forward.handshake import Credentials, Helo, check_pong, helo_of, ping
from warpgauge.exporters.push.forward.messages import Reader, chunk_of, message, new_chunk, packed_forward

OURS = Credentials(hostname="sender", shared_key="key", username="ann", password="secret")  # noqa: S106 - a test's
HELO = Helo(b"\x00nonce\xff", b"salt")


def sha512(*parts):
    return hashlib.sha512(b"".join(parts)).hexdigest()


def pong(*, accepted=True, hostname="receiver", key=b"key"):
    return ["PONG", accepted, "why", hostname, sha512(b"s", hostname.encode(), HELO.nonce, key)]


def test_a_ping_proves_key_and_user_without_telling_them():
    assert ping(HELO, OURS, "s") == [
        "PING", "sender", "s", sha512(b"s", b"sender", HELO.nonce, b"key"), "ann", sha512(b"salt", b"ann", b"secret"),
    ]  # fmt: skip


def test_no_user_is_named_to_a_receiver_that_asks_for_none():
    assert ping(Helo(b"nonce", b""), OURS, "s")[4:] == ["", ""]


def test_a_receiver_that_proves_the_key_is_trusted():
    check_pong(pong(), HELO, OURS, "s")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (pong(accepted=False), "refused our shared key or user: 'why'"),
        (pong(key=b"another"), "did not prove"),
        (pong(hostname="sender"), "reflected"),
        (["PONG", True, "", "receiver", None], "did not prove"),
        (["PONG", True], "something else than a PONG"),
        ({"ack": "x"}, "something else than a PONG"),
        (None, "something else than a PONG"),
    ],
)
def test_whoever_does_not_prove_the_key_is_not_trusted(answer, why):
    with pytest.raises(InputError, match=why):
        check_pong(answer, HELO, OURS, "s")


@pytest.mark.parametrize("nonce", [b"\x00\xff", "text"])
def test_a_nonce_may_come_as_bytes_or_as_text(nonce):
    reader = Reader()
    reader.feed(message(["HELO", {"nonce": nonce, "auth": b"", "keepalive": True}]))
    found = helo_of(reader.take())
    assert found == Helo(nonce if isinstance(nonce, bytes) else nonce.encode(), b"")


@pytest.mark.parametrize("said", [["HELO"], ["HELO", {}], ["HELO", {"nonce": 1}], ["HELO", {"nonce": "n", "auth": []}]])
def test_a_malformed_helo_is_refused(said):
    with pytest.raises(InputError):
        helo_of(said)


def test_secrets_do_not_show_when_credentials_are_printed():
    assert "key" not in repr(OURS).replace("shared_key", "")
    assert "secret" not in repr(OURS)


def test_a_message_is_compressed_packed_forward_with_event_times():
    body = packed_forward("t", [(1.5, {"a": 1}), (2.0, {"b": "x"})], chunk="c")
    tag, entries, option = msgpack.unpackb(body)
    assert (tag, option) == ("t", {"chunk": "c", "size": 2, "compressed": "gzip"})
    unpacker = msgpack.Unpacker()
    unpacker.feed(gzip.decompress(entries))
    assert list(unpacker) == [
        [msgpack.ExtType(0, b"\x00\x00\x00\x01\x1d\xcd\x65\x00"), {"a": 1}],
        [msgpack.ExtType(0, b"\x00\x00\x00\x02\x00\x00\x00\x00"), {"b": "x"}],
    ]


@pytest.mark.parametrize(("part", "nanoseconds"), [(0.25, 250_000_000), (0.9999999, 0)])
def test_an_event_time_is_in_whole_microseconds(part, nanoseconds):
    """1_750_000_000.25 times a billion is no float, and was told as 249_999_872 ns."""
    _, entries, _ = msgpack.unpackb(packed_forward("t", [(1_750_000_000 + part, {})], chunk="c"))
    ((time, _),) = msgpack.Unpacker(io.BytesIO(gzip.decompress(entries)))
    whole = 1_750_000_000 + (part > 0.5)
    assert time.data == whole.to_bytes(4, "big") + nanoseconds.to_bytes(4, "big")


def test_every_message_has_a_name_of_its_own():
    assert new_chunk() != new_chunk()


@given(st.binary(max_size=200))
def test_bytes_that_are_not_ours_are_refused_in_words(body):
    with pytest.raises(InputError):
        chunk_of(body)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_whatever_a_receiver_sends_is_a_message_or_refused(content, portion):
    reader = Reader()
    try:
        for start in range(0, len(content), portion):
            reader.feed(content[start : start + portion])
            while reader.take() is not None:
                pass
    except InputError:
        pass


def test_a_receiver_that_sends_without_end_is_refused():
    reader = Reader()
    reader.feed(b"\xdb\x00\x00\xff\xf0" + b"x" * 60_000)
    assert reader.take() is None
    with pytest.raises(InputError, match="end no message"):
        reader.feed(b"x" * 10_000)
