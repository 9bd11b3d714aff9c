"""Text 0.0.4 and OpenMetrics to lines, strictly.

One compiled expression takes a usual line and leaves its label block whole; blocks repeat from scrape to scrape, so
`labels_of` is cached and a label set seen before costs a lookup. It takes as block whatever stands before the last
closing brace: if that is no label block, or the line looks otherwise, the exact and slower expression decides.
Grammar: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import inf, isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Line", "labels_of", "parse"]

_CACHED_BLOCKS: Final = 65536
_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
# Python before 3.11.5 gets possessive and atomic groups wrong (cpython#106052; Debian 12 has 3.11.2), so there are none
# here; a possessive repetition of one character class is fine everywhere.
# Between the braces, quotes balanced; the alternatives share no first character, so backtracking stays linear.
_BLOCK: Final = r'(?:[^"{}\n]++|"(?:[^"\\\n]++|\\[^\n])*")*'
_NUMBER: Final = r"[0-9a-zA-Z.+-]++"

_TEXT_LINE: Final = re.compile(
    rf"[ \t]*+(?:({_NAME})(?:[ \t]*+\{{({_BLOCK})\}}[ \t]*+|[ \t]++)({_NUMBER})"
    rf"(?:[ \t]++([+-]?[0-9]++))?[ \t]*+|(#[^\n]*+))?\n"
)
_OPENMETRICS_LINE: Final = re.compile(
    rf"(?:({_NAME})(?:\{{({_BLOCK})\}})? ({_NUMBER})(?: ({_NUMBER}))?"
    rf"(?: # \{{{_BLOCK}\}} {_NUMBER}(?: {_NUMBER})?)?|(#[^\n]*+))\n"
)
_USUAL: Final = rf"({_NAME})(?:\{{([^\n]*)\}})? ({_NUMBER})(?: (%s))?\n|(#[^\n]*+)\n"
_TEXT_USUAL: Final = re.compile(_USUAL % "-?[0-9]++")
_OPENMETRICS_USUAL: Final = re.compile(_USUAL % _NUMBER)
_LABEL: Final = re.compile(r'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\\n]++|\\[\\n"])*)"[ \t]*+(,|\Z)')
_ESCAPE: Final = re.compile(r'\\([\\n"])')
_TYPE: Final = re.compile(rf"#[ \t]+TYPE[ \t]+({_NAME})[ \t]+(\S+)[ \t]*")
_TEXT_TYPES: Final = {"counter", "gauge", "histogram", "summary", "untyped"}
_OPENMETRICS_TYPES: Final = {
    "counter", "gauge", "gaugehistogram", "histogram", "info", "stateset", "summary", "unknown",
}  # fmt: skip
_OPENMETRICS_COMMENTS: Final = ("# HELP ", "# TYPE ", "# UNIT ", "# EOF")
_SHOWN_CHARACTERS: Final = 60


class Line(NamedTuple):
    """One sample line; `labels` is the raw block between the braces, `timestamp` is in seconds."""

    name: str
    labels: str
    value: float
    timestamp: float | None


def parse(  # noqa: C901 - the one hot loop; a call per line would double its time
    text: str, *, place: str, openmetrics: bool = False
) -> Iterator[Line]:
    """Sample lines of a page in their order; `place` (a file or URL) stands in errors.

    Raises:
        InputError: `place:line: what is wrong`, when the reader comes to that line.

    """
    usual = _OPENMETRICS_USUAL if openmetrics else _TEXT_USUAL
    position, ended = 0, False
    new = tuple.__new__
    while position < len(text) and not ended:
        for match in iter(usual.scanner(text, position).match, None):  # type: ignore[attr-defined]  # not in typeshed
            name, block, number, stamp, comment = match.groups()
            if comment is not None:
                ended = _check_comment(comment, text, position, place, openmetrics=openmetrics)
                position = match.end()
                if ended:
                    break
                continue
            try:
                if block:
                    labels_of(block)
                line = new(Line, (name, block or "", float(number), stamp and _seconds(stamp, openmetrics=openmetrics)))
            except (InputError, ValueError):
                break
            position = match.end()
            yield line
        if position < len(text) and not ended:
            unusual, position = _unusual_line(text, position, place, openmetrics=openmetrics)
            if unusual is not None:
                yield unusual
    if position < len(text):
        raise _error(text, position, place, "nothing may follow # EOF")
    if openmetrics and not ended:
        raise _error(text, position, place, "the page does not end with # EOF (cut short?)")


def _unusual_line(text: str, start: int, place: str, *, openmetrics: bool) -> tuple[Line | None, int]:
    """The line at `start` by the exact grammar (None for a comment or an empty line), and where it ends."""
    match = (_OPENMETRICS_LINE if openmetrics else _TEXT_LINE).match(text, start)
    if match is None:
        raise _error(text, start, place, _complaint(text, start, openmetrics=openmetrics))
    name, block, number, stamp, comment = match.groups()
    if name is None:
        if comment is not None:
            _check_comment(comment, text, start, place, openmetrics=openmetrics)
        return None, match.end()
    try:
        labels_of(block or "")
        seconds = None if stamp is None else _seconds(stamp, openmetrics=openmetrics)
        return Line(name, block or "", float(number), seconds), match.end()
    except ValueError:
        raise _error(text, start, place, f"{number!r} is not a number") from None
    except InputError as error:
        raise _error(text, start, place, str(error)) from None


@lru_cache(maxsize=_CACHED_BLOCKS)
def labels_of(block: str) -> Mapping[str, str]:
    """Labels of a raw block such as `uuid="GPU-1",index="0"`; read-only, because it is kept.

    Raises:
        InputError: the block is malformed or names a label twice.

    """
    labels: dict[str, str] = {}
    position = 0
    while position < len(block):
        match = _LABEL.match(block, position)
        if match is None:
            if labels and not block[position:].strip(" \t"):
                break  # a comma may follow the last label
            msg = f"malformed label at {_shown(block[position:])}"
            raise InputError(msg)
        name, value, _ = match.groups()
        if name in labels:
            msg = f"label {name!r} stands twice"
            raise InputError(msg)
        labels[name] = _ESCAPE.sub(_unescaped, value) if "\\" in value else value
        position = match.end()
    return MappingProxyType(labels)


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _seconds(stamp: str, *, openmetrics: bool) -> float:
    try:
        seconds = float(stamp) if openmetrics else float(stamp) / 1000
    except ValueError:
        seconds = inf
    if not isfinite(seconds):
        msg = f"timestamp {_shown(stamp)} is not a time"
        raise InputError(msg)
    return seconds


def _check_comment(comment: str, text: str, start: int, place: str, *, openmetrics: bool) -> bool:
    """Whether the comment is OpenMetrics' end mark."""
    if openmetrics and not comment.startswith(_OPENMETRICS_COMMENTS):
        raise _error(text, start, place, f"OpenMetrics knows no comment such as {_shown(comment)}")
    if comment[1:].lstrip(" \t").startswith("TYPE"):
        declared = _TYPE.fullmatch(comment)
        known = _OPENMETRICS_TYPES if openmetrics else _TEXT_TYPES
        if declared is None or declared[2] not in known:
            raise _error(text, start, place, f"malformed TYPE line {_shown(comment)}")
    return openmetrics and comment == "# EOF"


def _error(text: str, start: int, place: str, complaint: str) -> InputError:
    return InputError(f"{place}:{text.count(chr(10), 0, start) + 1}: {complaint}")


def _complaint(text: str, start: int, *, openmetrics: bool) -> str:
    """What is wrong with a line that the grammar refuses, from its first wrong part on."""
    end = text.find("\n", start)
    if end < 0:
        return f"the last line does not end with a line feed (cut short?): {_shown(text[start:])}"
    line = text[start:end]
    if line.endswith("\r"):
        return "the line ends with CR LF, only LF is allowed"
    if not line and openmetrics:
        return "OpenMetrics allows no empty line"
    name = re.match(rf"[ \t]*+{_NAME}", line)
    if name is None:
        return f"expected a metric name at {_shown(line)}"
    rest = line[name.end() :].lstrip(" \t")
    if rest.startswith("{"):
        block = re.match(rf"\{{{_BLOCK}\}}", rest)
        if block is None:
            return f"labels are not closed at {_shown(rest)}"
        rest = rest[block.end() :].lstrip(" \t")
    return f"expected a value and at most a timestamp after {name[0].strip()!r}, got {_shown(rest)}"


def _shown(text: str) -> str:
    """Foreign text, shortened and made printable for a message."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")
