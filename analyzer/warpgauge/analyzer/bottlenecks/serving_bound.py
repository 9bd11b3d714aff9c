"""Inference servers whose requests wait: for room in the KV cache, or for their turn.

A queue alone says little, it comes and goes; one that stands for most of five minutes has a reason. A short one beside
a large batch costs little: by Little's law requests that wait, divided by those that run, is the time in the queue as a
share of the time of being served. With a full KV cache it is memory for the contexts; with room in the cache it is the
rate at which the server works.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, Strength
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.windows import Array, confidence, coverage, mean, onset_time
from warpgauge.analyzer.detection.wording import count, percent, span
from warpgauge.core.catalog import serving
from warpgauge.core.finding import Evidence, FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.analyzer.frame import Frame, ServerEntity

__all__ = ["ServingBound"]

WINDOW_SECONDS: Final = 300.0
LEAST_COVERAGE: Final = 0.8
WAITING: Final = 1.0  # requests, on average over a column
WAITING_SHARE: Final = 0.1  # of those that run: who waits for less is served a tenth later at most
RAISE_SHARE: Final = 0.8  # of the window in which requests wait
HOLD_SHARE: Final = 0.5
FULL_CACHE: Final = 0.9  # vLLM preempts at 1; a cache this full takes no long prompt any more
HOLD_FULL: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queue:
    """One model of one server."""

    row: int
    server: ServerEntity
    waiting: Array  # [column of the window]
    bar: Array  # [column of the window], how many may wait
    running: float
    cache: float  # mean while requests waited, NaN where the server tells none

    @property
    def share(self) -> float:
        """Share of the measured window in which requests waited, 0-1."""
        return float(np.nanmean(np.where(np.isnan(self.waiting), np.nan, self.waiting >= self.bar)))


class ServingBound:
    """Names servers whose requests wait for most of five minutes, and what for."""

    name = "serving_bound"

    def detect(self, frame: Frame) -> Detection:
        """Judge every model whose queue is measured."""
        queues = list(_queues(frame))
        judged = [one for one in queues if float(coverage(one.waiting)) >= LEAST_COVERAGE]
        young = len(queues) - len(judged)
        return Detection(
            candidates=_worst(frame, [one for one in judged if one.share >= HOLD_SHARE]),
            judged=Judgement(
                detector=self.name,
                what="models of inference servers, for requests that wait",
                entities=len(judged),
                window_seconds=WINDOW_SECONDS,
            )
            if judged
            else None,
            not_judged=(
                NotJudged(
                    detector=self.name,
                    what="what requests wait for",
                    why=f"measured for less than {span(WINDOW_SECONDS * LEAST_COVERAGE)}",
                    missing=(serving.WAITING.name,),
                    entities=young,
                ),
            )
            if young
            else (),
        )


def _worst(frame: Frame, queues: list[_Queue]) -> tuple[Candidate, ...]:
    """One candidate per node and kind, of its longest queue: a scope names a node, not a model."""
    found: dict[tuple[FindingKind, Scope], Candidate] = {}
    for one in sorted(queues, key=lambda queue: -float(mean(queue.waiting))):
        candidate = _candidate(frame, one)
        found.setdefault(candidate.key, candidate)
    return tuple(found.values())


def _queues(frame: Frame) -> Iterator[_Queue]:
    waiting, running, caches = (
        frame.values(metric, seconds=WINDOW_SECONDS) for metric in (serving.WAITING, serving.RUNNING, serving.KV_CACHE)
    )
    bars = _bars(running)
    for row in np.flatnonzero(np.isfinite(waiting).any(axis=1)).tolist():
        is_queued = waiting[row] >= bars[row]  # how full it was before says nothing of what they wait for
        yield _Queue(
            row=row,
            server=frame.servers.entities[row],
            waiting=waiting[row],
            bar=bars[row],
            running=float(mean(running[row])),
            cache=float(mean(np.where(is_queued, caches[row], np.nan))),
        )


def _bars(running: Array) -> Array:
    """How many may wait beside so many that run; one where nobody tells how many run."""
    bars: Array = np.fmax(WAITING, WAITING_SHARE * running)
    return bars


def _candidate(frame: Frame, one: _Queue) -> Candidate:
    entity = one.server
    is_full = one.cache >= (FULL_CACHE if one.share >= RAISE_SHARE else HOLD_FULL)
    whole, running = (frame.values(metric, rows=one.row) for metric in (serving.WAITING, serving.RUNNING))
    since = onset_time(frame, whole - _bars(running))
    return Candidate(
        kind=FindingKind.KV_CACHE_BOUND if is_full else FindingKind.QUEUE_BOUND,
        scope=Scope(cluster=entity.cluster, node=entity.node),
        severity=Severity.WARNING,
        since=since,
        confidence=confidence((one.share - HOLD_SHARE) / (1 - HOLD_SHARE), covered=float(coverage(one.waiting))),
        evidence=_evidence(one),
        summary=_summary(one, is_full=is_full),
        remedy=_FULL if is_full else _SLOW,
        simulated=entity.simulated,
        strength=Strength.RAISE if one.share >= RAISE_SHARE else Strength.HOLD,
    )


_FULL: Final = (
    "Give the KV cache more room: a larger share of the device's memory, a shorter maximum length, an 8-bit cache,"
    " more devices per replica; or add a replica."
)
_SLOW: Final = (
    "Add a replica, or let more requests run at once (a higher batch limit) while the cache has room; shorten prompts."
)


def _summary(one: _Queue, *, is_full: bool) -> str:
    who = f"{one.server.server} {one.server.model}".strip() + _pod_of(one.server)
    waiting = round(float(mean(one.waiting)))
    verb = "waits" if waiting == 1 else "wait"
    running = "" if np.isnan(one.running) else f" beside {one.running:.0f} that run"
    room = "" if np.isnan(one.cache) else f"; the KV cache is {percent(one.cache)} full"
    why = "for room in the KV cache" if is_full else f"for {'its' if waiting == 1 else 'their'} turn"
    return f"{one.server.node}: {count(waiting, 'request')} of {who} {verb} {why}{running}{room}."


def _pod_of(server: ServerEntity) -> str:
    """In which pod it is, where that is known: of several on a node each has a queue of its own."""
    return "" if "://" in server.endpoint or "/" not in server.endpoint else f" in pod {server.endpoint}"


def _evidence(one: _Queue) -> tuple[Evidence, ...]:
    first = measured(
        serving.WAITING,
        float(mean(one.waiting)),
        threshold=float(mean(one.bar)),
        window_seconds=WINDOW_SECONDS,
        samples=int(np.isfinite(one.waiting).sum()),
    )
    support = ((serving.KV_CACHE, one.cache, FULL_CACHE), (serving.RUNNING, one.running, None))
    known = [(metric, value, bar) for metric, value, bar in support if np.isfinite(value)]
    return (
        first,
        *(measured(metric, value, threshold=bar, window_seconds=WINDOW_SECONDS) for metric, value, bar in known),
    )
