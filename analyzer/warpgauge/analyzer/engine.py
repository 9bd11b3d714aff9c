"""One pure step: a frame and what was known before -> findings, incidents, and what is known now.

A finding opens when its detector raises it, stays open while the detector at least holds it, and ends once it was
absent for `CLEAR_TICKS` ticks in a row (after a restart, or where its nodes were silent for a while, only once its
detector's window is clear of the gap); raising needs more than holding, so a condition at the threshold does not
flap. A condition that comes back within `REFRACTORY_SECONDS` is the same finding again. Ended findings stay known for
`REMEMBER_SECONDS`, for the page that shows what just ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.breaker import BREAKER, mute_of
from warpgauge.analyzer.budget import admitted
from warpgauge.analyzer.corroboration import corroborated
from warpgauge.analyzer.detection import Candidate, Detection, Explainer, NotJudged, Strength
from warpgauge.analyzer.muting import NOTHING_MUTED
from warpgauge.core.finding import Finding, FindingKind, Incident, MutedBy, Scope, stable_id

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Detector, Judgement, ProcessReading
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.incidents import KnownIncident
    from warpgauge.analyzer.muting import Muting

__all__ = ["EngineState", "NodeKey", "OpenFinding", "Result", "analyze", "heard_anew"]

_LOG: Final = logging.getLogger(__name__)

CLEAR_TICKS: Final = 2
REFRACTORY_SECONDS: Final = 300.0
REMEMBER_SECONDS: Final = 600.0
LONGEST_WINDOW_SECONDS: Final = 1800.0  # that a detector looks at
_ONSET_BUCKET_SECONDS: Final = 600.0  # onsets estimated this far apart may be one condition after a restart

Key = tuple[FindingKind, Scope]
NodeKey = tuple[str, str]
"""(cluster, node)"""
Join = Callable[
    [Sequence[Finding], "Frame", Mapping[str, "KnownIncident"], Sequence[Finding]], Mapping[str, "KnownIncident"]
]
"""Findings that hold, incidents known before and findings that ended lately -> incidents by id."""
HasGap = Callable[[Scope, float], bool]
"""Whether part of the last so many seconds is missing of what a scope names."""
Suspect = Callable[[Iterable[Finding | Candidate], "Frame"], Iterable[Candidate]]
"""All that is seen -> what speaks against the whole of it."""


@dataclass(frozen=True, slots=True)
class OpenFinding:
    """A finding that holds, for how many ticks nothing showed it, and which detector found it."""

    finding: Finding
    missed_ticks: int = 0
    detector: str = ""


@dataclass(frozen=True, slots=True)
class EngineState:
    """What one tick hands to the next."""

    open: Mapping[Key, OpenFinding] = field(default_factory=dict)
    ended: Mapping[Key, Finding] = field(default_factory=dict)
    incidents: Mapping[str, KnownIncident] = field(default_factory=dict)  # also those that ended lately
    resumed: float | None = None  # when the analyzer went on after a gap, in seconds since the epoch


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
    candidates = _strongest(
        _explained(detector, candidate, processes or {})
        for detector, detection in detections
        for candidate in detection.candidates
    )
    candidates = corroborated(candidates)
    finders = {candidate.key: one.name for one, detection in detections for candidate in detection.candidates}
    candidates = admitted(candidates, (detection for _, detection in detections))
    for doubt in () if is_partial else suspect(_seen(candidates, state), frame):
        candidates[doubt.key], finders[doubt.key] = doubt, BREAKER
    blind = _Blind.after(state.resumed, detections, frame.now, has_gap)
    state = _carried(state, candidates, finders, blind.and_absent(state, detectors) if is_partial else blind)
    findings = tuple(sorted(_heard(state, muting, frame.now if told_at is None else told_at), key=_rank))
    ended = tuple(sorted(state.ended.values(), key=lambda finding: -(finding.ended or 0.0)))
    known = join(findings, frame, state.incidents, ended)
    state = replace(state, incidents={id_: one for id_, one in known.items() if _is_remembered(one, frame.now)})
    incidents = [one.incident for one in state.incidents.values()]
    return Result(
        time=frame.now,
        findings=findings,
        ended=ended,
        incidents=tuple(one for one in incidents if one.ended is None),
        ended_incidents=tuple(
            sorted((one for one in incidents if one.ended is not None), key=lambda one: -(one.ended or 0.0))
        ),
        judged=tuple(detection.judged for _, detection in detections if detection.judged is not None),
        not_judged=tuple(item for _, detection in detections for item in detection.not_judged),
        wanted=_wanted(candidates, state),
        state=state,
    )


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
    moved = _moved(state.open, candidates)
    open_ = {moved.get(key, key): entry.finding for key, entry in state.open.items()}
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


@dataclass(frozen=True, slots=True)
class _Blind:
    """What detectors cannot see yet that they saw before, at a tick at time `now`: a gap lies in their windows."""

    now: float
    detectors: frozenset[str]
    windows: Mapping[str, float]  # seconds, of each detector that judged something
    has_gap: HasGap

    @classmethod
    def after(
        cls, resumed: float | None, detections: Sequence[tuple[Detector, Detection]], now: float, has_gap: HasGap
    ) -> _Blind:
        """As long as the gap of a restart lies in a detector's window, nothing it says of the past is final."""
        windows = {one.name: found.judged.window_seconds for one, found in detections if found.judged is not None}
        failed = frozenset(one.name for one, found in detections if found.has_failed)
        if resumed is None or now >= resumed + LONGEST_WINDOW_SECONDS:
            return cls(now, failed, windows, has_gap)
        names = (one.name for one, _ in detections)
        waiting = frozenset(one for one in names if now < resumed + windows.get(one, LONGEST_WINDOW_SECONDS))
        return cls(now, waiting | failed, windows, has_gap)

    def and_absent(self, state: EngineState, detectors: Sequence[Detector]) -> _Blind:
        """Those too that found something and are not asked this time."""
        absent = {entry.detector for entry in state.open.values()} - {detector.name for detector in detectors}
        return replace(self, detectors=self.detectors | absent)

    def to(self, entry: OpenFinding) -> bool:
        """Whether a finding that nobody shows any more may go on all the same; silence itself ends with a word."""
        if entry.detector in self.detectors:
            return True
        window = min(self.windows.get(entry.detector, LONGEST_WINDOW_SECONDS), LONGEST_WINDOW_SECONDS)
        return entry.finding.kind is not FindingKind.TELEMETRY_GAP and self.has_gap(entry.finding.scope, window)


