"""The hour before the start, kept as numbers and written as OpenMetrics text with timestamps when asked for."""

from __future__ import annotations

from array import array
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import ALL, Kind
from warpgauge.core.exposition import FamilyRenderer, FamilyText, Format, page
from warpgauge.core.sample import Histogram, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.exporters.synthetic.one_series import Series

__all__ = ["OFTEN_SECONDS", "RARELY_SECONDS", "SELDOM_SECONDS", "Past", "line_starts"]

OFTEN_SECONDS: Final = 10
SELDOM_SECONDS: Final = 60
RARELY_SECONDS: Final = 300
"""How often a series stands in the past: what moves, what hardly does (identity, limits, error counts), and the many
that never do (states of links); five minutes is as long as a Prometheus looks back.
"""

_CHUNK_BYTES: Final = 256 * 1024
_ORDER: Final = {metric: position for position, metric in enumerate(ALL)}


class Past:
    """What one node's page showed every 10 s. `record` appends a moment; `text` gives all of it."""

    def __init__(self, series: Sequence[Series]) -> None:
        ordered = sorted(series, key=lambda row: _ORDER[row.metric])  # stable: series of a family keep their order
        self._tracks = {
            kind: _Track([row for row in ordered if (_seconds(row), row.is_constant) == kind], is_constant=kind[1])
            for kind in dict.fromkeys((_seconds(row), row.is_constant) for row in ordered)
        }
        self._moments = 0

    def record(self, time: float) -> None:
        """Keep the present values; of what hardly moves only every so often, counted from the first moment."""
        for (seconds, _), track in self._tracks.items():
            if self._moments * OFTEN_SECONDS % seconds == 0:
                track.record(time)
        self._moments += 1

    def text(self) -> Iterator[bytes]:
        """OpenMetrics in chunks: each family together, each series together and in time order, `# EOF` last."""
        waiting: list[str] = []
        size = 0
        for part in self._parts():
            waiting.append(part)
            size += len(part)
            if size >= _CHUNK_BYTES:
                yield "".join(waiting).encode()
                waiting, size = [], 0
        yield "".join(waiting).encode() + _END

    def _parts(self) -> Iterator[str]:
        """Headers and, per series, all its lines."""
        every = chain(*(track.columns() for track in self._tracks.values()))
        ordered = sorted(every, key=lambda column: _ORDER[column[0].metric])
        for metric, columns in groupby(ordered, key=lambda column: column[0].metric):
            yield page([{metric: FamilyText(b"", b"")}], Format.OPENMETRICS).removesuffix(_END).decode()
            for row, first, track in columns:
                yield from _lines(row, first, track)


class _Track:
    """Series that are recorded at the same moments, as one flat array: a row of numbers per moment.

    Of constant ones the first row stands for all moments.
    """

    def __init__(self, series: list[Series], *, is_constant: bool = False) -> None:
        self._is_constant = is_constant
        self.series = series
        self.times: list[float] = []
        self._numbers = array("d")
        self.width = sum(_width(row) for row in series)

    def record(self, time: float) -> None:
        self.times.append(time)
        if self._is_constant and len(self.times) > 1:
            return
        append, extend = self._numbers.append, self._numbers.extend
        for row in self.series:
            value = row.read()
            if isinstance(value, Histogram):
                extend((*value.counts, value.counts[-1], value.sum))
            else:
                append(value)

    def columns(self) -> Iterator[tuple[Series, int, _Track]]:
        """Every series with the place of its first number in a row."""
        first = 0
        for row in self.series:
            yield row, first, self
            first += _width(row)

    def column(self, position: int) -> array[float]:
        numbers = self._numbers[position :: self.width]
        return numbers * len(self.times) if self._is_constant else numbers


_END: Final = b"# EOF\n"


def _seconds(row: Series) -> int:
    """Time between two points of a series in the past."""
    if row.is_rare:
        return RARELY_SECONDS
    return SELDOM_SECONDS if row.is_still else OFTEN_SECONDS


def _width(row: Series) -> int:
    """Numbers per moment: one, or a histogram's buckets, +Inf, count and sum."""
    return len(row.metric.buckets) + 3 if row.metric.kind is Kind.HISTOGRAM else 1


def _lines(row: Series, first: int, track: _Track) -> Iterator[str]:
    """All points of one series. A histogram's parts stand together moment by moment, as the format asks."""
    stamps = [f" {time!r}\n" for time in track.times]
    starts = line_starts(row)
    if len(starts) == 1:
        start = starts[0]
        yield "".join([f"{start}{value!r}{stamp}" for value, stamp in zip(track.column(first), stamps, strict=True)])
        return
    columns = [track.column(first + position) for position in range(len(starts))]
    for position, stamp in enumerate(stamps):
        *counts, total = (column[position] for column in columns)
        yield "".join([f"{start}{count:.0f}{stamp}" for start, count in zip(starts, counts, strict=False)])
        yield f"{starts[-1]}{total!r}{stamp}"


def line_starts(row: Series) -> list[str]:
    """What the one renderer writes before the values of a series: one line, or all those of a histogram."""
    rendered = FamilyRenderer().render([Sample(row.metric, row.labels, row.read())])
    lines = rendered[row.metric].openmetrics.decode().splitlines()
    return [line.rpartition(" ")[0] + " " for line in lines]
