"""A device that left its peers in several signals together, while it works as much as they do.

A board that draws a little less power, clocks a little lower and runs a little hotter than its job's others passes
every single threshold; together it does not. Each signal's mean of five minutes is taken as a distance from the median
of the peers (same job, stage and model), in units of how far peers usually scatter. Principal components of these
distances, over all devices of a model, tell which move together when all is well; the Mahalanobis distance counts what
is left. An isolation forest, where there is one, says whether it finds the device odd too.

Only a change counts: where a device always stood apart, or where it works more or less than its peers, it is silent.
It says that something changed, not what is wrong, and so is information; beside another finding of the same device it
is evidence of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.peer_distance import (
    LEAST_COVERAGE,
    SIGNALS,
    Distances,
    by_model,
    chances_of,
    distances,
    inverse_covariance,
)
from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.detection import Candidate, Detection, Judgement, Strength
from warpgauge.analyzer.detection.activity import read_activity
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import device_scope
from warpgauge.analyzer.detection.windows import median
from warpgauge.analyzer.detection.wording import device_name, listed, percent
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Picked
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from warpgauge.analyzer.anomalies.forest import Forests
    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.finding import Evidence

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Multivariate"]

WINDOW_SECONDS: Final = 300.0
ONSET_SECONDS: Final = 60.0
HISTORY_SECONDS: Final = 1800.0  # least time before, in which it must have been like its peers
LEAST_EFFECT: Final = 0.10  # of the peers' level, in one signal at least (Greyhound, ATC'25)
HOLD_EFFECT: Final = 0.07
RETURN_SHARE: Final = 0.5  # of the distance now: a device that stood as far away before did not change
ACTIVITY_CHANGE: Final = 0.05  # of the time at work: a device that works otherwise does everything otherwise
LARGEST_CHANCE: Final = 1e-4  # what is likelier is no candidate; the budget decides on the rest
MOST_ROWS: Final = 100  # looked at closely per tick
STRIDE: Final = 6  # every sixth column of the past is enough
NAMED_SIGNALS: Final = 3
CONFIDENCE: Final = 0.6
CONFIDENCE_CONFIRMED: Final = 0.75
CONFIDENCE_DOUBTED: Final = 0.5


class Multivariate:
    """Names devices that left their peers; `forests` give a second opinion."""

    name = "multivariate"

    def __init__(self, forests: Forests | None = None) -> None:
        self.forests = forests

    def detect(self, frame: Frame) -> Detection:
        """Judge every device with eight peers or more, of a model with enough devices."""
        groups = peer_groups(frame)
        signals = tuple(at for at, (metric, extra, _) in enumerate(SIGNALS) if frame.has(metric, *extra))
        if not signals or not len(groups.devices):
            return Detection()
        found = distances(frame, groups, signals, WINDOW_SECONDS)
        candidates: list[Candidate] = []
        judged = 0
        for one, members in by_model(frame, found):
            judged += len(members)
            candidates += self._of_model(frame, one, members)
        what = "devices, for how they differ from their peers in several signals together"
        judgement = Judgement(detector=self.name, what=what, entities=judged, window_seconds=WINDOW_SECONDS)
        return Detection(candidates=tuple(candidates), judged=judgement if judged else None)

    def _of_model(self, frame: Frame, found: Distances, members: Ints) -> Iterator[Candidate]:
        scaled = found.scaled[members]
        inverse = inverse_covariance(scaled)
        weighted = scaled @ inverse
        chances = chances_of((weighted * scaled).sum(axis=1), len(found.signals))
        is_odd = chances <= LARGEST_CHANCE
        sort = found.sort(frame, int(members[0]))
        if self.forests is not None:
            self.forests.learn(sort, scaled[~is_odd], frame.now)  # frozen for devices that stand apart
        suspects = np.flatnonzero(is_odd)
        suspects = suspects[np.argsort(chances[suspects], kind="stable")][:MOST_ROWS]
        shares = weighted[suspects] * scaled[suspects]
        cases = [_Case(frame, found, int(members[at]), share) for at, share in zip(suspects, shares, strict=True)]
        left = [at for at, case in enumerate(cases) if case.is_worth_a_word()]
        opinions = self.forests.odd(sort, scaled[suspects[left]]) if self.forests is not None and left else None
        for number, at in enumerate(left):
            opinion = None if opinions is None else bool(opinions[number])
            yield cases[at].candidate(float(chances[suspects[at]]), opinion=opinion)


@dataclass(frozen=True)
class _Case:
    """A device that stands apart; `shares` [signal] is what each signal adds to its distance."""

    frame: Frame
    found: Distances
    member: int
    shares: Doubles

    @cached_property
    def effects(self) -> Doubles:
        """[signal], 0 for one that speaks against it."""
        return np.asarray(np.where(self.shares > 0, self.found.effects(self.member), 0.0))

    @cached_property
    def leading(self) -> int:
        """The signal that moved most."""
        return int(np.argmax(self.effects))

    def is_worth_a_word(self) -> bool:
        """Whether a signal moved enough, of a device that works like its peers and did not always stand there."""
        return self.effects[self.leading] >= HOLD_EFFECT and not self._works_otherwise() and self._has_left()

    def _works_otherwise(self) -> bool:
        frame, groups = self.frame, self.found.groups

        def build() -> Mask:
            of_members = groups.of_devices(read_activity(frame, WINDOW_SECONDS).mean)
            away = np.abs(of_members - groups.spread(groups.median(of_members)))
            return np.asarray(~(away < ACTIVITY_CHANGE))

        return bool(frame.once(("members that work otherwise", WINDOW_SECONDS), build)[self.member])

    def _has_left(self) -> bool:
        """Whether it was like its peers before: a device that always stood there did not change."""
        frame, found, row = self.frame, self.found, self.found.row(self.member)
        metric, extra, _ = SIGNALS[found.signals[self.leading]]
        last = frame.columns - round(2 * WINDOW_SECONDS / frame.step_seconds)
        ends = frame.time_ms[: max(last, 0) : STRIDE] / 1000.0
        first = int(np.searchsorted(ends, np.nan_to_num(frame.allocated_since[row]), side="right"))
        if (len(ends) - first) * STRIDE * frame.step_seconds < HISTORY_SECONDS * LEAST_COVERAGE:
            return False
        rows = found.groups.devices[found.peers(self.member)]
        past = Picked(frame.columns_of(TableName.DEVICES), rows[rows >= 0], slice(first * STRIDE, max(last, 0), STRIDE))
        values = channel(metric, *extra).read(past).T
        own = values[int(np.flatnonzero(rows[rows >= 0] == row)[0])]
        before = float(median(own.astype(np.float64) - median(values.T)))
        return abs(before) <= RETURN_SHARE * abs(float(found.away[self.member, self.leading]))

    def _since(self) -> float:
        """When it began, by how much of the window lies behind it; the engine keeps the earliest.

        A device that was not heard of in the newest seconds may have been so all along.
        """
        found, member, leading = self.found, self.member, self.leading
        metric, extra, _ = SIGNALS[found.signals[leading]]
        newest = found.groups.of_devices(self.frame.window(channel(metric, *extra), ONSET_SECONDS).mean)
        now = float(newest[member] - median(newest[found.peers(member)]))
        share = abs(float(found.away[member, leading]) / now) if now and np.isfinite(now) else 1.0
        return float(self.frame.now - WINDOW_SECONDS * min(max(share, 0.0), 1.0))

    def candidate(self, chance: float, *, opinion: bool | None) -> Candidate:
        """What is said of it; `opinion` is the forest's."""
        frame, row, since = self.frame, self.found.row(self.member), self._since()
        entity, peers = frame.devices.entities[row], self.found.peers(self.member)
        others = [at for at in np.argsort(-self.shares).tolist() if self.effects[at] >= HOLD_EFFECT / 2]
        order = list(dict.fromkeys([self.leading, *others]))[:NAMED_SIGNALS]
        second = {None: "", True: " An isolation forest finds it odd too.", False: " An isolation forest does not."}
        sure = {None: CONFIDENCE, True: CONFIDENCE_CONFIRMED, False: CONFIDENCE_DOUBTED}
        return Candidate(
            kind=FindingKind.LEVEL_SHIFT,
            scope=device_scope(frame, row),
            severity=Severity.INFO,
            since=since,
            confidence=sure[opinion],
            evidence=tuple(self._evidence(at) for at in order),
            summary=f"{device_name(entity)} differs from its {peers.stop - peers.start - 1} peers at the same work:"
            f" {listed([self._words(at) for at in order])}.{second[opinion]}",
            remedy="Compare it with a neighbor under the same load: clocks, power limit, temperatures, cables; then"
            " look at what changed on it at that time.",
            simulated=entity.simulated,
            strength=Strength.RAISE if self.effects[self.leading] >= LEAST_EFFECT else Strength.HOLD,
            chance=chance,
            is_supporting=True,
        )

    def _words(self, at: int) -> str:
        away = self.found.away[self.member, at]
        what = SIGNALS[self.found.signals[at]][2]
        return f"{what} {percent(float(self.effects[at]))} {'above' if away > 0 else 'below'} theirs"

    def _evidence(self, at: int) -> Evidence:
        metric, extra, _ = SIGNALS[self.found.signals[at]]
        center, away = float(self.found.centers[self.member, at]), float(self.found.away[self.member, at])
        names = [label for label in metric.labels if label not in {"uuid", "index", "instance_id"}]
        labels = ", ".join(f'{name}="{value}"' for name, value in zip(names, extra, strict=False))
        return measured(
            metric,
            center + away,
            labels="{" + labels + "}" if labels else "",
            baseline=center,
            threshold=center + float(np.sign(away)) * LEAST_EFFECT * abs(center),
            window_seconds=WINDOW_SECONDS,
        )
