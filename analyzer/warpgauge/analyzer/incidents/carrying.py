"""How findings are carried from tick to tick: when one opens, holds, ends, and when it is the same one again.

A finding opens when its detector raises it, stays open while the detector at least holds it, and ends once it was
absent for `CLEAR_TICKS` ticks in a row (after a restart, or where its nodes were silent for a while, only once its
detector's window is clear of the gap); raising needs more than holding, so a condition at the threshold does not
flap. A condition that comes back within `REFRACTORY_SECONDS` is the same finding again. Ended findings stay known for
`REMEMBER_SECONDS`, for the page that shows what just ended.

While a finding holds it says what is so now. A condition fades out of its detector's window before it ends, so the last
words are the weakest: one that ended says what it was at its worst (`OpenFinding.worst`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection import Candidate, Detection, Strength
from warpgauge.core.finding import Finding, FindingKind, Scope, stable_id

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Detector
    from warpgauge.analyzer.incidents import KnownIncident

__all__ = [
    "CLEAR_TICKS",
    "REFRACTORY_SECONDS",
    "REMEMBER_SECONDS",
    "Blind",
    "EngineState",
    "HasGap",
    "Key",
    "OpenFinding",
    "carried",
    "moved",
]

CLEAR_TICKS: Final = 2
REFRACTORY_SECONDS: Final = 300.0
REMEMBER_SECONDS: Final = 600.0
LONGEST_WINDOW_SECONDS: Final = 1800.0  # that a detector looks at
_ONSET_BUCKET_SECONDS: Final = 600.0  # onsets estimated this far apart may be one condition after a restart

Key = tuple[FindingKind, Scope]
HasGap = Callable[[Scope, float], bool]
"""Whether part of the last so many seconds is missing of what a scope names."""


@dataclass(frozen=True, slots=True)
class OpenFinding:
    """A finding that holds, for how many ticks nothing showed it, and which detector found it.

    `worst` is the finding as it was when it was most severe and surest, past its detector's raise threshold, the newest
    of such; None where it is so now.
    """

    finding: Finding
    missed_ticks: int = 0
    detector: str = ""
    worst: Finding | None = None


@dataclass(frozen=True, slots=True)
class EngineState:
    """What one tick hands to the next."""

    open: Mapping[Key, OpenFinding] = field(default_factory=dict)
    ended: Mapping[Key, Finding] = field(default_factory=dict)
    incidents: Mapping[str, KnownIncident] = field(default_factory=dict)  # also those that ended lately
    resumed: float | None = None  # when the analyzer went on after a gap, in seconds since the epoch


@dataclass(frozen=True, slots=True)
class Blind:
    """What detectors cannot see yet that they saw before, at a tick at time `now`: a gap lies in their windows."""

    now: float
    detectors: frozenset[str]
    windows: Mapping[str, float]  # seconds, of each detector that judged something
    has_gap: HasGap

    @classmethod
    def after(
        cls, resumed: float | None, detections: Sequence[tuple[Detector, Detection]], now: float, has_gap: HasGap
    ) -> Blind:
        """As long as the gap of a restart lies in a detector's window, nothing it says of the past is final."""
        windows = {one.name: found.judged.window_seconds for one, found in detections if found.judged is not None}
        failed = frozenset(one.name for one, found in detections if found.has_failed)
        if resumed is None or now >= resumed + LONGEST_WINDOW_SECONDS:
            return cls(now, failed, windows, has_gap)
        names = (one.name for one, _ in detections)
        waiting = frozenset(one for one in names if now < resumed + windows.get(one, LONGEST_WINDOW_SECONDS))
        return cls(now, waiting | failed, windows, has_gap)

    def and_absent(self, state: EngineState, detectors: Sequence[Detector]) -> Blind:
        """Those too that found something and are not asked this time."""
        absent = {entry.detector for entry in state.open.values()} - {detector.name for detector in detectors}
        return replace(self, detectors=self.detectors | absent)

    def to(self, entry: OpenFinding) -> bool:
        """Whether a finding that nobody shows any more may go on all the same; silence itself ends with a word."""
        if entry.detector in self.detectors:
            return True
        window = min(self.windows.get(entry.detector, LONGEST_WINDOW_SECONDS), LONGEST_WINDOW_SECONDS)
        return entry.finding.kind is not FindingKind.TELEMETRY_GAP and self.has_gap(entry.finding.scope, window)


