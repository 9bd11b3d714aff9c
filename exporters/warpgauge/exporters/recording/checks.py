"""What a value in a line must be; anything else is a `BadLineError` that says what it should have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = [
    "MOST_CHARACTERS",
    "BadLineError",
    "a_list",
    "a_number",
    "a_text",
    "a_whole",
    "a_whole_or_none",
    "check_keys",
    "one_of",
]

MOST_CHARACTERS: Final = 4096


class BadLineError(ValueError):
    """A line that no recorder writes."""


def check_keys(body: dict[str, Any], names: Collection[str]) -> None:
    """Refuse keys that nobody knows."""
    unknown = sorted(set(body) - set(names))
    if unknown:
        msg = f"unknown key {unknown[0][:40]!r}"
        raise BadLineError(msg)


def one_of(value: object, names: Sequence[str], key: str) -> str:
    """One of some words."""
    if not (isinstance(value, str) and value in names):
        msg = f"{key} must be one of {', '.join(names)}, got {str(value)[:40]!r}"
        raise BadLineError(msg)
    return value


def a_list(value: object, key: str, most: int) -> list[Any]:
    """A list of at most so many."""
    if not isinstance(value, list) or len(value) > most:
        msg = f"{key} must be a list of at most {most}"
        raise BadLineError(msg)
    return value


def a_text(value: object, key: str) -> str:
    """A text that is not too long."""
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        msg = f"{key} must be a text of at most {MOST_CHARACTERS} characters"
        raise BadLineError(msg)
    return value


def a_whole(value: object, key: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if type(value) is not int or not least <= value <= most:
        msg = f"{key} must be a whole number from {least} to {most}, got {str(value)[:40]!r}"
        raise BadLineError(msg)
    return value


def a_whole_or_none(value: object, key: str, least: int, most: int) -> int | None:
    """The same, or null."""
    return None if value is None else a_whole(value, key, least, most)


def a_number(value: object, key: str, *, most: float) -> float:
    """A finite number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:  # which NaN is not
        msg = f"{key} must be a number from 0 to {most:g}, got {str(value)[:40]!r}"
        raise BadLineError(msg)
    return float(value)
