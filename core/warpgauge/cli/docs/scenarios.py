"""The language of scenario files: every key and every cause."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, Final

from warpgauge.cli.docs.markdown import code, page_of, rows
from warpgauge.exporters.synthetic.scenario import (
    CAUSES,
    FaultPlan,
    FleetPlan,
    JobPlan,
    KernelPlan,
    Scenario,
    TroublePlan,
)
from warpgauge.exporters.synthetic.scenario.keys import rule_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.exporters.synthetic.scenario.causes import Cause

__all__ = ["page"]

_INTRO: Final = """
What `warpgauge simulate` reads ([how to](../howto/simulate.md)). Times are seconds after the scenario's start. A key
that is not here is an error, and so is a value out of its range; the message names the line and the mend.
"""

_FAULTS: Final = """
A fault changes a cause in the model, never a signal. The kind of finding that it should lead to follows from the cause;
consequences are kinds that are true of the same place as well. From the size in the last column on it must be found.
"""

_TABLES: Final[tuple[tuple[str, Any], ...]] = (
    ("At the top", Scenario),
    ("[fleet]", FleetPlan),
    ("[[job]]", JobPlan),
    ("kernel of a job", KernelPlan),
    ("[[fault]]", FaultPlan),
    ("[[trouble]]", TroublePlan),
)


def page() -> str:
    """The page: a table per table of the file, then the causes."""
    blocks = [part for title, cls in _TABLES for part in (f"## {title}", _keys(cls))]
    return page_of("Scenarios", _INTRO, *blocks, "## Causes", _FAULTS, _causes())


def _keys(cls: Any) -> str:  # noqa: ANN401 - any of the plans
    return rows(("Key", "Default", "Range", "Meaning"), _rows_of(cls))


def _rows_of(cls: Any) -> Iterator[tuple[str, str, str, str]]:  # noqa: ANN401 - as above
    for item in fields(cls):
        rule = rule_of(item)
        if rule is None:
            continue
        limits = f"{rule.low:g} to {rule.high:g} {rule.unit}" if rule.low is not None and rule.high is not None else ""
        choices = ", ".join(code(choice) for choice in rule.choices)
        yield code(item.name), _default(item), choices or limits or rule.unit, rule.help


def _default(item: Field[Any]) -> str:
    if item.default is MISSING:
        return "must be given"
    if item.default in {-1, None, ()} or item.default == "":
        return ""
    return code(f"{item.default:g}" if isinstance(item.default, float) else str(item.default).lower())


def _causes() -> str:
    head = ("Cause", "Strikes", "Size", "Range, usual", "Leads to", "Consequences", "Must be found")
    return rows(head, [_cause(name, cause) for name, cause in CAUSES.items()])


def _cause(name: str, cause: Cause) -> tuple[str, ...]:
    low, high = cause.sizes
    return (
        code(name),
        cause.strikes.value,
        cause.measure,
        f"{low:g} to {high:g}, {cause.usual:g}",
        code(cause.kind.value),
        ", ".join(code(kind.value) for kind in cause.consequences),
        ", ".join((f"{'from' if cause.is_larger_worse else 'up to'} {cause.least:g}", *filter(None, [cause.asked]))),
    )
