"""From candidates to findings and incidents: the false-alarm budget, muting, causes, what lies together."""

from __future__ import annotations

from warpgauge.analyzer.incidents.incidents import KnownIncident, join

__all__ = ["KnownIncident", "join"]
