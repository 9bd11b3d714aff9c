"""How far each device stands from its peers in several signals together.

Distances are from the median of the peers (same job, stage and model), in units of how far these scatter; principal
components over all devices of a model tell which signals move together when all is well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.chances import chi_square_tail
from warpgauge.analyzer.detection.places import model_numbers
from warpgauge.analyzer.detection.windows import median
from warpgauge.analyzer.frame import channel
from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from warpgauge.analyzer.anomalies.peers import Groups
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.catalog import Metric

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["SIGNALS", "Distances", "by_model", "chances_of", "distances", "inverse_covariance"]

LEAST_COVERAGE: Final = 0.8
LEAST_PEERS: Final = 8
LEAST_DEVICES: Final = 32  # of a model: fewer do not tell which signals move together
LEAST_SIGNALS: Final = 2  # of one alone others judge
LEAST_SHARE: Final = 0.5  # of a model's devices that measure a signal
LEAST_SPREAD: Final = 0.01  # of the peers' level
CLIPPED_AT: Final = 2.0  # spreads, in what the components are learnt from: a fault does not teach that it is normal
RIDGE: Final = 0.05
_MAD_TO_SIGMA: Final = 1.4826
TAIL_FREEDOM: Final = 30.0  # tails are heavier than those of a normal distribution, as Student's of so many degrees

SIGNALS: Final[tuple[tuple[Metric, tuple[str, ...], str], ...]] = (
    (device.POWER, (), "power draw"),
    (device.CLOCK, ("sm",), "SM clock"),
    (device.TEMPERATURE, ("core",), "core temperature"),
    (device.TEMPERATURE, ("memory",), "memory temperature"),
    (device.COMPUTE_ACTIVE, (), "SM activity"),
    (device.MEMORY_BANDWIDTH_ACTIVE, (), "memory traffic"),
    (device.PIPE_ACTIVE, ("tensor",), "tensor activity"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """Of the members of all groups from their peers, [member, signal]."""

    groups: Groups
    signals: tuple[int, ...]  # indices into SIGNALS
    centers: Doubles  # median of the peers
    away: Doubles  # from that median, in the signal's unit
    scaled: Doubles  # in spreads of the peers

    def of(self, columns: Ints) -> Distances:
        """The same by some of the signals."""
        return Distances(
            groups=self.groups,
            signals=tuple(self.signals[at] for at in columns.tolist()),
            centers=self.centers[:, columns],
            away=self.away[:, columns],
            scaled=self.scaled[:, columns],
        )

    def effects(self, member: int) -> Doubles:
        """[signal], how far from the peers as a share of their level."""
        level = np.maximum(np.abs(self.centers[member]), np.finfo(np.float32).tiny)
        return np.asarray(np.abs(self.away[member]) / level)

    def peers(self, member: int) -> slice:
        """The members of its group, itself among them."""
        ends = np.cumsum(self.groups.sizes)
        group = int(np.searchsorted(ends, member, side="right"))
        return slice(int(ends[group] - self.groups.sizes[group]), int(ends[group]))

    def row(self, member: int) -> int:
        """Row of frame.devices."""
        return int(self.groups.devices[member])

    def sort(self, frame: Frame, member: int) -> tuple[str, tuple[int, ...]]:
        """What a member may be compared with: its model, by these signals."""
        return (frame.devices.entities[self.row(member)].model, self.signals)


def distances(frame: Frame, groups: Groups, signals: tuple[int, ...], seconds: float) -> Distances:
    """Of all members of all groups, by the means of the last `seconds`; NaN where one is not known."""
    shape = (len(groups.devices), len(signals))
    found = Distances(
        groups=groups, signals=signals, centers=np.empty(shape), away=np.empty(shape), scaled=np.empty(shape)
    )
    has_peers = groups.spread(groups.sizes.astype(np.float64)) >= LEAST_PEERS
    for column, at in enumerate(signals):
        metric, extra, _ = SIGNALS[at]
        window = frame.window(channel(metric, *extra), seconds)
        values = groups.of_devices(np.where(window.coverage >= LEAST_COVERAGE, window.mean, np.nan))
        center = groups.spread(groups.median(values))
        distance = np.where(has_peers, values - center, np.nan)
        spread = _MAD_TO_SIGMA * groups.spread(groups.median(np.abs(distance))) + LEAST_SPREAD * np.abs(center)
        found.centers[:, column], found.away[:, column] = center, distance
        found.scaled[:, column] = distance / np.maximum(spread, np.finfo(np.float32).tiny)
    return found


def by_model(frame: Frame, found: Distances) -> Iterator[tuple[Distances, Ints]]:
    """The members of each model with all signals that most of it measures; models with too few are left out."""
    numbers = model_numbers(frame)
    has_device = np.flatnonzero(found.groups.devices >= 0)
    own = numbers[found.groups.devices[has_device]]
    is_known = np.isfinite(found.away)
    for number in np.unique(own):
        members = has_device[own == number]
        measured = np.flatnonzero(is_known[members].mean(axis=0) >= LEAST_SHARE)
        known = members[is_known[np.ix_(members, measured)].all(axis=1)]
        if len(measured) >= LEAST_SIGNALS and len(known) >= LEAST_DEVICES:
            yield found.of(measured), known


def inverse_covariance(scaled: Doubles) -> Doubles:
    """Of what moves together: by principal components, the weakest of which are not trusted below `RIDGE`."""
    bounded = np.clip(scaled, -CLIPPED_AT, CLIPPED_AT)
    values, vectors = np.linalg.eigh(bounded.T @ bounded / len(bounded))
    return np.asarray((vectors / np.maximum(values, RIDGE)) @ vectors.T)


def chances_of(squared: Doubles, signals: int) -> Doubles:
    """Chance of so large a distance; half of the devices are taken to be as scattered as chance has it."""
    usual = signals * (1.0 - 2.0 / (9.0 * signals)) ** 3  # median of the chi-square distribution
    ratio = np.maximum(squared / max(float(median(squared)) / usual, 1.0), 0.0)
    lighter = TAIL_FREEDOM * np.log1p(ratio / TAIL_FREEDOM)
    large = lighter > 3.0 * signals  # the others are likelier than one in a hundred
    chances = np.ones(len(squared))
    chances[large] = chi_square_tail(lighter[large], np.full(int(large.sum()), float(signals)))
    return chances
