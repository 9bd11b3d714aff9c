"""What an inference server shows of its requests.

As long as nothing is wrong they come as its devices serve them, so all of it follows from how busy these are, and who
waits does so by chance. Where requests come faster, or with contexts that the cache has no room for, they are followed
one by one (`request_queue.py`), and the devices are as busy as the batch keeps them.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from random import Random
from typing import Final

from warpgauge.core.catalog import serving
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic.request_queue import (
    ANSWER_TOKENS,
    MOST_RUNNING,
    PROMPT_TOKENS,
    RequestQueue,
    cache_used,
    tokens_per_second,
)

__all__ = ["Requests"]

_PREFILL_SECONDS: Final = (0.09, 0.25)  # of an average prompt on idle devices; more while a full batch decodes
_SPREAD: Final = 0.35  # of prompt lengths, as the sigma of a lognormal
_QUEUE: Final = (3.0, 6)  # requests that wait on average at a full batch, and how steeply that begins
_TURN_SECONDS: Final = 0.4  # until one that waits gets its turn


class Requests:
    """Counters and levels of one server process; `follow` or `serve` moves them through an interval."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._begun = 0.0
        self._counts = [0] * (len(serving.FIRST_TOKEN.buckets) + 1)
        self._sum_seconds = 0.0
        self._queue: RequestQueue | None = None
        self.running = self.waiting = self.preemptions = 0
        self.cache_used_ratio = self.prompt_tokens = self.generated_tokens = 0.0

    @property
    def first_token(self) -> Histogram:
        """Times to the first token of all requests so far."""
        return Histogram(tuple(accumulate(self._counts)), self._sum_seconds)

    @property
    def is_queue_left(self) -> bool:
        """Whether requests of a time at which they were followed one by one still wait."""
        return self._queue is not None and self._queue.waiting > 0

    def follow(self, busy_ratio: float, seconds: float) -> None:
        """Work for `seconds` with devices that are busy for `busy_ratio` of the time, 0-1."""
        load = busy_ratio * MOST_RUNNING
        generated = load * tokens_per_second(busy_ratio) * seconds
        most, steepness = _QUEUE
        self._queue = None
        self.running = round(load)
        self.waiting = int(self._random.expovariate(1.0) * most * busy_ratio**steepness)
        self.cache_used_ratio = cache_used(load)
        self.generated_tokens += generated
        self._begun += generated / ANSWER_TOKENS
        while self._begun >= 1.0:
            self._begun -= 1.0
            self._begin(busy_ratio, self.waiting * _TURN_SECONDS)

    def serve(self, arrivals_per_second: float, context_ratio: float, seconds: float) -> float:
        """Work for `seconds` on requests that come at that rate; the share of it for which devices are busy, 0-1.

        Their contexts are `context_ratio` times as long as average, by longer prompts and answers that are as long.
        """
        if self._queue is None:  # draws of its own: once it is over, all is as if it had not been
            self._queue = RequestQueue(Random(f"queue:{self._sum_seconds}"), self.running)
        queue = self._queue
        served = queue.advance(seconds, arrivals_per_second, context_ratio)
        busy_ratio = min(1.0, served.busy_seconds / seconds)  # a sum of many spans
        self.running, self.waiting = queue.running, queue.waiting
        self.cache_used_ratio = cache_used(queue.running, context_ratio)
        self.preemptions += served.preemptions
        self.generated_tokens += served.generated_tokens
        for waited in served.waits:
            self._begin(busy_ratio, waited, context_ratio)
        return busy_ratio

    def _begin(self, busy_ratio: float, waited: float, length_ratio: float = 1.0) -> None:
        """One request reads its prompt and gives its first token."""
        length = self._random.lognormvariate(0.0, _SPREAD) * length_ratio
        idle, more = _PREFILL_SECONDS
        seconds = (idle + more * busy_ratio**2) * length + waited
        self._counts[bisect_left(serving.FIRST_TOKEN.buckets, seconds)] += 1
        self._sum_seconds += seconds
        self.prompt_tokens += PROMPT_TOKENS * length
