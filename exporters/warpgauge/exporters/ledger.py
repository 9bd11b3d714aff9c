"""What the histograms of devices add up to, for as long as the agent lives.

The children that read the devices come and go and send what was gained; the sums stay here, also of a device that does
not answer now, so that its series go on where they stood when it returns.
"""

from __future__ import annotations

from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING

from warpgauge.core.fine_buckets import summed
from warpgauge.core.sample import Histogram, Sample
from warpgauge.exporters.increments import Gains, buckets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.core.device import Device
    from warpgauge.exporters.increments import Increment

__all__ = ["Ledger"]

_Account = dict[tuple[str, tuple[str, ...]], tuple["Metric", tuple[int, ...], float, dict[int, int]]]
"""Name and labels after the identity -> metric, counts per bucket, not cumulative, the sum, and narrower buckets."""


class _Unbooked:
    """Gains of the same histograms, by the same columns of names, added up until somebody looks."""

    __slots__ = ("_counts", "_sums", "labels", "metrics")

    def __init__(self, metrics: Sequence[Metric], labels: Sequence[tuple[str, ...]]) -> None:
        self.metrics = metrics
        self.labels = labels
        self._counts = [0] * sum(map(buckets_of, metrics))
        self._sums = [0.0] * len(metrics)

    def add(self, gains: Gains) -> None:
        counts = self._counts
        for place, count in zip(gains.places, gains.counts, strict=True):
            counts[place] += count
        self._sums = list(map(add, self._sums, gains.sums))

    def gains(self) -> Gains:
        return Gains(self.metrics, self.labels, range(len(self._counts)), self._counts, self._sums)


class Ledger:
    """One account per device, by uuid: an index can change with the next load of the driver. Counts never fall."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._unbooked: dict[str, _Unbooked] = {}  # of each device: nobody has looked since

    def add(self, uuid: str, increments: Iterable[Increment]) -> None:
        """Add what a device's histograms gained."""
        if not isinstance(increments, Gains) or increments.fine:
            self._book(uuid, increments)
            return
        unbooked = self._unbooked.get(uuid)
        if unbooked is None or unbooked.metrics is not increments.metrics or unbooked.labels is not increments.labels:
            self._book(uuid)
            unbooked = self._unbooked[uuid] = _Unbooked(increments.metrics, increments.labels)
        unbooked.add(increments)

    def _book(self, uuid: str, increments: Iterable[Increment] = ()) -> None:
        account = self._accounts.setdefault(uuid, {})
        unbooked = self._unbooked.pop(uuid, None)
        for gain in (*(unbooked.gains() if unbooked is not None else ()), *increments):
            series = gain.metric.name, gain.labels
            before = account.get(series)
            counts = gain.counts if before is None else tuple(map(add, before[1], gain.counts))
            total = gain.sum if before is None else before[2] + gain.sum
            account[series] = (gain.metric, counts, total, summed(before[3] if before else {}, gain.fine))

    def samples(self, device: Device) -> list[Sample]:
        """A device's histograms as they stand."""
        self._book(device.uuid)
        return [
            Sample(metric, (*device.labels, *labels), _histogram(counts, total, fine))
            for (_, labels), (metric, counts, total, fine) in self._accounts.get(device.uuid, {}).items()
        ]


def _histogram(counts: Iterable[int], total: float, fine: Mapping[int, int]) -> Histogram:
    return Histogram(tuple(accumulate(counts)), total, tuple(sorted(fine.items())))
