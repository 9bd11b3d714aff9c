"""What every device said last, and the lines that say it on a page.

A device that stops answering loses its data series at once; whether it is up, its state and the time of its last
sample stay for every device ever seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import device as rows
from warpgauge.core.device import DeviceState
from warpgauge.core.exposition import FamilyRenderer, FamilyText
from warpgauge.core.sample import Sample, Samples
from warpgauge.exporters.attribution.claims import Held
from warpgauge.exporters.attribution.workload import Holder
from warpgauge.exporters.device_events import DeviceEvents
from warpgauge.exporters.ledger import Ledger
from warpgauge.exporters.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.core.clock import Clock
    from warpgauge.core.device import Device
    from warpgauge.exporters.increments import Increment

__all__ = ["Readings", "Standing"]

_STATES: Final = tuple(state.value for state in DeviceState)


@dataclass(slots=True)
class Standing:
    """Where a device stands, whatever happened to its data."""

    device: Device
    collector: str
    state: DeviceState
    last_sample: float | None = None  # seconds since the epoch
    is_degraded: bool = False  # says so itself, until it says otherwise


@dataclass(slots=True)
class _Block:
    """Samples of one collector and tier, by device (None: of no device), and their lines once rendered."""

    samples: dict[str | None, Iterable[Sample]] = field(default_factory=dict)
    renderer: FamilyRenderer = field(default_factory=FamilyRenderer)
    lines: Mapping[Metric, FamilyText] | None = None
    version: int = 0

    def change(self) -> None:
        """Its samples are others now."""
        self.lines = None
        self.version += 1


@dataclass(frozen=True, slots=True)
class _Later:
    """Samples that are made when somebody looks at them, which is seldom."""

    make: Callable[[], Iterable[Sample]]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.make())


class Readings:
    """The latest of everything. Used from the event loop only; `on_change` is told after each change."""

    def __init__(self, clock: Clock, on_change: Callable[[], None] = lambda: None) -> None:
        self.tally = Tally()
        self.on_change = on_change
        self._clock = clock
        self._standings: dict[str, Standing] = {}
        self._holders: Mapping[str, tuple[Holder, ...] | None] = {}
        self._instances: Mapping[str, Mapping[str, str]] = {}  # of each partitioned device: id by UUID
        self._blocks: dict[tuple[str, Tier | None], _Block] = {}  # None: what the ledger holds
        self._ledger = Ledger()
        self._about_devices = FamilyRenderer()
        self.events = DeviceEvents(clock)
        self._happenings = FamilyRenderer()
        self._happened: tuple[object, Mapping[Metric, FamilyText]] | None = None  # what they were rendered from

    @property
    def standings(self) -> Sequence[Standing]:
        """Every device ever seen, by index."""
        return sorted(self._standings.values(), key=lambda standing: (standing.collector, standing.device.index))

    def see(self, collector: str, device: Device, state: DeviceState = DeviceState.OK) -> None:
        """A device showed itself; one that is known keeps its state until it is read."""
        known = self._standings.get(device.uuid)
        if known is None:
            self._standings[device.uuid] = Standing(device, collector, state)
        else:
            known.device = device
        self.on_change()

    def forget(self, uuid: str) -> None:
        """Take away a stand-in for a device that has since said its name."""
        if self._standings.pop(uuid, None) is not None:
            self.on_change()

    def hold(self, uuid: str, holders: Sequence[tuple[int, str]] | None) -> None:
        """Who has a device open now, None if its driver does not tell."""
        found = None if holders is None else tuple(Holder(pid, instance) for pid, instance in holders)
        if self._holders.get(uuid) != found:
            self._holders = {**self._holders, uuid: found}  # never changed in place: another thread looks at it

    def held(self) -> tuple[Held, ...]:
        """Every device and who has it open; may be called from any thread."""
        holders, instances = self._holders, self._instances
        return tuple(
            Held(one.device, holders.get(one.device.uuid), instances.get(one.device.uuid, {})) for one in self.standings
        )

    def update(self, collector: str, tier: Tier, uuid: str | None, samples: Sequence[Sample]) -> None:
        """New samples of one device and tier in place of the last ones; a device that gives any is well."""
        block = self._block(collector, tier)
        block.samples[uuid] = samples
        block.change()
        if uuid is not None and tier is rows.INSTANCE_INFO.tier:
            self._note_instances(uuid, samples)
        standing = self._standings.get(uuid) if uuid is not None else None
        if standing is not None and samples:
            standing.last_sample = self._clock.now()
            if tier is rows.ROW_REMAP_FAILED.tier:
                standing.is_degraded = _says_degraded(samples, before=standing.is_degraded)
            standing.state = DeviceState.DEGRADED if standing.is_degraded else DeviceState.OK
        self.on_change()

    def add(self, collector: str, device: Device, increments: Sequence[Increment]) -> None:
        """What a device's histograms gained; they go on from where they stood, however often its data went away."""
        self._ledger.add(device.uuid, increments)
        block = self._block(collector, None)
        block.samples[device.uuid] = _Later(lambda: self._ledger.samples(device))
        block.change()
        self.on_change()

    def mark(self, uuid: str, state: DeviceState) -> None:
        """A device stopped answering: its data goes, its state stays."""
        self._standings[uuid].state = state
        self.hold(uuid, None)
        self._drop(lambda _, owner: owner == uuid)

    def drop(self, collector: str) -> None:
        """A collector stopped answering: all its data goes."""
        self._drop(lambda name, _: name == collector)

    def happened(self, device: Device, kind: str, number: int, *, source: str, detail: str = "") -> None:
        """Something happened to a device."""
        if kind == "xid":
            self.events.xid(device, number, source=source, detail=detail)
        else:
            self.events.other(device, kind)
        self.on_change()

    def freshen(self) -> Iterator[None]:
        """Render what changed, a portion at a time."""
        for block in list(self._blocks.values()):
            if block.lines is None:
                version = block.version
                samples = yield from _together(tuple(block.samples.values()))
                lines = yield from block.renderer.portions(samples)
                if version == block.version:  # else it has changed meanwhile, and is rendered anew when that is wanted
                    block.lines = lines
                yield
        yield from self.tally.freshen()

    def families(self) -> list[Mapping[Metric, FamilyText]]:
        """Lines of everything; only what changed is rendered again."""
        for _ in self.freshen():
            pass
        lines = [block.lines for block in self._blocks.values() if block.lines is not None]
        about = self._about_devices.render(_standing_samples(self._standings.values()))
        return [about, self._events_lines(), *lines, *self.tally.families()]

    def samples(self) -> Iterator[Sample]:
        """Everything that is on the page."""
        yield from _standing_samples(self._standings.values())
        yield from self.events.samples(self._with_events())
        for block in self._blocks.values():
            for part in block.samples.values():
                yield from part
        yield from self.tally.samples()

    def samples_of(self, uuid: str | None) -> list[Sample]:
        """The latest samples of one device, or of no device."""
        return [sample for block in self._blocks.values() for sample in block.samples.get(uuid, ())]

    def _block(self, collector: str, tier: Tier | None) -> _Block:
        block = self._blocks.get((collector, tier))
        if block is None:
            block = self._blocks[collector, tier] = _Block()
        return block

    def _note_instances(self, uuid: str, samples: Sequence[Sample]) -> None:
        infos = [sample for sample in samples if sample.metric is rows.INSTANCE_INFO]
        found = {sample.label("instance_uuid") or "": sample.label("instance_id") or "" for sample in infos}
        if self._instances.get(uuid, {}) != found:
            self._instances = {**self._instances, uuid: found}

    def _events_lines(self) -> Mapping[Metric, FamilyText]:
        devices = self._with_events()
        state = (self.events.version, devices)
        if self._happened is None or self._happened[0] != state:
            self._happened = (state, self._happenings.render(self.events.samples(devices)))
        return self._happened[1]

    def _with_events(self) -> tuple[Device, ...]:
        return tuple(it.device for it in self._standings.values() if it.device.vendor == "nvidia")

    def _drop(self, is_gone: Callable[[str, str | None], bool]) -> None:
        for (collector, _), block in self._blocks.items():
            for owner in [owner for owner in block.samples if is_gone(collector, owner)]:
                del block.samples[owner]
                block.change()
        self.on_change()


def _together(parts: Iterable[Iterable[Sample]]) -> Generator[None, None, Samples]:
    """Samples of several devices, with a pause after each that makes its own only now."""
    made: list[Iterable[Sample]] = []
    for part in parts:
        made.append(Samples.of(part) if isinstance(part, _Later) else part)
        if isinstance(part, _Later):
            yield
    return Samples.together(made)


def _says_degraded(samples: Sequence[Sample], *, before: bool) -> bool:
    """Whether the device reports a fault that limits it; samples without the sign change nothing."""
    signs = [sample.value == 1.0 for sample in samples if sample.metric is rows.ROW_REMAP_FAILED]
    return any(signs) if signs else before


def _standing_samples(standings: Iterable[Standing]) -> Iterable[Sample]:
    for standing in standings:
        identity = standing.device.labels
        is_up = standing.state in {DeviceState.OK, DeviceState.DEGRADED} and standing.last_sample is not None
        yield Sample(rows.DEVICE_UP, identity, float(is_up))
        if standing.last_sample is not None:
            yield Sample(rows.LAST_SAMPLE, identity, standing.last_sample)
        for state in _STATES:
            yield Sample(rows.DEVICE_STATE, (*identity, state), float(state == standing.state.value))
