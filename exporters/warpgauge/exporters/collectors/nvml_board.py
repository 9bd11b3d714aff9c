"""One open GPU: what it can do, and its counters that need a past.

A call or field that the board does not support is remembered and not made again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import device as rows
from warpgauge.core.sample import ReadError, Sample, Samples
from warpgauge.exporters.collectors.collector import DriverError
from warpgauge.exporters.collectors.identity import device_info
from warpgauge.exporters.collectors.nvml_api import CallFailedError, Verdict
from warpgauge.exporters.collectors.nvml_field_batch import FieldBatch
from warpgauge.exporters.collectors.nvml_fields import Field, Unwrapped, superseded, to_readings
from warpgauge.exporters.collectors.nvml_mig import WHOLE
from warpgauge.exporters.collectors.nvml_samples import SOURCES, SampleBuffers
from warpgauge.exporters.collectors.time_gain import Telling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.core.clock import Clock
    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.activity_time import ActivityTime
    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Getter, Reading
    from warpgauge.exporters.collectors.nvml_gpm import Gpm
    from warpgauge.exporters.collectors.nvml_gpm_counters import GpmCounters
    from warpgauge.exporters.collectors.nvml_mig import Partitions, Standing
    from warpgauge.exporters.increments import Bookmark, Gains

__all__ = ["GONE", "Board", "Part"]

GONE: Final = {Verdict.LOST: "lost", Verdict.NEEDS_RESET: "needs_reset"}
"""Verdicts that say a device cannot be read any more, and the reason that a `ReadError` gives for it."""


class Part(Protocol):
    """Something that one board tells with calls of its own."""

    name: str
    tier: Tier

    def read(self) -> Iterable[Reading]:
        """What it says now.

        Raises:
            CallFailedError: it says nothing; what the board does not support is not asked again.

        """


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be asked while so many things are unsupported: ever more, until all is forgotten."""

    unsupported: int
    fields: dict[Tier, list[Field]]  # that the board may support
    told: frozenset[Metric]  # by any of them


_Columns = tuple[list["Metric"], list[tuple[str, ...]], list[tuple[str, ...]]]
"""Metrics, labels after the identity, and all labels."""

_NO_PLAN: Final = _Plan(-1, {}, frozenset())


