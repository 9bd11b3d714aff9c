"""The file: a header, one JSON document, then arrays as they lie in memory; each part with its checksum.

    magic       8 bytes   WGSNAP\r\n (a transfer as text would damage it, and be seen)
    version     uint32    FORMAT_VERSION
    checksum    uint32    CRC-32 of the document
    length      uint64    of the document
    document    JSON      {"arrays": [{"name", "dtype", "shape", "crc32"}, ...], "content": ...}
    arrays                little-endian, C order, one after the other, nothing behind the last

No pickle: bytes on a disk are bytes from outside. Whatever is not exactly this is refused.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = ["FORMAT_VERSION", "MAX_BYTES", "read_container", "write_container"]

FORMAT_VERSION: Final = 1
MAX_BYTES: Final = 2**30
"""A file is never written larger than about this, nor read if it is larger than twice this."""

_MAGIC: Final = b"WGSNAP\r\n"
_HEADER: Final = struct.Struct("<8sIIQ")
_MAX_DOCUMENT: Final = 256 * 2**20
_DTYPES: Final = frozenset({"<f4", "<f8", "<i8", "<i4", "|i1", "|u1"})

Arrays = dict[str, "NDArray[Any]"]


def write_container(
    path: Path, content: Any, arrays: Mapping[str, NDArray[Any]], *, sync: Callable[[int], None] | None = None
) -> None:  # fmt: skip
    """Replace the file atomically.

    Raises:
        StorageError: the directory cannot be written or is full; the old file is untouched.

    """
    ordered = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    rows = [
        {"name": name, "dtype": array.dtype.str, "shape": array.shape, "crc32": zlib.crc32(_bytes(array))}
        for name, array in ordered.items()
    ]
    document = json.dumps({"arrays": rows, "content": content}, separators=(",", ":")).encode()
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, zlib.crc32(document), len(document))
    parts = (header, document, *(_bytes(array) for array in ordered.values()))
    if sync is None:
        write_atomically(path, parts, mode=0o600)
    else:
        write_atomically(path, parts, mode=0o600, sync=sync)


def read_container(path: Path) -> tuple[Any, Arrays]:
    """The content and the arrays of a file; arrays can be written.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is not one of ours, of another version, cut off or damaged, or cannot be read.

    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > 2 * MAX_BYTES:
                raise _refused(path, f"it has {size} bytes")
            document = _read_document(file, path)
            return document["content"], dict(_read_arrays(file, path, document["arrays"]))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _refused(path, f"its document is malformed ({error})") from error


def _read_document(file: BinaryIO, path: Path) -> Any:  # noqa: ANN401 - JSON
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise _refused(path, "it is cut off")
    magic, version, checksum, length = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise _refused(path, "it is no snapshot of an analyzer")
    if version != FORMAT_VERSION:
        raise _refused(path, f"it has version {version}, this analyzer reads {FORMAT_VERSION}")
    if length > _MAX_DOCUMENT:
        raise _refused(path, f"its document has {length} bytes")
    document = file.read(length)
    if len(document) < length:
        raise _refused(path, "it is cut off")
    if zlib.crc32(document) != checksum:
        raise _refused(path, "its document is damaged")
    return json.loads(document)


def _read_arrays(file: BinaryIO, path: Path, rows: Any) -> Iterator[tuple[str, NDArray[Any]]]:  # noqa: ANN401 - JSON
    left = 2 * MAX_BYTES
    for row in rows:
        name, dtype, shape = str(row["name"]), str(row["dtype"]), tuple(int(length) for length in row["shape"])
        if dtype not in _DTYPES or any(length < 0 for length in shape):
            raise _refused(path, f"array {name} is malformed")
        left -= math.prod(shape) * np.dtype(dtype).itemsize
        if left < 0:
            raise _refused(path, f"array {name} is too large")
        array = np.empty(shape, dtype=dtype)
        if file.readinto(_bytes(array)) < array.nbytes:  # type: ignore[attr-defined]  # a buffered reader has it
            raise _refused(path, "it is cut off")
        if zlib.crc32(_bytes(array)) != row["crc32"]:
            raise _refused(path, f"array {name} is damaged")
        yield name, array
    if file.read(1):
        raise _refused(path, "something stands behind its end")


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"cannot use the snapshot {path}: {why}")
