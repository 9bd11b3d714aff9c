"""One open GPU: what it can do, and its counters that need a past.

A call or field that the board does not support is remembered and not made again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import device as rows
from warpgauge.core.sample import ReadError, Sample
from warpgauge.exporters.collectors.collector import DriverError
from warpgauge.exporters.collectors.nvml_api import CallFailedError, Verdict
from warpgauge.exporters.collectors.nvml_fields import Field, Unwrapped, decode, to_readings
from warpgauge.exporters.collectors.nvml_samples import SOURCES, SampleBuffers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.core.clock import Clock
    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.increments import Bookmark, Increment
    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Getter, Reading
    from warpgauge.exporters.collectors.nvml_gpm import Gpm

__all__ = ["GONE", "Board"]

GONE: Final = {Verdict.LOST: "lost", Verdict.NEEDS_RESET: "needs_reset"}
"""Verdicts that say a device cannot be read any more, and the reason that a `ReadError` gives for it."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked for in one batch while so many things are known to be unsupported; that number only grows."""

    unsupported: int
    fields: tuple[Field, ...]
    places: list[tuple[int, int]]  # id and scope, as pynvml takes them


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
    buffers: SampleBuffers
    counters: Unwrapped
    unsupported: set[object] = field(default_factory=set)
    _plans: dict[Tier, _Plan] = field(default_factory=dict, init=False)

    def read(self, tier: Tier) -> tuple[list[Sample], list[ReadError]]:
        """All samples of a tier, or one error and no sample at all when the board is gone."""
        errors: list[ReadError] = []
        try:
            readings = [*self._direct(tier, errors), *self._fields(tier, errors), *self._profile(tier, errors)]
            readings += self._distributions(tier, errors)
        except CallFailedError as failure:
            if failure.verdict is Verdict.DRIVER:
                raise DriverError(failure.driver_reason, failure.detail) from failure
            return [], [self._error(GONE[failure.verdict], failure.detail)]
        samples = [Sample(metric, (*self.device.labels, *labels), value) for metric, labels, value in readings]
        return ([*samples, *self._infos()] if tier is Tier.SLOW else samples), errors

    def gained(self) -> tuple[list[Increment], Bookmark]:
        """What the histograms gained since this was last asked, and where another process can go on."""
        return self.buffers.take(), {**self.buffers.bookmark, **self.counters.bookmark}

    def close(self) -> None:
        """Give back what the driver lent for this board."""
        if self.gpm is not None:
            try:
                self.gpm.close()
            except CallFailedError:
                return  # a board that is gone took its samples along

    def _direct(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        for getter in self.getters:
            if getter.tier is tier:
                yield from self._get(getter, errors)

    def _get(self, getter: Getter, errors: list[ReadError]) -> Iterable[Reading]:
        key = (getter.function, getter.arguments)
        if key not in self.unsupported:
            try:
                return getter.values(self.api.call(getter.function, self.handle, *getter.arguments))
            except CallFailedError as failure:
                self._judge(failure, key, errors)
        return self._get(getter.instead, errors) if key in self.unsupported and getter.instead else ()

    def _fields(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        asked = self._asked(tier)
        if not asked or "fields" in self.unsupported:
            return ()
        try:
            answers = self.api.call("nvmlDeviceGetFieldValues", self.handle, self._plans[tier].places)
        except CallFailedError as failure:
            self._judge(failure, "fields", errors)
            return ()
        values = [decode(row, raw) for row, raw in zip(asked, answers, strict=True)]
        for value in values:
            self._judge_field(value.field, value.code, errors)
        return to_readings(values, self.counters, self.clock.monotonic())

    def _asked(self, tier: Tier) -> tuple[Field, ...]:
        """The fields of a tier that the board may support: hundreds, so they are looked through once."""
        plan = self._plans.get(tier)
        if plan is None or plan.unsupported != len(self.unsupported):
            fields = tuple(row for row in self.fields if row.tier is tier and row not in self.unsupported)
            plan = _Plan(len(self.unsupported), fields, [(row.id, row.scope) for row in fields])
            self._plans[tier] = plan
        return plan.fields

    def _profile(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        if self.gpm is None or tier is not Tier.FAST or "gpm" in self.unsupported:
            return ()
        try:
            return self.gpm.read()
        except CallFailedError as failure:
            self._judge(failure, "gpm", errors)
            return ()

    def _distributions(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        for source in SOURCES if tier is Tier.FAST else ():
            if source not in self.unsupported:
                try:
                    yield from self.buffers.read(source)
                except CallFailedError as failure:
                    self._judge(failure, source, errors)

    def _judge_field(self, row: Field, code: int, errors: list[ReadError]) -> None:
        if code:
            failure = self.api.failure(code, f"nvmlDeviceGetFieldValues, field {row.id}")
            self._judge(failure, row, errors)

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
        numa = "" if device.numa_node is None else str(device.numa_node)
        about = (device.vendor, device.kind.value, device.model, device.pci_bus_id, device.architecture, numa, "false")
        yield Sample(rows.DEVICE_INFO, (*device.labels, *about), 1.0)
        if any(self.firmware):
            yield Sample(rows.FIRMWARE_INFO, (*device.labels, *self.firmware), 1.0)
