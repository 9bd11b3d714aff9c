"""What a collector of metrics gets of a scenario: scrape by scrape, with everything that troubles telemetry.

Series come and go with what they tell of: a job that is not there, a device that does not answer, a machine of which
nothing is heard. Scrapes are missed, clocks run ahead, an exporter that starts anew counts what it counts itself from
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap
from random import Random
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device, training
from warpgauge.core.device import DeviceState
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic.scenario.causes import Strikes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.synthetic.gpu import Gpu
    from warpgauge.exporters.synthetic.one_series import Series, Value
    from warpgauge.exporters.synthetic.scenario.plan import TroublePlan
    from warpgauge.exporters.synthetic.scenario.world import Shift, World

__all__ = ["Channel", "Scrape", "Telemetry"]

_STAYS: Final = frozenset({device.DEVICE_UP, device.DEVICE_STATE, device.LAST_SAMPLE, device.DEVICE_INFO})
"""What an agent still says of a device that does not answer."""

_OWN_COUNTS: Final = frozenset({training.STEP_SECONDS, training.PHASE_SECONDS, device.XID_EVENTS})
"""What an agent counts itself; a driver's and a kernel's counters outlive it."""

_STAGGER_SECONDS: Final = 0.01  # a scraper asks one target after the other


@dataclass(slots=True)
class Channel:
    """One series of one machine's page."""

    number: int
    node: str
    series: Series
    read: Callable[[], Value]
    gate: int  # number of what must be there for it to be told
    offset: Value | None = None  # what an exporter had counted before it started anew

    def value(self) -> Value:
        """Its present value, as the exporter tells it."""
        value = self.read()
        if self.offset is None:
            return value
        return _since(value, self.offset)


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one target told at one moment; `channels` are the series that were on its page."""

    node: str
    time: float
    channels: tuple[Channel, ...]  # the same object as long as the same series are there
    values: list[Value]


class _Page:
    """A machine's page while the same series stand on it; what never moves is read once."""

    def __init__(self, channels: tuple[Channel, ...]) -> None:
        self.channels = channels
        self._values = [channel.value() for channel in channels]
        self._moving = [(at, one) for at, one in enumerate(channels) if not one.series.is_constant]

    def values(self) -> list[Value]:
        """The present values, in the order of the channels."""
        values = self._values.copy()
        for at, channel in self._moving:
            values[at] = channel.read() if channel.offset is None else channel.value()
        return values


