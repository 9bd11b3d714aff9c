"""What is said about a lag: the numbers as evidence, the summary, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.straggler.power_limit import lowered_limit
from warpgauge.analyzer.bottlenecks.input_bound import loader_remedy
from warpgauge.analyzer.detection.cpu import busy_ratio
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.windows import mean, median
from warpgauge.analyzer.detection.wording import count, listed, milliseconds, percent, times
from warpgauge.core.catalog import training
from warpgauge.core.finding import Evidence, FindingKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.anomalies.straggler.culprit import Culprit
    from warpgauge.analyzer.anomalies.straggler.lag import Limits
    from warpgauge.analyzer.anomalies.straggler.neighbor import Neighbor
    from warpgauge.analyzer.anomalies.straggler.power_limit import LoweredLimit
    from warpgauge.analyzer.detection import ProcessReading
    from warpgauge.analyzer.detection.windows import Array

__all__ = [
    "lag_evidence",
    "lag_remedy",
    "lag_summary",
    "neighbor_remedy",
    "processes_words",
    "worker_remedy",
]

_WORKER_REMEDY: Final = (
    "Move {rank} to a spare device and start the job again from its last checkpoint; then inspect {name}: clock limits"
    " (nvidia-smi -q -d CLOCK,PERFORMANCE), power cabling, PCIe link, other processes."
)
_NOUNS: Final = {
    "compute": "computing",
    "input": "waiting for input",
    training.TRANSFER: "sending",
    "other": "other work",
}
_NEIGHBOR_REMEDY: Final = (
    "Keep others off the CPUs and the device of {rank}: end or move what runs beside it, or bound it (nice, cpu.max,"
    " systemd-run -p CPUQuota=50%); then let the job have its CPUs for itself: --exclusive or --cpu-bind=cores in"
    " Slurm, whole CPUs with the static CPU manager in Kubernetes. The device is sound."
)
_LINK_REMEDY: Final = (
    "Look at the link of {whom}: errors, drops and speed (ethtool -S, ip -s link), shaping (tc qdisc), retransmits and"
    " port counters (nstat, ibstat, perfquery), then the cable and the port of the switch. Until it is mended move the"
    " work to another rail or host; the device is sound."
)
_SWITCH_REMEDY: Final = (
    "Look at what {whom} share: their switch, its uplinks (speed, errors, congestion) and other jobs behind it;"
    " ethtool -S and perfquery on each. The devices are sound: move none of them before the switch was looked at."
)
_HOST_REMEDY: Final = (
    "Drain {whom} after the next checkpoint and start the job again elsewhere; then look at what its ranks share: CPU"
    " load and frequency (top, cpupower frequency-info), power capping (ipmitool dcmi power reading), cooling, NUMA"
    " binding, memory bandwidth."
)
_CPU_RANK_REMEDY: Final = (
    "Compare {rank} with a sound one first: CPU frequency (cpupower frequency-info), its pinning (taskset -p), memory"
    " of another NUMA node (numastat -p), and the size of its shard; then start it again on another machine from its"
    " last checkpoint."
)


def lag_evidence(culprit: Culprit, limits: Limits) -> tuple[Evidence, ...]:
    """The culprit's phase and its wait beside the peers'."""
    lag, members = culprit.lag, list(culprit.members)
    step = float(median(lag.step))
    rows = []
    for phase, values in ((culprit.phase, lag.own[culprit.phase]), ("communication", lag.wait)):
        rest = float(median(np.delete(values, members)))
        is_cause = phase == culprit.phase
        rows.append(
            measured(
                training.PHASE_SECONDS,
                float(median(values[members])),
                labels=f'{{phase="{phase}"}}',
                unit="seconds per step",
                baseline=rest,
                threshold=rest + step * (1 - 1 / (1 + limits.effect)) if is_cause else None,
                window_seconds=culprit.seconds,
                samples=int(lag.steps[members].min()) if is_cause else None,
            )
        )
    return tuple(rows)


def lag_summary(culprit: Culprit, kind: FindingKind, neighbor: Neighbor | None) -> str:
    """Who holds which job back, by how much, and how one knows."""
    lag, members = culprit.lag, list(culprit.members)
    own, wait = lag.own[culprit.phase], lag.wait
    peers = count(len(lag.step) - len(members), "peer")
    lowered = _lowered(culprit, kind)
    beside = f" {neighbor.words[0].upper()}{neighbor.words[1:]}." if neighbor else ""
    return (
        f"{_who(culprit, kind)} of job {culprit.group.key[1]}: of each step of"
        f" {milliseconds(float(median(lag.step)))} {_NOUNS[culprit.phase]} takes {_both(own, members)} on {peers},"
        f" waiting for others {_both(wait, members)} on the peers; steps take {times(culprit.slowdown)} as long as"
        f" without it.{beside}{f' {lowered.words}' if lowered else ''}"
    )


def _both(values: Array, members: Sequence[int]) -> str:
    own, rest = float(median(values[list(members)])), float(median(np.delete(values, list(members))))
    return f"{milliseconds(own)} there and {milliseconds(rest)}"


def _who(culprit: Culprit, kind: FindingKind) -> str:
    place, hosts = culprit.place, culprit.hosts
    if hosts is None:
        whom = f"{place.rank_words} on {place.name.removeprefix('its node ')}"
        return {
            FindingKind.NETWORK_BOUND: f"The link of {whom} slows every step",
            FindingKind.INPUT_BOUND: f"The loader of {whom} slows every step",
            FindingKind.NOISY_NEIGHBOR: f"A load beside {whom} slows every step",
        }.get(kind, f"{whom[0].upper()}{whom[1:]} slows every step")
    if kind is FindingKind.NETWORK_BOUND and len(hosts.nodes) > 1:
        return f"The network of {listed(hosts.nodes)}, as if they shared a bad switch, slows every step"
    what = {FindingKind.NETWORK_BOUND: "The link of ", FindingKind.INPUT_BOUND: "The loaders of "}.get(kind, "Host ")
    return f"{what}{hosts.nodes[0]} ({hosts.ranks}) slows every step"


def lag_remedy(culprit: Culprit, kind: FindingKind) -> str:
    """What a person can do about it."""
    place, hosts = culprit.place, culprit.hosts
    whom = listed(hosts.nodes) if hosts else f"{place.rank_words} on {place.name.removeprefix('its node ')}"
    if kind is FindingKind.INPUT_BOUND:
        whose = "their" if hosts else "its"
        first = (
            f"Only {whom} wait{'' if hosts else 's'} for input: look at {whose} shard and {whose} storage mount first. "
        )
        return first + loader_remedy(_cpu(culprit), culprit.slowdown)
    if kind is FindingKind.NETWORK_BOUND:
        return (_SWITCH_REMEDY if hosts and len(hosts.nodes) > 1 else _LINK_REMEDY).format(whom=whom)
    if kind is FindingKind.NOISY_NEIGHBOR:
        return _NEIGHBOR_REMEDY.format(rank=place.rank_words)
    lowered, moves = (
        _lowered(culprit, kind),
        (
            _HOST_REMEDY.format(whom=whom)
            if hosts
            else worker_remedy(place.rank_words, place.name, on_cpu=place.device < 0)
        ),
    )
    return lowered.before(moves) if lowered else moves


def _lowered(culprit: Culprit, kind: FindingKind) -> LoweredLimit | None:
    """A power limit slows what computes, and nothing else."""
    if kind is not FindingKind.STRAGGLER or culprit.phase != "compute":
        return None
    return lowered_limit(culprit.frame, culprit.group, culprit.members)


def worker_remedy(rank: str, name: str, *, on_cpu: bool) -> str:
    """What to do about one slow rank."""
    return _CPU_RANK_REMEDY.format(rank=rank) if on_cpu else _WORKER_REMEDY.format(rank=rank, name=name)


def neighbor_remedy(rank: str) -> str:
    """What to do about the load beside a rank."""
    return _NEIGHBOR_REMEDY.format(rank=rank)


def processes_words(processes: Sequence[ProcessReading]) -> str:
    """`python (pid 4711, user x) uses 48 % of all CPUs`."""
    return "; ".join(f"{_process(one)} uses {percent(one.cpu_ratio)} of all CPUs" for one in processes)


def _process(one: ProcessReading) -> str:
    return f"{one.command} (pid {one.pid}, user {one.user})" if one.user else f"{one.command} (pid {one.pid})"


def _cpu(culprit: Culprit) -> float:
    scope, frame = culprit.place.scope, culprit.frame
    rows = [int(row) for row in frame.sites.nodes_at((scope.cluster or "", scope.node or ""))]
    return float(mean(busy_ratio(frame, culprit.seconds, rows))[0]) if rows else float("nan")
