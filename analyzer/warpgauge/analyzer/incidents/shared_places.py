"""Findings of one kind that fill a switch, a rail, a rack or a power domain, and hardly occur elsewhere.

Half of what stands at the place must show it, within minutes of each other, and three times as often as the rest of the
cluster does: that many nodes together have something in common that no finding of one node can name. A kind that a
workload can cause alone counts only where several jobs show it, because a job often fills a rack.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.incidents.together import bursts
from warpgauge.core.finding import Finding, FindingKind, Level, SharedPlace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.analyzer.frame import Frame

__all__ = ["Shared", "shared_by"]

LEAST_NODES: Final = 3
LEAST_JOBS: Final = 2
LEAST_SHARE: Final = 0.5
CONTRAST: Final = 3.0  # times as often as elsewhere in the cluster

OF_HARDWARE: Final = frozenset(
    {
        FindingKind.DEVICE_LOST,
        FindingKind.DEVICE_HUNG,
        FindingKind.THERMAL_LIMITED,
        FindingKind.HARDWARE_THROTTLE,
        FindingKind.POWER_LIMITED,
        FindingKind.PCIE_DOWNTRAINED,
        FindingKind.LINK_ERRORS,
        FindingKind.TELEMETRY_GAP,
    }
)
OF_SEVERAL_JOBS: Final = frozenset(
    {FindingKind.NETWORK_BOUND, FindingKind.INTERCONNECT_BOUND, FindingKind.STRAGGLER, FindingKind.HANG}
)

_Unit = tuple[str, str]  # ("node" | "job", its name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A place with the findings that it explains, and how they are spread."""

    place: SharedPlace
    findings: tuple[int, ...]  # indices into what was asked about
    inside: int  # nodes or jobs at the place that show it
    inside_all: int
    outside: int  # elsewhere in the cluster
    outside_all: int
    unit: str  # "node" or "job"


def shared_by(findings: Sequence[Finding], frame: Frame) -> list[Shared]:
    """Every place that explains several findings; a finding belongs to one at most, the narrowest."""
    levels = frame.layout.levels
    if not levels:
        return []
    groups: dict[tuple[str, FindingKind, str], list[int]] = defaultdict(list)
    for at, one in enumerate(findings):
        if one.scope.cluster and one.kind in OF_HARDWARE | OF_SEVERAL_JOBS and (one.scope.node or one.scope.job_id):
            unit = "node" if one.scope.node else "job"
            groups[one.scope.cluster, one.kind, unit].append(at)
    found: list[Shared] = []
    for (cluster, kind, unit), members in groups.items():
        for burst in bursts(findings, members):
            found += _of_burst(findings, burst, _Census(frame, cluster, unit), kind, levels)
    return found


class _Census:
    """Where the nodes or jobs of a cluster stand."""

    def __init__(self, frame: Frame, cluster: str, unit: str) -> None:
        self.frame, self.cluster, self.unit = frame, cluster, unit

    def units(self, level: Level) -> dict[str, set[_Unit]]:
        """Nodes or jobs by the name of the place."""
        found: dict[str, set[_Unit]] = defaultdict(set)
        for unit in self.all:
            for name in self.names(level, unit):
                found[name].add(unit)
        return found

    @property
    def all(self) -> list[_Unit]:
        """Every node or job of the cluster."""
        if self.unit == "node":
            return [("node", node) for cluster, node in self.frame.sites.keys if cluster == self.cluster]
        return [("job", job_id) for cluster, job_id in self.frame.jobs if cluster == self.cluster]

    def names(self, level: Level, unit: _Unit) -> frozenset[str]:
        """The places of a level that a node or job touches."""
        layout = self.frame.layout
        if unit[0] == "node":
            return layout.names(level, self.cluster, unit[1])
        job = self.frame.jobs.get((self.cluster, unit[1]))
        entities = self.frame.devices.entities
        of_devices = [entities[row] for row in job.devices] if job else []
        names = {layout.name(level, self.cluster, one.node, one.index) for one in of_devices}
        return frozenset(names - {""})

    def names_of(self, level: Level, finding: Finding) -> frozenset[str]:
        """The places that a finding touches: of one device where it is about a device."""
        scope = finding.scope
        row = self.frame.devices.find((self.cluster, scope.node or "", scope.uuid or "", scope.instance_id or ""))
        if row is not None:
            index = self.frame.devices.entities[row].index
            if name := self.frame.layout.name(level, self.cluster, scope.node or "", index):
                return frozenset({name})
        return self.names(level, _unit_of(finding))


def _unit_of(finding: Finding) -> _Unit:
    scope = finding.scope
    return ("node", scope.node) if scope.node else ("job", scope.job_id or "")


def _of_burst(
    findings: Sequence[Finding], burst: Sequence[int], census: _Census, kind: FindingKind, levels: Sequence[Level]
) -> Iterator[Shared]:
    left = list(burst)
    least = LEAST_NODES if census.unit == "node" else LEAST_JOBS
    if len({_unit_of(findings[at]) for at in burst}) < least:
        return
    for level in levels:
        everywhere = census.units(level)
        touched: dict[str, list[int]] = defaultdict(list)
        for at in left:
            for name in census.names_of(level, findings[at]):
                touched[name].append(at)
        for name, touching in sorted(touched.items(), key=lambda item: -len(item[1])):
            members = [at for at in touching if at in left]
            inside = {_unit_of(findings[at]) for at in members} & everywhere[name]
            outside = {_unit_of(findings[at]) for at in burst} - everywhere[name]
            rest = len(census.all) - len(everywhere[name])
            if len(inside) < least or not _stands_out(len(inside), len(everywhere[name]), len(outside), rest):
                continue
            if _has_jobs(findings, members, kind):
                left = [at for at in left if at not in members]
                yield Shared(
                    place=SharedPlace(level=level, name=name),
                    findings=tuple(members),
                    inside=len(inside),
                    inside_all=len(everywhere[name]),
                    outside=len(outside),
                    outside_all=rest,
                    unit=census.unit,
                )


def _stands_out(inside: int, inside_all: int, outside: int, outside_all: int) -> bool:
    """Whether a place shows it far more than the rest; a place that is the whole cluster cannot be told from it."""
    if outside_all <= 0:
        return False
    share = inside / inside_all
    return share >= LEAST_SHARE and share >= CONTRAST * outside / outside_all


def _has_jobs(findings: Sequence[Finding], members: Sequence[int], kind: FindingKind) -> bool:
    jobs = {findings[at].scope.job_id for at in members} - {None}
    return kind in OF_HARDWARE or len(jobs) >= LEAST_JOBS
