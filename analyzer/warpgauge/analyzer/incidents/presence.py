"""Whether what a finding is about was heard of all along: a gap in the telemetry says nothing about health.

After a gap a detector lacks part of its window, so it falls silent about a fault that goes on. Who took that for an end
would resolve every alert whenever a Prometheus restarts, and open each of them anew minutes later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.sites import Site
    from warpgauge.analyzer.frame.table import Ints, Table
    from warpgauge.core.finding import Scope

__all__ = ["Presence"]

LEAST_SHARE: Final = 0.9  # of a window: detectors do without a tenth of it
CHANNELS: Final = 32  # with values; whatever a site reports, it reports at the same times


class Presence:
    """Answers for one tick; each site is looked at once per window."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._known: dict[tuple[Site, int], bool] = {}

    def has_gap(self, scope: Scope, window_seconds: float) -> bool:
        """Whether a node of this scope was silent for a part of the window, neither for all of it nor since ever."""
        columns = max(1, min(self._frame.columns, round(window_seconds / self._frame.step_seconds)))
        return any(self._site_has_gap(site, columns) for site in self._sites(scope))

    def _site_has_gap(self, site: Site, columns: int) -> bool:
        key = (site, columns)
        if key not in self._known:
            self._known[key] = self._look(site, columns)
        return self._known[key]

    def _look(self, site: Site, columns: int) -> bool:
        heard = self._heard(site, columns)
        if heard.mean() >= LEAST_SHARE or not heard.any():
            return False
        whole = self._heard(site, self._frame.columns)
        first = int(np.argmax(whole))  # what lies before the first word of a node is no gap
        return bool(heard[max(0, first - (self._frame.columns - columns)) :].mean() < LEAST_SHARE)

    def _heard(self, site: Site, columns: int) -> NDArray[np.bool_]:
        """[column] of the newest ones, whether anything was measured at a node."""
        frame, heard = self._frame, np.zeros(columns, dtype=bool)
        for table, rows in ((frame.nodes, frame.sites.nodes_at(site)), (frame.devices, frame.sites.devices_at(site))):
            for found in _measured(table, rows, frame.columns - columns, frame.columns):
                heard |= found
                if heard.all():
                    return heard
        return heard

    def _sites(self, scope: Scope) -> set[Site]:
        cluster = scope.cluster or ""
        if scope.node is not None:
            return {(cluster, scope.node)}
        job = self._frame.jobs.get((cluster, scope.job_id)) if scope.job_id is not None else None
        if job is None:
            return set()
        devices, ranks = self._frame.devices.entities, self._frame.ranks.entities
        return {(cluster, devices[row].node) for row in job.devices} | {(cluster, ranks[row].node) for row in job.ranks}


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
