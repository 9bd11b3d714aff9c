"""Our own agent's metrics: catalog names as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.dialect import Dialect, Mapped, is_counted
from warpgauge.analyzer.frame.schema import HISTOGRAM_PARTS, PLACES
from warpgauge.core.catalog import BY_NAME, Kind, Metric, device, host

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WARPGAUGE"]

_HISTOGRAMS: Final = frozenset(name for name, row in BY_NAME.items() if row.kind is Kind.HISTOGRAM)
_DESCRIPTIONS: Final = (device.DEVICE_INFO, device.WORKLOAD_INFO, host.HOST_INFO)


def _series() -> dict[str, tuple[Metric, str]]:
    series: dict[str, tuple[Metric, str]] = {row.name: (row, "") for row in _DESCRIPTIONS}
    for metric in map(BY_NAME.__getitem__, PLACES):
        if metric.kind is Kind.HISTOGRAM:
            series |= {f"{metric.name}_{part}": (metric, part) for part in HISTOGRAM_PARTS}
        else:
            series[metric.name] = (metric, "")
    return series


class _Warpgauge:
    name = "warpgauge"

    def __init__(self) -> None:
        self._series = _series()
        self.names = frozenset(self._series)
        self.metrics = frozenset(metric for metric, _ in self._series.values())

    def knows(self, name: str) -> bool:
        return name in BY_NAME or name.rpartition("_")[0] in _HISTOGRAMS

    def map(self, name: str, labels: Mapping[str, str]) -> tuple[Mapped, ...]:
        metric, part = self._series[name]
        if not is_counted(metric, labels.get("device", "")):
            return ()
        return (Mapped(metric=metric, labels=labels, part=part),)


WARPGAUGE: Final[Dialect] = _Warpgauge()
