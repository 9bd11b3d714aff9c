"""Buckets that grow by a constant factor, as Prometheus' native histograms have them.

Schema 3: eight buckets to a doubling, so a bucket is 9 % wide. Bucket i holds values above 2**((i - 1) / 8)
and up to 2**(i / 8).
https://prometheus.io/docs/specs/native_histograms/#schema
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, log2
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
ZERO_THRESHOLD: Final = 2.0 ** (LOWEST / _PER_DOUBLING - 1)
"""A value that is called zero: below the lowest bucket, and a power of two as receivers merge them best."""

FineCounts = tuple[tuple[int, int], ...]
"""Bucket and count of each bucket that has any, rising."""


@lru_cache(maxsize=4096)  # a driver says the same numbers again and again
def bucket_of(value: float) -> int:
    """The bucket that a value belongs to."""
    if value <= 0.0:
        return ZERO
    return max(ZERO, min(HIGHEST, ceil(log2(value) * _PER_DOUBLING)))


def summed(counts: Mapping[int, int], gained: Iterable[tuple[int, int]]) -> dict[int, int]:
    """What there is with what was gained."""
    total = dict(counts)
    for bucket, count in gained:
        total[bucket] = total.get(bucket, 0) + count
    return total
