"""Whether what a finding is about was heard of all along: a gap in the telemetry says nothing about health.

After a gap a detector lacks part of its window, so it falls silent about a fault that goes on. Who took that for an end
would resolve every alert whenever a Prometheus restarts, and open each of them anew minutes later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.hearing import heard_at

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.sites import Site
    from warpgauge.core.finding import Scope

__all__ = ["Presence"]

LEAST_SHARE: Final = 0.9  # of a window: detectors do without a tenth of it


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
        heard = heard_at(self._frame, site, columns)
        if heard.mean() >= LEAST_SHARE or not heard.any():
            return False
        whole = heard_at(self._frame, site, self._frame.columns)
        first = int(np.argmax(whole))  # what lies before the first word of a node is no gap
        return bool(heard[max(0, first - (self._frame.columns - columns)) :].mean() < LEAST_SHARE)

    def _sites(self, scope: Scope) -> set[Site]:
        cluster = scope.cluster or ""
        if scope.node is not None:
            return {(cluster, scope.node)}
        job = self._frame.jobs.get((cluster, scope.job_id)) if scope.job_id is not None else None
        if job is None:
            return set()
        devices, ranks = self._frame.devices.entities, self._frame.ranks.entities
        return {(cluster, devices[row].node) for row in job.devices} | {(cluster, ranks[row].node) for row in job.ranks}
