"""Which Prometheus of an HA pair counts, where both write to us: one is elected, the other takes over in its silence.

As Mimir's HA tracker does it, with its 30 seconds (grafana.com/docs/mimir, configure-high-availability-deduplication):
pairs are told apart by the labels `cluster` and `prometheus`, the members of a pair by a replica label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.table import Ints

__all__ = ["Election"]

FAILOVER_SECONDS: Final = 30.0
_PAIR: Final = ("cluster", "prometheus")
_FIRST_CAPACITY: Final = 1024
_MOST_PAIRS: Final = 10_000
_NOBODY: Final = -1


@dataclass(slots=True)
class _Pair:
    elected: int = _NOBODY
    heard: float = 0.0  # monotonic seconds


class Election:
    """Notes for each series which member of which pair wrote it."""

    def __init__(self, replica_labels: Sequence[str]) -> None:
        self._labels = tuple(replica_labels)
        self._numbers: dict[tuple[str, ...], int] = {}
        self._members: dict[str, int] = {}
        self._pairs: list[_Pair] = []
        self._pair = np.full(_FIRST_CAPACITY, _NOBODY, dtype=np.int32)
        self._member = np.full(_FIRST_CAPACITY, _NOBODY, dtype=np.int32)

    def enroll(self, number: int, labels: Mapping[str, str]) -> None:
        """Note who writes a new series."""
        while number >= len(self._pair):
            grown = np.full_like(self._pair, _NOBODY)
            self._pair, self._member = np.concatenate([self._pair, grown]), np.concatenate([self._member, grown])
        replica = next((labels[name] for name in self._labels if labels.get(name)), "")
        if not replica:
            return
        key = tuple(labels.get(name, "") for name in _PAIR)
        if key not in self._numbers:
            if len(self._pairs) >= _MOST_PAIRS:
                return
            self._numbers[key] = len(self._pairs)
            self._pairs.append(_Pair())
        self._pair[number] = self._numbers[key]
        self._member[number] = self._members.setdefault(replica, len(self._members))

    def keep(self, numbers: Ints) -> None:
        """Forget all series but these, which are numbered anew in this order."""
        for members in (self._pair, self._member):
            members[: len(numbers)] = members[numbers]
            members[len(numbers) :] = _NOBODY

    def counts(self, numbers: Ints, now: float) -> NDArray[np.bool_]:
        """Which samples of a request count; `now` in monotonic seconds."""
        pairs = self._pair[numbers]
        if not len(pairs) or pairs.max() == _NOBODY:
            return np.ones(len(numbers), dtype=bool)
        members = self._member[numbers]
        elected = np.full(len(self._pairs), _NOBODY, dtype=np.int32)
        for pair in np.unique(pairs[pairs != _NOBODY]):
            elected[pair] = self._elect(self._pairs[pair], members[pairs == pair], now)
        found: NDArray[np.bool_] = (pairs == _NOBODY) | (elected[pairs] == members)
        return found

    def _elect(self, pair: _Pair, members: NDArray[np.int32], now: float) -> int:
        if (members == pair.elected).any():
            pair.heard = now
        elif pair.elected == _NOBODY or now - pair.heard > FAILOVER_SECONDS:
            pair.elected, pair.heard = int(members.min()), now
        return pair.elected
