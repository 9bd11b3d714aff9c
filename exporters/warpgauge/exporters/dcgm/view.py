"""Readings as dcgm-exporter would write them. Made at most once per publication, never from a driver."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from warpgauge.core.catalog import device as rows
from warpgauge.core.dcgm import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.core.dcgm import Field
    from warpgauge.core.device import Device
    from warpgauge.core.sample import Sample
    from warpgauge.exporters.readings import Readings

__all__ = ["DcgmView"]

_XID: Final = "DCGM_FI_DEV_XID_ERRORS"
_NO_ERROR: Final = (0, "No Error")
_SHOWN_DIGITS: Final = 12  # 0.4 x 100 must not show as 40.00000000000001
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

_COMPUTE_SHARE: Final = re.compile(r"^\d+c\.")  # of a compute instance; DCGM names the GPU instance alone


class _Part(NamedTuple):
    """A GPU instance: its number and profile."""

    number: str
    profile: str


class _Place(NamedTuple):
    """What a series of DCGM's is about."""

    device: Device
    part: _Part


_WHOLE: Final = _Part("", "")
_Found = dict[tuple[str, tuple[str, ...]], float]
"""Metric's name and the labels after the identity -> value."""


class DcgmView:
    """The page as of the readings' last change."""

    def __init__(self, readings: Readings, node: str | None = None) -> None:
        self._readings = readings
        self._node = platform.node() if node is None else node
        self._made: tuple[object, bytes] | None = None

    def body(self, version: object) -> bytes:
        """The page in text format 0.0.4; `version` differs whenever the readings do."""
        if self._made is None or self._made[0] != version:
            self._made = (version, self._page().encode())
        return self._made[1]

    def _page(self) -> str:
        devices = [standing.device for standing in self._readings.standings if standing.device.vendor == "nvidia"]
        driver = self._driver_version()
        found: dict[_Place, _Found] = {}
        labels: dict[_Place, str] = {}
        for device in devices:
            samples = self._readings.samples_of(device.uuid)
            parts, holders = _found(samples), _holders(samples)
            found |= {_Place(device, part): values for part, values in parts.items()}
            labels |= {
                _Place(device, part): _labels(device, part, self._node, driver, holders.get(part.number, {}))
                for part in parts
            }
        blocks = [_family(field, found, labels) for field in FIELDS]
        return "".join([*blocks, self._xids([place for place, values in found.items() if values], labels)])

    def _driver_version(self) -> str:
        about = (sample for sample in self._readings.samples_of(None) if sample.metric is rows.DRIVER_INFO)
        return next((sample.label("driver_version") or "" for sample in about), "")

    def _xids(self, places: Iterable[_Place], labels: Mapping[_Place, str]) -> str:
        lines = []
        for place in places:
            if place.part is _WHOLE:
                number, meaning = self._readings.events.last_xid(place.device) or _NO_ERROR
                lines.append(f'{_XID}{{{labels[place]},err_code="{number}",err_msg="{meaning}"}} {number}\n')
        head = f"# HELP {_XID} The last XID, 0 if there was none since the agent started.\n# TYPE {_XID} gauge\n"
        return "".join([head, *lines]) if lines else ""


def _found(samples: Iterable[Sample]) -> dict[_Part, _Found]:
    """What the device says as a whole, and what each of its GPU instances says."""
    kept = [sample for sample in samples if isinstance(sample.value, float)]
    profiles = {
        sample.label("instance_id"): _COMPUTE_SHARE.sub("", sample.label("profile") or "")
        for sample in kept
        if sample.metric is rows.INSTANCE_INFO
    }
    found: dict[_Part, _Found] = {_WHOLE: {}}
    for sample in kept:
        names = sample.metric.label_names(sample.labels)
        number = sample.labels[-1] if len(names) > len(sample.metric.labels) else ""
        part = _Part(number, profiles.get(number, "")) if number else _WHOLE
        own = sample.labels[2 : len(sample.metric.labels)]
        found.setdefault(part, {})[sample.metric.name, own] = cast("float", sample.value)
    return found


def _holders(samples: Iterable[Sample]) -> dict[str, dict[str, str]]:
    """By number of the GPU instance, empty for the whole: labels of the pod or job that holds it.

    Of several nobody is named: dcgm-exporter too names one of a shared GPU only, and whichever it met last.
    """
    held: dict[str, list[dict[str, str]]] = {}
    for sample in samples:
        if sample.metric is rows.WORKLOAD_INFO:
            held.setdefault(sample.label("instance_id") or "", []).append(_workload(sample))
    return {number: found[0] for number, found in held.items() if all(one == found[0] for one in found)}


def _workload(sample: Sample) -> dict[str, str]:
    if sample.label("pod"):
        return {name: sample.label(name) or "" for name in ("container", "namespace", "pod")}
    is_hpc = sample.label("scheduler") == "slurm"
    return {"hpc_job": sample.label("job_id") or ""} if is_hpc and sample.label("job_id") else {}


def _family(field: Field, found: Mapping[_Place, _Found], labels: Mapping[_Place, str]) -> str:
    lines = [
        f"{field.name}{{{labels[place]}}} {_number(value)}\n"
        for place, values in found.items()
        if (value := _value(field, values)) is not None
    ]
    head = f"# HELP {field.name} {field.help}\n# TYPE {field.name} {field.kind.value}\n"
    return "".join([head, *lines]) if lines else ""


def _value(field: Field, values: _Found) -> float | None:
    """None where NVML gave nothing: absent, not 0."""
    if None not in field.labels:
        own = values.get((field.metric.name, tuple(str(label) for label in field.labels)))
        return None if own is None else own * field.factor
    matching = [
        value
        for (name, labels), value in values.items()
        if name == field.metric.name
        and all(wanted in (None, label) for wanted, label in zip(field.labels, labels, strict=True))
    ]
    return sum(matching) * field.factor if matching else None


def _number(value: float) -> str:
    rounded = float(f"{value:.{_SHOWN_DIGITS}g}")
    return str(int(rounded)) if rounded.is_integer() else repr(rounded)


def _labels(device: Device, part: _Part, node: str, driver: str, holder: Mapping[str, str]) -> str:
    """DCGM writes PCI addresses with eight digits of domain, in capitals; GPU_I_* stand on series of an instance."""
    domain, _, rest = device.pci_bus_id.partition(":")
    pairs = {
        "gpu": str(device.index),
        "UUID": device.uuid,
        "pci_bus_id": f"{domain.zfill(8)}:{rest}".upper() if rest else "",
        "device": f"nvidia{device.index}",
        "modelName": device.model,
        **({"GPU_I_PROFILE": part.profile, "GPU_I_ID": part.number} if part is not _WHOLE else {}),
        "Hostname": node,
        "DCGM_FI_DRIVER_VERSION": driver,
        **holder,
    }
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs.items())
