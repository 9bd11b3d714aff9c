"""The one retry policy: waits that grow to a limit, with jitter so that a fleet does not retry in step."""

from __future__ import annotations

import random as random_module
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before each further attempt; it never gives up, the caller does."""

    first_seconds: float = 1.0
    factor: float = 2.0
    max_seconds: float = 60.0
    jitter: float = 0.2  # share of each wait that is random, 0-1; it only shortens
    random: Callable[[], float] = field(default=random_module.random, compare=False)  # 0 <= x < 1

    def __post_init__(self) -> None:
        """Refuse a policy that would not wait or would shrink."""
        rules = {
            "first_seconds must be > 0": self.first_seconds > 0,
            "factor must be >= 1": self.factor >= 1,
            "max_seconds must be >= first_seconds": self.max_seconds >= self.first_seconds,
            "jitter must be within 0-1": 0 <= self.jitter <= 1,
        }
        for rule, holds in rules.items():
            if not holds:
                msg = f"backoff: {rule}"
                raise ValueError(msg)

    def delays(self) -> Iterator[float]:
        """Seconds to wait before attempt 2, 3, ...: endless."""
        delay = self.first_seconds
        while True:
            yield delay * (1 - self.jitter * self.random())
            delay = min(delay * self.factor, self.max_seconds)
