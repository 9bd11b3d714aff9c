"""Findings that share place and time are one incident, with one root cause or honestly without.

Places go from device over node to what nodes share (switch, rail, rack, power domain), and across nodes by job; time is
the onset, within three minutes. A device that falls off the bus makes its job hang and its peers wait: that is one
incident whose root is the device. What merely stands on the same node is not joined: there must be the same kind of
finding twice, or one that the others depend on.

An incident is remembered from tick to tick. Once together, findings stay together until all of them ended; so its id
does not change when its first finding ends, nor over a restart, and it has an end.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection.places import nodes_of_devices
from warpgauge.analyzer.detection.wording import count
from warpgauge.analyzer.incidents.causes import CAUSES_FIRST, cause_of
from warpgauge.analyzer.incidents.shared_places import Shared, shared_by
from warpgauge.analyzer.incidents.together import bursts
from warpgauge.core.finding import Finding, Incident, MutedBy, Scope, stable_id

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from warpgauge.analyzer.frame import Frame

__all__ = ["KnownIncident", "join"]

MOST_ENDED_MEMBERS: Final = 200  # that an incident remembers

PlaceKey = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIncident:
    """An incident with its findings as last seen, by id; those that ended have their end."""

    incident: Incident
    members: Mapping[str, Finding]


def join(
    findings: Sequence[Finding],
    frame: Frame,
    known: Mapping[str, KnownIncident] | None = None,
    ended: Sequence[Finding] = (),
) -> dict[str, KnownIncident]:
    """All incidents by id: those that hold in the order of their first finding, then those of `known` that ended.

    `findings` hold now; `ended` ended lately.
    """
    known, endings = known or {}, {finding.id: finding for finding in ended}
    shared = shared_by(findings, frame)
    links = _Links(len(findings))
    for alike in _alike(findings, frame):
        links.unite(alike)
    for one in shared:
        links.unite(one.findings)
    owners = {id_: name for name, one in _open_last(known) for id_ in one.members}
    links.unite_by(owners.get(finding.id) for finding in findings)
    current: dict[str, KnownIncident] = {}
    taken: dict[str, str] = {}  # a former incident and the one that it is part of now
    for group in links.groups():
        members = {findings[at].id: findings[at] for at in group}
        former = {owners[id_]: known[owners[id_]] for id_ in members if id_ in owners}
        place = next((one for one in shared if set(one.findings) & set(group)), None)
        made = _unchanged(former, members) if place is None else None
        made = made or _carried(former, members, endings, place, frame)
        taken |= dict.fromkeys(former, made.incident.id)
        current[made.incident.id] = made
    over = {name: _over(one, endings, taken.get(name), frame.now) for name, one in known.items() if name not in current}
    return current | over


class _Links:
    """Which of so many findings belong together."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def unite(self, members: Sequence[int]) -> None:
        """Let all of these be one group."""
        for earlier, later in pairwise(members):
            self._parents[self._root(later)] = self._root(earlier)

    def unite_by(self, names: Iterator[Hashable]) -> None:
        """Let all that have the same name be one group; None is no name."""
        by_name: dict[Hashable, list[int]] = defaultdict(list)
        for at, name in enumerate(names):
            if name is not None:
                by_name[name].append(at)
        for members in by_name.values():
            self.unite(members)

    def groups(self) -> list[list[int]]:
        """The groups, in the order of their first members."""
        found: dict[int, list[int]] = defaultdict(list)
        for at in range(len(self._parents)):
            found[self._root(at)].append(at)
        return sorted(found.values())

    def _root(self, at: int) -> int:
        while self._parents[at] != at:
            self._parents[at] = self._parents[self._parents[at]]
            at = self._parents[at]
        return at


# ---- what belongs together


def _alike(findings: Sequence[Finding], frame: Frame) -> Iterator[list[int]]:
    """Findings at one place and time of which one may explain the others, or that are of one kind."""
    by_breaker: dict[str, list[int]] = defaultdict(list)
    for at, finding in enumerate(findings):
        if finding.muted and finding.muted.by is MutedBy.BREAKER:
            by_breaker[finding.muted.id].append(at)
    at_of = {finding.id: at for at, finding in enumerate(findings)}
    yield from ([*members, at_of[id_]] for id_, members in by_breaker.items() if id_ in at_of)
    for key, members in _places(findings, frame).items():
        for burst in bursts(findings, members) if len(members) > 1 else ():
            if len(burst) > 1:
                yield from _related(findings, burst, str(key[0]))


def _related(findings: Sequence[Finding], burst: Sequence[int], place: str) -> Iterator[list[int]]:
    if place == "device":
        yield list(burst)
        return
    by_kind: dict[str, list[int]] = defaultdict(list)
    for at in burst:
        by_kind[findings[at].kind].append(at)
    if place == "job":
        yield [at for at in burst if findings[at].kind in CAUSES_FIRST]
    elif any(_is_of_node(findings[at].scope) for at in burst):
        yield list(burst)
    if place != "host":
        yield from by_kind.values()


def _is_of_node(scope: Scope) -> bool:
    return scope.node is not None and scope.uuid is None and scope.job_id is None


def _places(findings: Sequence[Finding], frame: Frame) -> dict[PlaceKey, list[int]]:
    places: dict[PlaceKey, list[int]] = defaultdict(list)
    known: dict[Scope, list[PlaceKey]] = frame.once("places of scopes", dict, frame.job_version)
    for at, finding in enumerate(findings):
        keys = known.get(finding.scope)
        if keys is None:
            keys = known[finding.scope] = list(_keys(finding.scope, frame))
        for key in keys:
            places[key].append(at)
    return places


