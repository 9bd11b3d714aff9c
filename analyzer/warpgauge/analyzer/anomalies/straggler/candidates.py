"""From the lag of a group's members to candidates: one rank, one host, the hosts behind one switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.straggler.culprit import Culprit
from warpgauge.analyzer.anomalies.straggler.neighbor import neighbor_of
from warpgauge.analyzer.anomalies.straggler.place import members_by_node
from warpgauge.analyzer.anomalies.straggler.words import lag_evidence, lag_remedy, lag_summary
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.slowdown import impact_of
from warpgauge.analyzer.detection.windows import Mask, confidence, median
from warpgauge.core.catalog import training
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.anomalies.straggler.lag import Lag, Limits
    from warpgauge.analyzer.frame import Frame, Ints

__all__ = ["candidates_of"]

_CRITICAL_SLOWDOWN: Final = 1.2
_FEW_PEERS: Final = 8  # below, never more than a warning
_MOST_SPREAD: Final = 0.5  # between the ranks of a slow host, of their lag
_LEAST_OF_HOST: Final = 2  # ranks of a job on a host, to tell the host from a rank


def _kind_of(phase: str, *, has_neighbor: bool = False) -> FindingKind:
    """What a lag in a phase is called."""
    if phase == "input":
        return FindingKind.INPUT_BOUND
    if phase == training.TRANSFER:
        return FindingKind.NETWORK_BOUND
    return FindingKind.NOISY_NEIGHBOR if has_neighbor else FindingKind.STRAGGLER


def candidates_of(  # noqa: PLR0913 - a group, how it is looked at, and what to leave out
    frame: Frame,
    group: Group,
    lag: Lag,
    *,
    raises: Limits,
    holds: Limits,
    seconds: float,
    phases: Collection[str],
    host_phases: Collection[str] | None = None,
    left_out: Mask,
) -> list[Candidate]:
    """Candidates for ranks whose lag lies in one of `phases`, for hosts in one of `host_phases` (else the same).

    Members with a named cause are left out.
    """
    found: list[Candidate] = []
    explained: set[int] = set()
    for culprit in _slow_hosts(frame, group, lag, holds, seconds):
        explained |= set(culprit.members)
        if (
            culprit.phase in (phases if host_phases is None else host_phases)
            and not left_out[list(culprit.members)].any()
        ):
            is_raised = culprit.slowdown >= 1 + raises.effect
            found.append(_candidate(culprit, raises, z=raises.z * 2, is_raised=is_raised))
    if not lag.own.keys() & phases:
        return found
    is_raised_by = lag.passes(raises)
    for member in np.flatnonzero(lag.passes(holds) & ~left_out).tolist():
        phase = lag.phase_of(member)
        if member not in explained and phase in phases:
            culprit = Culprit(
                frame=frame, group=group, lag=lag, members=(member,), phase=phase,
                extra=float(lag.extra[member]), seconds=seconds,
            )  # fmt: skip
            is_raised = bool(is_raised_by[member])
            found.append(_candidate(culprit, raises, z=float(lag.z[member]), is_raised=is_raised))
    return found


def _slow_hosts(frame: Frame, group: Group, lag: Lag, limits: Limits, seconds: float) -> Iterator[Culprit]:
    """Nodes all of whose ranks lag behind the ranks elsewhere; those that send slowly together are one culprit.

    Each node is held against the median of the ranks elsewhere, so that half of a job may be slow.
    """
    hosts = frame.of_job(group.key, ("hosts", group), lambda: _masks(len(group.ranks), members_by_node(frame, group)))
    far = hosts[_are_far(hosts, lag, limits)]
    slow = [found for is_own in far if (found := _slow_host(is_own, lag, limits))]
    senders = [one for one in slow if one[1] == training.TRANSFER]
    if len(senders) > 1:
        together = np.logical_or.reduce([mask for mask, _, _ in senders])
        extra = min(extra for _, _, extra in senders)
        slow = [(together, training.TRANSFER, extra), *(one for one in slow if one[1] != training.TRANSFER)]
    for mask, phase, extra in slow:
        members = tuple(int(member) for member in np.flatnonzero(mask))
        yield Culprit(frame=frame, group=group, lag=lag, members=members, phase=phase, extra=extra, seconds=seconds)


def _masks(members: int, hosts: Sequence[Ints]) -> Mask:
    """[host, member], who stands on which; of hosts with enough ranks, and enough elsewhere, to be told from a rank."""
    enough = [own for own in hosts if min(len(own), members - len(own)) >= _LEAST_OF_HOST]
    masks = np.zeros((len(enough), members), dtype=bool)
    for mask, own in zip(masks, enough, strict=True):
        mask[own] = True
    return masks


def _are_far(hosts: Mask, lag: Lag, limits: Limits) -> Mask:
    """[host], whether the member of it that lags least does so beyond the limit: what `_slow_host` asks first."""
    behind = [values - median(np.where(hosts, np.nan, values))[:, None] for values in lag.own.values()]
    least = np.where(hosts, np.sum(behind, axis=0), np.inf).min(axis=1)
    step = float(median(lag.step))
    return np.asarray(step / np.maximum(step - least, 0.01 * step) >= 1 + limits.effect)


def _slow_host(is_own: Mask, lag: Lag, limits: Limits) -> tuple[Mask, str, float] | None:
    """The node's members, the phase and the extra seconds per step, if all of them lag."""
    behind = {phase: values - float(median(values[~is_own])) for phase, values in lag.own.items()}
    total = np.sum(list(behind.values()), axis=0)
    step = float(median(lag.step))
    least = float(total[is_own].min())
    is_far = step / max(step - least, 0.01 * step) >= 1 + limits.effect
    unwaited = float(median(lag.wait[~is_own]) - median(lag.wait[is_own]))
    excess = lag.parts[is_own] - median(lag.parts[~is_own].T)
    often = float((np.nan_to_num(median(excess.T)) >= limits.effect).mean()) >= limits.share
    own = total[is_own]
    apart = float(own.max() - own.min()) <= _MOST_SPREAD * float(median(own))  # one fate, not some uneven ranks
    if not (is_far and often and apart and unwaited >= least / 2):
        return None
    phase = max(behind, key=lambda one: float(median(behind[one][is_own])))
    return is_own, phase, float(median(total[is_own]))


