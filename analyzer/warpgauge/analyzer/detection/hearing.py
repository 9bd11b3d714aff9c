"""When anything was heard of a node or of its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame, Ints
    from warpgauge.analyzer.frame.sites import Site
    from warpgauge.analyzer.frame.table import Table

__all__ = ["heard_at"]

CHANNELS: Final = 32  # with values; whatever a site reports, it reports at the same times


def heard_at(frame: Frame, site: Site, columns: int) -> NDArray[np.bool_]:
    """[column] of the newest ones, whether anything was measured at a node."""
    heard = np.zeros(columns, dtype=bool)
    for table, rows in ((frame.nodes, frame.sites.nodes_at(site)), (frame.devices, frame.sites.devices_at(site))):
        for found in _measured(table, rows, frame.columns - columns, frame.columns):
            heard |= found
            if heard.all():
                return heard
    return heard


def _measured(table: Table[Any], rows: Ints, first: int, last: int) -> Iterable[NDArray[np.bool_]]:
    """[column] per channel that has values, whether some of these rows have one."""
    left = CHANNELS if len(rows) else 0
    for metric, extra in table.channels:
        if not left:
            return
        values = table.rows_of_columns(metric, extra, first, last)
        is_known = np.isfinite(values[:, rows]) if values is not None else np.zeros((0, 0), dtype=bool)
        if is_known.any():
            left -= 1
            yield np.logical_or.reduce(is_known, axis=1)
