"""Samples to lines, and lines to pages.

A line without its value never changes while a series lives, so it is built once and kept; and a source has the same
series each time, nearly always, so where each stands is kept too: all that is left is to write numbers and to join.
Labels stand in alphabetical order, as prometheus_client writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, isfinite, isnan
from operator import add, itemgetter
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import ALL, Kind
from warpgauge.core.exposition.formats import Format
from warpgauge.core.sample import Histogram, Samples, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.core.sample import Sample, Value

__all__ = ["FamilyRenderer", "FamilyText", "bound", "page"]

_ORDER: Final = {metric.name: position for position, metric in enumerate(ALL)}
_LABEL_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_TEXT_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_EXPONENT_FROM: Final = 1e6

_PORTION: Final = 600  # lines, some 0.2 ms

_Prefix = str | tuple[str, ...]
"""Line without value; for a histogram one per bucket, then _count and _sum."""
_Prefixes = dict[tuple[str, ...], _Prefix]


@dataclass(frozen=True, slots=True)
class FamilyText:
    """The sample lines of one family, without HELP and TYPE; the formats differ only where lines carry timestamps."""

    text: bytes
    openmetrics: bytes

    def of(self, fmt: Format) -> bytes:
        """The lines in one format."""
        return self.text if fmt is Format.TEXT else self.openmetrics


@dataclass(frozen=True, slots=True)
class _Layout:
    """What was rendered last, as long as every sample of it was a number: series that come again find their lines."""

    metrics: Sequence[Metric]
    labels: Sequence[tuple[str, ...]]
    prefixes: list[str]  # in the order of the samples, as those two
    by_family: Callable[[list[str]], Sequence[str]]  # puts lines into the order of the families
    families: list[tuple[Metric, int]]  # and how many lines each has


class FamilyRenderer:
    """Renders the samples of one source again and again; keeps the prefixes of exactly the series it saw last."""

    def __init__(self) -> None:
        self._kept: dict[str, _Prefixes] = {}
        self._layout: _Layout | None = None

    def render(self, samples: Iterable[Sample], timestamp: float | None = None) -> dict[Metric, FamilyText]:
        """Lines per family, in the order of `samples`; `timestamp` (seconds) is written on each line when given.

        Samples without a value give no line, families without lines are absent.

        Raises:
            ValueError: a sample has too many or too few labels or bucket counts for its metric.
            TypeError: a histogram's value is a number, or the other way round.

        """
        rendering = self.portions(samples, timestamp)
        while True:
            try:
                next(rendering)
            except StopIteration as end:
                rendered: dict[Metric, FamilyText] = end.value
                return rendered

    def portions(
        self, samples: Iterable[Sample], timestamp: float | None = None
    ) -> Generator[None, None, dict[Metric, FamilyText]]:
        """The same as `render`, with pauses, so that nobody who scrapes meanwhile has to wait for all of it."""
        columns = samples if isinstance(samples, Samples) else Samples.of(samples)
        layout = self._layout
        if layout is not None and columns.metrics == layout.metrics and columns.labels == layout.labels:
            lines = yield from _usual_lines(layout.prefixes, columns.values)
            if lines is not None:
                return (yield from _by_family(layout, lines, timestamp))
        return (yield from self._anew(columns, timestamp))

    def _anew(self, columns: Samples, timestamp: float | None) -> Generator[None, None, dict[Metric, FamilyText]]:
        places: dict[Metric, list[int]] = {}
        for place, metric in enumerate(columns.metrics):
            places.setdefault(metric, []).append(place)
        rendered, kept, written = {}, {}, 0
        for metric, members in places.items():
            labels = [columns.labels[place] for place in members]
            values = [columns.values[place] for place in members]
            lines, kept[metric.name] = _lines(metric, labels, values, self._kept.get(metric.name, {}))
            if lines:
                rendered[metric] = _family_text(lines, timestamp)
            written += len(lines)
            if written >= _PORTION:
                written = 0
                yield
        self._kept = kept
        self._layout = _layout(columns, places, kept)
        return rendered


def _layout(columns: Samples, places: Mapping[Metric, list[int]], kept: Mapping[str, _Prefixes]) -> _Layout | None:
    """Where each line stands; None where a histogram makes several of a sample, or one has no value."""
    pairs = zip(columns.metrics, columns.labels, strict=True)
    prefixes = [prefix for metric, labels in pairs if type(prefix := kept[metric.name].get(labels)) is str]
    order = [place for members in places.values() for place in members]
    if len(prefixes) < len(columns) or len(order) <= 1:  # of one item `itemgetter` makes no tuple
        return None
    families = [(metric, len(members)) for metric, members in places.items()]
    return _Layout(columns.metrics, columns.labels, prefixes, itemgetter(*order), families)


def _usual_lines(prefixes: list[str], values: Sequence[Value]) -> Generator[None, None, list[str] | None]:
    """Lines of the same series as last time, all with a finite float; None if any is different.

    Nearly every call ends here, so the loops are those of map.
    """
    lines: list[str] = []
    try:
        if not isfinite(sum(values)):  # type: ignore[arg-type]  # what is no number has no sum
            return None
        for first in range(0, len(values), _PORTION):
            portion = values[first : first + _PORTION]
            lines += map(add, prefixes[first : first + _PORTION], map(float.__repr__, portion))
            yield
    except TypeError:  # a value that is no float
        return None
    return lines


def _by_family(
    layout: _Layout, lines: list[str], timestamp: float | None
) -> Generator[None, None, dict[Metric, FamilyText]]:
    ordered = layout.by_family(lines)
    rendered, first = {}, 0
    for metric, count in layout.families:
        rendered[metric] = _family_text(ordered[first : first + count], timestamp)
        first += count
    yield
    return rendered


def page(families: Iterable[Mapping[Metric, FamilyText]], fmt: Format) -> bytes:
    """One page of all sources: each family once, HELP and TYPE first, in the order of the catalog."""
    merged: dict[Metric, list[bytes]] = {}
    for source in families:
        for metric, text in source.items():
            merged.setdefault(metric, []).append(text.of(fmt))
    ordered = sorted(merged, key=lambda metric: (_ORDER.get(metric.name, len(_ORDER)), metric.name))
    parts = [part for metric in ordered for part in (_header(metric, fmt), *merged[metric])]
    if fmt is Format.OPENMETRICS:
        parts.append(b"# EOF\n")
    return b"".join(parts)


def _lines(
    metric: Metric, labels: Sequence[tuple[str, ...]], values: Sequence[Value], kept: _Prefixes
) -> tuple[list[str], _Prefixes]:
    """Lines without line ends, and the prefixes to keep."""
    lines: list[str] = []
    living: _Prefixes = {}
    for its_labels, value in zip(labels, values, strict=True):
        if isinstance(value, Unavailable):
            continue
        prefix = kept.get(its_labels) or _prefix(metric, its_labels)
        living[its_labels] = prefix
        lines += _unusual_lines(metric, prefix, value)
    return lines, living


def _unusual_lines(metric: Metric, prefix: _Prefix, value: float | Histogram) -> Iterable[str]:
    if isinstance(value, Histogram) and isinstance(prefix, tuple):
        if len(value.counts) + 2 != len(prefix):
            msg = f"{metric.name} has {len(metric.buckets) + 1} buckets, got {len(value.counts)}"
            raise ValueError(msg)
        return map(add, prefix, (*map(repr, value.counts), repr(value.counts[-1]), _number(value.sum)))
    if isinstance(value, Histogram) or isinstance(prefix, tuple):
        msg = f"{metric.name} is a {metric.kind}, got {value!r}"
        raise TypeError(msg)
    return (prefix + _number(value),)


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    if value in {inf, -inf}:
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))


def _prefix(metric: Metric, values: tuple[str, ...]) -> _Prefix:
    pairs = tuple(zip(metric.label_names(values), values, strict=True))
    if metric.kind is not Kind.HISTOGRAM:
        return _start(metric.name, pairs)
    buckets = tuple(_start(f"{metric.name}_bucket", (*pairs, ("le", bound(le)))) for le in (*metric.buckets, inf))
    return (*buckets, _start(f"{metric.name}_count", pairs), _start(f"{metric.name}_sum", pairs))


def _start(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    if not pairs:
        return f"{name} "
    block = ",".join(f'{label}="{value.translate(_LABEL_ESCAPES)}"' for label, value in sorted(pairs))
    return f"{name}{{{block}}} "


def bound(le: float) -> str:
    """A bucket's bound as Go prints it, so that the same bucket has the same label everywhere (OpenMetrics 1.0)."""
    if le < _EXPONENT_FROM or le == inf:
        return _number(le)
    digits, _, exponent = f"{le:.17e}".partition("e")
    for precision in range(17):
        short = f"{le:.{precision}e}"
        if float(short) == le:
            digits, _, exponent = short.partition("e")
            break
    return f"{digits}e{exponent}"


def _family_text(lines: Sequence[str], timestamp: float | None) -> FamilyText:
    if timestamp is None:
        both = _joined(lines, "\n")
        return FamilyText(both, both)
    return FamilyText(_joined(lines, f" {round(timestamp * 1000)}\n"), _joined(lines, f" {timestamp!r}\n"))


def _joined(lines: Sequence[str], end: str) -> bytes:
    # A lone surrogate (a file name or command line that is no UTF-8) becomes "?", never an error.
    return (end.join(lines) + end).encode("utf-8", "replace")


@lru_cache(maxsize=1024)
def _header(metric: Metric, fmt: Format) -> bytes:
    name, kind = metric.name, metric.kind.value
    escaped = metric.help.translate(_TEXT_HELP_ESCAPES)
    if metric.kind in {Kind.STATE, Kind.INFO}:
        kind = "gauge"
    if fmt is Format.OPENMETRICS:
        escaped = metric.help.translate(_LABEL_ESCAPES)
        if metric.kind is Kind.COUNTER:
            name = name.removesuffix("_total")
        elif metric.kind is Kind.INFO:
            name, kind = name.removesuffix("_info"), "info"
    return f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n".encode()
