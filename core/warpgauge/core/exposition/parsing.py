"""Text 0.0.4 and OpenMetrics to lines, strictly.

A series repeats from scrape to scrape, and so does all of its line but the number: what stands before the number, the
head, is taken apart once and kept. A usual line then costs a split from its right end, a lookup and a `float`. Whatever
is unusual, the exact and slower expressions decide.
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
_CACHED_HEADS: Final = 1 << 18
"""As many series as are kept apart, some 100 MB if ever full; a page of more is read half slower."""
_LONGEST_CACHED: Final = 1024
"""Characters of a series; longer ones are read by the exact expression, so that nobody fills the memory with them."""
_CACHED_TYPES: Final = 2048
_PORTION: Final = 1 << 18
"""Characters that are split into lines at once: the lines of a long recording need not all be there twice."""
_SPACES_TO_FLOAT: Final = "\t\v\f\r\x1c\x1d\x1e\x1f"
"""What `float` passes over around a number and the grammar refuses, but for the blank, at which lines are split."""
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
_HEAD: Final = re.compile(rf"({_NAME})(?:\{{({_BLOCK})\}})?")
_LABEL: Final = re.compile(r'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\\n]++|\\[\\n"])*)"[ \t]*+(,|\Z)')
_MILLISECONDS: Final = re.compile("-?[0-9]++")
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
    start, ended = 0, False
    whole = text.rfind("\n") + 1
    new = tuple.__new__
    usual = not any(map(text.__contains__, _SPACES_TO_FLOAT))
    for written in _lines(text, whole):
        if ended:
            break
        head, _, number = written.rpartition(" ")
        line = None
        if usual and number.isascii() and "_" not in number:
            try:
                if head[-1:] == "}" or " " not in head:
                    name, block = _name_and_block(head)
                    line = new(Line, (name, block, float(number), None))
                elif head[0] != "#":
                    line = _stamped(head, number, openmetrics=openmetrics)
            except (InputError, ValueError):
                line = None  # the exact expression decides, and says what is wrong
        if line is None and not _is_usual_comment(written, openmetrics=openmetrics):
            line, ended = _unusual_line(text, start, place, openmetrics=openmetrics)
        start += len(written) + 1
        if line is not None:
            yield line
    if ended and start < len(text):
        raise _error(text, start, place, "nothing may follow # EOF")
    if whole < len(text):
        raise _error(text, whole, place, _complaint(text, whole, openmetrics=openmetrics))
    if openmetrics and not ended:
        raise _error(text, len(text), place, "the page does not end with # EOF (cut short?)")


def _lines(text: str, end: int) -> Iterator[str]:
    """Lines up to `end`, which is behind a line feed, without their line feeds."""
    start = 0
    while start < end:
        stop = text.find("\n", min(start + _PORTION, end - 1))
        yield from text[start:stop].split("\n")
        start = stop + 1


@lru_cache(maxsize=_CACHED_HEADS)
def _name_and_block(head: str) -> tuple[str, str]:
    """The two parts of `name{labels}` or `name`.

    Raises:
        InputError: it is neither, it is too long to be kept, or its labels are malformed. What is raised is not kept.

    """
    match = _HEAD.fullmatch(head) if len(head) <= _LONGEST_CACHED else None
    if match is None:
        msg = f"{_shown(head)} is no series"
        raise InputError(msg)
    name, block = match[1], match[2] or ""
    labels_of(block)
    return name, block


def _stamped(head: str, stamp: str, *, openmetrics: bool) -> Line | None:
    """A usual line with a time stamp; None if it is something else.

    Raises:
        InputError: what should be name and labels is not, or the time stamp is no time.
        ValueError: the number is none.

    """
    series, _, number = head.rpartition(" ")
    usual = number.isascii() and "_" not in number and (openmetrics or _MILLISECONDS.fullmatch(stamp))
    if not usual or not (series[-1:] == "}" or " " not in series):
        return None
    return Line(*_name_and_block(series), float(number), _seconds(stamp, openmetrics=openmetrics))


def _unusual_line(text: str, start: int, place: str, *, openmetrics: bool) -> tuple[Line | None, bool]:
    """The line at `start` by the exact grammar (None for a comment or an empty line); whether it is the end mark."""
    match = (_OPENMETRICS_LINE if openmetrics else _TEXT_LINE).match(text, start)
    if match is None:
        raise _error(text, start, place, _complaint(text, start, openmetrics=openmetrics))
    name, block, number, stamp, comment = match.groups()
    if name is None:
        ended = comment is not None and _check_comment(comment, text, start, place, openmetrics=openmetrics)
        return None, ended
    try:
        labels_of(block or "")
        seconds = None if stamp is None else _seconds(stamp, openmetrics=openmetrics)
        return Line(name, block or "", float(number), seconds), False
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


def _is_usual_comment(written: str, *, openmetrics: bool) -> bool:
    return written.startswith("# HELP ") or (
        written.startswith("# TYPE ") and _is_type(written, openmetrics=openmetrics)
    )


@lru_cache(maxsize=_CACHED_TYPES)
def _is_type(written: str, *, openmetrics: bool) -> bool:
    declared = _TYPE.fullmatch(written)
    return declared is not None and declared[2] in (_OPENMETRICS_TYPES if openmetrics else _TEXT_TYPES)


def _check_comment(comment: str, text: str, start: int, place: str, *, openmetrics: bool) -> bool:
    """Whether the comment is OpenMetrics' end mark."""
    if openmetrics and not comment.startswith(_OPENMETRICS_COMMENTS):
        raise _error(text, start, place, f"OpenMetrics knows no comment such as {_shown(comment)}")
    if comment[1:].lstrip(" \t").startswith("TYPE") and not _is_type(comment, openmetrics=openmetrics):
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
