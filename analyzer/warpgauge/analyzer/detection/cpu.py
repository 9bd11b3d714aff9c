"""How busy the CPUs of nodes are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.windows import ratio
from warpgauge.analyzer.frame.rolling import Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.detection.windows import Array
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats

__all__ = ["BUSY", "busy_ratio"]

IDLE_MODES: Final = ("idle", "iowait")
_ALL: Final = slice(None)
GUEST_MODES: Final = ("guest", "guest_nice")  # part of user and nice already, as in /proc/stat
BUSY_MODES: Final = ("user", "nice", "system", "irq", "softirq", "steal")


def busy_ratio(frame: Frame, seconds: float | None = None, rows: Sequence[int] | slice = _ALL) -> Array:
    """Share of all CPUs of nodes that did work, [node, column], 0-1; NaN where modes are not measured."""
    modes = [extra[0] for extra in frame.channels(host.CPU_SECONDS) if extra[0] not in GUEST_MODES]
    if "idle" not in modes:
        return np.full_like(frame.values(host.CPU_SECONDS, "idle", seconds=seconds, rows=rows), np.nan)
    parts = {mode: frame.values(host.CPU_SECONDS, mode, seconds=seconds, rows=rows) for mode in modes}
    total = np.sum([np.nan_to_num(part) for part in parts.values()], axis=0)
    idle = np.sum([np.nan_to_num(part) for mode, part in parts.items() if mode in IDLE_MODES], axis=0)
    return np.where(np.isfinite(parts["idle"]), 1 - ratio(idle, total), np.nan)


def _busy(columns: Columns) -> Floats:
    idle = columns.of(host.CPU_SECONDS, "idle")
    rest = np.nan_to_num(columns.of(host.CPU_SECONDS, "iowait")) + idle
    work = np.add.reduce([np.nan_to_num(part) for part in columns.told(host.CPU_SECONDS, BUSY_MODES)])
    busy: Floats = ratio(work, work + rest).astype(np.float32)
    return busy


BUSY: Final = Signal("cpu busy", TableName.NODES, _busy)
"""`busy_ratio` of all nodes as a standing window; NaN where the idle time is not measured."""
