"""What is said of a fault whose kind nobody wrote a rule for.

Rules and thresholds are in the code, set by people who knew the kinds: to leave a kind out of the tuning, all that
names it is taken away. Its fault is played once more, and no detector may raise a finding of that kind. What is left is
what the analyzer would make of a fault that it does not know: a symptom that other kinds describe rightly, a wrong name
at the right place, information (a level that changed, an unusual device) or nothing.

It is a lower bound of what is seen: detectors that defer to the kind (a straggler whose heat explains it) still do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from detection_parts.matching import INTERCHANGEABLE, is_in_time, match

from warpgauge.analyzer.detectors import DETECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from detection_parts.playing import Outcome, Page

    from warpgauge.analyzer.detection import Detection, Detector
    from warpgauge.analyzer.frame import Frame

__all__ = ["Unknown", "detectors_without", "kinds_to_forget", "without_names"]


@dataclass(frozen=True, slots=True)
class _Without:
    """A detector that may not raise findings of some kinds."""

    detector: Detector
    kinds: frozenset[str]

    @property
    def name(self) -> str:
        return self.detector.name

    def detect(self, frame: Frame) -> Detection:
        found = self.detector.detect(frame)
        return replace(found, candidates=tuple(one for one in found.candidates if one.kind not in self.kinds))


def detectors_without(kind: str) -> tuple[Detector, ...]:
    """All detectors, but none names the kind, nor the one that means the same."""
    kinds = frozenset({kind, INTERCHANGEABLE.get(kind, kind)})
    return tuple(_Without(one, kinds) for one in DETECTORS)


def kinds_to_forget(outcome: Outcome) -> list[str]:
    """Kinds of a scenario's faults that must be found: it is played once more for each."""
    return sorted({fault["kind"] for fault in outcome.truth["faults"] if fault["must_be_found"]})


@dataclass(slots=True, kw_only=True)
class Unknown:
    """What was said of the faults of one kind without a rule for it."""

    kind: str
    symptom: int = 0  # paged as what it brings with it, which is true
    misnamed: int = 0  # paged at its place under a name that is wrong
    informed: int = 0  # no page, but information at its place
    silent: int = 0
    unattributed: int = 0  # of all: whose findings are an incident without a cause
    false_more: int = 0  # false pages beyond those with the rule
    names: Counter[str] = field(default_factory=Counter)  # kinds that pages and information at the place have

    @property
    def faults(self) -> int:
        """How many there were."""
        return self.symptom + self.misnamed + self.informed + self.silent

    def add(self, other: Unknown) -> None:
        """Count another one's in."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.names += other.names


_COUNTS: Final = ("symptom", "misnamed", "informed", "silent", "unattributed", "false_more")


def without_names(played: Iterable[tuple[str, Outcome, Outcome]]) -> Iterator[Unknown]:
    """From (kind, outcome with the rule, outcome without it) to a row for each kind, by name, and one of all."""
    rows: dict[str, Unknown] = {}
    for kind, known, unknown in played:
        _count(rows.setdefault(kind, Unknown(kind=kind)), known, unknown)
    total = Unknown(kind="all")
    for _, one in sorted(rows.items()):
        total.add(one)
        yield one
    if rows:
        yield total


def _count(row: Unknown, known: Outcome, unknown: Outcome) -> None:
    false = match(unknown, unknown.pages).false
    row.false_more += len(false) - len(match(known, known.pages).false)
    for fault in unknown.truth["faults"]:
        if fault["kind"] != row.kind or not fault["must_be_found"]:
            continue
        pages = _at_place(unknown.pages, fault, unknown)
        hints = _at_place(unknown.hints, fault, unknown)
        row.names.update({page.kind for page in [*pages, *hints]})
        row.unattributed += bool(_at_place(unknown.unattributed, fault, unknown))
        if any(page in false for page in pages):
            row.misnamed += 1
        elif pages:
            row.symptom += 1
        elif hints:
            row.informed += 1
        else:
            row.silent += 1


def _at_place(told: Sequence[Page], fault: Mapping[str, Any], outcome: Outcome) -> list[Page]:
    """What was told while the fault was there of the device, machine or job that it strikes, and is not true anyway."""
    return [
        page
        for page in told
        if is_in_time(page, fault, outcome)
        and _is_there(page.scope, fault)
        and (page.kind, page.scope.get("job_id")) not in outcome.true_of_jobs
    ]


def _is_there(scope: Mapping[str, Any], fault: Mapping[str, Any]) -> bool:
    """Whether a scope is the fault's place, or holds it: of a device also its machine and its job."""
    struck = fault["scope"]
    if "uuid" in scope:
        return scope["uuid"] in fault["uuids"]
    if "node" in scope and "job_id" not in scope:
        return scope["node"] in fault["nodes"]
    return scope.get("job_id") == struck.get("job_id", "-")
