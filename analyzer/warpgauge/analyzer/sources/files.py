"""Files of metrics: OpenMetrics (`.om`) or Prometheus text (`.prom`), each sample with its timestamp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.sources.batch import Page, Target
from warpgauge.core.errors import InputError
from warpgauge.core.exposition import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from warpgauge.core.exposition import Line

__all__ = ["SUFFIXES", "files_of", "read_file"]

SUFFIXES: Final = (".om", ".prom")
_LARGEST_BYTES: Final = 2 << 30
_GUESSED_INTERVAL_SECONDS: Final = 10.0
_LOOKED_AT: Final = 20_000  # lines, to tell the interval between samples


def files_of(path: Path) -> list[Path]:
    """The file itself, or every file of metrics in the directory and below, by name.

    Raises:
        InputError: there is no such path, it cannot be read or holds no such file.

    """
    try:
        if path.is_dir():
            found = sorted(entry for entry in _walk(path) if entry.suffix in SUFFIXES)
            if not found:
                msg = f"{path} holds no file that ends in {' or '.join(SUFFIXES)}"
                raise InputError(msg)
            return found
        if not path.exists():
            msg = f"{path} does not exist; give a URL, a file or a directory"
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


def read_file(path: Path) -> Page:
    """One file as a page.

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
