"""One JSON object of an API server's answer, read strictly and with its place for errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from warpgauge.core.document import parse_instant
from warpgauge.core.errors import InputError

__all__ = ["Object", "plain"]

_MOST_TEXT: Final = 1024


@dataclass(frozen=True, slots=True)
class Object:
    """One JSON object of an answer, with its place for errors. What is absent or null is empty."""

    fields: Mapping[str, Any]
    place: str

    def object(self, name: str) -> Object:
        """An object."""
        value = self.fields.get(name)
        return Object(self._typed(name, {} if value is None else value, Mapping, "an object"), f"{self.place} {name}")

    def objects(self, name: str) -> list[Object]:
        """A list of objects."""
        value = self.fields.get(name)
        items = self._typed(name, [] if value is None else value, list, "a list")
        place = f"{self.place} {name}"
        return [Object(self._typed(name, item, Mapping, "a list of objects"), place) for item in items]

    def text(self, name: str, *, required: bool = False) -> str:
        """A string, cut and made plain."""
        value = self.fields.get(name)
        text = self._typed(name, "" if value is None else value, str, "a string")
        if required and not text:
            self.refuse(f"{name} is missing")
        return plain(text)

    def texts(self, name: str) -> dict[str, str]:
        """An object of strings."""
        value = self.fields.get(name)
        pairs = self._typed(name, {} if value is None else value, Mapping, "an object of strings")
        return {str(key): plain(self._typed(name, text, str, "an object of strings")) for key, text in pairs.items()}

    def flag(self, name: str) -> bool:
        """True or false."""
        return bool(self._typed(name, self.fields.get(name) or False, bool, "true or false"))

    def whole(self, name: str) -> int:
        """A whole number."""
        return int(self._typed(name, self.fields.get(name) or 0, int, "a whole number"))

    def instant(self, name: str) -> float:
        """A time, in seconds since the epoch."""
        try:
            return parse_instant(self.text(name, required=True))
        except ValueError as error:
            why = f"{name}: {error}"
            raise self.error(why) from error

    def _typed(self, name: str, value: Any, kind: Any, words: str) -> Any:  # noqa: ANN401 - JSON
        if not isinstance(value, kind):
            self.refuse(f"{name} must be {words}, got {str(value)[:80]!r}")
        return value

    def refuse(self, what: str) -> NoReturn:
        """Raise the error for this object."""
        raise self.error(what)

    def error(self, what: str) -> InputError:
        """The error for this object."""
        return InputError(f"{self.place}: {what}")


def plain(text: str) -> str:
    """The text, cut to a sane length, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MOST_TEXT])
