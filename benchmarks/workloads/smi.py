"""What `nvidia-smi -q -x` says, without the identities, and how it compares with what a recording says of that moment.

The element names are those of nvsmi_device_v12.dtd; a driver that lacks one says N/A or leaves it out, and then there
is nothing to compare. A value agrees when it lies between the least and the greatest that the recording holds around
that moment, give or take a tolerance that is stated for each row: nvidia-smi takes about a second for one answer.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Metric, device

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MIB: Final = 1024.0 * 1024.0
AROUND_SECONDS: Final = 3.0  # before and after nvidia-smi's answer

Series = tuple[str, Metric, tuple[str, ...]]
"""PCI address of the GPU, metric, labels after the identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A value that both have: where it stands in nvidia-smi's answer, in which unit, and how far apart they may be."""

    metric: Metric
    labels: tuple[str, ...] = ()
    paths: tuple[str, ...]  # the first that is there counts: names changed over the drivers
    factor: float = 1.0
    absolute: float = 0.0  # in the metric's base unit
    relative: float = 0.0
    only: str = ""  # the value is the claim that the text is this
    is_counter: bool = False  # grows, so that one reading before and one after hold it between them


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One comparison."""

    gpu: str
    row: Row
    theirs: float
    least: float | None  # ours around that moment; None: we have no such series
    greatest: float | None
    place: str  # which of nvidia-smi's answers

    @property
    def slack(self) -> float:
        """How far apart the two may be, in the metric's base unit."""
        return self.row.absolute + self.row.relative * abs(self.theirs)

    @property
    def word(self) -> str:
        """Agree, disagree, or that only nvidia-smi has it."""
        if self.least is None or self.greatest is None:
            return "only nvidia-smi"
        fits = self.least - self.slack <= self.theirs <= self.greatest + self.slack
        return "agree" if fits else "DISAGREE"


def _power(metric: Metric, path: str, *labels: str, absolute: float = 0.01, relative: float = 0.0) -> Row:
    paths = (f"gpu_power_readings/{path}", f"power_readings/{path}")
    return Row(metric=metric, labels=labels, paths=paths, absolute=absolute, relative=relative)


def _engine(engine: str, element: str) -> Row:
    # The engines' own sample period is up to a second, so a neighbor in time may be any distance away.
    return Row(
        metric=device.UTILIZATION, labels=(engine,), paths=(f"utilization/{element}",), factor=0.01, absolute=0.10
    )


def _clock(metric: Metric, group: str, label: str, element: str, absolute: float) -> Row:
    return Row(metric=metric, labels=(label,), paths=(f"{group}/{element}",), factor=1e6, absolute=absolute)


def _memory(metric: Metric, element: str, absolute: float) -> Row:
    return Row(metric=metric, paths=(f"fb_memory_usage/{element}",), factor=MIB, absolute=absolute)


def _reason(reason: str, element: str) -> Row:
    groups = ("clocks_event_reasons/clocks_event_reason", "clocks_throttle_reasons/clocks_throttle_reason")
    paths = tuple(f"{group}_{element}" for group in groups)
    return Row(metric=device.THROTTLE_ACTIVE, labels=(reason,), paths=paths, only="Active")


def _throttled(reason: str, element: str) -> Row:
    path = f"clocks_event_reasons_counters/clocks_event_reasons_counters_{element}"
    return Row(
        metric=device.THROTTLE_SECONDS, labels=(reason,), paths=(path,), factor=1e-6, absolute=0.05, is_counter=True
    )


def _errors(severity: str, persistence: str, *elements: str) -> Row:
    paths = tuple(f"ecc_errors/{persistence}/{element}" for element in elements)
    labels = (severity, persistence, "device_memory")
    return Row(metric=device.ECC_LOCATION_ERRORS, labels=labels, paths=paths, is_counter=True)


