"""Files of metrics: OpenMetrics (`.om`), Prometheus text (`.prom`) or the long table (`.parquet`, `.csv`).

Each sample has its timestamp. In a directory the first three are read; a CSV may be anything and is read where it is
named itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.history.folder import hour_of
from warpgauge.analyzer.sources.batch import Page, Target
from warpgauge.analyzer.sources.csv_table import read_csv
from warpgauge.analyzer.sources.long_table import LongTable
from warpgauge.analyzer.sources.replicas import REPLICA_LABELS
from warpgauge.core.errors import InputError
from warpgauge.core.exposition import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from warpgauge.analyzer.sources.batch import Batch
    from warpgauge.core.exposition import Line

__all__ = ["SUFFIXES", "batches_of", "files_of", "read_file"]

_IN_DIRECTORIES: Final = (".om", ".prom", ".parquet")
SUFFIXES: Final = (*_IN_DIRECTORIES, ".csv")
_HOUR_SECONDS: Final = 3600
_LARGEST_BYTES: Final = 2 << 30
_GUESSED_INTERVAL_SECONDS: Final = 10.0
_IS_ADDRESS: Final = re.compile(r"([\w-]+(\.[\w-]+)*):\d{1,5}(/|$)")  # HOST:PORT, as curl takes it
_LOOKED_AT: Final = 20_000  # lines, to tell the interval between samples


def files_of(path: Path) -> list[Path]:
    """The file itself, or every file of metrics in the directory and below, by name.

    Raises:
        InputError: there is no such path, it cannot be read or holds no such file.

    """
    try:
        if path.is_dir():
            found = sorted(entry for entry in _walk(path) if entry.suffix in _IN_DIRECTORIES)
            if not found:
                msg = f"{path} holds no file that ends in {' or '.join(_IN_DIRECTORIES)}"
                raise InputError(msg)
            return found
        if not path.exists():
            hint = (
                f"did you mean http://{path}?" if _IS_ADDRESS.match(str(path)) else "give a URL, a file or a directory"
            )
            msg = f"{path} does not exist; {hint}"
            raise InputError(msg)
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error
    if path.suffix not in SUFFIXES:
        msg = f"{path} is of no known kind; files of metrics end in {' or '.join(SUFFIXES)}"
        raise InputError(msg)
    return [path]


def _walk(directory: Path) -> Iterator[Path]:
    """Like rglob, but a directory that cannot be read is an OSError and not silence."""
    for entry in sorted(directory.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        else:
            yield entry


def batches_of(
    path: Path, *, span: tuple[float, float] | None = None, replica_labels: Sequence[str] = REPLICA_LABELS
) -> Iterator[Batch]:
    """What one file holds; with a `span` in seconds since the epoch what lies in it.

    Of a table of an HA pair's samples, as a Thanos or a Mimir exports it, each series is handed on once: its rows
    differ in `replica_labels` only. Text of one Prometheus has no such labels: they come on the way out.

    Raises:
        InputError: as of `read_file`.
        MissingExtraError: it is Parquet, and pyarrow is not installed.

    """
    if path.suffix not in {".parquet", ".csv"}:
        yield read_file(path, span=span)
        return
    hour = hour_of(path)
    if hour is not None and span is not None and not span[0] // _HOUR_SECONDS <= hour <= span[1] // _HOUR_SECONDS:
        return
    table = read_csv(path, span=span) if path.suffix == ".csv" else _parquet(path, span)
    # Whoever wrote our history placed each series already; a name made of the file's would tear it at every file.
    defaults = {"instance": path.stem} if hour is None else {}
    yield from table.ranges(Target(name=str(path), defaults=defaults), replica_labels)


def _parquet(path: Path, span: tuple[float, float] | None) -> LongTable:
    from warpgauge.analyzer.parquet import pieces_of  # noqa: PLC0415 - an extra brings it

    table = LongTable(str(path))
    for series, numbers, times_ms, values in pieces_of(path, span=span):
        known = np.array([table.number(metric, labels) for metric, labels in series], dtype=np.int64)
        table.add(known[numbers], times_ms, values)
    return table


def read_file(path: Path, *, span: tuple[float, float] | None = None) -> Page:
    """One file as a page, of which only what lies in the `span` counts.

    Raises:
        InputError: it cannot be read, is malformed, or a sample lacks its timestamp; `file:line: what is wrong`.

    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            msg = f"{path} is larger than {_LARGEST_BYTES >> 30} GiB; split it by time"
            raise InputError(msg)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}"
        raise InputError(msg) from error
    is_openmetrics = path.suffix == ".om"
    lines = list(parse(text, place=str(path), openmetrics=is_openmetrics))
    if any(line.timestamp is None for line in lines):
        number = _bare_line(text, is_openmetrics=is_openmetrics)
        msg = f"{path}:{number}: the sample has no timestamp, so it has no place in time"
        raise InputError(msg)
    return Page(
        target=Target(name=str(path), defaults={"instance": path.stem}),
        text=text,
        is_openmetrics=is_openmetrics,
        time=None,
        interval_seconds=_interval(lines),
        span=span,
    )


def _bare_line(text: str, *, is_openmetrics: bool) -> int:
    """Number of the first sample line without a timestamp; the text is known to parse."""
    end = "\n# EOF\n" if is_openmetrics else "\n"
    for number, raw in enumerate(text.split("\n"), start=1):
        if raw.strip() and not raw.lstrip().startswith("#"):
            (line,) = parse(raw + end, place="", openmetrics=is_openmetrics)
            if line.timestamp is None:
                return number
    return 1


def _interval(lines: Sequence[Line]) -> float:
    """The usual distance between samples of a series."""
    times: dict[tuple[str, str], list[float]] = {}
    for line in lines[:_LOOKED_AT]:
        times.setdefault((line.name, line.labels), []).append(line.timestamp or 0.0)
    distances = [np.diff(np.sort(series)) for series in times.values() if len(series) > 1]
    if not distances:
        return _GUESSED_INTERVAL_SECONDS
    positive = np.concatenate(distances)
    positive = positive[positive > 0]
    return float(np.median(positive)) if len(positive) else _GUESSED_INTERVAL_SECONDS


def _unreadable(path: Path, error: OSError) -> str:
    return f"cannot read {error.filename or path}: {error.strerror or error}"