def _keys(scope: Scope, frame: Frame) -> Iterator[PlaceKey]:
    """The places that a finding touches; a job without a node of its own touches the hosts of its devices."""
    if scope.uuid:
        yield ("device", scope.cluster, scope.uuid)
    if scope.node:
        yield ("node", scope.cluster, scope.node)
    if scope.job_id:
        yield ("job", scope.cluster, scope.job_id)
    if _is_of_node(scope):
        yield ("host", scope.cluster, scope.node)
    job = frame.jobs.get((scope.cluster or "", scope.job_id or ""))
    if job is not None and not scope.node:
        for node in nodes_of_devices(frame, job):
            yield ("host", scope.cluster, node)


# ---- from tick to tick


def _open_last(known: Mapping[str, KnownIncident]) -> list[tuple[str, KnownIncident]]:
    """Those that ended first: a finding that an open one has too is the open one's."""
    return sorted(known.items(), key=lambda item: item[1].incident.ended is None)


def _unchanged(former: Mapping[str, KnownIncident], holding: Mapping[str, Finding]) -> KnownIncident | None:
    """The incident of one finding that says what it said before; None if anything is new."""
    if len(former) != 1 or len(holding) != 1:
        return None
    (known,), (finding,) = former.values(), holding.values()
    is_same = len(known.members) == 1 and known.members.get(finding.id) is finding and known.incident.ended is None
    return known if is_same else None


def _carried(
    former: Mapping[str, KnownIncident],
    holding: Mapping[str, Finding],
    endings: Mapping[str, Finding],
    shared: Shared | None,
    frame: Frame,
) -> KnownIncident:
    """The incident of findings that hold: the oldest of those that they belonged to, or a new one."""
    oldest = min((one.incident for one in former.values()), key=lambda one: (one.since, one.id), default=None)
    gone = [finding for one in former.values() for finding in one.members.values() if finding.id not in holding]
    gone = [_with_end(finding, endings, frame.now) for finding in gone]
    gone = sorted(gone, key=lambda finding: finding.ended or 0.0)[-MOST_ENDED_MEMBERS:]
    members = dict(holding) | {finding.id: finding for finding in gone}
    heard = [one for one in holding.values() if one.muted is None]
    return KnownIncident(incident=_incident(list(members.values()), heard, shared, oldest, frame), members=members)


def _with_end(finding: Finding, endings: Mapping[str, Finding], now: float) -> Finding:
    return finding if finding.ended is not None else endings.get(finding.id) or replace(finding, ended=now)


def _over(one: KnownIncident, endings: Mapping[str, Finding], into: str | None, now: float) -> KnownIncident:
    """An incident under whose name nothing holds: it ended with the last of its findings, or is part of another."""
    if one.incident.ended is not None:
        return one
    members = {id_: _with_end(finding, endings, now) for id_, finding in one.members.items()}
    if into is not None:
        summary = f"{one.incident.summary} It is part of incident {into} now."
        return KnownIncident(incident=replace(one.incident, ended=now, summary=summary), members={})
    ended = max(finding.ended or now for finding in members.values())
    summary = _retold(one, members)
    return KnownIncident(incident=replace(one.incident, ended=ended, summary=summary), members=members)


def _retold(one: KnownIncident, ended: Mapping[str, Finding]) -> str:
    """An incident's words, led by those with which its finding ended."""
    said, lead = one.incident.summary, one.incident.root_cause or one.incident.findings[0]
    if lead not in ended or not said.startswith(one.members[lead].summary):
        return said
    return ended[lead].summary + said.removeprefix(one.members[lead].summary)


# ---- what it says


def _incident(
    findings: Sequence[Finding],
    heard: Sequence[Finding],
    shared: Shared | None,
    oldest: Incident | None,
    frame: Frame,
) -> Incident:
    """The incident that goes on from the oldest of which it is made, or a new one; `heard` hold and are not muted."""
    first = min(findings, key=lambda finding: (finding.since, finding.id))
    holding = heard or [finding for finding in findings if finding.ended is None]
    cause = cause_of(findings, frame)
    return Incident(
        id=oldest.id if oldest else stable_id("incident", first.id),
        severity=max((finding.severity for finding in holding), key=lambda severity: severity.rank),
        since=min(first.since, oldest.since) if oldest else first.since,
        findings=tuple(finding.id for finding in findings),
        summary=_summary(findings, cause, shared),
        scope=_common(findings),
        root_cause=cause.id if cause else None,
        place=shared.place if shared else oldest.place if oldest else None,
        simulated=any(finding.simulated for finding in findings),
        muted=not heard,
    )


def _summary(findings: Sequence[Finding], cause: Finding | None, shared: Shared | None) -> str:
    others = f"{count(len(findings) - 1, 'finding')} more at the same place and time"
    if cause is not None:
        return f"{cause.summary} {others}." if len(findings) > 1 else cause.summary
    if shared is not None:
        return f"{findings[0].summary} {others}. {_spread(shared)}; cause unattributed."
    return f"{findings[0].summary} {others}; cause unattributed."


def _spread(shared: Shared) -> str:
    place = f"{shared.place.level.replace('_', ' ')} {shared.place.name}"
    inside = f"{shared.inside} of {count(shared.inside_all, shared.unit)} of {place}"
    return f"{inside} show it, {shared.outside} of {shared.outside_all} elsewhere: look at what the {place} gives them"


def _common(findings: Sequence[Finding]) -> Scope:
    """What all findings' scopes agree on."""
    first = findings[0].scope
    if len(findings) == 1:
        return first
    return Scope(
        **{
            name: getattr(first, name)
            for name in Scope.__slots__
            if all(getattr(finding.scope, name) == getattr(first, name) for finding in findings)
        }
    )
