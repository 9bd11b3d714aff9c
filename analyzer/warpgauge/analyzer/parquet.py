"""Parquet files of the long table, written and read: the one file that knows pyarrow (extra `history`)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.history.book import ABSENT
from warpgauge.analyzer.history.columns import LABELS, METRIC, TIMESTAMP, VALUE
from warpgauge.analyzer.sources.long_table import check_labels
from warpgauge.core.errors import InputError, MissingExtraError

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise MissingExtraError(what="Parquet", package="pyarrow", extra="history") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.analyzer.history.rows import Rows

    Codes = NDArray[np.int32]

__all__ = ["MOST_ROWS", "Piece", "encoded", "encoded_told", "pieces_of"]

MOST_ROWS: Final = 100_000_000  # of one file, to be read
_GROUP_ROWS: Final = 131_072  # what is laid out in memory at once, and what a reader can skip
_MICROSECONDS: Final = 1000  # a millisecond has
_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
_SCHEMA: Final = pa.schema(
    [
        pa.field(TIMESTAMP, _TIME, nullable=False),
        pa.field(METRIC, _TEXT, nullable=False),
        pa.field(VALUE, pa.float64(), nullable=False),
        *(pa.field(label, _TEXT) for label in LABELS),
    ],
    metadata={"warpgauge.schema": "warpgauge.history/v1"},
)
_WIDER: Final = {"s": 1000, "ms": 1}  # milliseconds of a unit of time
_TIMES: Final = frozenset({"time", "since", "ended"})
_NUMBERS: Final = frozenset({"confidence", "lost_device_seconds"})
_FINER: Final = {"us": 1000, "ns": 1_000_000}  # units in a millisecond

Piece = tuple[list[tuple[str, dict[str, str]]], "Ints", "Ints", "Doubles"]
"""Series (name and labels), and of each row the number of its series, its time in milliseconds and its value."""


def encoded(rows: Rows) -> memoryview:
    """A whole file of rows, compressed with zstd; memory beside the result is that of one group of rows."""
    sink = pa.BufferOutputStream()
    # What readers see are plain strings and timestamps: the dictionaries are ours, Parquet has its own.
    with pq.ParquetWriter(sink, _SCHEMA, compression="zstd", store_schema=False) as writer:
        for first in range(0, len(rows), _GROUP_ROWS):
            writer.write_table(_table(rows.only(np.arange(first, min(first + _GROUP_ROWS, len(rows))))))
    return memoryview(sink.getvalue())


def encoded_told(columns: Mapping[str, Sequence[Any]]) -> memoryview:
    """A whole file of what was told: times in seconds since the epoch become timestamps, None null."""
    arrays = {name: _column(name, values) for name, values in columns.items()}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), sink, compression="zstd", store_schema=False)
    return memoryview(sink.getvalue())


def pieces_of(path: Path, *, span: tuple[float, float] | None = None, metric: str | None = None) -> Iterator[Piece]:
    """The rows of a long table, some at a time; `span` in seconds since the epoch leaves out what is not in it.

    With `metric` groups of rows are left out that have nothing of it, as far as the file says so; others may be there.

    Raises:
        InputError: it is no Parquet file, or no long table; the message names the column or row, and the mend.

    """
    with _told(path), pq.ParquetFile(path) as file:
        _check_columns(path, file.schema_arrow)
        if file.metadata.num_rows > MOST_ROWS:
            msg = f"{path} holds {file.metadata.num_rows:,} rows, at most {MOST_ROWS:,} are read; split it by time"
            raise InputError(msg)
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if metric is None or _may_hold(file, group, metric):
                yield from _pieces_of_group(path, file, group, first, span)
            first += rows


def _pieces_of_group(
    path: Path, file: pq.ParquetFile, group: int, first: int, span: tuple[float, float] | None
) -> Iterator[Piece]:
    for batch in file.iter_batches(batch_size=_GROUP_ROWS, row_groups=[group]):
        yield _piece(path, batch, first, span)
        first += batch.num_rows


def _may_hold(file: pq.ParquetFile, group: int, metric: str) -> bool:
    """Whether a group may have rows of a metric, by the least and the last text that the file notes of it."""
    column = file.metadata.row_group(group).column(file.schema_arrow.names.index(METRIC))
    noted = column.statistics
    if noted is None or not noted.has_min_max or not isinstance(noted.min, str):
        return True
    return bool(noted.min <= metric <= noted.max)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        msg = f"{path} is gone: was it too old for the history? Try again"
        raise InputError(msg) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        msg = f"cannot read {path} as Parquet: {why}"
        raise InputError(msg) from error


def _table(rows: Rows) -> pa.Table:
    book = rows.book
    series, of_row = np.unique(rows.numbers.astype(np.int64), return_inverse=True)
    columns = {
        TIMESTAMP: pa.array((rows.times_ms * _MICROSECONDS).astype("datetime64[us]"), type=_TIME),
        METRIC: _texts(book.names_of(series), of_row, book.texts),
        VALUE: pa.array(rows.values),
    }
    columns |= {label: _texts(codes, of_row, book.texts) for label, codes in book.labels_of(series).items()}
    arrays = [columns[field.name] if field.name in columns else pa.nulls(len(rows), field.type) for field in _SCHEMA]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def _texts(codes: Codes, of_row: NDArray[np.intp], texts: Sequence[str]) -> pa.DictionaryArray:
    """A column of texts from the code of each series; ABSENT becomes null."""
    used, place = np.unique(codes, return_inverse=True)
    places = place[of_row].astype(np.int32)
    if used[0] == ABSENT:
        used, places = used[1:], places - 1
    dictionary = pa.array([texts[code] for code in used.tolist()], type=pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(places, mask=places < 0), dictionary)


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    if name in _TIMES:
        return pa.array([None if one is None else round(one * 1e6) for one in values], type=pa.int64()).cast(_TIME)
    return pa.array(values, type=pa.float64() if name in _NUMBERS else pa.string())


def _check_columns(path: Path, schema: pa.Schema) -> None:
    check_labels(str(path), schema.names)
    for field in schema:
        if wanted := _wanted(field):
            msg = f"{path}: column {field.name!r} is of type {field.type}; cast it to {wanted}, or drop it"
            raise InputError(msg)


def _wanted(field: pa.Field) -> str:
    """The type that a column must have; empty if it has it."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if field.name == TIMESTAMP:
        return "" if pa.types.is_timestamp(kind) else "timestamp[us, UTC]"
    if field.name == VALUE:
        return "" if pa.types.is_floating(kind) or pa.types.is_integer(kind) else "double"
    return "" if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind) else "string"


