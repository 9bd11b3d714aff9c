"""Frozen dataclasses to camelCase JSON objects and back, strictly: what every document on the wire is made with."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["JSON_NAME", "Instant", "from_document", "parse_instant", "rfc3339", "to_document"]

T = TypeVar("T")
_RFC3339: Final = "rfc3339"
Instant = Annotated[float, _RFC3339]
"""Seconds since the epoch here, an RFC 3339 time in JSON."""
JSON_NAME: Final = "json_name"
"""Key in a field's metadata: its name in JSON where that is not its own name in camelCase (`class`)."""


def rfc3339(seconds: float) -> str:
    """`2025-06-15T15:06:40.250Z`: UTC, to the millisecond."""
    text = datetime.fromtimestamp(round(seconds, 3), tz=UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def parse_instant(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time.

    Raises:
        ValueError: the text is no such time, or has no offset.

    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = f"a time without an offset: {text!r}"
        raise ValueError(msg)
    return moment.timestamp()


def to_document(value: Any) -> Any:  # noqa: ANN401 - walks any frozen dataclass
    """The JSON form of a dataclass; what is None is absent, never null."""
    if is_dataclass(value):
        present = ((item, getattr(value, item.name)) for item in fields(value))
        hints = _hints(type(value))  # type: ignore[arg-type]  # mypy takes no class for hashable
        return {_json_name(item): _written(hints[item.name], raw) for item, raw in present if raw is not None}
    if isinstance(value, tuple):
        return [to_document(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def from_document(cls: type[T], document: object, place: str = "") -> T:
    """Read what `to_document` wrote; unknown fields are ignored, known ones must be right.

    Raises:
        ValueError: a field is missing or has the wrong form; the message names its place.

    """
    if not isinstance(document, Mapping):
        msg = f"{place or 'document'}: expected an object, got {document!r}"
        raise ValueError(msg)  # noqa: TRY004 - callers catch one type for every malformed document
    hints = _hints(cls)  # type: ignore[arg-type]  # as above
    values: dict[str, Any] = {}
    for item in fields(cls):  # type: ignore[arg-type]  # every caller passes a dataclass
        name = _json_name(item)
        here = f"{place}.{name}".lstrip(".")
        if name in document:
            values[item.name] = _typed(hints[item.name], document[name], here)
        elif item.default is MISSING:
            msg = f"{here} is missing"
            raise ValueError(msg)
    return cls(**values)


@cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    """Types of its fields; Python evaluates their text anew at each call, which costs as much as all the rest."""
    return get_type_hints(cls, include_extras=True)


def _json_name(item: Any) -> str:  # noqa: ANN401 - dataclasses.Field of any type
    head, *rest = item.name.split("_")
    return str(item.metadata.get(JSON_NAME) or head + "".join(part.capitalize() for part in rest))


def _is_instant(hint: Any) -> bool:  # noqa: ANN401 - a field's type
    return _RFC3339 in getattr(hint, "__metadata__", ())


def _present(hint: Any) -> Any:  # noqa: ANN401 - a field's type
    """`X` of `X | None`: what a field that is there has."""
    options = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    return next(option for option in options if option is not type(None))


def _written(hint: Any, value: Any) -> Any:  # noqa: ANN401 - a field's type and value
    return rfc3339(value) if _is_instant(_present(hint)) else to_document(value)


def _typed(hint: Any, raw: object, place: str) -> Any:  # noqa: ANN401 - the type a hint names
    wanted = _present(hint)
    if _is_instant(wanted):
        return parse_instant(_plain(str, raw, place))
    if get_origin(wanted) is tuple:
        items = _plain(list, raw, place)
        return tuple(_typed(get_args(wanted)[0], inner, f"{place}[{position}]") for position, inner in enumerate(items))
    if is_dataclass(wanted):
        return from_document(wanted, raw, place)  # type: ignore[arg-type]  # a dataclass type, not an instance
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return _member(wanted, _plain(str, raw, place), place)
    return _plain(wanted, raw, place)


def _member(kind: type[StrEnum], raw: str, place: str) -> StrEnum:
    try:
        return kind(raw)
    except ValueError as error:
        msg = f"{place}: {raw!r} is no {kind.__name__}"
        raise ValueError(msg) from error


def _plain(wanted: Any, raw: Any, place: str) -> Any:  # noqa: ANN401 - bool, int, float, str or list
    if wanted is float and type(raw) is int and abs(raw) <= sys.float_info.max:
        raw = float(raw)
    if type(raw) is not wanted or (wanted is float and not math.isfinite(raw)):
        msg = f"{place}: expected {wanted.__name__}, got {raw!r}"
        raise ValueError(msg)
    return raw
