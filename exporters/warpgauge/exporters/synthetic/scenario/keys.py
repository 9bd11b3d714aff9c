"""Keys of a scenario file: each with its default, range, unit and sentence; tables are read strictly from them."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Place", "Rule", "closest", "key", "read_table", "rule_of"]

T = TypeVar("T")
_MOST_TEXT: Final = 120
_KINDS: Final[dict[str, tuple[type | tuple[type, ...], str]]] = {
    "float": ((int, float), "a number"),
    "int": (int, "a whole number"),
    "str": (str, "text in quotes"),
    "bool": (bool, "true or false"),
    "list": (list, "a list in brackets"),
    "table": (dict, "a table in braces"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a key may hold."""

    kind: str
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table stands: its file, its name as a person counts it, and the lines of its keys."""

    file: str
    table: str
    lines: Mapping[tuple[str, str], int]

    def fail(self, name: str, wrong: str) -> NoReturn:
        """Raise InputError about a key; `wrong` goes on after its name."""
        line = self.lines.get((self.table, name)) or self.lines.get((self.table, ""))
        where = f"{self.file}:{line}" if line else self.file
        dotted = ".".join(part for part in (self.table, name) if part)
        msg = f"{where}: {dotted} {wrong}"
        raise InputError(msg)


def key(  # noqa: PLR0913 - a row of the reference
    *,
    default: Any = MISSING,  # noqa: ANN401 - as dataclasses.field
    kind: str,
    help: str,  # noqa: A002 - as everywhere a help text is called
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A field of a plan; without a default it must be given."""
    rule = Rule(kind=kind, help=help, unit=unit, low=low, high=high, choices=choices)
    return field(default=default, metadata={"rule": rule})


def rule_of(item: Field[Any]) -> Rule | None:
    """The rule of a field, None for one that no file sets."""
    rule: Rule | None = item.metadata.get("rule")
    return rule


def read_table(cls: type[T], table: Mapping[str, Any], place: Place) -> T:
    """The dataclass `cls` from a table of a file.

    Raises:
        InputError: a key is unknown, missing, of the wrong kind or out of its range; the message names line and mend.

    """
    rules = {item.name: (item, rule) for item in fields(cls) if (rule := rule_of(item)) is not None}  # type: ignore[arg-type]
    values = {}
    for name, raw in table.items():
        if name not in rules:
            place.fail(name, f"is unknown{closest(name, rules)}")
        values[name] = _checked(rules[name][1], raw, name, place)
    for name, (item, rule) in rules.items():
        if name not in values and item.default is MISSING:
            given = f' ("{rule.choices[0]}")' if len(rule.choices) == 1 else ""
            place.fail(name, f"is missing: {rule.help.removesuffix('.')}{given}.")
    return cls(**values)


def _checked(rule: Rule, raw: Any, name: str, place: Place) -> Any:  # noqa: ANN401 - whatever TOML holds
    kinds, words = _KINDS[rule.kind]
    if not isinstance(raw, kinds) or (isinstance(raw, bool) and rule.kind != "bool"):
        place.fail(name, f"must be {words}, got {str(raw)[:_MOST_TEXT]!r}")
    value: Any = raw
    if rule.kind in {"float", "int"}:
        return _in_range(rule, float(value) if rule.kind == "float" else value, name, place)
    if rule.kind == "str" and (not value or len(value) > _MOST_TEXT):
        place.fail(name, f"must have 1 to {_MOST_TEXT} characters")
    if rule.choices and raw not in rule.choices:
        place.fail(name, f"is {raw!r}{closest(value, rule.choices)}")
    return value


def _in_range(rule: Rule, value: float, name: str, place: Place) -> float:
    low = float("-inf") if rule.low is None else rule.low
    high = float("inf") if rule.high is None else rule.high
    if not low <= value <= high:
        unit = f" {rule.unit}" if rule.unit else ""
        place.fail(name, f"must be from {low:g} to {high:g}{unit}, got {value:g}")
    return value


def closest(word: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """The end of a message about an unknown word: the one that was meant, or all there are."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
