"""The figures of benchmarks/agent.py: kept by exporter, held against DESIGN's budgets, printed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from warpgauge.core.table import table

OURS = "warpgauge"

LABELS = {
    "start": ("start to first data", "s"),
    "scrapes": ("scrapes", "scrapes"),
    "failures": ("scrapes that failed", "scrapes"),
    "p50": ("scrape p50", "ms"),
    "p99": ("scrape p99", "ms"),
    "max": ("scrape max", "ms"),
    "cpu": ("CPU at defaults", "% of a core"),
    "cpu_1s": ("CPU at one reading and scrape a second", "% of a core"),
    "rss": ("memory, resident", "MB"),
    "pss": ("memory, proportional", "MB"),
    "names": ("names a GPU", "names"),
    "samples": ("samples a GPU", "samples"),
    "moving": ("moving series a GPU", "series"),
    "body": ("page", "kB"),
    "restarts": ("children crashed during the scrapes", "children"),
    "hung_age": ("oldest other sample while one GPU hangs", "s"),
    "hung_p99": ("scrape p99 while one GPU hangs", "ms"),
}
BUDGETS = {
    "start": ("< 0.5", 0.0, 0.5),
    "p99": ("< 2", 0.0, 2.0),
    "failures": ("0", 0.0, 0.0),
    "cpu": ("< 1", 0.0, 1.0),
    "rss": ("< 80", 0.0, 80.0),
    "moving": (">= 150", 150.0, float("inf")),
    "restarts": (">= 1", 1.0, float("inf")),
    "hung_age": ("<= 3.5", 0.0, 3.5),
}
"""Ours: what is said, and the least and the most that keeps it."""


@dataclass
class Figures:
    """What was measured, by exporter, and why the others were not."""

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def put(self, exporter: str, **values: float | None) -> None:
        """Add figures; None is a figure that could not be taken."""
        known = {name: value for name, value in values.items() if value is not None}
        self.values.setdefault(exporter, {}).update(known)

    def absent(self, exporter: str, why: str) -> None:
        """Note why an exporter was not measured."""
        self.reasons[exporter] = why

    def beside(self, name: str) -> str:
        """The peers' values of a figure, in words."""
        others = {who: about[name] for who, about in self.values.items() if who != OURS and name in about}
        return ", ".join(f"{who} {value:.3g}" for who, value in others.items())


def is_kept(name: str, value: float) -> bool:
    """Whether one of our figures is within its budget; one without a budget is."""
    _, least, most = BUDGETS.get(name, ("", float("-inf"), float("inf")))
    return least <= value <= most


def as_json(figures: Figures) -> str:
    """One object per figure: ours with budget and peers, then each peer's own, then those that were not measured."""
    lines = []
    for who, about in figures.values.items():
        for name, (label, unit) in LABELS.items():
            if name in about:
                ours = who == OURS
                figure = {
                    "name": f"{'agent' if ours else who} {label}",
                    "value": round(about[name], 3),
                    "unit": unit,
                    "peer": figures.beside(name) if ours else "",
                    "budget": BUDGETS.get(name, ("",))[0] if ours else "",
                    "ok": is_kept(name, about[name]) if ours else True,
                }
                lines.append(json.dumps(figure))
    for who, why in figures.reasons.items():
        absent = {"name": f"{who} not measured: {why}", "value": None, "unit": "", "peer": "", "budget": "", "ok": True}
        lines.append(json.dumps(absent))
    return "\n".join(lines)


def as_tables(figures: Figures) -> str:
    """One row per figure, one column per exporter, and a line for each that was not measured."""
    exporters = list(figures.values)
    rows = []
    for name, (label, unit) in LABELS.items():
        cells = [f"{about[name]:.4g}" if name in about else "-" for about in figures.values.values()]
        if set(cells) != {"-"}:
            budget = BUDGETS.get(name, ("",))[0]
            ours = figures.values.get(OURS, {}).get(name)
            verdict = "" if not budget or ours is None else "yes" if is_kept(name, ours) else "NO"
            rows.append([f"{label}, {unit}", *cells, budget, verdict])
    columns = ["figure", *exporters, "budget", "met"]
    lines = [table(columns, rows, numeric=range(1, len(exporters) + 1))]
    lines += [f"{who} was not measured: {why}" for who, why in figures.reasons.items()]
    return "\n".join(lines)
