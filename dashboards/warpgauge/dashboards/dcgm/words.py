"""A query of ours in the series of dcgm-exporter, as text: selectors by the mapping, labels by their other names.

Only our own queries come here, which `warpgauge.core.promql` wrote: a name from the catalog is always a selector, its
matchers stand in braces behind it, and a range is always below one function.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import BY_NAME
from warpgauge.core.promql import LabelValue, Matches, Unlike
from warpgauge.dashboards.dcgm.rows import LABELS, Reading, in_dcgms_words

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["expression", "legend", "readings_of"]

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_MATCHER: Final = rf"\w+(?:=~|!=|=){_STRING}"
_SELECTOR: Final = re.compile(
    r"(?:(?P<function>\w+)\((?=[a-z]\w*(?:\{[^}]*\})?\[))?"
    r"\b(?P<name>(?:accel|host|training|serving|warpgauge)_\w+)"
    rf"(?:\{{(?P<block>{_MATCHER}(?:,{_MATCHER})*)\}})?"
    r"(?:\[(?P<window>[^\]]+)\]\))?"
)
_SOURCE: Final = re.compile(r'(?<="\$1", ")(\w+)(?=", ")')  # the label that label_replace reads
_OURS: Final = re.compile(rf"(?P<string>{_STRING})|(?<![\w$])(?P<word>{'|'.join(LABELS)})\b")
_PART: Final = re.compile(r"_(bucket|sum|count)$")  # of a histogram
_IN_LEGEND: Final = re.compile(r"(?<=\{\{)\w+(?=\}\})")


def expression(ours: str, shown: str = "") -> str | None:
    """The query over the exporter's series; None where one of its rows cannot be told. `shown` is its legend."""
    needed = frozenset(re.findall(r"\w+", f"{_SELECTOR.sub('', ours)} {shown}"))
    told = [in_dcgms_words(reading, needed=needed) for reading in readings_of(ours)]
    if not told or None in told:
        return None
    rest = iter(told)
    return _around(ours, _renamed, lambda: next(rest) or "")


def readings_of(ours: str) -> list[Reading]:
    """The selectors of a query, in order."""
    return [_reading(found) for found in _SELECTOR.finditer(ours)]


def legend(ours: str) -> str:
    """A legend's labels under their other names."""
    return _IN_LEGEND.sub(lambda found: LABELS.get(found[0], found[0]), ours)


def _around(text: str, outside: Callable[[str], str], selector: Callable[[], str]) -> str:
    """The text with each selector replaced, and the rest of it changed."""
    pieces, end = [], 0
    for found in _SELECTOR.finditer(text):
        pieces += [outside(text[end : found.start()]), selector()]
        end = found.end()
    return "".join([*pieces, outside(text[end:])])


def _renamed(text: str) -> str:
    text = _SOURCE.sub(lambda found: LABELS.get(found[0], found[0]), text)
    return _OURS.sub(lambda found: found["string"] or LABELS[found["word"]], text)


def _reading(found: re.Match[str]) -> Reading:
    return Reading(
        metric=BY_NAME.get(found["name"]) or BY_NAME[_PART.sub("", found["name"])],
        labels=dict(_label(one[0]) for one in re.finditer(_MATCHER, found["block"] or "")),
        function=found["function"] or "",
        window=found["window"] or "",
    )


def _label(matcher: str) -> tuple[str, LabelValue]:
    name, operator, text = re.fullmatch(rf"(\w+)(=~|!=|=)({_STRING})", matcher).groups()  # type: ignore[union-attr]
    value = json.loads(text)
    match operator:
        case "=":
            return name, value
        case "!=":
            return name, Unlike(value)
        case _ if "$" in value:
            return name, Matches(value)
        case _:
            return name, tuple(value.split("|"))  # only words stand in our alternatives
