"""Grafana's unit for each unit of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Kind, Unit

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["GRAFANA_UNITS", "unit_of"]

GRAFANA_UNITS: Final = {
    Unit.NONE: "short",
    Unit.BYTES: "bytes",  # IEC: KiB, MiB
    Unit.SECONDS: "s",
    Unit.TIMESTAMP: "dateTimeAsIso",
    Unit.RATIO: "percentunit",
    Unit.WATTS: "watt",
    Unit.JOULES: "joule",
    Unit.CELSIUS: "celsius",
    Unit.HERTZ: "hertz",
    Unit.BYTES_PER_SECOND: "binBps",
}

_RATE_UNITS: Final = {
    Unit.NONE: "cps",
    Unit.BYTES: "binBps",
    Unit.SECONDS: "percentunit",  # seconds per second
    Unit.JOULES: "watt",
}


def unit_of(metric: Metric) -> str:
    """Grafana unit in which the metric is shown: of its values, or of a counter's rate.

    Of a histogram its mean and quantiles are shown, which have the unit of what was observed.
    """
    return _RATE_UNITS[metric.unit] if metric.kind is Kind.COUNTER else GRAFANA_UNITS[metric.unit]
