"""Which page is about which fault, and what that makes of precision, recall and delay.

A page finds a fault if it is of the fault's kind, names the fault's place (the device, the job, the machine, the
stage) and came between the onset and `GRACE_SECONDS` after the end. The first one finds it, further ones are repeats:
neither right nor false. A page that finds none is a consequence if it is of a kind that the fault brings with it,
at a place the fault is felt at; or it says what is true of the job anyway. All others are false.

A fault too small to matter (`must_be_found` is false) is in no recall; a page about it is not false.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detection_parts.playing import Outcome, Page

__all__ = ["GRACE_SECONDS", "INFORMATION", "INTERCHANGEABLE", "Found", "Matched", "is_in_time", "match"]

GRACE_SECONDS: Final = 1800.0
INFORMATION: Final = frozenset({"level_shift", "drift", "spike"})
"""Kinds that are never a page: that something is unlike its own past, and nothing says why. They are counted apart."""

_PLACES: Final = ("uuid", "stage", "job_id", "node")
"""From the most to the least exact: the first that the fault's scope has must be named."""

INTERCHANGEABLE: Final = {"network_bound": "interconnect_bound", "interconnect_bound": "network_bound"}
"""Which of them it is depends on where the ranks stand; a fault says only that collectives take longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of a fault."""

    fault: Mapping[str, Any]
    page: Page | None
    intervals: float | None  # from the onset to the page


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What became of all faults and pages of a scenario."""

    found: tuple[Found, ...]
    false: tuple[Page, ...]
    repeats: int
    consequences: int


def match(outcome: Outcome, pages: Sequence[Page], *, informs: bool = False) -> Matched:
    """Hold pages against the truth; with `informs` information that something changed, against what only that tells."""
    brought = outcome.truth["faults"]
    faults = [fault for fault in brought if (fault["kind"] in INFORMATION) == informs]
    first: dict[int, Page] = {}
    false: list[Page] = []
    repeats = consequences = 0
    for page in sorted(pages, key=lambda one: one.told):
        number = next((at for at, fault in enumerate(faults) if _finds(page, fault, outcome)), None)
        if number is not None and number not in first:
            first[number] = page
        elif number is not None:
            repeats += 1
        elif _is_true(page, outcome) or any(_follows(page, fault, outcome) for fault in brought):
            consequences += 1
        else:
            false.append(page)
    found = tuple(_found(fault, first.get(at), outcome.scrape_seconds) for at, fault in enumerate(faults))
    return Matched(found=found, false=tuple(false), repeats=repeats, consequences=consequences)


def _found(fault: Mapping[str, Any], page: Page | None, scrape_seconds: float) -> Found:
    delay = None if page is None else max(0.0, page.told - fault["start"]) / scrape_seconds
    return Found(fault=fault, page=page, intervals=delay)


def _finds(page: Page, fault: Mapping[str, Any], outcome: Outcome) -> bool:
    is_kind = page.kind == fault["kind"] or INTERCHANGEABLE.get(page.kind) == fault["kind"]
    scope = fault["scope"]
    place = next(name for name in _PLACES if name in scope)
    names_it = page.scope.get(place) == scope[place]
    if place == "stage":
        names_it = names_it and page.scope.get("job_id") == scope["job_id"]
    return is_kind and names_it and is_in_time(page, fault, outcome)


def is_in_time(page: Page, fault: Mapping[str, Any], outcome: Outcome) -> bool:
    """Whether a page came while the fault was there, or shortly after."""
    end = outcome.truth["end"] if fault["end"] is None else fault["end"] + GRACE_SECONDS
    return bool(fault["start"] <= page.told <= end)


def _follows(page: Page, fault: Mapping[str, Any], outcome: Outcome) -> bool:
    """Whether the page tells of what the fault brings with it, where it is felt."""
    if page.kind not in fault["consequences"] or not is_in_time(page, fault, outcome):
        return False
    scope = page.scope
    if "uuid" in scope:
        return scope["uuid"] in fault["uuids"] or scope.get("node") == fault["scope"].get("node", "-")
    if "job_id" in scope:
        return scope["job_id"] == fault["scope"].get("job_id") or scope.get("node") in fault["nodes"]
    return scope.get("node") in fault["nodes"]


def _is_true(page: Page, outcome: Outcome) -> bool:
    return (page.kind, page.scope.get("job_id")) in outcome.true_of_jobs
