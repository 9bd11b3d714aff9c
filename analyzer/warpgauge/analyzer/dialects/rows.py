"""Tables of dialects: a row per foreign series, and dialects that are nothing but such a table of device metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from sys import intern
from typing import TYPE_CHECKING, Final, Protocol

from warpgauge.analyzer.dialects.dialect import Mapped
from warpgauge.core.catalog import Metric, Unit, device

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MOST", "Device", "DeviceDialect", "Readings", "Row", "Workload", "throttle_bits"]

PERCENT: Final = 0.01
MILLI: Final = 1e-3
MICRO: Final = 1e-6
NANO: Final = 1e-9
MEGA: Final = 1e6
MIB: Final = float(1 << 20)

MOST: Final[dict[Unit, float]] = {
    Unit.RATIO: 1.5,  # counters of cycles give a little more than 1 now and then (NVIDIA/DCGM#152)
    Unit.CELSIUS: 250.0,
    Unit.WATTS: 1e5,
    Unit.HERTZ: 2e10,
    Unit.BYTES: 1e15,
    Unit.BYTES_PER_SECOND: 1e13,
    Unit.JOULES: 1e13,
    Unit.SECONDS: 3e9,
    Unit.NONE: 1e14,
}
"""More than any device can have, and less than the markers that exporters let through for "not available": 2^31 - 16,
2^47 and 2^63 - 16 of DCGM (dcgm_structs.h), 2^16 - 1, 2^32 - 1 and 2^64 - 1 of AMD SMI."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a foreign series is in the catalog: ours = theirs x `factor`, with `labels`; see `Mapped` for the rest."""

    metric: Metric
    factor: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)
    mask: int = 0
    is_last_code: bool = False
    copied: tuple[str, ...] = ()  # labels of theirs that ours has too; a series without one of them does not count
    only: tuple[tuple[str, frozenset[str]], ...] = ()  # labels of theirs and the values that count

    def counts(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is meant."""
        return all(labels.get(name) for name in self.copied) and all(
            labels.get(name, "") in values for name, values in self.only
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Which device a series speaks of, as far as its own labels tell."""

    uuid: str
    index: str = ""
    instance_id: str = ""
    vendor: str = ""
    kind: str = "gpu"
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Which workload holds the device, by the labels that the exporter or Prometheus put on its series."""

    scheduler: str = "none"
    namespace: str = ""
    pod: str = ""
    container: str = ""
    job_id: str = ""
    user: str = ""

    @property
    def is_known(self) -> bool:
        """Whether anything names a workload."""
        return bool(self.job_id or self.pod or self.container)


Readings = dict[str, tuple[Row, ...]]
"""Rows by the name of the foreign series: one of theirs may be several of ours."""


class IdentityReader(Protocol):
    """Reads the device off a series' labels; None when it is no series of a device."""

    def __call__(self, labels: Mapping[str, str]) -> Device | None:
        """Look at the labels."""


class DeviceDialect:
    """An exporter of device metrics as a table.

    `carriers` are the names whose series, as long as they come, say that the device exists and which workload holds
    it: every device has at least one of them, and few are enough.
    """

    def __init__(  # noqa: PLR0913 - the table's columns
        self,
        name: str,
        *,
        prefixes: tuple[str, ...],
        rows: Readings,
        carriers: frozenset[str],
        identity: IdentityReader,
        workload: Callable[[Mapping[str, str]], Workload] | None = None,
    ) -> None:
        self.name = name
        self.rows = rows
        described = {device.DEVICE_INFO} | ({device.WORKLOAD_INFO} if workload else set())
        events = {device.XID_EVENTS} if any(row.is_last_code for group in rows.values() for row in group) else set()
        self.metrics = frozenset(row.metric for group in rows.values() for row in group) | described | events
        self.names = frozenset(rows) | carriers
        self._prefixes = prefixes
        self._carriers = carriers
        self._identity = identity
        self._workload = workload

    def knows(self, name: str) -> bool:
        """Whether the exporter has a series of this name, used or not."""
        return name in self.names or name.startswith(self._prefixes)

    def map(self, name: str, labels: Mapping[str, str]) -> tuple[Mapped, ...]:
        """The device's values, and from a carrier the device itself and its workload."""
        found = self._identity(labels)
        if found is None:
            return ()
        who = {"uuid": intern(found.uuid), "index": found.index, "instance_id": found.instance_id}
        values = tuple(_mapped(row, who, labels) for row in self.rows.get(name, ()) if row.counts(labels))
        return values if name not in self._carriers else (*values, *self._described(found, who, labels))

    def _described(self, found: Device, who: dict[str, str], labels: Mapping[str, str]) -> tuple[Mapped, ...]:
        words = {"vendor": found.vendor, "kind": found.kind, "model": found.model}
        device_info = Mapped(metric=device.DEVICE_INFO, labels=who | words, is_shared=True)
        holder = self._workload(labels) if self._workload else Workload()
        if not holder.is_known:
            return (device_info,)
        held = {
            name: getattr(holder, name) for name in ("scheduler", "namespace", "pod", "container", "job_id", "user")
        }
        return (device_info, Mapped(metric=device.WORKLOAD_INFO, labels=who | held, is_shared=True))


def _mapped(row: Row, who: dict[str, str], labels: Mapping[str, str]) -> Mapped:
    return Mapped(
        metric=row.metric,
        labels=who | dict(row.labels) | {name: labels[name] for name in row.copied},
        factor=row.factor,
        mask=row.mask,
        most=MOST.get(row.metric.unit, math.inf),
        is_shared=True,
        is_last_code=row.is_last_code,
    )


def throttle_bits() -> tuple[Row, ...]:
    """A row per reason of NVML's set of bits, which counts them in the catalog's order (nvmlClocksEventReason*)."""
    reasons = enumerate(device.THROTTLE_REASONS)
    return tuple(Row(device.THROTTLE_ACTIVE, labels={"reason": reason}, mask=1 << number) for number, reason in reasons)
