"""False alarms as a budget: of all that looks unusual in a tick, only so much may be chance.

A detector that can say how likely its evidence is by chance says so (`Candidate.chance`). Of these the engine raises
what Benjamini and Hochberg's step-up rule (1995) admits at `WANTED_SHARE`, counting every entity that was judged as a
test: a fleet ten times as large asks ten times as much of a single device, and nothing is tuned per series. What is
refused may still hold a finding that is open. A change of a level counts only from `LEAST_EFFECT` on, however sure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection import Strength
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.analyzer.detection import Candidate, Detection
    from warpgauge.core.finding import Scope

__all__ = ["LEAST_EFFECT", "WANTED_SHARE", "admitted"]

WANTED_SHARE: Final = 0.01  # of what is raised on probabilities may be chance
LEAST_EFFECT: Final = 0.10  # Greyhound, ATC'25: below a tenth nothing is lost

OF_EFFECT: Final = frozenset({FindingKind.LEVEL_SHIFT, FindingKind.DRIFT, FindingKind.SPIKE})

Key = tuple[FindingKind, "Scope"]


def admitted(candidates: Mapping[Key, Candidate], detections: Iterable[Detection]) -> dict[Key, Candidate]:
    """The candidates; those beyond the budget or without effect only hold."""
    tests = sum(_tests(detection) for detection in detections)
    chances = sorted(one.chance for one in candidates.values() if one.chance is not None)
    limit = largest_admitted(chances, tests)
    return {key: _within(one, limit) for key, one in candidates.items()}


def largest_admitted(chances: list[float], tests: int) -> float:
    """The largest of ascending probabilities that the step-up rule admits among so many tests; -1 if none."""
    tests = max(tests, len(chances))
    for rank in range(len(chances), 0, -1):
        if chances[rank - 1] <= WANTED_SHARE * rank / tests:
            return chances[rank - 1]
    return -1.0


def _tests(detection: Detection) -> int:
    """Entities that were judged by probability."""
    has_chances = any(one.chance is not None for one in detection.candidates)
    return detection.judged.entities if has_chances and detection.judged is not None else 0


def _within(one: Candidate, limit: float) -> Candidate:
    is_likely_chance = one.chance is not None and one.chance > limit
    if one.strength is Strength.RAISE and (is_likely_chance or _has_no_effect(one)):
        return replace(one, strength=Strength.HOLD)
    return one


def _has_no_effect(one: Candidate) -> bool:
    """Whether a level moved by less than a tenth; where it was 0 there is no tenth."""
    if one.kind not in OF_EFFECT or not one.evidence:
        return False
    row = one.evidence[0]
    usual = row.baseline
    return usual is not None and usual != 0 and abs(row.value - usual) < LEAST_EFFECT * abs(usual)
