r"""The file: a header, one JSON document, then arrays as they lie in memory; each part with its checksum.

    magic       8 bytes   WGSNAP\r\n (a transfer as text would damage it, and be seen)
    version     uint32    FORMAT_VERSION
    checksum    uint32    CRC-32 of the document
    length      uint64    of the document
    document    JSON      {"arrays": [{"name", "dtype", "shape"}, ...], "content": ...}
    arrays                each little-endian in C order and its CRC-32 as uint32; nothing behind the last

No pickle: bytes on a disk are bytes from outside. Whatever is not exactly this is refused. Arrays are written and read
in parts, so that a window of gigabytes is never in memory twice.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = ["FORMAT_VERSION", "MAX_BYTES", "Reader", "Stored", "open_container", "write_container"]

FORMAT_VERSION: Final = 1
MAX_BYTES: Final = 2**30
"""A file is never written larger than about this, nor read if it is larger than twice this."""

_MAGIC: Final = b"WGSNAP\r\n"
_HEADER: Final = struct.Struct("<8sIIQ")
_CHECKSUM: Final = struct.Struct("<I")
_MAX_DOCUMENT: Final = 256 * 2**20
_DTYPES: Final = frozenset({"<f4", "<f8", "<i8", "<i4", "|i1", "|u1"})


@dataclass(frozen=True, slots=True)
class Stored:
    """An array to be written; its parts, one after the other, are all of it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    parts: Iterable[NDArray[Any]]

    @classmethod
    def whole(cls, name: str, array: NDArray[Any]) -> Stored:
        """An array in one part."""
        return cls(name, array.dtype.str, array.shape, (array,))


def write_container(path: Path, content: Any, arrays: Sequence[Stored]) -> None:  # noqa: ANN401 - JSON
    """Replace the file atomically; a reader sees the old one or the new one, whatever dies when.

    Raises:
        StorageError: the directory cannot be written or is full; the old file is untouched.

    """
    write_atomically(path, _written(content, arrays), mode=0o600)


def _written(content: Any, arrays: Sequence[Stored]) -> Iterator[bytes | memoryview]:  # noqa: ANN401 - JSON
    rows = [{"name": one.name, "dtype": one.dtype, "shape": one.shape} for one in arrays]
    document = json.dumps({"arrays": rows, "content": content}, separators=(",", ":")).encode()
    yield _HEADER.pack(_MAGIC, FORMAT_VERSION, zlib.crc32(document), len(document))
    yield document
    for one in arrays:
        checksum = 0
        for part in one.parts:
            raw = _bytes(np.ascontiguousarray(part))
            checksum = zlib.crc32(raw, checksum)
            yield raw
        yield _CHECKSUM.pack(checksum)


class Reader:
    """The document of a file, and its arrays in the order in which they were written."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        document = self._document()
        self.content = document["content"]
        self._rows = [
            (str(row["name"]), str(row["dtype"]), tuple(int(length) for length in row["shape"]))
            for row in document["arrays"]
        ]
        self._next = 0
        self._check_sizes()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the next array, which must be this one."""
        if self._next >= len(self._rows) or self._rows[self._next][0] != name:
            self._refuse(f"{name} is not where it belongs")
        return self._rows[self._next][2]

    def array(self, name: str) -> NDArray[Any]:
        """The next array, which must be this one."""
        found = np.empty(self.shape(name), dtype=self._rows[self._next][1])
        self.into(name, [found])
        return found

    def into(self, name: str, parts: Iterable[NDArray[Any]]) -> None:
        """Read the next array, which must be this one, into parts that are all of it, each contiguous."""
        shape, dtype = self.shape(name), np.dtype(self._rows[self._next][1])
        checksum, left = 0, math.prod(shape) * dtype.itemsize
        for part in parts:
            raw = _bytes(part)
            if part.dtype != dtype or self._file.readinto(raw) < len(raw):  # type: ignore[attr-defined]
                self._refuse("it is cut off")
            checksum, left = zlib.crc32(raw, checksum), left - len(raw)
        if left or self._file.read(_CHECKSUM.size) != _CHECKSUM.pack(checksum):
            self._refuse(f"{name} is damaged")
        self._next += 1

    def pass_over(self) -> None:
        """Leave the arrays that are to come unread: the document was checked by itself."""
        for _, dtype, shape in self._rows[self._next :]:
            self._file.seek(math.prod(shape) * np.dtype(dtype).itemsize + _CHECKSUM.size, os.SEEK_CUR)
        self._next = len(self._rows)

    def end(self) -> None:
        """Make sure that this was all."""
        if self._next != len(self._rows) or self._file.read(1):
            self._refuse("it holds more than it should")

    def _document(self) -> Any:  # noqa: ANN401 - JSON
        header = self._file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            self._refuse("it is cut off")
        magic, version, checksum, length = _HEADER.unpack(header)
        if magic != _MAGIC:
            self._refuse("it is no snapshot of an analyzer")
        if version != FORMAT_VERSION:
            self._refuse(f"it has version {version}, this analyzer reads {FORMAT_VERSION}")
        document = self._file.read(min(length, _MAX_DOCUMENT))
        if len(document) < length:
            self._refuse("it is cut off")
        if zlib.crc32(document) != checksum:
            self._refuse("its document is damaged")
        return json.loads(document)

    def _check_sizes(self) -> None:
        """Refuse what promises more than the file holds, before room is made for it."""
        sizes = [math.prod(shape) * np.dtype(dtype).itemsize for _, dtype, shape in self._rows if dtype in _DTYPES]
        is_odd = any(length < 0 for _, _, shape in self._rows for length in shape) or len(sizes) < len(self._rows)
        if is_odd or sum(sizes) > self._path.stat().st_size:
            self._refuse("it is cut off")

    def _refuse(self, why: str) -> NoReturn:
        msg = f"cannot use the snapshot {self._path}: {why}"
        raise InputError(msg)


@contextmanager
def open_container(path: Path) -> Iterator[Reader]:
    """Read a file.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is not one of ours, of another version, cut off or damaged, or cannot be read.

    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size > 2 * MAX_BYTES:
                msg = f"cannot use the snapshot {path}: it has {path.stat().st_size} bytes"
                raise InputError(msg)
            reader = Reader(file, path)
            yield reader
            reader.end()
    except FileNotFoundError:
        raise
    except OSError as error:
        msg = f"cannot use the snapshot {path}: {error.strerror or error}"
        raise InputError(msg) from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        msg = f"cannot use the snapshot {path}: its parts do not fit together ({error!r})"
        raise InputError(msg) from error


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
