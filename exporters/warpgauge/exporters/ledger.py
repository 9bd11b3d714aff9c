"""What the histograms of devices add up to, for as long as the agent lives.

The children that read the devices come and go and send what was gained; the sums stay here, also of a device that does
not answer now, so that its series go on where they stood when it returns.
"""

from __future__ import annotations

from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING

from warpgauge.core.sample import Histogram, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.core.catalog import Metric
    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.increments import Increment

__all__ = ["Ledger"]

_Account = dict[tuple[str, tuple[str, ...]], tuple["Metric", tuple[int, ...], float]]
"""Name and labels after the identity -> metric, counts per bucket, not cumulative, and the sum."""


class Ledger:
    """One account per device, by uuid: an index can change with the next load of the driver. Counts never fall."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def add(self, uuid: str, increments: Iterable[Increment]) -> None:
        """Add what a device's histograms gained."""
        account = self._accounts.setdefault(uuid, {})
        for gain in increments:
            series = gain.metric.name, gain.labels
            before = account.get(series)
            counts = gain.counts if before is None else tuple(map(add, before[1], gain.counts))
            account[series] = (gain.metric, counts, gain.sum if before is None else before[2] + gain.sum)

    def samples(self, device: Device) -> list[Sample]:
        """A device's histograms as they stand."""
        return [
            Sample(metric, (*device.labels, *labels), Histogram(tuple(accumulate(counts)), total))
            for (_, labels), (metric, counts, total) in self._accounts.get(device.uuid, {}).items()
        ]
