"""What panels of every kind are made of: words for absence, levels, titles, bounds of an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Unit
from warpgauge.dashboards.grafana.model import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog import Metric

__all__ = [
    "ABSENT",
    "NEUTRAL",
    "REDUCE_LAST",
    "Json",
    "Levels",
    "bounds",
    "description_of",
    "letter",
    "mappings",
    "numbered",
    "query",
    "thresholds",
    "title_of",
]

ABSENT: Final = "not reported"
"""What a panel says when there is no series: neither good nor bad."""

REDUCE_LAST: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}

Json = dict[str, Any]

_PREFIXES: Final = ("accel_", "host_", "training_", "serving_", "warpgauge_", "agent_", "analyzer_")
_PALETTE: Final = ("green", "yellow", "red", "purple", "dark-red", "blue", "orange", "semi-dark-blue", "light-red")
_COLORS: Final = {
    "released": "blue",
    "denied": "orange",
    "lost": "red",
    "needs_reset": "purple",
    "hung": "dark-red",
    "inactive": "#808080",
    "active": "green",
    "active_defer": "blue",
    "down": "red",
    "init": "orange",
    "armed": "orange",
    "unhealthy": "red",
    "limited_capacity": "orange",
    "sleep": "blue",
    "active_traffic_disabled": "orange",
    "not_started": "orange",
    "in_progress": "blue",
    "completed": "green",
    "failed": "red",
    "silent": "red",
    "ok": "green",
    "off": "#808080",
    "on": "green",
    "answers": "green",
    "held down": "orange",
}
"""Of states whose place in their row says nothing about how bad they are; the others take theirs from the palette."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """From where on a value is a warning and critical; both in the metric's own unit."""

    warning: float | None = None
    critical: float | None = None

    def steps(self) -> list[Json]:
        """Grafana threshold steps; without any level the value stays neutral."""
        if self.warning is None and self.critical is None:
            return [{"color": "blue", "value": None}]
        named = (("orange", self.warning), ("red", self.critical))
        return [
            {"color": "green", "value": None},
            *({"color": color, "value": value} for color, value in named if value is not None),
        ]


NEUTRAL: Final = Levels()


def query(expr: str, legend: str = "__auto", *, instant: bool = False) -> Query:
    """One query of a panel; `legend` is a Grafana template such as `{{node}}/gpu{{index}}`."""
    return Query(expr=expr, legend=legend, instant=instant)


def title_of(metric: Metric) -> str:
    """Words of the metric's name without prefix and unit: `accel_memory_used_bytes` is "Memory used"."""
    name = metric.name.removesuffix("_total").removesuffix("_info")
    name = name.removesuffix(f"_{metric.unit.value}") if metric.unit.value else name
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.replace("_", " ").capitalize()


def numbered(queries: Sequence[Query]) -> list[Query]:
    """The queries with the letters that Grafana knows them by."""
    for number, one in enumerate(queries):
        one.refId = letter(number)
    return list(queries)


def letter(number: int) -> str:
    """Name of the first, second … query: A, B …."""
    return chr(ord("A") + number)


def thresholds(levels: Levels = NEUTRAL) -> Json:
    """Levels as Grafana has them; without any the value stays neutral."""
    return {"mode": "absolute", "steps": levels.steps()}


def mappings(states: Sequence[str]) -> list[Json]:
    """Words and colors in place of the numbers 0, 1, 2 …."""
    names = {
        str(number): {"color": _color(number, state), "index": number, "text": state.replace("_", " ")}
        for number, state in enumerate(states)
    }
    return [{"options": names, "type": "value"}]


def _color(number: int, state: str) -> str:
    return _COLORS.get(state, _PALETTE[number % len(_PALETTE)])


def description_of(metric: Metric, note: str) -> str:
    """The text behind the (i): the row's own, and a note."""
    return f"{metric.help} {note}".strip()


def bounds(metric: Metric, shown: str) -> Json:
    """Bounds of an axis: ratios end at 1, everything but temperatures starts at 0."""
    if shown == "percentunit" and metric.unit is Unit.RATIO:
        return {"max": 1, "min": 0}
    return {} if metric.unit in {Unit.CELSIUS, Unit.TIMESTAMP} else {"min": 0}
