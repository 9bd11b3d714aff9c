"""The metrics pages of two inference servers, in vLLM's own words: one that can be overrun, one that can be down."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from tests.live_pages import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SickServers"]

_LABELS = 'model_name="chat"'


class SickServers:
    """Sound until `is_ill`: then one has a full cache, throws requests out and is slow to answer, the other is gone."""

    def __init__(self) -> None:
        self.is_ill = False
        self._asked = time.monotonic()
        self._quick = self._slow = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[str, ...]]:
        """Addresses of both pages."""
        with serve({"/overrun": self._overrun, "/gone": self._gone}) as address:
            yield (f"http://{address}/overrun", f"http://{address}/gone")

    def _overrun(self) -> bytes:
        now = time.monotonic()
        answered = (now - self._asked) * 5.0  # requests a second
        self._asked = now
        self._slow += answered if self.is_ill else 0.0
        self._quick += 0.0 if self.is_ill else answered
        return self._page(waiting=9 if self.is_ill else 0, cache=0.99 if self.is_ill else 0.4)

    def _gone(self) -> bytes:
        if self.is_ill:
            raise KeyError  # a 503
        return self._page(waiting=0, cache=0.2)

    def _page(self, *, waiting: int, cache: float) -> bytes:
        name = "vllm:time_to_first_token_seconds"
        buckets = (("0.5", self._quick), ("10.0", self._quick), ("30.0", self._quick + self._slow))
        return (
            f"vllm:num_requests_running{{{_LABELS}}} 12\n"
            f"vllm:num_requests_waiting{{{_LABELS}}} {waiting}\n"
            f"vllm:kv_cache_usage_perc{{{_LABELS}}} {cache}\n"
            f"vllm:num_preemptions_total{{{_LABELS}}} {int(self._slow)}\n"
            + "".join(f'{name}_bucket{{{_LABELS},le="{le}"}} {int(count)}\n' for le, count in buckets)
            + f'{name}_bucket{{{_LABELS},le="+Inf"}} {int(self._quick + self._slow)}\n'
            f"{name}_sum{{{_LABELS}}} {self._quick * 0.2 + self._slow * 20.0:.3f}\n"
            f"{name}_count{{{_LABELS}}} {int(self._quick + self._slow)}\n"
        ).encode()
