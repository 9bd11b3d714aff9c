"""Every kind of finding for which a detector exists, with the thresholds that the code uses."""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.bottlenecks.rules import Bar
from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.cli.docs.markdown import code, page_of, rows
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["detected_kinds", "page"]

_INTRO: Final = """
A finding is one condition with one culprit: what, where, since when, how sure, the evidence, what to do. It is a
JSON object, `schema: "warpgauge.finding/v1"`; times are seconds since the epoch and what is unknown is absent. A
condition opens a finding when it passes the raise threshold and keeps it open until it falls below the lower clear
threshold. A detector that lacks a signal says so (`not_judged` in `GET /api/v1/status`) instead of guessing.
"""
_KIND: Final = re.compile(r"\bFindingKind\.([A-Z_]+)")
_CONSTANT: Final = re.compile(r"[A-Z][A-Z0-9_]*")


def page() -> str:
    """The page of all kinds in the order in which the detectors run."""
    severities = f"Severities: {', '.join(code(severity.value) for severity in Severity)}."
    return page_of("Findings", _INTRO, severities, *(_kinds_of(*entry) for entry in _modules().items()))


def detected_kinds() -> set[FindingKind]:
    """Kinds that some detector can raise."""
    return {kind for module in _modules() for kind in _kinds_in(module)}


def _modules() -> dict[ModuleType, list[str]]:
    """The detectors' modules with the names of their detectors."""
    names: dict[ModuleType, list[str]] = defaultdict(list)
    for detector in DETECTORS:
        names[sys.modules[type(detector).__module__]].append(detector.name)
    return names


def _kinds_in(module: ModuleType) -> list[FindingKind]:
    """Kinds that a detector says it raises, else those that its code names, in their order."""
    if hasattr(module, "GAINFUL"):
        return list(module.GAINFUL)
    named = dict.fromkeys(_KIND.findall(inspect.getsource(module)))
    return [FindingKind[name] for name in named]


def _kinds_of(module: ModuleType, detectors: list[str]) -> str:
    kinds = _kinds_in(module)
    title = ", ".join(kind.value for kind in kinds)
    by = f"Raised by {_listed([code(name) for name in detectors])} (`{module.__name__}`)."
    pages = [f"[{kind.value}](../../alerts/runbooks/{kind.value}.md)" for kind in kinds]
    page = f"What it means, how to confirm it, what to do and how it can be wrong: {_listed(pages)}."
    table = rows(("Threshold", "Value"), [(code(name), value) for name, value in _thresholds(module)])
    return "\n\n".join(block for block in (f"## {title}", inspect.getdoc(module) or "", by, page, table) if block)


def _thresholds(module: ModuleType) -> list[tuple[str, str]]:
    """The numbers that stand as constants in the detector's own file."""
    constants = [(name, value) for name, value in vars(module).items() if _CONSTANT.fullmatch(name)]
    single = [(name, f"{value:g}") for name, value in constants if type(value) in {int, float}]
    bars = [(name, asdict(value)) for name, value in constants if isinstance(value, Bar)]
    return single + [(f"{name}.{field}", f"{value:g}") for name, items in bars for field, value in items.items()]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
