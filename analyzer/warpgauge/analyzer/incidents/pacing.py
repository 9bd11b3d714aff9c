"""How often each detector is asked: one that looks back five minutes or more, every half minute is often enough.

A tenth of a window can change what it shows by a tenth; what such a detector said stands in between, with its numbers
of at most 20 s ago, and a finding of its is raised or cleared so much later. The turns are spread over the ticks, so
that no tick carries them all. Whoever tells within seconds (lost devices, silence, stragglers, full hosts) is asked at
every tick, and so is whoever counts time up or names processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection import Explainer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.analyzer.detection import Detection, Detector
    from warpgauge.analyzer.frame import Frame

__all__ = ["PACE_SECONDS", "TURNS", "Paced", "paced"]

PACE_SECONDS: Final = 30.0
TURNS: Final[tuple[tuple[str, ...], ...]] = (
    ("input_bound", "change", "counter_drift", "ecc_degradation"),
    ("multivariate", "idle_allocated", "imbalance", "link_errors", "row_remap"),
    ("bottleneck", "thermal_limited", "hang", "memory_leak", "hardware_throttle", "pcie_downtrained", "serving_bound"),
)
"""Detectors by name, a tuple per column of the pace; those of one take about as long together as those of another."""


class Paced:
    """A detector that is asked when its turn comes, first at the first tick."""

    def __init__(self, detector: Detector, turn: int) -> None:
        self.name = detector.name
        self._detector = detector
        self._turn = turn

    def detect(self, frame: Frame) -> Detection:
        """What it says, or said at most `PACE_SECONDS` ago; one that fails is asked again at the next tick."""
        return frame.once(("paced", self.name), lambda: self._detector.detect(frame), frame.turn(self._turn))


def paced(detectors: Iterable[Detector]) -> tuple[Detector, ...]:
    """The detectors, in their order, each as often as it needs to be asked."""
    turns = {name: turn for turn, names in enumerate(TURNS) for name in names}
    return tuple(
        Paced(one, turns[one.name]) if one.name in turns and not isinstance(one, Explainer) else one
        for one in detectors
    )