def _piece(path: Path, batch: pa.RecordBatch, first: int, span: tuple[float, float] | None) -> Piece:
    for name in (TIMESTAMP, METRIC):
        if batch.column(name).null_count:
            row = first + batch.column(name).is_null().index(pa.scalar(value=True)).as_py()
            msg = f"{path} row {row}: {name} is null; every row needs one"
            raise InputError(msg)
    times_ms = _times_ms(batch.column(TIMESTAMP))
    values = batch.column(VALUE).cast(pa.float64()).to_numpy(zero_copy_only=False)
    kept = ~np.isnan(values)
    if span is not None:
        kept &= (times_ms >= span[0] * 1000.0) & (times_ms <= span[1] * 1000.0)
    batch = batch.filter(pa.array(kept))
    series, numbers = _series(batch)
    return series, numbers, times_ms[kept], values[kept]


def _times_ms(column: pa.Array) -> Ints:
    """Milliseconds since the epoch; a time without zone is UTC."""
    unit = column.type.unit
    ticks: Ints = column.cast(pa.int64()).to_numpy()
    return ticks * _WIDER[unit] if unit in _WIDER else ticks // _FINER[unit]


def _series(batch: pa.RecordBatch) -> tuple[list[tuple[str, dict[str, str]]], Ints]:
    """The different series of a batch, and which one each row is of."""
    columns = {name: _codes(batch.column(name)) for name in batch.schema.names if name not in {TIMESTAMP, VALUE}}
    key: Ints = np.zeros(batch.num_rows, dtype=np.int64)
    firsts: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
    for codes, texts in columns.values():
        _, firsts, key = np.unique(key * (len(texts) + 1) + codes, return_index=True, return_inverse=True)
    found = []
    for row in firsts.tolist():
        labels = {name: texts[codes[row]] for name, (codes, texts) in columns.items() if codes[row] >= 0}
        found.append((labels.pop(METRIC), {name: text for name, text in labels.items() if text}))
    return found, key


def _codes(column: pa.Array) -> tuple[Ints, list[str]]:
    """A code for each row, -1 for null, and the texts."""
    if pa.types.is_null(column.type):
        return np.full(len(column), -1, dtype=np.int64), []
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(), coded.dictionary.to_pylist()
