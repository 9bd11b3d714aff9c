"""Who is told of everything that the analyzer finds, beside console, API and recommendations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.core.finding import Finding
    from warpgauge.core.sample import Sample

__all__ = ["Listener"]


class Listener(Protocol):
    """Hears of findings, and says how it does."""

    def hear(self, findings: Sequence[Finding]) -> None:
        """Take all that hold or ended lately; called in the event loop, so it may wait for nothing."""

    def samples(self) -> Iterable[Sample]:
        """Metrics about itself; called in a thread, so it may read files."""
