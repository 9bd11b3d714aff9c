"""The forward protocol's messages as bytes: the one file that knows MessagePack.

Fluentd, Forward Protocol Specification v1 (https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1):
CompressedPackedForward is `[tag, gzip of entries, {"chunk", "size", "compressed"}]`, an entry `[EventTime, record]`,
an answer `{"ack": chunk}`.
"""

from __future__ import annotations

import base64
import gzip
import os
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.errors import InputError, MissingExtraError

try:
    import msgpack
except ImportError as error:
    raise MissingExtraError(what="The Fluentd sink", package="msgpack", extra="fluentd") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Reader", "chunk_of", "message", "new_chunk", "packed_forward"]

_EVENT_TIME: Final = 0  # MessagePack extension type: seconds and nanoseconds, 32 bits each, big-endian
_MOST_ANSWER_BYTES: Final = 65_536  # a HELO, PONG or ack has some hundred
_CHUNK_BYTES: Final = 16
_COMPRESSION_LEVEL: Final = 6


def new_chunk(random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """A name for a message that no other one has, as Fluentd writes it: base64 of 16 bytes."""
    return base64.b64encode(random_bytes(_CHUNK_BYTES)).decode("ascii")


def packed_forward(tag: str, entries: Iterable[tuple[float, Mapping[str, Any]]], *, chunk: str) -> bytes:
    """One message with all entries: seconds since the epoch, and what MessagePack can hold."""
    packed = [
        msgpack.packb([_event_time(seconds), dict(record)], unicode_errors="replace") for seconds, record in entries
    ]
    body = gzip.compress(b"".join(packed), _COMPRESSION_LEVEL, mtime=0)
    return message([tag, body, {"chunk": chunk, "size": len(packed), "compressed": "gzip"}])


def message(content: object) -> bytes:
    """Any message as MessagePack."""
    packed: bytes = msgpack.packb(content)
    return packed


def chunk_of(body: bytes) -> str:
    """The name that the receiver must repeat for this message of ours.

    Raises:
        InputError: it is no message that `packed_forward` made.

    """
    try:
        content = msgpack.unpackb(body)
        chunk = content[2]["chunk"]
    except (ValueError, TypeError, KeyError, IndexError, msgpack.UnpackException) as error:
        msg = f"not a forward message of ours: {type(error).__name__}: {error}"
        raise InputError(msg) from error
    if not isinstance(chunk, str) or not chunk:
        msg = "not a forward message of ours: it has no chunk"
        raise InputError(msg)
    return chunk


class Reader:
    """Finds messages in what a receiver sends, however it is cut; at most 64 KiB of it are kept."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(
            max_buffer_size=_MOST_ANSWER_BYTES,
            unicode_errors="surrogateescape",  # older senders write a nonce as text
            strict_map_key=True,
        )

    def feed(self, portion: bytes) -> None:
        """Take bytes that came.

        Raises:
            InputError: they are more than an answer can have.

        """
        try:
            self._unpacker.feed(portion)
        except msgpack.BufferFull as error:
            msg = f"the receiver sent more than {_MOST_ANSWER_BYTES} bytes that end no message"
            raise InputError(msg) from error

    def take(self) -> object | None:
        """The next whole message, None until it is here.

        Raises:
            InputError: what came is no MessagePack.

        """
        try:
            found: object = self._unpacker.unpack()
        except msgpack.OutOfData:
            return None
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            msg = f"the receiver sent no MessagePack ({type(error).__name__})"
            raise InputError(msg) from error
        return found


def _event_time(seconds: float) -> msgpack.ExtType:
    whole, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)  # a float of today's times tells no finer ones
    nanoseconds = (microseconds * 1000).to_bytes(4, "big")
    return msgpack.ExtType(_EVENT_TIME, (whole & 0xFFFFFFFF).to_bytes(4, "big") + nanoseconds)
