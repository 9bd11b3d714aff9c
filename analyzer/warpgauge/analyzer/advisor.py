"""From a tick's findings to recommendations that stand, and on to the outbox."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.recommend import FileSink, Ledger, Outbox, StreamSink, recommend
from warpgauge.analyzer.recommend.topology import topology_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from warpgauge.analyzer.engine import Result
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.clock import Clock
    from warpgauge.core.recommendation import Recommendation

__all__ = ["RECOMMENDATIONS_FILE", "Advisor", "local_outbox"]

RECOMMENDATIONS_FILE: Final = "recommendations.jsonl"


def local_outbox(directory: Path, clock: Clock) -> Outbox:
    """Standard output and a JSON Lines file in the data directory: nothing that acts.

    Raises:
        StorageError: the directory's files cannot be used; nothing stored was changed.

    """
    return Outbox(directory, [FileSink(directory / RECOMMENDATIONS_FILE), StreamSink(sys.stdout)], clock)


class Advisor:
    """Carries the ledger from tick to tick; what is new goes out at least once."""

    def __init__(self, outbox: Outbox, *, mode: str, clock: Clock) -> None:
        self._outbox = outbox
        self._mode = mode
        self._clock = clock
        self._ledger = Ledger()

    @property
    def ledger(self) -> Ledger:
        """What was recommended so far."""
        return self._ledger

    def resume(self, ledger: Ledger) -> None:
        """Go on from what another run recommended."""
        self._ledger = ledger

    @property
    def open(self) -> tuple[Recommendation, ...]:
        """Recommendations that stand."""
        return tuple(self._ledger.open.values())

    def question(self, result: Result) -> Callable[[Frame], tuple[Recommendation, ...]]:
        """What to ask of the frame: which recommendations are new after this tick."""

        def fresh(frame: Frame) -> tuple[Recommendation, ...]:
            plan = recommend(
                result.findings,
                result.incidents,
                topology_of(frame),
                self._ledger,
                now=self._clock.now(),
                mode=self._mode,
            )
            self._ledger = plan.ledger
            return plan.fresh

        return fresh

    def send(self, recommendations: tuple[Recommendation, ...]) -> tuple[str, ...]:
        """Store and deliver; blocks on the disk. One sentence per sink that failed, to be tried again."""
        self._outbox.put(recommendations)
        return self._outbox.deliver()

    def close(self) -> None:
        """Close the outbox; what was not delivered stays in it."""
        self._outbox.close()
