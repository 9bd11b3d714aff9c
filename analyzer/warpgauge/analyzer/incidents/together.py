"""What counts as at the same time: onsets that follow one another within three minutes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from warpgauge.core.finding import Finding

__all__ = ["TOGETHER_SECONDS", "bursts"]

TOGETHER_SECONDS: Final = 180.0  # NVSentinel's bursts end with a gap as long


def bursts(findings: Sequence[Finding], members: Iterable[int]) -> Iterator[list[int]]:
    """Some of the findings, by index, in the order of their onsets and apart where a pause is longer than that."""
    in_time = sorted(members, key=lambda at: findings[at].since)
    burst = in_time[:1]
    for earlier, later in pairwise(in_time):
        if findings[later].since - findings[earlier].since > TOGETHER_SECONDS:
            yield burst
            burst = []
        burst.append(later)
    if burst:
        yield burst
