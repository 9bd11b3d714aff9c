"""Buckets that grow by a constant factor, as Prometheus' native histograms have them.

Schema 3: eight buckets to a doubling, so a bucket is 9 % wide. Bucket i holds values above 2**((i - 1) / 8)
and up to 2**(i / 8).
https://prometheus.io/docs/specs/native_histograms/#schema
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["HIGHEST", "LOWEST", "SCHEMA", "ZERO", "ZERO_THRESHOLD", "FineCounts", "bucket_of", "summed"]

SCHEMA: Final = 3
LOWEST, HIGHEST = -160, 160
"""From a millionth to a million: what is less counts as zero, what is more as that."""
ZERO: Final = LOWEST - 1
"""Where zeros are counted."""

_PER_DOUBLING: Final = 1 << SCHEMA
_BOUNDS: Final = [2.0 ** (bucket / _PER_DOUBLING) for bucket in range(ZERO, HIGHEST)]
"""Of every bucket but the highest, which takes all that is above the others."""
ZERO_THRESHOLD: Final = 2.0 ** (LOWEST / _PER_DOUBLING - 1)
"""A value that is called zero: below the lowest bucket, and a power of two as receivers merge them best."""

FineCounts = tuple[tuple[int, int], ...]
"""Bucket and count of each bucket that has any, rising."""


def bucket_of(value: float) -> int:
    """The bucket that a value belongs to; looked for, because a logarithm and its bounds cost three times as much."""
    return ZERO + bisect_left(_BOUNDS, value)


def summed(counts: Mapping[int, int], gained: Iterable[tuple[int, int]]) -> dict[int, int]:
    """What there is with what was gained."""
    total = dict(counts)
    for bucket, count in gained:
        total[bucket] = total.get(bucket, 0) + count
    return total