def _candidate(culprit: Culprit, limits: Limits, *, z: float, is_raised: bool) -> Candidate:
    frame, lag, hosts, place = culprit.frame, culprit.lag, culprit.hosts, culprit.place
    since, step = culprit.since(), float(median(lag.step))
    neighbor = None
    if hosts is None and culprit.phase in {"compute", "other"}:
        neighbor = neighbor_of(place, since, extra_seconds=culprit.extra, step_seconds=step)
    kind = _kind_of(culprit.phase, has_neighbor=neighbor is not None)
    job = frame.jobs[culprit.group.key]
    impact = impact_of(
        culprit.slowdown,
        devices=max(len(job.devices), len(job.ranks)),
        seconds=frame.now - since,
        method="step time without what the culprit does beyond its peers",
    )
    is_severe = culprit.slowdown >= _CRITICAL_SLOWDOWN and len(culprit.group.ranks) >= _FEW_PEERS
    return Candidate(
        kind=kind,
        scope=hosts.scope if hosts else place.scope,
        severity=Severity.CRITICAL if is_severe else Severity.WARNING,
        since=since,
        confidence=confidence((culprit.slowdown - 1) / limits.effect - 1, z / limits.z - 1, covered=lag.covered),
        evidence=(*lag_evidence(culprit, limits), *(neighbor.evidence if neighbor else ())),
        summary=lag_summary(culprit, kind, neighbor),
        remedy=lag_remedy(culprit, kind),
        impact=impact,
        simulated=hosts.simulated if hosts else place.simulated,
        strength=Strength.RAISE if is_raised else Strength.HOLD,
        needs_processes=neighbor is not None and neighbor.is_on_cpus,
    )