_CLOCKS: Final = {"graphics": "graphics_clock", "sm": "sm_clock", "memory": "mem_clock", "video": "video_clock"}
_REASONS: Final = {
    "idle": "gpu_idle",
    "app_clocks": "applications_clocks_setting",
    "sw_power_cap": "sw_power_cap",
    "hw_slowdown": "hw_slowdown",
    "sync_boost": "sync_boost",
    "sw_thermal": "sw_thermal_slowdown",
    "hw_thermal": "hw_thermal_slowdown",
    "hw_power_brake": "hw_power_brake_slowdown",
    "display": "display_clocks_setting",
}
_COUNTERS: Final = {
    "sw_power_cap": "sw_power_cap",
    "sync_boost": "sync_boost",
    "sw_thermal": "sw_therm_slowdown",
    "hw_thermal": "hw_therm_slowdown",
    "hw_power_brake": "hw_power_brake",
}
_ENGINES: Final = {
    "compute": "gpu_util",
    "encoder": "encoder_util",
    "decoder": "decoder_util",
    "jpeg": "jpeg_util",
    "ofa": "ofa_util",
}
_LINK: Final = "pci/pci_gpu_link_info"
_BANKS: Final = ("max", "high", "partial", "low", "none")

ROWS: Final = (
    *[_engine(engine, element) for engine, element in _ENGINES.items()],
    Row(metric=device.MEMORY_ACCESS, paths=("utilization/memory_util",), factor=0.01, absolute=0.10),
    _memory(device.MEMORY_TOTAL, "total", MIB),
    _memory(device.MEMORY_RESERVED, "reserved", 2 * MIB),
    _memory(device.MEMORY_USED, "used", 64 * MIB),  # nvidia-smi's own context comes and goes
    _memory(device.MEMORY_FREE, "free", 64 * MIB),
    Row(metric=device.TEMPERATURE, labels=("core",), paths=("temperature/gpu_temp",), absolute=2.0),
    Row(metric=device.TEMPERATURE, labels=("memory",), paths=("temperature/memory_temp",), absolute=2.0),
    Row(metric=device.TEMPERATURE_MARGIN, paths=("temperature/gpu_temp_tlimit",), absolute=2.0),
    Row(metric=device.TEMPERATURE_LIMIT, labels=("shutdown",), paths=("temperature/gpu_temp_max_threshold",)),
    Row(metric=device.TEMPERATURE_LIMIT, labels=("slowdown",), paths=("temperature/gpu_temp_slow_threshold",)),
    Row(
        metric=device.TEMPERATURE_MARGIN_LIMIT,
        labels=("shutdown",),
        paths=("temperature/gpu_temp_max_tlimit_threshold",),
    ),
    Row(
        metric=device.TEMPERATURE_MARGIN_LIMIT,
        labels=("slowdown",),
        paths=("temperature/gpu_temp_slow_tlimit_threshold",),
    ),
    _power(device.POWER, "average_power_draw", absolute=5.0, relative=0.05),
    _power(device.POWER_INSTANT, "instant_power_draw", absolute=10.0, relative=0.20),
    _power(device.POWER_LIMIT, "current_power_limit", "enforced"),
    _power(device.POWER_LIMIT, "default_power_limit", "default"),
    _power(device.POWER_LIMIT, "min_power_limit", "min"),
    _power(device.POWER_LIMIT, "max_power_limit", "max"),
    *[_clock(device.CLOCK, "clocks", label, element, 30e6) for label, element in _CLOCKS.items()],
    *[_clock(device.CLOCK_MAX, "max_clocks", label, element, 0.0) for label, element in _CLOCKS.items()],
    *[_reason(reason, element) for reason, element in _REASONS.items()],
    *[_throttled(reason, element) for reason, element in _COUNTERS.items()],
    Row(metric=device.PCIE_LINK_GENERATION, paths=(f"{_LINK}/pcie_gen/current_link_gen",)),
    Row(metric=device.PCIE_LINK_GENERATION_MAX, paths=(f"{_LINK}/pcie_gen/max_link_gen",)),
    Row(metric=device.PCIE_LINK_WIDTH, paths=(f"{_LINK}/link_widths/current_link_width",)),
    Row(metric=device.PCIE_LINK_WIDTH_MAX, paths=(f"{_LINK}/link_widths/max_link_width",)),
    Row(metric=device.PCIE_REPLAY, paths=("pci/replay_counter",), is_counter=True),
    Row(metric=device.PCIE_REPLAY_ROLLOVER, paths=("pci/replay_rollover_counter",), is_counter=True),
    _errors("corrected", "volatile", "dram_correctable"),
    _errors("uncorrected", "volatile", "dram_uncorrectable"),
    _errors("corrected", "aggregate", "dram_correctable"),
    _errors("uncorrected", "aggregate", "dram_uncorrectable"),
    Row(metric=device.ROWS_REMAPPED, labels=("corrected",), paths=("remapped_rows/remapped_row_corr",)),
    Row(metric=device.ROWS_REMAPPED, labels=("uncorrected",), paths=("remapped_rows/remapped_row_unc",)),
    Row(metric=device.ROW_REMAP_PENDING, paths=("remapped_rows/remapped_row_pending",), only="Yes"),
    Row(metric=device.ROW_REMAP_FAILED, paths=("remapped_rows/remapped_row_failure",), only="Yes"),
    *[
        Row(
            metric=device.ROW_REMAP_BANKS,
            labels=(bank,),
            paths=(f"remapped_rows/row_remapper_histogram/row_remapper_histogram_{bank}",),
        )
        for bank in _BANKS
    ],
    Row(metric=device.FAN_SPEED, labels=("0",), paths=("fan_speed",), factor=0.01, absolute=0.05),
    Row(metric=device.PERSISTENCE_MODE, paths=("persistence_mode",), only="Enabled"),
    Row(metric=device.ECC_MODE, labels=("current",), paths=("ecc_mode/current_ecc",), only="Enabled"),
    Row(metric=device.ECC_MODE, labels=("pending",), paths=("ecc_mode/pending_ecc",), only="Enabled"),
    Row(metric=device.MIG_MODE, labels=("current",), paths=("mig_mode/current_mig",), only="Enabled"),
)
"""Everything that both have."""

