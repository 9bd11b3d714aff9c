"""Snappy blocks, as remote write compresses its messages; bounded before anything is decompressed.

The library is cramjam, which python-snappy has wrapped since its version 0.7.
"""

from __future__ import annotations

from typing import Final

from warpgauge.core.errors import ConfigError, InputError

try:
    import cramjam
except ImportError as error:
    message = "Receiving remote write needs cramjam: pip install '.[remote-write]'"
    raise ConfigError(message) from error

__all__ = ["decompressed"]

_LENGTH_BYTES: Final = 5


def decompressed(block: bytes, limit_bytes: int) -> bytes:
    """The content of a block.

    Raises:
        InputError: it is no snappy block, or says that its content is larger than the limit.

    """
    size = _length(block)
    if size > limit_bytes:
        msg = f"the request is {size:,} bytes decompressed, at most {limit_bytes:,} are taken"
        raise InputError(msg)
    try:
        return bytes(cramjam.snappy.decompress_raw(block, output_len=size))
    except cramjam.DecompressionError as error:
        msg = "the body is no snappy block (Content-Encoding: snappy, block format)"
        raise InputError(msg) from error


def _length(block: bytes) -> int:
    """The decompressed size, which stands in front as a varint (snappy's format_description.txt)."""
    size = 0
    for place, byte in enumerate(block[:_LENGTH_BYTES]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the mark of a varint's last byte
            return size
    msg = "the body is no snappy block: its length is cut short"
    raise InputError(msg)
