"""The one series of a long table that somebody asked for: `timestamp`, `metric`, `value`, every further column a label.

A table may hold many. What was asked for must fit exactly one of them: a second one that fits is an error that says how
to tell them apart, and so is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Choice", "Chosen"]

_NAMED: Final = 5  # in a message


@dataclass(frozen=True, slots=True)
class Choice:
    """What a series must be; an empty label is one that the series does not have."""

    metric: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_any(self) -> bool:
        """Whether nothing was asked for."""
        return self.metric is None and not self.labels

    def fits(self, metric: str, labels: Mapping[str, str]) -> bool:
        """Whether a series is what was asked for."""
        has_labels = all(labels.get(name, "") == value for name, value in self.labels.items())
        return self.metric in {None, metric} and has_labels


class Chosen:
    """The series that fits, once it was seen; `place` names the table in messages."""

    def __init__(self, choice: Choice, place: str) -> None:
        self._choice, self._place = choice, place
        self._found: tuple[str, Mapping[str, str]] | None = None
        self._others: dict[str, None] = {}  # metrics that do not fit, as seen

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say so if the table lacks a label that was asked for.

        Raises:
            InputError: it does.

        """
        for name in self._choice.labels:
            if name not in columns:
                msg = f"{self._place} has no column {name!r}; it has {', '.join(columns)}"
                raise InputError(msg)

    def is_it(self, metric: str, labels: Mapping[str, str]) -> bool:
        """Whether rows of this series are wanted.

        Raises:
            InputError: it fits, and so did another one.

        """
        if not self._choice.fits(metric, labels):
            if len(self._others) <= _NAMED:
                self._others[metric] = None
            return False
        if self._found is None:
            self._found = (metric, dict(labels))
        elif self._found != (metric, labels):
            msg = f"{self._place} holds more than one series that fits; {_apart(self._found, (metric, labels))}"
            raise InputError(msg)
        return True

    def check(self) -> None:
        """Say so if the whole table was read and nothing fitted.

        Raises:
            InputError: nothing did.

        """
        if self._found is not None or (self._choice.is_any and not self._others):
            return
        wanted = _written(self._choice.metric or "", self._choice.labels)
        shown = ", ".join(list(self._others)[:_NAMED]) + (" and more" if len(self._others) > _NAMED else "")
        raise InputError(f"{self._place} holds no series {wanted}" + (f"; it has {shown}" if shown else ""))


def _apart(one: tuple[str, Mapping[str, str]], other: tuple[str, Mapping[str, str]]) -> str:
    """How to choose one of two series."""
    if one[0] != other[0]:
        return f"choose one of them: --metric {one[0]} or --metric {other[0]}"
    name = next(name for name in [*one[1], *other[1]] if one[1].get(name, "") != other[1].get(name, ""))
    return f"choose one of them: --label {name}={one[1].get(name, '')} or --label {name}={other[1].get(name, '')}"


def _written(metric: str, labels: Mapping[str, str]) -> str:
    inside = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{inside}}}" if inside else metric