_ABSENT: Final = re.compile(r"(?i)^(n/?a|\[?n/?a\]?|none|unknown error|.*(not supported|deprecated).*|)$")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_IDENTITY_TAGS: Final = {
    "serial", "uuid", "pid", "process_name", "chassis_serial_number", "gpu_fabric_guid", "clusterUuid",
    "gpu_instance_uuid", "mig_device_uuid", "gpu_fru_part_number", "host_id",
}  # fmt: skip
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")


def masked(document: str) -> str:
    """The answer with identities taken out, to keep; what does not parse is not kept."""
    tree = ET.fromstring(_bare(document))  # noqa: S314 - what the nvidia-smi of this machine said, without its DTD
    for element in tree.iter():
        if element.tag in _IDENTITY_TAGS and element.text and not _ABSENT.match(element.text.strip()):
            element.text = "masked"
        elif element.text:
            element.text = _UUID.sub("masked", element.text)
    return ET.tostring(tree, encoding="unicode")


def values(document: str) -> dict[tuple[str, Row], float]:
    """PCI address and row -> nvidia-smi's value in base units; what it does not tell is left out."""
    tree = ET.fromstring(_bare(document))  # noqa: S314 - what the nvidia-smi of this machine said, without its DTD
    found = {}
    for gpu in tree.findall("gpu"):
        address = _address(gpu.get("id", ""))
        for row in ROWS:
            number = _number(row, gpu)
            if number is not None:
                found[address, row] = number
    return found


def compare(
    theirs: Mapping[tuple[str, Row], float], ours: Mapping[Series, Sequence[tuple[float, float]]], at: float, place: str
) -> Iterator[Verdict]:
    """A verdict for each of nvidia-smi's values at a time (seconds since the epoch)."""
    for (gpu, row), value in theirs.items():
        points = ours.get((gpu, row.metric, row.labels), ())
        around = _around(points, at)
        least, greatest = (min(around), max(around)) if around else (None, None)
        yield Verdict(gpu=gpu, row=row, theirs=value, least=least, greatest=greatest, place=place)


def _around(points: Sequence[tuple[float, float]], at: float) -> list[float]:
    """Values within a few seconds, and the last one before and the first one after: slow ones are far apart."""
    near = [value for time, value in points if abs(time - at) <= AROUND_SECONDS]
    before = [value for time, value in points if time <= at][-1:]
    after = [value for time, value in points if time > at][:1]
    return [*before, *near, *after]


def _number(row: Row, gpu: ET.Element) -> float | None:
    for path in row.paths:
        text = (gpu.findtext(path) or "").strip()
        if _ABSENT.match(text):
            continue
        if row.only:
            return float(text == row.only)
        match = _NUMBER.search(text)
        if match:
            return float(match[0]) * row.factor
    return None


def _address(text: str) -> str:
    """`00000000:1B:00.0` as ours: four digits of domain, lower case."""
    domain, _, rest = text.lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def _bare(document: str) -> str:
    """Without the line that names a DTD: nothing is to be looked up."""
    return re.sub(r"<!DOCTYPE[^>]*>", "", document, count=1)
