"""The requests of an inference server one by one, for times at which they do not come as its devices serve them.

A queue with Poisson arrivals and as many servers as the batch has places (M/M/c): who comes while the batch or the KV
cache is full waits, in order, and gives up after a minute. Sequences of one batch share the device: the more context
tokens a step of decoding reads, the longer it takes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "ANSWER_TOKENS",
    "MOST_RUNNING",
    "PROMPT_TOKENS",
    "RequestQueue",
    "Served",
    "cache_used",
    "served_per_second",
    "tokens_per_second",
]

MOST_RUNNING: Final = 64  # sequences in the batch that keeps the devices busy all the time
PROMPT_TOKENS: Final = 900.0
ANSWER_TOKENS: Final = 320.0
_TOKENS_PER_SECOND: Final = (45.0, 25.0)  # of one sequence: in an empty batch, in a full one
_FULLEST_CACHE_RATIO: Final = 0.88  # at a full batch of average contexts: there is room for longer ones
_PATIENCE_SECONDS: Final = 60.0  # nginx's proxy_read_timeout, unless somebody sets another
_GROWTH: Final = ANSWER_TOKENS / (PROMPT_TOKENS + ANSWER_TOKENS)
"""How often a request that took the last room is put back: its context grows by so much after it was let in."""


@dataclass(slots=True)
class Served:
    """What became of requests in an interval."""

    busy_seconds: float = 0.0  # of the devices
    generated_tokens: float = 0.0
    preemptions: int = 0
    waits: list[float] = field(default_factory=list)  # seconds that those which began had waited


def tokens_per_second(busy_ratio: float) -> float:
    """What one sequence is given, with devices busy for that share of the time."""
    alone, crowded = _TOKENS_PER_SECOND
    return alone + (crowded - alone) * busy_ratio


def served_per_second(busy_ratio: float) -> float:
    """Requests of average length that a batch answers which keeps the devices busy for that share of the time."""
    return busy_ratio * MOST_RUNNING * tokens_per_second(busy_ratio) / ANSWER_TOKENS


def cache_used(sequences: float, context_ratio: float = 1.0) -> float:
    """Share of the KV cache that so many sequences hold, whose contexts are so many times as long as average."""
    return min(1.0, sequences / MOST_RUNNING * context_ratio * _FULLEST_CACHE_RATIO)


class RequestQueue:
    """The requests in the batch and those that wait for a place in it."""

    def __init__(self, random: Random, running: int) -> None:
        self.running = running
        self._random = random
        self._now = 0.0
        self._arrived: deque[float] = deque()
        self._preempted = 0  # they come before all others

    @property
    def waiting(self) -> int:
        """Requests that were accepted and are not in the batch."""
        return len(self._arrived) + self._preempted

    def advance(self, seconds: float, arrivals_per_second: float, context_ratio: float) -> Served:
        """Serve for `seconds`: event after event, each after an exponential time."""
        served, end = Served(), self._now + seconds
        while self._now < end:
            busy = min(1.0, self.running * context_ratio / MOST_RUNNING)
            tokens = self.running * tokens_per_second(busy)
            per_second = arrivals_per_second + tokens / ANSWER_TOKENS
            until = self._now + self._random.expovariate(per_second) if per_second else end
            span = min(until, end) - self._now
            served.busy_seconds += busy * span
            served.generated_tokens += tokens * span
            self._now = min(until, end)
            if until >= end:
                break
            if self._random.random() * per_second < arrivals_per_second:
                self._arrived.append(self._now)
            else:
                self.running -= 1
            self._give_up()
            self._admit(context_ratio, served)
        return served

    def _give_up(self) -> None:
        while self._arrived and self._now - self._arrived[0] > _PATIENCE_SECONDS:
            self._arrived.popleft()

    def _admit(self, context_ratio: float, served: Served) -> None:
        """Fill the batch, as far as the KV cache has room; in a full cache what grows may push the newest out."""
        room = int(MOST_RUNNING / (_FULLEST_CACHE_RATIO * context_ratio))
        while self.waiting and self.running < min(MOST_RUNNING, max(1, room)):
            if self._preempted:
                self._preempted -= 1
            else:
                served.waits.append(self._now - self._arrived.popleft())
            self.running += 1
            if self.running == room < MOST_RUNNING and self._random.random() < _GROWTH:
                self.running -= 1
                self._preempted += 1
                served.preemptions += 1
                return
