"""A pipeline stage that takes longer than the other stages of its job, on machines that are no busier than theirs."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.imbalance.steps import COMPUTE, LEAST_COVERAGE, STEPS, TOTAL, stage_of
from warpgauge.analyzer.anomalies.straggler.place import nodes_of
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.cpu import busy_ratio
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.phases import BUCKETS, in_buckets, mean_per_step
from warpgauge.analyzer.detection.places import is_simulated, only
from warpgauge.analyzer.detection.slowdown import impact_of
from warpgauge.analyzer.detection.windows import Array, Mask, confidence, mean, median, onset_time, ratio
from warpgauge.analyzer.detection.wording import count, listed, milliseconds, percent, times
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training
from warpgauge.core.finding import FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.analyzer.anomalies.peers import Group, Groups
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import JobKey
    from warpgauge.analyzer.frame.rolling import Columns

__all__ = ["slow_stages"]

WINDOW_SECONDS: Final = 300.0
STAGE_RAISE_EFFECT: Final = 0.12  # longer than the other stages' median: layers are whole, of eight one is an eighth
STAGE_HOLD_EFFECT: Final = 0.07
BUSY_CPUS: Final = 0.9  # of all CPUs of a machine
MOST_BUCKETS: Final = BUCKETS - 1


def slow_stages(frame: Frame, groups: Groups, is_timed: Mask) -> Iterator[Candidate]:
    """The stage of each job that takes longer than the median of its other stages."""
    compute = groups.median(groups.of_ranks(mean_per_step(frame, "compute", WINDOW_SECONDS)))
    for key, members in _staged(frame, groups).items():
        known = [at for at in members if is_timed[at] and np.isfinite(compute[at])]
        if len(known) != len(members):
            continue
        slowest = max(known, key=lambda at: compute[at])
        rest = [at for at in known if at != slowest]
        usual = float(median(compute[rest]))
        slower = float(compute[slowest]) / usual if usual > 0 else 1.0
        is_slow = slower >= 1 + STAGE_HOLD_EFFECT and _wait_least(frame, groups, slowest, rest)
        if is_slow and not _is_starved(frame, groups, slowest, rest):
            yield _slow_stage(frame, key, groups, slowest, rest)


def _staged(frame: Frame, groups: Groups) -> dict[JobKey, list[int]]:
    """Jobs with several stages, all on one model: positions of their groups."""

    def build() -> dict[JobKey, list[int]]:
        found: dict[JobKey, list[int]] = {}
        for at, group in enumerate(groups.groups):
            if group.all_report and stage_of(frame, group.ranks[0]) is not None:
                found.setdefault(group.key, []).append(at)
        return {
            key: members
            for key, members in found.items()
            if len({stage_of(frame, groups.groups[at].ranks[0]) for at in members}) == len(members) > 1
        }

    return frame.once("jobs with stages", build, frame.job_version)


def _wait_least(frame: Frame, groups: Groups, slowest: int, rest: list[int]) -> bool:
    """Whether the ranks of the slow stage wait least; where no wait is known, computing longest is all there is."""
    wait = groups.median(groups.of_ranks(mean_per_step(frame, "communication", WINDOW_SECONDS)))
    return not wait[slowest] >= float(np.fmin.reduce(wait[rest]))


def _is_starved(frame: Frame, groups: Groups, slowest: int, rest: list[int]) -> bool:
    """Whether the CPUs of all its machines are busy and those of no other stage: then they slow it, not its layers.

    Asked of each part of the window that is blamed: what is left must be enough to blame.
    """
    own, others = _busy_parts(frame, groups, [slowest]), _busy_parts(frame, groups, rest)
    return int((own.all(axis=0) & ~others.any(axis=0)).sum()) > BUCKETS - MOST_BUCKETS


def _busy_parts(frame: Frame, groups: Groups, members: list[int]) -> Mask:
    """[machine of these groups, part], whether its CPUs are busy; those of a machine that nobody watches are not."""
    sites = sorted({(groups.groups[at].key[0], node) for at in members for node in nodes_of(frame, groups.groups[at])})
    rows = [[int(row) for row in frame.sites.nodes_at(site)] for site in sites]
    level = np.full((len(sites), BUCKETS), np.nan)
    known = [*chain.from_iterable(rows)]
    if known:
        level[[len(found) > 0 for found in rows]] = in_buckets(busy_ratio(frame, WINDOW_SECONDS, known))
    return np.asarray(level >= BUSY_CPUS)


def _slow_stage(frame: Frame, key: JobKey, groups: Groups, slowest: int, rest: list[int]) -> Candidate:
    job, group = frame.jobs[key], groups.groups[slowest]
    parts = np.stack([_parts_of(frame, groups.groups[at]) for at in (slowest, *rest)])
    usual, own = median(parts[1:].T), parts[0]
    longer = np.nan_to_num(ratio(own, usual))
    level, base = float(mean(own)), float(mean(usual))
    step = float(median(ratio(*(frame.window(one, WINDOW_SECONDS).mean[list(group.ranks)] for one in (TOTAL, STEPS)))))
    second = max(float(mean(part)) for part in parts[1:])
    slowdown = step / max(step - max(level - second, 0.0), 0.01 * step)
    since = _stage_since(frame, group, [groups.groups[at] for at in rest], level - base)
    stage = stage_of(frame, group.ranks[0])
    nodes = sorted(set(nodes_of(frame, group)))
    raises = level >= (1 + STAGE_RAISE_EFFECT) * base and int((longer >= 1 + STAGE_RAISE_EFFECT).sum()) >= MOST_BUCKETS
    return Candidate(
        kind=FindingKind.WORKLOAD_IMBALANCE,
        scope=Scope(cluster=key[0], job_id=key[1], stage=stage, node=only(nodes)),
        severity=Severity.WARNING,
        since=since,
        confidence=confidence((level / base - 1) / STAGE_RAISE_EFFECT - 1, covered=LEAST_COVERAGE),
        evidence=(
            measured(
                training.PHASE_SECONDS, level, labels='{phase="compute"}', unit="seconds per step",
                baseline=base, threshold=base * (1 + STAGE_RAISE_EFFECT), window_seconds=WINDOW_SECONDS,
            ),
        ),
        summary=f"Stage {stage} of job {key[1]} computes {times(level / base)} as long per step as the median of the"
        f" other {count(len(rest), 'stage')} ({milliseconds(level)} against {milliseconds(base)}), all of its"
        f" {count(len(group.ranks), 'rank')} alike: the other stages wait for it; steps"
        f" take {times(slowdown)} as long as if it were as fast as the next slowest.",
        remedy=f"Move layers from stage {stage} to the other stages ({percent(1 - base / level)} of its work is too"
        " much), or split its vocabulary or loss layer. If the job ran evenly before, its ranks share something that"
        f" became slow: look at {listed(nodes) if nodes[0] else 'their hosts'} first.",
        impact=impact_of(
            slowdown, devices=max(len(job.devices), len(job.ranks)), seconds=frame.now - since,
            method="step time with the stage as fast as the next slowest one",
        ),
        simulated=is_simulated(frame, job),
        strength=Strength.RAISE if raises else Strength.HOLD,
    )  # fmt: skip


def _parts_of(frame: Frame, group: Group) -> Array:
    """[part], compute seconds per step of the median rank."""
    rows = list(group.ranks)
    spent = in_buckets(frame.values(*COMPUTE, seconds=WINDOW_SECONDS, rows=rows))
    return median(
        ratio(spent, in_buckets(frame.values(training.STEP_SECONDS, "count", seconds=WINDOW_SECONDS, rows=rows))).T
    )


def _stage_since(frame: Frame, group: Group, rest: list[Group], extra: float) -> float:
    rows, others = list(group.ranks), [row for one in rest for row in one.ranks]

    def read(columns: Columns) -> Array:
        each = ratio(columns.of(*COMPUTE), columns.of(training.STEP_SECONDS, "count"))
        return median(each[:, rows]) - median(each[:, others])

    trace = frame.trace(TableName.RANKS, ("stage", tuple(rows)), read)
    return onset_time(frame, trace / max(extra, 1e-9) - 1 / 2)
