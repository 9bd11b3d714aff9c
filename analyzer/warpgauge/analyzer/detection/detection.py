"""The words between detectors and the engine: what a detector saw, what it could judge and what it could not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.finding import Evidence, FindingKind, Impact, Scope, Severity

__all__ = [
    "Candidate",
    "Detection",
    "Detector",
    "Explainer",
    "Judgement",
    "NotJudged",
    "ProcessReading",
    "Strength",
]


class Strength(StrEnum):
    """How strongly a condition shows; the clear threshold lies below the raise threshold."""

    RAISE = "raise"  # past the raise threshold: opens a finding
    HOLD = "hold"  # between clear and raise threshold: keeps an open finding open, opens none


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A condition as one detector sees it now: a finding without id and confirmation.

    `since` is the detector's best estimate of the onset; the engine keeps the earliest one it was told while the
    finding is open, so a condition older than the window keeps its age. The words in `summary` and `remedy` tell no
    age: it would be the window's, not the condition's; whoever shows a finding tells it by `since`. A window is told as
    one ("in the last 5 min"), a moment by the clock ("at 03:12 UTC").
    """

    kind: FindingKind
    scope: Scope
    severity: Severity
    since: float  # seconds since the epoch
    confidence: float  # 0-1
    evidence: tuple[Evidence, ...]
    summary: str
    remedy: str
    impact: Impact | None = None
    simulated: bool = False
    strength: Strength = Strength.RAISE
    is_supporting: bool = False  # beside another finding of the same device it is that one's evidence
    chance: float | None = None  # of evidence as strong as this if nothing is wrong; None where a rule decides
    needs_processes: bool = False  # the detector is an Explainer and wants the busiest processes of scope.node

    @property
    def key(self) -> tuple[FindingKind, Scope]:
        """What makes two candidates the same condition."""
        return (self.kind, self.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a detector looked at and could judge, whatever the verdict: the console prints it when nothing is wrong."""

    detector: str
    what: str  # "32 devices held by jobs, for the share of time they work"
    entities: int
    window_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJudged:
    """What could not be judged, and the names of the metrics that were missing for it."""

    detector: str
    what: str
    why: str
    missing: tuple[str, ...] = ()
    entities: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Everything one detector says about one frame; `judged` is None when there was nothing of its sort to judge."""

    candidates: tuple[Candidate, ...] = ()
    judged: Judgement | None = None
    not_judged: tuple[NotJudged, ...] = ()
    has_failed: bool = False  # what it said before stands until it can speak again


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReading:
    """One process as the agent of a node names it (GET /api/v1/processes)."""

    pid: int
    command: str
    cpu_ratio: float  # share of all CPUs of the machine, 0-1
    memory_bytes: float
    user: str = ""
    job: str | None = None  # as jobs are named here; "" is of no job, None is not told
    scheduler: str = ""


class Detector(Protocol):
    """A detector is a pure function of the frame; memory between ticks is the engine's business."""

    @property
    def name(self) -> str:
        """A short stable word, as the status document shows it."""

    def detect(self, frame: Frame) -> Detection:
        """Say what holds now."""


@runtime_checkable
class Explainer(Protocol):
    """A detector that can say more about a candidate once it knows the node's busiest processes."""

    def explain(self, candidate: Candidate, processes: Sequence[ProcessReading]) -> Candidate:
        """Return the candidate with summary, evidence and remedy that name the culprit processes."""
