"""Samples to lines, and lines to pages.

A line without its value never changes while a series lives, so it is built once and kept: joining kept prefixes costs
about 0.3 us a sample against 5.6 us for formatting labels anew (benchmarks/exposition.py).
Labels stand in alphabetical order, as prometheus_client writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from math import inf, isfinite, isnan
from operator import add, attrgetter
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import ALL, Kind
from warpgauge.core.exposition.formats import Format
from warpgauge.core.sample import Histogram, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.sample import Sample

__all__ = ["FamilyRenderer", "FamilyText", "bound", "page"]

_ORDER: Final = {metric.name: position for position, metric in enumerate(ALL)}
_LABEL_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_TEXT_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_EXPONENT_FROM: Final = 1e6

_METRIC: Final = attrgetter("metric")
_LABELS: Final = attrgetter("labels")
_VALUE: Final = attrgetter("value")

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


class FamilyRenderer:
    """Renders the samples of one source again and again; keeps the prefixes of exactly the series it saw last."""

    def __init__(self) -> None:
        self._kept: dict[str, _Prefixes] = {}

    def render(self, samples: Iterable[Sample], timestamp: float | None = None) -> dict[Metric, FamilyText]:
        """Lines per family, in the order of `samples`; `timestamp` (seconds) is written on each line when given.

        Samples without a value give no line, families without lines are absent.

        Raises:
            ValueError: a sample has too many or too few labels or bucket counts for its metric.
            TypeError: a histogram's value is a number, or the other way round.

        """
        families: dict[Metric, list[Sample]] = {}
        for metric, group in groupby(samples, _METRIC):
            families.setdefault(metric, []).extend(group)
        rendered = {}
        kept = {}
        for metric, members in families.items():
            lines, kept[metric.name] = _lines(metric, members, self._kept.get(metric.name, {}))
            if lines:
                rendered[metric] = _family_text(lines, timestamp)
        self._kept = kept
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


def _lines(metric: Metric, samples: list[Sample], kept: _Prefixes) -> tuple[list[str], _Prefixes]:
    """Lines without line ends, and the prefixes to keep."""
    if len(samples) == len(kept) and metric.kind is not Kind.HISTOGRAM:
        usual = _usual_lines(samples, kept)
        if usual is not None:
            return usual, kept
    lines: list[str] = []
    living: _Prefixes = {}
    for sample in samples:
        value = sample.value
        if isinstance(value, Unavailable):
            continue
        prefix = kept.get(sample.labels) or _prefix(metric, sample.labels)
        living[sample.labels] = prefix
        lines += _unusual_lines(metric, prefix, value)
    return lines, living


def _usual_lines(samples: list[Sample], kept: _Prefixes) -> list[str] | None:
    """Lines of the same series as last time, all with a finite float; None if any is different.

    Nearly every call ends here, so the loops are those of map.
    """
    values = list(map(_VALUE, samples))
    try:
        numbers = map(float.__repr__, values)
        lines = list(map(add, map(kept.__getitem__, map(_LABELS, samples)), numbers))
        return lines if all(map(isfinite, values)) else None
    except (KeyError, TypeError):  # a new series; a value that is no float
        return None


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


def _family_text(lines: list[str], timestamp: float | None) -> FamilyText:
    if timestamp is None:
        both = _joined(lines, "\n")
        return FamilyText(both, both)
    return FamilyText(_joined(lines, f" {round(timestamp * 1000)}\n"), _joined(lines, f" {timestamp!r}\n"))


def _joined(lines: list[str], end: str) -> bytes:
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
