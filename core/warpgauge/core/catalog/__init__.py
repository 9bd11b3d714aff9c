"""The metric catalog: one row per metric, one file per family.

Everything else refers to a row by its symbol (`device.POWER`); a metric's name is written here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import (
    cycles,
    detail,
    device,
    findings_queue,
    host,
    infiniband,
    link,
    linux,
    own,
    process,
    runtime,
    serving,
    training,
    vendor,
)
from warpgauge.core.catalog.metric import Equivalent, Family, Kind, Metric, Stability, Tier, Unit

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "ALL",
    "BY_NAME",
    "Equivalent",
    "Family",
    "Kind",
    "Metric",
    "Stability",
    "Tier",
    "Unit",
    "cycles",
    "detail",
    "device",
    "findings_queue",
    "host",
    "infiniband",
    "link",
    "linux",
    "own",
    "process",
    "runtime",
    "serving",
    "training",
    "vendor",
]


def _rows(module: ModuleType) -> tuple[Metric, ...]:
    return tuple(value for value in vars(module).values() if isinstance(value, Metric))


_MODULES: Final = (
    device,
    detail,
    cycles,
    link,
    process,
    runtime,
    vendor,
    host,
    linux,
    infiniband,
    training,
    serving,
    own,
    findings_queue,
)

ALL: Final[tuple[Metric, ...]] = tuple(row for module in _MODULES for row in _rows(module))
"""Every metric, in the order of the reference."""

BY_NAME: Final[dict[str, Metric]] = {row.name: row for row in ALL}
"""Every metric by its name on the wire."""
