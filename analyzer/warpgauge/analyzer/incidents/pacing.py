"""How often each detector is asked: one that looks back five minutes or more, every half minute is often enough.

A tenth of a window can change what it shows by a tenth; what such a detector said stands in between, with its numbers
of at most 20 s ago, and a finding of its is raised or cleared so much later. Whoever looks back ten minutes or more for
all that it raises or clears is asked once a minute. The turns are spread over the ticks, so
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

__all__ = ["LAPS", "LAP_TURN", "PACE_SECONDS", "TURNS", "Paced", "paced"]

PACE_SECONDS: Final = 30.0
TURNS: Final[tuple[tuple[str, ...], ...]] = (
    ("input_bound", "change", "counter_drift", "ecc_degradation"),
    ("multivariate", "imbalance", "link_errors", "row_remap"),
    ("bottleneck", "thermal_limited", "hang", "hardware_throttle", "pcie_downtrained", "serving_bound"),
)
"""Detectors by name, a tuple per column of the pace; those of one take about as long together as those of another."""

LAPS: Final[tuple[tuple[str, ...], ...]] = (("idle_allocated",), ("memory_leak",))
"""Those that look back ten minutes or more, a tuple per pace of a minute."""
LAP_TURN: Final = 1  # in which they have their turn: beside those of `TURNS` that take the least time


class Paced:
    """A detector that is asked when its turn comes, first at the first tick."""

    def __init__(self, detector: Detector, turn: int, lap: int = 0, laps: int = 1) -> None:
        self.name = detector.name
        self._detector = detector
        self._turn, self._lap, self._laps = turn, lap, laps

    def detect(self, frame: Frame) -> Detection:
        """What it says, or said at most `laps` times `PACE_SECONDS` ago; one that fails is asked again at once."""
        turn = frame.turn(self._turn, self._lap, self._laps)
        return frame.once(("paced", self.name), lambda: self._detector.detect(frame), turn)


def paced(detectors: Iterable[Detector]) -> tuple[Detector, ...]:
    """The detectors, in their order, each as often as it needs to be asked."""
    turns = {name: (turn,) for turn, names in enumerate(TURNS) for name in names}
    laps = {name: (LAP_TURN, lap, len(LAPS)) for lap, names in enumerate(LAPS) for name in names}
    places: dict[str, tuple[int, ...]] = {**turns, **laps}
    return tuple(
        Paced(one, *places[one.name]) if one.name in places and not isinstance(one, Explainer) else one
        for one in detectors
    )