def _carried(
    state: EngineState, candidates: Mapping[Key, Candidate], finders: Mapping[Key, str], blind: _Blind
) -> EngineState:
    """The state after a tick; a finding that its detector cannot judge yet stays as it was."""
    now = blind.now
    still_open: dict[Key, OpenFinding] = {}
    ended = {key: was for key, was in state.ended.items() if now - (was.ended or now) < REMEMBER_SECONDS}
    moved = _moved(state.open, candidates)
    for key, entry in state.open.items():
        seen = moved.get(key, key)
        if seen in candidates:
            finding = _renewed(entry.finding, candidates[seen], scope=seen[1])
            still_open[seen] = OpenFinding(finding, detector=finders[seen])
        elif blind.to(entry):
            still_open[key] = entry
        elif entry.missed_ticks + 1 < CLEAR_TICKS:
            still_open[key] = replace(entry, missed_ticks=entry.missed_ticks + 1)
        else:
            ended[key] = replace(entry.finding, ended=now)
    for key, candidate in candidates.items():
        if key not in still_open and candidate.strength is Strength.RAISE:
            still_open[key] = OpenFinding(_opened(candidate, ended.pop(key, None), now), detector=finders[key])
    return replace(state, open=still_open, ended=ended, resumed=state.resumed if blind.detectors else None)


def _moved(open_: Mapping[Key, OpenFinding], candidates: Mapping[Key, Candidate]) -> dict[Key, Key]:
    """Findings of a device -> how they are called now that a job came to it or left it: the fault is the same one."""
    gone = [key for key in open_ if key[1].uuid is not None and key not in candidates]
    if not gone:
        return {}
    before = _by_place(gone)
    now = _by_place(key for key in candidates if key[1].uuid is not None and key not in open_)
    pairs = ((before[place][0], now[place][0]) for place in before.keys() & now.keys() if len(before[place]) == 1)
    return {old: new for old, new in pairs if len(now[_place(new)]) == 1 and None in {old[1].job_id, new[1].job_id}}


def _by_place(keys: Iterable[Key]) -> dict[Hashable, list[Key]]:
    found: dict[Hashable, list[Key]] = {}
    for key in keys:
        found.setdefault(_place(key), []).append(key)
    return found


def _place(key: Key) -> Hashable:
    kind, scope = key
    return (kind, scope.cluster, scope.node, scope.uuid, scope.instance_id)


def _opened(candidate: Candidate, before: Finding | None, now: float) -> Finding:
    """A new finding, or the one that ended a moment ago and is back."""
    if before is not None and now - (before.ended or now) <= REFRACTORY_SECONDS:
        return _renewed(before, candidate, scope=before.scope)
    scope, onset = candidate.scope, int(candidate.since // _ONSET_BUCKET_SECONDS)
    place = (scope.cluster, scope.node, scope.uuid, scope.instance_id, scope.job_id, scope.rank, scope.stage)
    return Finding(
        id=stable_id(candidate.kind, *place, onset),
        kind=candidate.kind,
        severity=candidate.severity,
        scope=scope,
        since=candidate.since,
        confirmed=now,
        confidence=candidate.confidence,
        evidence=candidate.evidence,
        summary=candidate.summary,
        remedy=candidate.remedy,
        impact=candidate.impact,
        simulated=candidate.simulated,
    )


def _renewed(finding: Finding, candidate: Candidate, *, scope: Scope) -> Finding:
    """The finding, which holds, with what the detector says now; id, confirmation and the earliest onset stay."""
    return replace(
        finding,
        scope=scope,
        ended=None,
        severity=candidate.severity,
        since=min(finding.since, candidate.since),
        confidence=candidate.confidence,
        evidence=candidate.evidence,
        summary=candidate.summary,
        remedy=candidate.remedy,
        impact=candidate.impact,
        simulated=candidate.simulated,
    )


def _wanted(candidates: Mapping[Key, Candidate], state: EngineState) -> frozenset[NodeKey]:
    return frozenset(
        _node_key(key[1]) for key, candidate in candidates.items() if candidate.needs_processes and key in state.open
    )


def _node_key(scope: Scope) -> NodeKey:
    return (scope.cluster or "", scope.node or "")


def _rank(finding: Finding) -> tuple[bool, int, float, float, str]:
    lost = finding.impact.lost_device_seconds if finding.impact else None
    return (finding.muted is not None, -finding.severity.rank, -(lost or 0.0), finding.since, finding.id)
