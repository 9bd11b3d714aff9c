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
from warpgauge.exporters.increments import Gains

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.device import Device
    from warpgauge.exporters.increments import Increment

__all__ = ["Ledger"]

_Account = dict[tuple[str, tuple[str, ...]], tuple["Metric", tuple[int, ...], float, dict[int, int]]]
"""Name and labels after the identity -> metric, counts per bucket, not cumulative, the sum, and narrower buckets."""


class Ledger:
    """One account per device, by uuid: an index can change with the next load of the driver. Counts never fall."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._unbooked: dict[str, Gains] = {}  # of each device: nobody has looked since

    def add(self, uuid: str, increments: Iterable[Increment]) -> None:
        """Add what a device's histograms gained."""
        if not isinstance(increments, Gains):
            self._book(uuid, increments)
            return
        before = self._unbooked.get(uuid)
        together = before.plus(increments) if before is not None else increments
        if together is None:
            self._book(uuid)
            together = increments
        self._unbooked[uuid] = together

    def _book(self, uuid: str, increments: Iterable[Increment] = ()) -> None:
        account = self._accounts.setdefault(uuid, {})
        for gain in (*self._unbooked.pop(uuid, ()), *increments):
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
