"""A recording as a file: lines under Zstandard, written so that a kill costs a second, read with bounds.

The one place that imports the compression: Python's own from 3.14 on, before that the same module as a package.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import backports.zstd as zstd  # noqa: PLR0402 - only so a missing one is a ModuleNotFoundError: others share the name

from warpgauge.core.errors import InputError, StorageError
from warpgauge.exporters.recording.lines import (
    LINE_LIMIT,
    BadLineError,
    Call,
    End,
    Entry,
    Header,
    decode,
    decode_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from warpgauge.core.clock import Clock

__all__ = ["FLUSH_SECONDS", "Recording", "Writer", "read_recording"]

FLUSH_SECONDS: Final = 0.5
_LEVEL: Final = 9  # recordings repeat themselves; this costs a hundredth of a core
_CHUNK_BYTES: Final = 1 << 16
_MOST_LINES: Final = 5_000_000
_MOST_BYTES: Final = 1 << 31  # once decompressed
_LARGEST_WINDOW: Final = 27  # log2 of the bytes a frame may make its reader keep: zstd's own usual limit
_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything in a file."""

    header: Header
    entries: tuple[Entry, ...]
    size_bytes: int = 0  # of the file
    is_truncated: bool = False  # the file ends in the middle: its recorder was killed

    @property
    def calls(self) -> Iterator[Call]:
        """The calls, in order."""
        return (entry for entry in self.entries if isinstance(entry, Call))

    @property
    def end(self) -> End | None:
        """How it ended; None when the recorder was killed."""
        last = self.entries[-1] if self.entries else None
        return last if isinstance(last, End) else None

    @property
    def seconds(self) -> float:
        """From the start to the last entry."""
        return max((entry.seconds for entry in self.entries), default=0.0)


class Writer:
    """A file that is being recorded into. What is written reaches the operating system within half a second."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Create the file for its owner alone.

        Raises:
            StorageError: it exists already, or cannot be made.

        """
        self._path = path
        self._clock = clock
        self._compressor = zstd.ZstdCompressor(level=_LEVEL)
        self._flushed = clock.monotonic()
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        except FileExistsError as error:
            msg = f"{path} exists; name another file for --out"
            raise StorageError(msg) from error
        except OSError as error:
            raise self._error(error) from error

    def write(self, line: bytes) -> None:
        """Append a line."""
        self._put(self._compressor.compress(line))
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Hand what is held back to the operating system, twice a second; call it also while nothing comes."""
        if self._clock.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._put(self._compressor.flush(zstd.ZstdCompressor.FLUSH_BLOCK))
            self._flushed = self._clock.monotonic()

    def close(self) -> None:
        """End the file well."""
        self._put(self._compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME))
        os.close(self._descriptor)

    def discard(self) -> None:
        """Take the file away: nothing was recorded."""
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> StorageError:
        return StorageError(f"cannot write {self._path}: {error.strerror or error}")


def read_recording(path: Path) -> Recording:
    """Everything in a file; of one that ends in the middle what is whole.

    Raises:
        InputError: it is not a recording, is damaged or too large; the message holds the line.

    """
    try:
        with path.open("rb") as file:
            lines = _Lines(file, str(path))
            return _recording(lines, path.stat().st_size)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise InputError(msg) from error


def _recording(lines: _Lines, size_bytes: int) -> Recording:
    header: Header | None = None
    entries: list[Entry] = []
    for line in lines:
        try:
            if header is None:
                header = decode_header(line)
            elif entries and isinstance(entries[-1], End):
                raise lines.error(0, "something follows the end")
            else:
                entries.append(decode(line))
        except BadLineError as error:
            raise lines.error(0, str(error)) from error
    if header is None:
        raise lines.error(0, "holds no whole line")
    return Recording(header, tuple(entries), size_bytes, lines.is_truncated)


class _Lines:
    """The lines of a file, decompressed as they are asked for."""

    def __init__(self, file: BinaryIO, place: str) -> None:
        self._file = file
        self._place = place
        self._number = 0
        self.is_truncated = False

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self._chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield self._counted(line)
            if len(rest) > LINE_LIMIT:
                raise self.error(1, f"is longer than {LINE_LIMIT} bytes")
        if rest and not self.is_truncated:
            raise self.error(1, "ends without a newline")

    def error(self, beyond: int, complaint: str) -> InputError:
        """A complaint about the line that was read last, or so many beyond it."""
        return InputError(f"{self._place}:{max(self._number + beyond, 1)}: {complaint}")

    def _counted(self, line: bytes) -> bytes:
        self._number += 1
        if self._number > _MOST_LINES or len(line) > LINE_LIMIT:
            raise self.error(0, f"more than {_MOST_LINES} lines, or one of more than {LINE_LIMIT} bytes")
        return line

    def _chunks(self) -> Iterator[bytes]:
        options = {int(zstd.DecompressionParameter.window_log_max): _LARGEST_WINDOW}
        decompressor = zstd.ZstdDecompressor(options=options)
        total = 0
        try:
            while not decompressor.eof:
                packed = self._file.read(_CHUNK_BYTES) if decompressor.needs_input else b""
                if decompressor.needs_input and not packed:
                    self.is_truncated = True
                    return
                chunk = decompressor.decompress(packed, max_length=_CHUNK_BYTES)
                total += len(chunk)
                if total > _MOST_BYTES:
                    raise self.error(0, f"more than {_MOST_BYTES} bytes")
                yield chunk
        except zstd.ZstdError as error:
            what = "after this line: damaged" if self._number else "not what `warpgauge record` writes, or damaged"
            raise self.error(0, f"{what}: {error}") from error
        if decompressor.unused_data or self._file.read(1):
            raise self.error(0, "something follows the end of the compressed data")
