"""What a knob that is set on some seeds does on others, with one kind of fault left out of the setting.

The thresholds of the detectors are constants from published sources; none is fitted here or anywhere by a program.
People did change some after looking at seeds 0 to 199, so the one honest question that a program can ask is asked of
the one number that all findings share: from which confidence on a finding counts. It is set to the best F1 on the
tuning seeds, once over all kinds and once for each kind without that kind, and then used on the reported seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detection_parts.matching import match
from detection_parts.report import Score, by_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detection_parts.playing import Outcome

__all__ = ["LeftOut", "leave_one_out"]

_LEVELS: Final = tuple(round(0.05 * step, 2) for step in range(20))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What the knob was set to with and without a kind, and that kind's F1 on other seeds."""

    kind: str
    level_with: float
    level_without: float
    f1_untuned: float
    f1_with: float
    f1_without: float


def leave_one_out(tuning: Sequence[Outcome], reported: Sequence[Outcome]) -> Iterator[LeftOut]:
    """One row per kind that the reported seeds have."""
    on_tuning = {level: _scores(tuning, level) for level in _LEVELS}
    on_reported = {level: _scores(reported, level) for level in _LEVELS}
    best = _best(on_tuning, "")
    for kind in on_reported[0.0]:
        without = _best(on_tuning, kind)
        yield LeftOut(
            kind=kind,
            level_with=best,
            level_without=without,
            f1_untuned=on_reported[0.0][kind].f1,
            f1_with=on_reported[best].get(kind, Score()).f1,
            f1_without=on_reported[without].get(kind, Score()).f1,
        )


def _scores(outcomes: Sequence[Outcome], level: float) -> dict[str, Score]:
    return by_kind([match(one, [page for page in one.pages if page.confidence >= level]) for one in outcomes])


def _best(scores: dict[float, dict[str, Score]], without: str) -> float:
    """The lowest level with the best F1 over all kinds but one."""

    def f1(level: float) -> float:
        total = Score()
        for kind, one in scores[level].items():
            if kind != without:
                total.add(one)
        return total.f1

    return max(_LEVELS, key=lambda level: (round(f1(level), 4), -level))