def carried(
    state: EngineState, candidates: Mapping[Key, Candidate], finders: Mapping[Key, str], blind: Blind
) -> EngineState:
    """The state after a tick; a finding that its detector cannot judge yet stays as it was."""
    now = blind.now
    still_open: dict[Key, OpenFinding] = {}
    ended = {key: was for key, was in state.ended.items() if now - (was.ended or now) < REMEMBER_SECONDS}
    names = moved(state.open, candidates)
    for key, entry in state.open.items():
        seen = names.get(key, key)
        if seen in candidates:
            finding = _renewed(entry.finding, candidates[seen], scope=seen[1])
            is_same = finding is entry.finding and not entry.missed_ticks and entry.detector == finders[seen]
            worst = _worst(entry.worst or entry.finding, finding, candidates[seen])
            still_open[seen] = entry if is_same else OpenFinding(finding, detector=finders[seen], worst=worst)
        elif blind.to(entry):
            still_open[key] = entry
        elif entry.missed_ticks + 1 < CLEAR_TICKS:
            still_open[key] = replace(entry, missed_ticks=entry.missed_ticks + 1)
        else:
            ended[key] = _ended(entry, now)
    for key, candidate in candidates.items():
        if key not in still_open and candidate.strength is Strength.RAISE:
            before = ended.pop(key, None)
            finding = _opened(candidate, before, now)
            was = _worst(before, finding, candidate) if before and before.id == finding.id else None
            still_open[key] = OpenFinding(finding, detector=finders[key], worst=was)
    return replace(state, open=still_open, ended=ended, resumed=state.resumed if blind.detectors else None)


def moved(open_: Mapping[Key, OpenFinding], candidates: Mapping[Key, Candidate]) -> dict[Key, Key]:
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
    """The finding, which holds, with what the detector says now; id, confirmation and the earliest onset stay.

    It is the same object where a detector whose turn it was not says what it said before.
    """
    if _is_as_told(finding, candidate, scope):
        return finding
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


def _worst(before: Finding, now: Finding, candidate: Candidate) -> Finding | None:
    """What a finding was, unless it is as bad now; a candidate that only holds it lies below the threshold."""
    is_less = (now.severity.rank, now.confidence) < (before.severity.rank, before.confidence)
    return before if candidate.strength is not Strength.RAISE or is_less else None


def _ended(entry: OpenFinding, now: float) -> Finding:
    """The finding with its end, as it was at its worst; what it cost is the most that was ever counted."""
    finding, worst = entry.finding, entry.worst or entry.finding
    lost = [one.impact.lost_device_seconds or 0.0 for one in (finding, worst) if one.impact is not None]
    return replace(
        finding,
        ended=now,
        severity=worst.severity,
        confidence=worst.confidence,
        evidence=worst.evidence,
        summary=worst.summary,
        remedy=worst.remedy,
        impact=replace(worst.impact, lost_device_seconds=max(lost) or None) if worst.impact else finding.impact,
    )


def _is_as_told(finding: Finding, candidate: Candidate, scope: Scope) -> bool:
    return (
        finding.evidence is candidate.evidence
        and finding.summary is candidate.summary
        and finding.remedy is candidate.remedy
        and finding.impact is candidate.impact
        and finding.severity is candidate.severity
        and finding.since <= candidate.since
        and finding.confidence == candidate.confidence
        and finding.simulated == candidate.simulated
        and finding.ended is None
        and finding.scope == scope
    )
