"""What only says that a device is odd is evidence of whatever says why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.analyzer.detection import Candidate
    from warpgauge.core.finding import Scope

__all__ = ["corroborated"]

Key = tuple[FindingKind, "Scope"]


def corroborated(candidates: Mapping[Key, Candidate]) -> dict[Key, Candidate]:
    """The candidates without supporting ones where another explains them; that one gets their evidence.

    Another of the same device does; where there is none, one of its machine or of its whole job does too, without it:
    what the machine or the job suffers shows in each of its devices.
    """
    supporting = {key: one for key, one in candidates.items() if one.is_supporting}
    if not supporting:
        return dict(candidates)
    found = {key: one for key, one in candidates.items() if key not in supporting}
    at: dict[tuple[str | None, ...], Key] = {}
    wider: set[tuple[str | None, ...]] = set()
    for key, one in sorted(found.items(), key=lambda item: -item[1].severity.rank):
        scope = one.scope
        if one.severity is Severity.INFO and one.kind is not FindingKind.LEVEL_SHIFT:
            continue
        if scope.uuid is not None:
            at.setdefault((scope.cluster, scope.uuid, scope.instance_id), key)
        elif scope.job_id is not None:
            wider.add(("job", scope.cluster, scope.job_id))
        else:
            wider.add(("node", scope.cluster, scope.node))
    more: dict[Key, list[Candidate]] = defaultdict(list)
    for key, one in supporting.items():
        scope = one.scope
        explaining = at.get((scope.cluster, scope.uuid, scope.instance_id))
        if explaining is not None:
            more[explaining].append(one)
        elif not {("job", scope.cluster, scope.job_id), ("node", scope.cluster, scope.node)} & wider:
            found[key] = one
    return found | {key: _with_evidence(found[key], ones) for key, ones in more.items()}


def _with_evidence(candidate: Candidate, supporting: list[Candidate]) -> Candidate:
    known = {row.metric for row in candidate.evidence}
    more = [row for one in supporting for row in one.evidence if row.metric not in known]
    return replace(candidate, evidence=(*candidate.evidence, *more))