class Telemetry:
    """Drives a world and gives its scrapes in the order of time.

    `wanted` chooses metrics: what nobody reads needs not be made.
    """

    def __init__(self, world: World, wanted: Callable[[Metric], bool] = lambda _: True) -> None:
        self.world = world
        self.channels: list[Channel] = []
        self._random = Random(f"{world.scenario.seed}:telemetry")
        self._gates: list[Callable[[float], bool]] = []
        self._of_node = {
            node.name: list(self._channels(node.name, number, wanted)) for number, node in enumerate(world.nodes)
        }
        self._gates_of = {
            node: sorted({channel.gate for channel in channels}) for node, channels in self._of_node.items()
        }
        self._pages: dict[tuple[str, tuple[bool, ...]], _Page] = {}
        plans = world.scenario.troubles
        self._troubles_of = [
            [trouble for trouble in plans if trouble.node in {-1, number}] for number in range(len(world.nodes))
        ]
        self._restarts_due = [
            [trouble.start_seconds for trouble in here if trouble.kind == "exporter_restart"]
            for here in self._troubles_of
        ]

    def scrapes(self) -> Iterator[list[Scrape]]:
        """One list per round of scrapes, from the start to the end of the scenario."""
        scenario = self.world.scenario
        for round_ in range(int(scenario.duration_seconds / scenario.scrape_seconds) + 1):
            seconds = round_ * scenario.scrape_seconds
            self.world.advance(scenario.start + seconds)
            is_there = [gate(self.world.time) for gate in self._gates]
            numbers = range(len(self.world.nodes))
            yield [one for number in numbers if (one := self._scrape(number, seconds, is_there)) is not None]

    def _scrape(self, number: int, seconds: float, is_there: list[bool]) -> Scrape | None:
        node = self.world.nodes[number].name
        if self._restarts(number, seconds) or self._is_missed(number, seconds) or self._is_silent(number):
            return None
        page = self._page(node, is_there)
        values, channels = page.values(), page.channels
        skew = sum(one.skew_seconds for one in self._troubles("clock_skew", number, seconds))
        if skew:
            values = list(starmap(_skewed, zip(channels, values, [skew] * len(values), strict=True)))
        time = self.world.time + skew + number * _STAGGER_SECONDS
        return Scrape(node, round(time, 3), channels, values)

    def _page(self, node: str, is_there: list[bool]) -> _Page:
        state = tuple(is_there[gate] for gate in self._gates_of[node])
        page = self._pages.get((node, state))
        if page is None:
            channels = tuple(channel for channel in self._of_node[node] if is_there[channel.gate])
            page = self._pages[node, state] = _Page(channels)
        return page

    # ---- troubles

    def _troubles(self, kind: str, number: int, seconds: float) -> Iterator[TroublePlan]:
        for trouble in self._troubles_of[number]:
            lasts = trouble.duration_seconds or float("inf")
            if trouble.kind == kind and trouble.start_seconds <= seconds < trouble.start_seconds + lasts:
                yield trouble

    def _is_missed(self, number: int, seconds: float) -> bool:
        shares = [one.share for one in self._troubles("missing_scrapes", number, seconds)]
        return bool(shares) and self._random.random() < max(shares)

    def _is_silent(self, number: int) -> bool:
        host = self.world.nodes[number].host
        silent = (one.target for one in self.world.faults if one.cause.strikes is Strikes.NODE)
        return any(target.is_silent and target.host is host for target in silent)

    def _restarts(self, number: int, seconds: float) -> bool:
        """Whether the exporter starts anew just now; its page is not there for this once."""
        due = self._restarts_due[number]
        later = [start for start in due if start > seconds]
        if len(later) == len(due):
            return False
        self._restarts_due[number] = later
        for channel in self._of_node[self.world.nodes[number].name]:
            if channel.series.metric in _OWN_COUNTS:
                channel.offset = channel.read()
        return True

    # ---- which series there are, and when

    def _channels(self, node: str, number: int, wanted: Callable[[Metric], bool]) -> Iterator[Channel]:
        gpus = {gpu.uuid: gpu for gpu in self.world.nodes[number].gpus}
        gates: dict[tuple[str, ...], int] = {}
        for series in self.world.series(node):
            if not wanted(series.metric):
                continue
            place = _place_of(series)
            if place not in gates:
                gates[place] = len(self._gates)
                self._gates.append(self._gate(place, gpus))
            self.channels.append(Channel(len(self.channels), node, series, series.read, gates[place]))
            yield self.channels[-1]

    def _gate(self, place: tuple[str, ...], gpus: dict[str, Gpu]) -> Callable[[float], bool]:
        what, *names = place
        if what == "job":
            shift, rank = self._seat(names[0], int(names[1]))
            return lambda now: rank < shift.devices(now)
        if what == "jobs":
            shift, _ = self._seat(names[0], 0)
            return lambda now: shift.devices(now) > 0
        if what == "workload":
            shift, rank = self._seat(names[1], self._rank(names[1], names[0]))
            seen = self._visible(gpus[names[0]])
            return lambda now: rank < shift.devices(now) and seen(now)
        if what == "device":
            gpu, seen = gpus[names[0]], self._visible(gpus[names[0]])
            return lambda now: gpu.state is DeviceState.OK and seen(now)
        if what == "stays":
            return self._visible(gpus[names[0]])
        return lambda _now: True

    def _visible(self, gpu: Gpu) -> Callable[[float], bool]:
        """Whether a device stands on its machine's page at all."""
        targets = [one.target for one in self.world.faults if gpu in one.target.gpus]
        return lambda _now: not any(target.is_silent for target in targets)

    def _seat(self, job_id: str, rank: int) -> tuple[Shift, int]:
        shift = next(one for one in self.world.shifts if one.owner.job_id == job_id)
        return shift, rank

    def _rank(self, job_id: str, uuid: str) -> int:
        shift = next(one for one in self.world.shifts if one.owner.job_id == job_id)
        return next(rank for rank, seat in enumerate(shift.seats) if seat.gpu.uuid == uuid)


def _since(value: Value, offset: Value) -> Value:
    """What was counted since; both are of one series, so both are histograms or neither is."""
    if isinstance(value, Histogram):
        then = offset if isinstance(offset, Histogram) else Histogram((0,) * len(value.counts), 0.0)
        return Histogram(tuple(map(int.__sub__, value.counts, then.counts)), value.sum - then.sum)
    return value - (0.0 if isinstance(offset, Histogram) else offset)


def _place_of(series: Series) -> tuple[str, ...]:
    """What must be there for a series to be told: ("device", uuid), ("job", id, rank), ("jobs", id) and so on."""
    metric, labels = series.metric, series.labels
    if metric is device.WORKLOAD_INFO:
        return ("workload", labels[0], labels[metric.labels.index("job_id")])
    if "uuid" in metric.labels:
        return ("stays" if metric in _STAYS else "device", labels[metric.labels.index("uuid")])
    if "model" in metric.labels:  # the page of a server is there as long as the server
        return ("jobs", labels[metric.labels.index("model")])
    if "job_id" in metric.labels:
        job_id, rank = (labels[metric.labels.index(name)] for name in ("job_id", "rank"))
        return ("job", job_id, rank) if rank else ("jobs", job_id)
    return ("node",)


def _skewed(channel: Channel, value: Value, skew: float) -> Value:
    """A machine's clock also dates what it tells of its devices."""
    if channel.series.metric is device.LAST_SAMPLE and not isinstance(value, Histogram):
        return value + skew
    return value
