"""What an inference server shows of its requests: all of it follows from how busy its devices are."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import serving
from warpgauge.core.sample import Histogram

if TYPE_CHECKING:
    from random import Random

__all__ = ["Requests"]

_MOST_RUNNING: Final = 64  # sequences in the batch that keeps the devices busy all the time
_TOKENS_PER_SECOND: Final = (45.0, 25.0)  # of one sequence: in an empty batch, in a full one
_PROMPT_TOKENS: Final = 900.0
_ANSWER_TOKENS: Final = 320.0
_FULLEST_CACHE_RATIO: Final = 0.88  # at a full batch of average contexts: there is room for longer ones
_PREFILL_SECONDS: Final = (0.09, 0.25)  # of an average prompt on idle devices; more while a full batch decodes
_SPREAD: Final = 0.35  # of prompt lengths, as the sigma of a lognormal
_QUEUE: Final = (3.0, 6)  # requests that wait on average at a full batch, and how steeply that begins
_TURN_SECONDS: Final = 0.4  # until one that waits gets its turn


class Requests:
    """Counters and levels of one server process; `follow` moves them through an interval."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._begun = 0.0
        self._counts = [0] * (len(serving.FIRST_TOKEN.buckets) + 1)
        self._sum_seconds = 0.0
        self.running = self.waiting = 0
        self.cache_used_ratio = self.prompt_tokens = self.generated_tokens = 0.0

    @property
    def first_token(self) -> Histogram:
        """Times to the first token of all requests so far."""
        return Histogram(tuple(accumulate(self._counts)), self._sum_seconds)

    def follow(self, busy_ratio: float, seconds: float) -> None:
        """Work for `seconds` with devices that are busy for `busy_ratio` of the time, 0-1."""
        load = busy_ratio * _MOST_RUNNING
        alone, crowded = _TOKENS_PER_SECOND
        generated = load * (alone + (crowded - alone) * busy_ratio) * seconds
        most, steepness = _QUEUE
        self.running = round(load)
        self.waiting = int(self._random.expovariate(1.0) * most * busy_ratio**steepness)
        self.cache_used_ratio = busy_ratio * _FULLEST_CACHE_RATIO
        self.generated_tokens += generated
        self._begun += generated / _ANSWER_TOKENS
        while self._begun >= 1.0:
            self._begun -= 1.0
            self._begin(busy_ratio)

    def _begin(self, busy_ratio: float) -> None:
        """One request reads its prompt and gives its first token."""
        length = self._random.lognormvariate(0.0, _SPREAD)
        idle, more = _PREFILL_SECONDS
        seconds = (idle + more * busy_ratio**2) * length + self.waiting * _TURN_SECONDS
        self._counts[bisect_left(serving.FIRST_TOKEN.buckets, seconds)] += 1
        self._sum_seconds += seconds
        self.prompt_tokens += _PROMPT_TOKENS * length
