"""Our rows in the words of NVIDIA's dcgm-exporter: the one mapping that its dashboards are made with.

Which field is which row, and in which unit, is `warpgauge.core.dcgm.FIELDS`, the list that our own view under its names
is written from. Here is what that list cannot say: rows that are made of several fields, and other names of labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device
from warpgauge.core.dcgm import FIELDS, Field
from warpgauge.core.promql import Matches, Unlike
from warpgauge.dashboards.queries import WINDOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.promql import LabelValue

__all__ = ["INVENTORY", "LABELS", "Reading", "fields_of", "in_dcgms_words"]

INVENTORY: Final = "DCGM_FI_DEV_FB_USED"
"""On by default, also on partitioned devices and vGPUs: whatever device there is has it."""

LABELS: Final[Mapping[str, str]] = {
    "node": "Hostname",
    "uuid": "UUID",
    "index": "gpu",
    "model": "modelName",
    "instance_id": "GPU_I_ID",
    "job_id": "pod",  # the exporter knows pods and no jobs
    "user": "namespace",
}
"""What it calls our labels; `cluster` is Prometheus' own and stays."""

_EVERYWHERE: Final = "all"  # of a label that the exporter adds up over
_TENTH: Final = 0.1  # of the time: less is how clocks are controlled
_DEVICE: Final = frozenset(device.DEVICE_UP.labels)
_GIVEN_AS_RATE: Final = {
    device.PCIE_TRANSMIT: device.PCIE_TRANSMIT_RATE,
    device.PCIE_RECEIVE: device.PCIE_RECEIVE_RATE,
    device.LINK_TRANSMIT: device.LINK_TRANSMIT_RATE,
    device.LINK_RECEIVE: device.LINK_RECEIVE_RATE,
}
"""What we count and the exporter gives per second."""
_UNRENAMED: Final = 'exported_pod="",pod!="",container!~"(nvidia-)?dcgm-exporter"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One selector of a query of ours: `rate(row{labels}[window])`, or without function and window."""

    metric: Metric
    labels: Mapping[str, LabelValue] = field(default_factory=dict)
    function: str = ""
    window: str = ""

    @property
    def where(self) -> str:
        """Matchers of what the person chose; the exporter's targets need not have a label `cluster`."""
        chosen = {LABELS[name]: value for name, value in self.labels.items() if name in {"node", "uuid"}}
        return ",".join(f'{name}=~"{value.pattern}"' for name, value in chosen.items() if isinstance(value, Matches))

    def of(self, name: str, more: str = "") -> str:
        """The exporter's series `name` under the same function."""
        block = ",".join(part for part in (more, self.where) if part)
        series = f"{name}{{{block}}}" if block else name
        return f"{self.function}({series}[{self.window}])" if self.function else series

    def wants(self, label: str, value: str) -> bool:
        """Whether its series may have this value."""
        match self.labels.get(label):
            case str() as only:
                return value == only
            case tuple() as several:
                return value in several
            case Unlike(value=other):
                return value != other
            case _:
                return True


def fields_of(reading: Reading) -> list[Field]:
    """The fields that tell the row with labels such as are asked for."""
    return [one for one in FIELDS if one.metric == _row(reading) and _fits(one, reading)]


def in_dcgms_words(reading: Reading, *, needed: frozenset[str] = frozenset()) -> str | None:
    """The same in the exporter's series, in our unit; None where it cannot be told.

    Labels of ours that the exporter has no word for are put on where `needed`, or where they tell fields apart.
    """
    special = _SPECIAL.get(reading.metric.name)
    if special is not None:
        return special(reading)
    if reading.metric in _GIVEN_AS_RATE and reading.function != "rate":
        return None
    found = fields_of(reading)
    parts = [_labeled(_value(one, reading), one, reading, needed, several=len(found) > 1) for one in found]
    return _joined(parts)


def _row(reading: Reading) -> Metric:
    return _GIVEN_AS_RATE.get(reading.metric, reading.metric)


def _fits(one: Field, reading: Reading) -> bool:
    return all(reading.wants(label, value or _EVERYWHERE) for label, value in _own_labels(one, reading.metric).items())


def _own_labels(one: Field, metric: Metric) -> dict[str, str]:
    """What the field is about, in our labels beside those of the device."""
    names = [label for label in metric.labels if label not in _DEVICE]
    values = [*one.labels, *([None] * len(names))]
    return {name: value or _EVERYWHERE for name, value in zip(names, values, strict=False)}


def _value(one: Field, reading: Reading) -> str:
    as_rate = reading.metric in _GIVEN_AS_RATE
    bare = Reading(metric=reading.metric, labels=reading.labels) if as_rate else reading
    return _scaled(bare.of(one.name), one.factor)


def _scaled(expr: str, factor: float) -> str:
    """In our unit: theirs = ours x factor."""
    if factor == 1.0:
        return expr
    return f"({expr} / {factor:.12g})" if factor > 1 else f"({expr} * {1 / factor:.12g})"


def _labeled(expr: str, one: Field, reading: Reading, needed: frozenset[str], *, several: bool) -> str:
    for label, value in _own_labels(one, reading.metric).items():
        is_told_apart = several and not isinstance(reading.labels.get(label), str)
        if label in needed or is_told_apart:
            expr = f'label_replace({expr}, "{label}", "{value}", "", "")'
    return expr


def _joined(parts: list[str]) -> str | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"


def _present(reading: Reading) -> str:
    """1 for each device that the exporter tells of; one that is lost has no series, and so no 0."""
    return f"({reading.of(INVENTORY)} >= bool 0)"


def _memory(reading: Reading) -> str:
    """All of it; what the driver keeps for itself counts where the exporter has the field."""
    used, free, kept = (reading.of(f"DCGM_FI_DEV_FB_{name}") for name in ("USED", "FREE", "RESERVED"))
    return f"(({used} + {free} + ({kept} or 0 * {used})) * {1 << 20})"


def _held_down(reading: Reading) -> str | None:
    """1 where a reason held the clocks down for more than a tenth of the time, which is what its counters can say."""
    counted = Reading(metric=device.THROTTLE_SECONDS, labels=reading.labels, function="rate", window=WINDOW)
    told = in_dcgms_words(counted, needed=frozenset({"reason"}))
    return told and f"({told} > bool {_TENTH})"


def _held_by_pods(reading: Reading) -> str | None:
    """The pod that holds a device, whatever honor_labels says; the exporter's own pod holds none."""
    if "job_id" not in reading.labels:
        return None
    renamed = reading.of(INVENTORY, 'exported_pod!=""')
    for name in ("pod", "namespace"):
        renamed = f'label_replace({renamed}, "{name}", "$1", "exported_{name}", "(.+)")'
    return f"(({renamed} or {reading.of(INVENTORY, _UNRENAMED)}) >= bool 0)"


_SPECIAL: Final = {
    device.DEVICE_UP.name: _present,
    device.DEVICE_INFO.name: _present,
    device.MEMORY_TOTAL.name: _memory,
    device.THROTTLE_ACTIVE.name: _held_down,
    device.WORKLOAD_INFO.name: _held_by_pods,
}
