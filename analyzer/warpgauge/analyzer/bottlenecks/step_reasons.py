"""The classes that step phases tell: waiting for input, for other ranks, and for the host's own work."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.input_bound import loader_remedy
from warpgauge.analyzer.bottlenecks.reason import Reason
from warpgauge.analyzer.bottlenecks.rules import RAISE
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.wording import count, percent
from warpgauge.core.catalog import host, training

if TYPE_CHECKING:
    from warpgauge.analyzer.bottlenecks.classes import Verdict
    from warpgauge.core.finding import Evidence

__all__ = ["communication", "input_wait", "own_work", "phase_evidence", "phase_words"]

WINDOW_SECONDS: Final = 300.0
SOUND_COMMUNICATION: Final = 0.10  # what a sound job over several nodes exposes
LONGEST_RATIO: Final = 0.99


def phase_words(verdict: Verdict, phase: str) -> str:
    """`31 % of each step (0.42 s of 1.36 s)`."""
    share, step = verdict.share(phase), verdict.steps.step_seconds
    times = "" if np.isnan(step) else f" ({share * step:.2g} s of {step:.2g} s)"
    return f"{percent(share)} of each step{times}"


def phase_evidence(verdict: Verdict, phase: str, threshold: float) -> tuple[Evidence, ...]:
    """The phase's share, and how long a step takes."""
    labels = f'{{phase="{phase}"}}'
    rows = [
        measured(
            training.PHASE_SECONDS,
            verdict.share(phase),
            labels=labels,
            unit="ratio",
            threshold=threshold,
            window_seconds=WINDOW_SECONDS,
        )
    ]
    if not np.isnan(verdict.steps.step_seconds):
        rows.append(measured(training.STEP_SECONDS, verdict.steps.step_seconds, window_seconds=WINDOW_SECONDS))
    return tuple(rows)


def input_wait(verdict: Verdict) -> Reason:
    """The loader is late."""
    share = verdict.share("input")
    faster = 1 / (1 - min(share, LONGEST_RATIO))
    cpu = float(np.fmax.reduce(verdict.setting.cpu))
    return Reason(
        what=f"waits for input {phase_words(verdict, 'input')}",
        remedy=loader_remedy(cpu, faster),
        evidence=(*phase_evidence(verdict, "input", RAISE.input_share), *cpu_evidence(cpu)),
        margins=(share / RAISE.input_share - 1,),
        slowdown=faster,
        method="step time without the input wait",
        is_by_share=True,
    )


def communication(verdict: Verdict, nodes: int) -> Reason:
    """Ranks wait for the exchange itself, not for a slow peer."""
    share = verdict.share("communication")
    where = f"between {count(nodes, 'node')}" if nodes > 1 else "between its devices"
    check = (
        "see in NCCL_DEBUG=INFO that the ranks talk over RDMA (NET/IB) on every rail and not over sockets"
        if nodes > 1
        else "see in nvidia-smi topo -m that its devices talk over NVLink and not over the host"
    )
    steps = _accumulation(share)
    return Reason(
        what=f"spends {phase_words(verdict, 'communication')} in communication {where} that computing does not hide",
        remedy=f"First {check}. Then exchange less often or behind the computing: accumulating gradients over {steps}"
        f" micro-batches brings the share to about {percent(_after(share, steps))}; larger buckets and prefetching of"
        " shards overlap it.",
        evidence=phase_evidence(verdict, "communication", RAISE.communication_share),
        margins=(share / RAISE.communication_share - 1,),
        slowdown=1 / (1 - min(share, LONGEST_RATIO)),
        method="step time if all communication were hidden behind computing",
        is_by_share=True,
    )


def _accumulation(share: float) -> int:
    """Micro-batches per exchange with which it takes no more than a sound job exposes."""
    kept = round(min(share, LONGEST_RATIO), 3)
    return max(2, ceil(kept * (1 - SOUND_COMMUNICATION) / (SOUND_COMMUNICATION * (1 - kept)) - 1e-9))


def _after(share: float, steps: int) -> float:
    return share / (share + (1 - share) * steps)


def own_work(verdict: Verdict) -> Reason:
    """Time in a step that is neither input, compute nor communication: the host's own Python."""
    share = verdict.share("other")
    cpu = float(np.fmax.reduce(verdict.setting.cpu))
    return Reason(
        what=f"spends {phase_words(verdict, 'other')} on the host, outside of input, compute and communication",
        remedy="Find what runs there with py-spy record on one rank: logging, metrics and .item() that wait for the"
        f" device every step, garbage collection. Doing it every 10 steps wins back about"
        f" {percent(0.9 * share)} of the step.",
        evidence=(*phase_evidence(verdict, "other", RAISE.host_share), *cpu_evidence(cpu)),
        margins=(share / RAISE.host_share - 1,),
        slowdown=1 / (1 - min(share, LONGEST_RATIO)),
        method="step time without the host's own work",
        is_by_share=True,
    )


def cpu_evidence(cpu: float) -> tuple[Evidence, ...]:
    """How busy the CPUs of the node are, if known."""
    return () if np.isnan(cpu) else (measured(host.CPU_SECONDS, cpu, unit="ratio", window_seconds=WINDOW_SECONDS),)
