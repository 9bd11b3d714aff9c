"""The Prometheus HTTP API (also Thanos, Mimir, VictoriaMetrics) as a source of the past.

Raw samples come from instant queries of range selectors (`metric[1h]`), with the time each was scraped: range
queries would invent samples at their steps and repeat counters, which ruins rates. A range query is used only where
a step is asked for, to thin out what is read; it must not be shorter than the scrape interval.
https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.dialects import DIALECTS
from warpgauge.analyzer.dialects.naming import DESCRIBING
from warpgauge.analyzer.sources.batch import Points, Ranges, Target
from warpgauge.analyzer.sources.fetch import get, json_of
from warpgauge.analyzer.sources.replicas import REPLICA_LABELS, merge_replicas
from warpgauge.core.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    import aiohttp

    from warpgauge.analyzer.sources.access import Access

__all__ = ["Budget", "Prometheus", "Span"]

_ANSWER_BYTES: Final = 512 << 20
_SAMPLES_PER_QUERY: Final = 1_000_000
_GUESSED_SCRAPE_SECONDS: Final = 15.0
_TIMEOUT_SECONDS: Final = 60.0
_SERIES_PER_QUERY: Final = 200_000
_LEAST_CHUNK_SECONDS: Final = 60.0
_URL_CHARACTERS: Final = 3000  # of names; with percent signs and the rest still far below 8 KiB
_ASKED_FOR_INTERVAL: Final = 20  # series
_MATCHER: Final = r"""[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
_MATCH: Final = re.compile(rf"\{{\s*((?:{_MATCHER}(?:\s*,\s*{_MATCHER})*)?)\s*,?\s*\}}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What to read: seconds since the epoch, an optional step and an optional selector `{label="value"}`.

    `replica_labels` tell the two Prometheus of an HA pair apart: what differs in them only is one series.
    """

    start: float
    end: float
    step_seconds: float | None = None
    match: str | None = None
    replica_labels: tuple[str, ...] = REPLICA_LABELS

    @property
    def matchers(self) -> str:
        """The selector without its braces.

        Raises:
            ConfigError: it has none.

        """
        return matchers_of(self.match or "{}", "--match")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What reading a span will ask of the server; `names` in the order of reading, with their series."""

    series: Mapping[str, int]
    queries: int
    samples: int

    def words(self) -> str:
        """The budget as a sentence."""
        total = sum(self.series.values())
        return (
            f"reading {len(self.series)} metrics with {total:,} series: {self.queries} queries, "
            f"about {self.samples:,} samples"
        )


class Prometheus:
    """One server."""

    def __init__(self, session: aiohttp.ClientSession, access: Access) -> None:
        self._session = session
        self._access = access
        self._intervals: dict[str, float] = {}  # seconds between scrapes, by metric, from the last reading that told
        self.target = Target(name=access.url)

    async def budget(self, span: Span) -> Budget:
        """What there is to read, by asking for a count of series.

        Raises:
            SourceError: unreachable, refused, not a Prometheus, or an answer in part only.

        """
        counted: dict[str, int] = {}
        for names in _name_groups():
            counted |= await self._count(names, span)
        ordered = dict(sorted(counted.items(), key=lambda entry: (entry[0] not in DESCRIBING, entry[0])))
        per_series = math.ceil((span.end - span.start) / (span.step_seconds or _GUESSED_SCRAPE_SECONDS))
        queries = sum(len(_chunks(span, series)) for series in ordered.values())
        return Budget(series=ordered, queries=queries, samples=per_series * sum(ordered.values()))

    async def _count(self, names: str, span: Span) -> dict[str, int]:
        """Series of each metric that a regular expression of names matches."""
        selector = _selector(f'__name__=~"{names}"', span.matchers)
        window = _duration(max(_LEAST_CHUNK_SECONDS, span.end - span.start))
        counting = f"count by (__name__) (last_over_time({selector}[{window}]))"
        rows = await self._query("query", {"query": counting, "time": f"{span.end:.3f}"}, "vector")
        try:
            return {row["metric"]["__name__"]: int(float(row["value"][1])) for row in rows}
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise SourceError(self._nonsense(error)) from error

    async def read(self, span: Span, budget: Budget) -> AsyncIterator[Ranges]:
        """Everything of the budget, the series that tell nodes' names first.

        Raises:
            SourceError: as for `budget`.

        """
        for name, series in budget.series.items():
            if series > _SERIES_PER_QUERY:
                msg = f"{self._access.url} has {series:,} series of {name}; narrow it with --match"
                raise SourceError(msg)
            for chunk in _chunks(span, series):
                points = merge_replicas(await self._points(name, chunk), span.replica_labels)
                interval = span.step_seconds or self._interval(name, points)
                yield Ranges(target=self.target, points=points, interval_seconds=interval)

    def _interval(self, name: str, points: Sequence[Points]) -> float:
        """The scrape interval; a short reading may hold one sample of each series only and tell nothing."""
        told = _interval(points)
        if told is not None:
            self._intervals[name] = told
        return self._intervals.get(name, _GUESSED_SCRAPE_SECONDS)

    async def _points(self, name: str, span: Span) -> list[Points]:
        selector = _selector(f'__name__="{name}"', span.matchers)
        if span.step_seconds is None:
            query = f"{selector}[{_duration(span.end - span.start)}]"
            rows = await self._query("query", {"query": query, "time": f"{span.end:.3f}"}, "matrix")
        else:
            times = {"start": f"{span.start:.3f}", "end": f"{span.end:.3f}", "step": f"{span.step_seconds:g}"}
            rows = await self._query("query_range", {"query": selector, **times}, "matrix")
        try:
            return [_series(name, row) for row in rows if row.get("values")]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(self._nonsense(error)) from error

    async def _query(self, path: str, params: Mapping[str, str], kind: str) -> list[Any]:
        url = self._access.path(path)
        answer = await get(
            self._session,
            url,
            params=params,
            headers=self._access.headers(),
            tls=self._access.tls,
            limit_bytes=_ANSWER_BYTES,
            timeout_seconds=_TIMEOUT_SECONDS,
            keep_errors=True,
        )
        document = json_of(answer, url)
        if not isinstance(document, dict) or document.get("status") not in {"success", "error"}:
            msg = f"{self._access.url} is not a Prometheus: {url} answers with JSON of another form"
            raise SourceError(msg)
        if document["status"] == "error":
            msg = f"{self._access.url} refuses a query: {document.get('error', 'no reason given')}"
            raise SourceError(msg)
        if document.get("warnings"):
            msg = f"{self._access.url} answers only in part, which could mislead: {document['warnings']}"
            raise SourceError(msg)
        data = document.get("data")
        if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
            raise SourceError(self._nonsense(f"no {kind}"))
        rows: list[Any] = data["result"]
        return rows

    def _nonsense(self, what: object) -> str:
        return f"{self._access.url} answers in another form than the Prometheus API: {what!r}"


def _series(name: str, row: Mapping[str, Any]) -> Points:
    labels = {key: str(value) for key, value in row["metric"].items() if key != "__name__"}
    values = row["values"]
    times = np.fromiter((pair[0] for pair in values), dtype=np.float64, count=len(values))
    numbers = np.fromiter((float(pair[1]) for pair in values), dtype=np.float64, count=len(values))
    return Points(name=name, labels=labels, times_ms=np.rint(times * 1000.0).astype(np.int64), values=numbers)


def _interval(points: Sequence[Points]) -> float | None:
    """The scrape interval: the median distance between samples of the first series that tell, None if none does."""
    several = (series.times_ms for series in points if len(series.times_ms) > 1)
    distances = [np.diff(times_ms) for times_ms in itertools.islice(several, _ASKED_FOR_INTERVAL)]
    return float(np.median(np.concatenate(distances))) / 1000.0 if distances else None


def _chunks(span: Span, series: int) -> list[Span]:
    """Pieces of a span that give about as many samples as one answer should hold."""
    seconds = span.end - span.start
    samples = series * seconds / (span.step_seconds or _GUESSED_SCRAPE_SECONDS)
    longest = max(_LEAST_CHUNK_SECONDS, seconds / max(1, math.ceil(samples / _SAMPLES_PER_QUERY)))
    count = max(1, math.ceil(seconds / longest))
    edges = [span.start + seconds * number / count for number in range(count + 1)]
    return [replace(span, start=first, end=last) for first, last in itertools.pairwise(edges)]


def _name_groups() -> Iterator[str]:
    """Every name that some dialect reads, joined by |; proxies refuse URLs of more than a few thousand characters."""
    group: list[str] = []
    for name in sorted({name for dialect in DIALECTS for name in dialect.names} | DESCRIBING):
        if group and sum(map(len, group)) + len(group) + len(name) > _URL_CHARACTERS:
            yield "|".join(group)
            group = []
        group.append(name)
    yield "|".join(group)


def matchers_of(match: str, key: str) -> str:
    """A selector without its braces; `key` names the flag or setting in the error.

    Raises:
        ConfigError: it is none.

    """
    found = _MATCH.fullmatch(match.strip())
    if found is None:
        msg = f'{key} {match!r} must be a selector in braces, such as {{cluster="a"}}'
        raise ConfigError(msg)
    return found[1]


def _selector(name: str, matchers: str) -> str:
    return f"{{{name},{matchers}}}" if matchers else f"{{{name}}}"


def _duration(seconds: float) -> str:
    return f"{math.ceil(seconds * 1000.0)}ms"
