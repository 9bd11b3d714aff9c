"""What a setting is and what it may hold."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Setting", "Value", "setting", "settings_of"]

Value = str | float | int | bool | tuple[str, ...]
_T = TypeVar("_T", bound=Value)
_KEY: Final = "setting"
_FINITE: Final = 1.7e308
_MOST: Final = {float: 1e9, int: 1e18, bool: 1}
"""What any number may be at most: a wait of 9.3e9 s and a count of 9.2e18 overflow where they are used."""
_WORDS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the reference: type and default come from the field, bounds and words from its declaration."""

    key: str  # "agent.deadline_seconds"
    default: Value
    help: str
    unit: str = ""
    above: float | None = None  # the value must be greater
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()  # of a string, or of each element of a list
    urls: bool = False  # each element (or a non-empty string) is an http or https URL

    def read(self, raw: object, place: str) -> Value:
        """The value if `raw` has the right type and range.

        Raises:
            ConfigError: it has not; the message names key, rule, value and `place`.

        """
        value = self._typed(raw)
        if value is None:
            rule = f"must be {self._type_words()}"
            raise self._error(rule, raw, place)
        for rule in self._broken_rules(value):
            raise self._error(rule, raw, place)
        return value

    def read_text(self, text: str, place: str) -> Value:
        """The value from an environment variable or flag; lists are separated by commas."""
        raw: object = text
        if isinstance(self.default, tuple):
            raw = [part.strip() for part in text.split(",") if part.strip()]
        elif isinstance(self.default, bool):
            raw = _WORDS.get(text.strip().lower(), text)
        elif isinstance(self.default, int | float):
            raw = _number(text, type(self.default))
        return self.read(raw, place)

    def _typed(self, raw: object) -> Value | None:
        default = self.default
        if isinstance(default, tuple):
            is_list = isinstance(raw, list | tuple) and all(isinstance(item, str) for item in raw)
            return tuple(cast(list[str], raw)) if is_list else None
        if isinstance(default, bool) or isinstance(raw, bool):
            return raw if isinstance(default, bool) and isinstance(raw, bool) else None
        if isinstance(default, float):
            return float(raw) if isinstance(raw, int | float) and abs(raw) <= _FINITE else None
        return raw if isinstance(raw, type(default)) else None

    def _broken_rules(self, value: Value) -> Iterator[str]:
        if isinstance(value, int | float):
            if self.above is not None and not value > self.above:
                yield f"must be > {self.above:g}"
            if self.at_least is not None and not value >= self.at_least:
                yield f"must be >= {self.at_least:g}"
            at_most = _MOST[type(value)] if self.at_most is None else self.at_most
            if not value <= at_most:
                yield f"must be <= {at_most:g}"
            return
        elements = (value,) if isinstance(value, str) else value
        if self.choices and not set(elements) <= set(self.choices):
            yield f"must be {'' if isinstance(value, str) else 'a list of '}{_either(self.choices)}"
        if self.urls and not all(is_url(element) for element in elements if element):
            yield "must start with http:// or https://"

    def _type_words(self) -> str:
        if isinstance(self.default, tuple):
            return "a list of strings"
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
        return words[type(self.default)]

    def _error(self, rule: str, raw: object, place: str) -> ConfigError:
        shown = repr(raw) if isinstance(raw, str) else str(raw).lower() if isinstance(raw, bool) else str(raw)
        return ConfigError(f"{self.key} {rule}, got {shown} ({place})")


def setting(  # noqa: PLR0913 - the columns of the reference
    default: _T,
    *,
    help: str,  # noqa: A002 - the word the reference and argparse use
    unit: str = "",
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] = (),
    urls: bool = False,
) -> _T:
    """Declare a field of a section: its default, one sentence, its unit and its bounds."""
    bounds = {"above": above, "at_least": at_least, "at_most": at_most}
    row = {"help": help, "unit": unit, **bounds, "choices": choices, "urls": urls}
    return field(default=default, metadata={_KEY: row})


def settings_of(section: str, cls: Any) -> dict[str, Setting]:  # noqa: ANN401 - any section class
    """Every setting of a section by its name without the section."""
    return {
        item.name: Setting(key=f"{section}.{item.name}", default=cast(Value, item.default), **item.metadata[_KEY])
        for item in fields(cls)
    }


def is_url(text: str) -> bool:
    """Whether this is an http or https URL with a host."""
    scheme, _, rest = text.partition("://")
    return scheme in {"http", "https"} and bool(rest.strip("/")) and not any(c.isspace() for c in text)


def _either(choices: tuple[str, ...]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _number(text: str, kind: type) -> object:
    """The number, or the text itself so that the type error shows it."""
    try:
        value = kind(text)
    except ValueError:
        return text
    return value if isfinite(value) else text