@dataclass(slots=True, kw_only=True)
class Board:
    """One open GPU: what it can do, and its counters that need a past."""

    api: NvmlApi
    handle: Any
    device: Device
    clock: Clock
    getters: tuple[Getter, ...]
    fields: tuple[Field, ...]
    firmware: tuple[str, str]  # versions of VBIOS and inforom
    gpm: Gpm | None
    gpm_counters: GpmCounters | None = None
    activity: ActivityTime
    is_profiled: bool = True  # whether GPM may be read now
    parts: tuple[Part, ...] = ()
    buffers: SampleBuffers
    counters: Unwrapped
    partitions: Partitions | None = None  # None where the board cannot be cut
    unsupported: set[object] = field(default_factory=set)  # and fields that another one makes needless
    standing: Standing = WHOLE  # towards MIG, as of the last reading
    _plan: _Plan = field(default=_NO_PLAN, init=False)
    _telling: Telling = field(default_factory=Telling, init=False)
    _said: dict[Tier, _Columns] = field(default_factory=dict, init=False)  # made anew they would be cold memory
    _batches: dict[Tier, FieldBatch] = field(default_factory=dict, init=False)
    _getters: dict[Tier, list[Getter]] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the calls by how often they are made."""
        self._getters = {tier: [getter for getter in self.getters if getter.tier is tier] for tier in Tier}

    def read(self, tier: Tier) -> tuple[Sequence[Sample], list[ReadError]]:
        """All samples of a tier, or one error and no sample at all when the board is gone."""
        errors: list[ReadError] = []
        try:
            self._keep_up(tier, errors)
            readings = [*self._direct(tier, errors), *self._fields(tier, errors)]
            if readings or not errors:  # of a board that refuses everything nothing stands that was said before
                readings += [*self._profile(tier, errors), *self._distributions(tier, errors)]
                readings += [*self._totals(tier, errors)]
            readings += [reading for part in self.parts if part.tier is tier for reading in self._part(part, errors)]
            readings += self._instances(tier, errors)
        except CallFailedError as failure:
            if failure.verdict is Verdict.DRIVER:
                raise DriverError(failure.driver_reason, failure.detail) from failure
            return [], [self._error(GONE[failure.verdict], failure.detail)]
        samples = Samples(*self._series(tier, readings), [it[2] for it in readings])
        return ([*samples, *self._infos()] if tier is Tier.SLOW else samples), errors

    def _series(self, tier: Tier, readings: Sequence[Reading]) -> tuple[list[Metric], list[tuple[str, ...]]]:
        """Their columns, the same objects as at the last reading where the series are: see `_said`."""
        metrics, after = [it[0] for it in readings], [it[1] for it in readings]
        said = self._said.get(tier)
        if said is None or said[0] != metrics or said[1] != after:
            identity = self.device.labels
            said = self._said[tier] = metrics, after, [identity + labels for labels in after]
        return said[0], said[2]

    def gained(self) -> tuple[Gains, Bookmark]:
        """What the histograms gained since this was last asked, and where another process can go on."""
        bookmark = {**self.buffers.bookmark, **self.counters.bookmark, **self.activity.bookmark}
        return self._telling.gains([*self.buffers.gains, *self.activity.gains]), bookmark

    def keep_fine(self, *, is_wanted: bool) -> None:
        """Count the histograms in narrower buckets too, or no longer."""
        self.buffers.is_fine = self.activity.is_fine = is_wanted

    def close(self) -> None:
        """Give back what the driver lent for this board."""
        if self.partitions is not None:
            self.partitions.close()
        if self.gpm is not None:
            try:
                self.gpm.close()
            except CallFailedError:
                return  # a board that is gone took its samples along

    def _keep_up(self, tier: Tier, errors: list[ReadError]) -> None:
        """Notice a change of MIG: what the board could not do it may do now, and averages begin anew."""
        if self.partitions is None:
            return
        try:
            self.partitions.keep_up(tier)
        except CallFailedError as failure:
            self._judge(failure, "partitions", errors)
        if self.standing != self.partitions.standing:
            self.standing = self.partitions.standing
            self.unsupported.clear()
            self._plan = _NO_PLAN
            if self.gpm is not None:
                self.gpm.forget()

    def _instances(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        if self.partitions is not None:
            self.partitions.is_profiled = self.is_profiled
            try:
                yield from self.partitions.read(tier, errors, self.device.uuid)
            except CallFailedError as failure:
                self._judge(failure, "partitions", errors)

    def _direct(self, tier: Tier, errors: list[ReadError]) -> list[Reading]:
        """Of a board in parts, not what these tell: no total stands beside its parts."""
        is_partitioned = self.standing.is_partitioned
        readings: list[Reading] = []
        for getter in self._getters[tier]:
            if not (is_partitioned and getter.metric.by_instance):
                readings += self._get(getter, errors)
        return readings

    def _get(self, getter: Getter, errors: list[ReadError]) -> Iterable[Reading]:
        key = (getter.function, getter.arguments)
        if key not in self.unsupported:
            try:
                return getter.values(self.api.call(getter.function, self.handle, *getter.arguments))
            except CallFailedError as failure:
                self._judge(failure, key, errors)
        return self._get(getter.instead, errors) if key in self.unsupported and getter.instead else ()

    def _fields(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        fields = self._planned().fields.get(tier)
        if not fields or "fields" in self.unsupported:
            return ()
        batch = self._batches.get(tier)
        if batch is None or batch.fields != fields:
            batch = self._batches[tier] = FieldBatch(self.api, self.handle, fields)
        now = self.clock.monotonic()
        try:
            readings = batch.readings(self.counters, now)
        except CallFailedError as failure:
            self._judge(failure, "fields", errors)
            return ()
        if readings is not None:
            return readings
        values = batch.values()
        for value in values:
            if value.code:
                refusal = self.api.failure(value.code, f"nvmlDeviceGetFieldValues, field {value.field.id}")
                self._judge(refusal, value.field, errors)
        if batch.is_new(values):
            self.unsupported.update(superseded(values))
        return to_readings(values, self.counters, now)

    def _planned(self) -> _Plan:
        """There are hundreds of fields, so they are looked through once."""
        if self._plan.unsupported != len(self.unsupported):
            fields = defaultdict(list)
            for row in self.fields:
                if row not in self.unsupported:
                    fields[row.tier].append(row)
            told = frozenset(row.metric for rows_of_tier in fields.values() for row in rows_of_tier)
            self._plan = _Plan(len(self.unsupported), fields, told)
        return self._plan

    def _profile(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        if self.gpm is None or self.standing.is_partitioned or tier is not Tier.FAST or "gpm" in self.unsupported:
            return ()
        try:
            if not self.is_profiled:
                self.gpm.close()  # no sample of ours is left while somebody else reads the counters
                return ()
            return self.gpm.read()
        except CallFailedError as failure:
            self._judge(failure, "gpm", errors)
            return ()

    def _totals(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        """GPM's cumulative metrics, without those that a field tells: one source for each series."""
        key = "gpm totals"
        if self.gpm_counters is None or tier is not Tier.NORMAL or key in self.unsupported or not self.is_profiled:
            return ()
        told = frozenset() if "fields" in self.unsupported else self._planned().told
        try:
            return self.gpm_counters.read(told)
        except CallFailedError as failure:
            self._judge(failure, key, errors)
            return ()

    def _part(self, part: Part, errors: list[ReadError]) -> Iterable[Reading]:
        if part.name not in self.unsupported:
            try:
                return [*part.read()]
            except CallFailedError as failure:
                self._judge(failure, part.name, errors)
        return ()

    def _distributions(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        for source in SOURCES if tier is Tier.FAST else ():
            if source not in self.unsupported:
                try:
                    yield from self.buffers.read(source)
                except CallFailedError as failure:
                    self._judge(failure, source, errors)

    def _judge(self, failure: CallFailedError, key: object, errors: list[ReadError]) -> None:
        """Remember what is unsupported, note what failed, and pass on what ends the reading of this board."""
        if failure.verdict in {*GONE, Verdict.DRIVER}:
            raise failure
        if failure.verdict is Verdict.UNSUPPORTED:
            self.unsupported.add(key)
        if failure.verdict is not Verdict.EMPTY:
            errors.append(self._error(failure.verdict.value, failure.detail))

    def _error(self, reason: str, detail: str) -> ReadError:
        return ReadError(reason, detail, self.device.uuid)

    def _infos(self) -> Iterable[Sample]:
        device = self.device
        yield device_info(device)
        if any(self.firmware):
            yield Sample(rows.FIRMWARE_INFO, (*device.labels, *self.firmware), 1.0)
