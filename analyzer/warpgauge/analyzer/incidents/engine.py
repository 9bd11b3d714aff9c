"""One pure step: a frame and what was known before -> findings, incidents, and what is known now.

How findings are carried on from tick to tick is in `carrying`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection import Candidate, Detection, Explainer, NotJudged, Strength
from warpgauge.analyzer.incidents.breaker import BREAKER, mute_of
from warpgauge.analyzer.incidents.budget import admitted
from warpgauge.analyzer.incidents.carrying import (
    CLEAR_TICKS,
    REFRACTORY_SECONDS,
    REMEMBER_SECONDS,
    Blind,
    EngineState,
    OpenFinding,
    carried,
    moved,
)
from warpgauge.analyzer.incidents.corroboration import corroborated
from warpgauge.analyzer.incidents.muting import NOTHING_MUTED
from warpgauge.core.finding import Finding, FindingKind, Incident, MutedBy, Scope

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Detector, Judgement, ProcessReading
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.incidents import KnownIncident
    from warpgauge.analyzer.incidents.carrying import HasGap, Key
    from warpgauge.analyzer.incidents.muting import Muting

__all__ = [
    "CLEAR_TICKS",
    "REFRACTORY_SECONDS",
    "REMEMBER_SECONDS",
    "EngineState",
    "NodeKey",
    "OpenFinding",
    "Result",
    "analyze",
    "heard_anew",
]

_LOG: Final = logging.getLogger(__name__)


NodeKey = tuple[str, str]
"""(cluster, node)"""
Join = Callable[
    [Sequence[Finding], "Frame", Mapping[str, "KnownIncident"], Sequence[Finding]], Mapping[str, "KnownIncident"]
]
"""Findings that hold, incidents known before and findings that ended lately -> incidents by id."""
Suspect = Callable[[Iterable[Finding | Candidate], "Frame"], Iterable[Candidate]]
"""All that is seen -> what speaks against the whole of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tick found; `findings` are ranked by severity and impact, then age, those that are muted last."""

    time: float  # end of the newest column
    findings: tuple[Finding, ...]  # that hold now
    ended: tuple[Finding, ...]  # that ended within the last ten minutes, youngest first
    incidents: tuple[Incident, ...]  # that hold now
    ended_incidents: tuple[Incident, ...]  # that ended within the last ten minutes, youngest first
    judged: tuple[Judgement, ...]
    not_judged: tuple[NotJudged, ...]
    wanted: frozenset[NodeKey]  # nodes whose busiest processes would explain a finding
    state: EngineState


def _no_incidents(
    _findings: Sequence[Finding], _frame: Frame, _known: Mapping[str, KnownIncident], _ended: Sequence[Finding]
) -> Mapping[str, KnownIncident]:
    return {}


def _no_gap(_scope: Scope, _window_seconds: float) -> bool:
    return False


def _no_suspicion(_seen: Iterable[Finding | Candidate], _frame: Frame) -> Iterable[Candidate]:
    return ()


def analyze(  # noqa: PLR0913 - a pure function is handed all it depends on
    frame: Frame,
    state: EngineState,
    detectors: Sequence[Detector],
    *,
    join: Join = _no_incidents,
    suspect: Suspect = _no_suspicion,
    has_gap: HasGap = _no_gap,
    muting: Muting = NOTHING_MUTED,
    told_at: float | None = None,
    processes: Mapping[NodeKey, Sequence[ProcessReading]] | None = None,
    is_partial: bool = False,
    is_tolerant: bool = False,
) -> Result:
    """Run all detectors over the frame and carry the findings on.

    `processes` are the busiest processes of nodes that an earlier result `wanted`; with the same state and frame
    this may be called again once they are known. `told_at` is when people hear of it, which decides on silences; the
    frame's newest column where that is None. `detectors` may be some of all (`is_partial`): what the others found then
    stays as it was. With `is_tolerant` a detector that raises costs its own verdicts of this tick and nothing else.
    """
    detections = [(one, _detected(one, frame) if is_tolerant else one.detect(frame)) for one in detectors]
    candidates, finders = _conditions(detections, processes or {})
    for doubt in () if is_partial else suspect(_seen(candidates, state), frame):
        candidates[doubt.key], finders[doubt.key] = doubt, BREAKER
    blind = Blind.after(state.resumed, detections, frame.now, has_gap)
    state = carried(state, candidates, finders, blind.and_absent(state, detectors) if is_partial else blind)
    findings = tuple(sorted(_heard(state, muting, frame.now if told_at is None else told_at), key=_rank))
    ended = tuple(sorted(state.ended.values(), key=lambda finding: -(finding.ended or 0.0)))
    known = join(findings, frame, state.incidents, ended)
    state = replace(state, incidents={id_: one for id_, one in known.items() if _is_remembered(one, frame.now)})
    incidents = [one.incident for one in state.incidents.values()]
    over = (one for one in incidents if one.ended is not None)
    return Result(
        time=frame.now,
        findings=findings,
        ended=ended,
        incidents=tuple(one for one in incidents if one.ended is None),
        ended_incidents=tuple(sorted(over, key=lambda one: -(one.ended or 0.0))),
        judged=tuple(detection.judged for _, detection in detections if detection.judged is not None),
        not_judged=tuple(item for _, detection in detections for item in detection.not_judged),
        wanted=_wanted(candidates, state),
        state=state,
    )


def _conditions(
    detections: Sequence[tuple[Detector, Detection]], processes: Mapping[NodeKey, Sequence[ProcessReading]]
) -> tuple[dict[Key, Candidate], dict[Key, str]]:
    """One candidate per condition, as far as the budget for false alarms goes, and which detector found it."""
    found = _strongest(
        _explained(detector, candidate, processes)
        for detector, detection in detections
        for candidate in detection.candidates
    )
    finders = {candidate.key: one.name for one, detection in detections for candidate in detection.candidates}
    return admitted(corroborated(found), (detection for _, detection in detections)), finders


def _detected(detector: Detector, frame: Frame) -> Detection:
    try:
        return detector.detect(frame)
    except Exception:  # noqa: BLE001 - a fault of one must not take the others along
        _LOG.exception("detector failed", extra={"detector": detector.name})
        lost = NotJudged(detector=detector.name, what="all that it looks at", why="its code failed; the log says where")
        return Detection(not_judged=(lost,), has_failed=True)


def _seen(candidates: Mapping[Key, Candidate], state: EngineState) -> list[Finding | Candidate]:
    """What the detectors say, and what still holds from before; not what was said of whole clusters.

    A detector sees no onset that lies before its window: what is known of it stands, else all that is old would seem to
    have begun together at the window's edge.
    """
    names = moved(state.open, candidates)
    open_ = {names.get(key, key): entry.finding for key, entry in state.open.items()}
    known = {**state.ended, **open_}
    said = (
        replace(one, since=known[key].since) if key in known and known[key].since < one.since else one
        for key, one in candidates.items()
    )
    return [*said, *(finding for key, finding in open_.items() if key not in candidates)]


def _heard(state: EngineState, muting: Muting, now: float) -> list[Finding]:
    """The findings that hold, each with why it is muted, if it is."""
    open_ = [entry.finding for entry in state.open.values()]
    fleet = {
        finding.scope.cluster or "": finding
        for finding in open_
        if finding.kind is FindingKind.TELEMETRY_GAP and finding.scope == Scope(cluster=finding.scope.cluster)
    }
    found = []
    for finding in open_:
        mute = muting.of(finding, now) or mute_of(finding, fleet)
        found.append(finding if mute is None else replace(finding, muted=mute))
    return found


def heard_anew(result: Result, muting: Muting, told_at: float) -> Result:
    """A tick's result under what is muted now; incidents follow at the next tick."""
    found = []
    for finding in result.findings:
        mute = muting.of(finding, told_at) or (finding.muted if _is_of_breaker(finding) else None)
        found.append(replace(finding, muted=mute))
    return replace(result, findings=tuple(sorted(found, key=_rank)))


