"""One series of Parquet files, such as those of the history: the rows that `warpgauge detect` scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.parquet import pieces_of
from warpgauge.analyzer.sources.chosen_series import Chosen
from warpgauge.analyzer.sources.series_file import Piece
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.analyzer.sources.chosen_series import Choice

__all__ = ["read_parquet"]


def read_parquet(path: Path, choice: Choice) -> Iterator[Piece]:
    """Rows with a value, of a file or of all Parquet files of a directory by name; timestamps as RFC 3339 in UTC.

    Raises:
        InputError: a file is no long table, or not exactly one series fits.

    """
    chosen = Chosen(choice, str(path))
    for one in _files(path):
        for series, numbers, times_ms, values in pieces_of(one, metric=choice.metric):
            wanted = [at for at, (metric, labels) in enumerate(series) if chosen.is_it(metric, labels)]
            rows = np.isin(numbers, wanted)
            if rows.any():
                yield _piece(times_ms[rows], values[rows])
    chosen.check()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*.parquet"))
    if not found:
        msg = f"{path} holds no file that ends in .parquet"
        raise InputError(msg)
    return found


def _piece(times_ms: Ints, values: Doubles) -> Piece:
    texts = np.datetime_as_string(times_ms.astype("datetime64[ms]"), timezone="UTC").tolist()
    return Piece(texts, times_ms / 1000.0, values)
