"""What OTLP sends and hears whichever way it travels: the request as it waits in a queue, and the answer's reader.

What waits is the request as protobuf has it, compressed if the settings said so when it was written: it can be sent
over HTTP or gRPC, whatever the settings say when its turn comes.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.core.config import OtlpReceiverConfig

__all__ = ["Refusals", "is_packed", "plain", "stored"]

_GZIP_MAGIC: Final = b"\x1f\x8b"  # no message of ours begins so: what waited keeps its form when the setting changes

Refusals: TypeAlias = "Callable[[bytes], tuple[int, str]]"
"""Reads an answer of success: how many records were not kept, and why; ValueError if it is no such answer."""


def stored(request: bytes, settings: OtlpReceiverConfig) -> bytes:
    """A request as it waits in the queue."""
    return gzip.compress(request, compresslevel=1, mtime=0) if settings.compression == "gzip" else request


def is_packed(body: bytes) -> bool:
    """Whether a request that waited is compressed."""
    return body.startswith(_GZIP_MAGIC)


def plain(body: bytes) -> bytes:
    """The request that waited.

    Raises:
        ValueError: it is damaged.

    """
    try:
        return gzip.decompress(body) if is_packed(body) else body
    except (OSError, EOFError) as error:
        raise ValueError(str(error)) from error