def _is_of_breaker(finding: Finding) -> bool:
    return finding.muted is not None and finding.muted.by is MutedBy.BREAKER


def _is_remembered(one: KnownIncident, now: float) -> bool:
    return one.incident.ended is None or now - one.incident.ended < REMEMBER_SECONDS


def _explained(
    detector: Detector, candidate: Candidate, processes: Mapping[NodeKey, Sequence[ProcessReading]]
) -> Candidate:
    busiest = processes.get(_node_key(candidate.scope))
    if candidate.needs_processes and busiest and isinstance(detector, Explainer):
        return detector.explain(candidate, busiest)
    return candidate


def _strongest(candidates: Iterable[Candidate]) -> dict[Key, Candidate]:
    """One candidate per condition: raised before held, then the surer one."""
    chosen: dict[Key, Candidate] = {}
    for candidate in candidates:
        rival = chosen.get(candidate.key)
        if rival is None or _strength(candidate) > _strength(rival):
            chosen[candidate.key] = candidate
    return chosen


def _strength(candidate: Candidate) -> tuple[bool, float]:
    return (candidate.strength is Strength.RAISE, candidate.confidence)


def _wanted(candidates: Mapping[Key, Candidate], state: EngineState) -> frozenset[NodeKey]:
    return frozenset(
        _node_key(key[1]) for key, candidate in candidates.items() if candidate.needs_processes and key in state.open
    )


def _node_key(scope: Scope) -> NodeKey:
    return (scope.cluster or "", scope.node or "")


def _rank(finding: Finding) -> tuple[bool, int, float, float, str]:
    lost = finding.impact.lost_device_seconds if finding.impact else None
    return (finding.muted is not None, -finding.severity.rank, -(lost or 0.0), finding.since, finding.id)
