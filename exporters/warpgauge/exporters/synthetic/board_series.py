"""What a node's page says of a board beyond load and heat: links, rates, margins, health, modes, distributions.

Only what the model has a cause for. A board without a fault has no errors, its links are up and its firmware is what
its kind ships with; what a fault changes in the model shows here by the same laws.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device, link
from warpgauge.exporters.device_events import EXPECTED_XIDS
from warpgauge.exporters.synthetic.one_series import Series, still

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.synthetic.gpu import Gpu
    from warpgauge.exporters.synthetic.one_series import Value

__all__ = ["of_board"]

_SPREAD: Final = 0.02  # traffic is striped over the links; packets make them differ by this much
_LINK_ERRORS: Final = ("crc", "replay", "recovery")  # those of an NVLink 4
_PCIE_ERRORS: Final = (
    "correctable",
    "nak_received",
    "nak_sent",
    "receiver",
    "bad_tlp",
    "bad_dllp",
    "non_fatal",
    "fatal",
    "unsupported_request",
    "lcrc",
)
_BANKS: Final = {"max": 640.0, "high": 0.0, "partial": 0.0, "low": 0.0, "none": 0.0}
_FIRMWARE: Final = ("96.00.89.00.01", "G520.0200.00.05")
_NO_CLUSTER: Final = "00000000-0000-0000-0000-000000000000"  # a fabric that ends with the machine
_PERIODS: Final = {"power": 0.1, "compute_utilization": 0.166667, "memory_utilization": 0.166667}


def of_board(gpu: Gpu) -> Iterator[Series]:
    """Every such series of one board."""
    yield from _links(gpu)
    yield from _rates(gpu)
    yield from _margins(gpu)
    yield from _distributions(gpu)
    yield from _errors(gpu)
    yield from _modes(gpu)


def _still(gpu: Gpu, metric: Metric, *labels: str, value: float = 0.0) -> Series:
    return replace(still(metric, (gpu.uuid, str(gpu.index), *labels), value), is_rare=True)


def _moving(gpu: Gpu, metric: Metric, read: Callable[[], float], *labels: str) -> Series:
    return Series(metric, (gpu.uuid, str(gpu.index), *labels), read)


def _seldom(gpu: Gpu, metric: Metric, read: Callable[[], Value], *labels: str) -> Series:
    """Moves, but is not worth a point every 10 s in the past."""
    return Series(metric, (gpu.uuid, str(gpu.index), *labels), read, is_still=True)


def _one_of(gpu: Gpu, metric: Metric, state: str, *labels: str) -> Iterator[Series]:
    for each in metric.states:
        yield _still(gpu, metric, *labels, each, value=float(each == state))


def _links(gpu: Gpu) -> Iterator[Series]:
    """Every link of a sound board is up; its traffic stands in the past once a minute, as 36 series a board do."""
    shares = _shares(gpu)
    for at, share in enumerate(shares):
        name = str(at)
        for metric, attribute in (
            (device.LINK_TRANSMIT, "link_transmit_bytes"),
            (device.LINK_RECEIVE, "link_receive_bytes"),
        ):
            yield _seldom(gpu, metric, partial(_of_link, gpu, attribute, share), name)
        yield from _one_of(gpu, device.LINK_STATE, "active", name)
        yield _still(gpu, device.LINK_SPEED, name, value=gpu.board.link_bytes_per_second)
        yield _still(gpu, link.LINK_INFO, name, gpu.board.link_version, value=1.0)
        for error in _LINK_ERRORS:
            if at == 0 and error == "crc":
                yield _seldom(gpu, device.LINK_ERRORS, lambda: float(gpu.link_errors), name, error)
            else:
                yield _still(gpu, device.LINK_ERRORS, name, error)
    yield from _one_of(gpu, link.FABRIC_STATE, "completed")
    yield _still(gpu, link.FABRIC_REGISTERED, value=1.0)
    yield _still(gpu, link.FABRIC_INFO, _NO_CLUSTER, "0", value=1.0)


def _shares(gpu: Gpu) -> list[float]:
    """What part of the traffic each link carries; they add up to 1."""
    random = Random(f"{gpu.uuid}:links")  # its own, so that links move nothing else of the fleet
    weights = [random.uniform(1.0 - _SPREAD, 1.0 + _SPREAD) for _ in range(gpu.board.links)]
    return [weight / sum(weights) for weight in weights]


def _of_link(gpu: Gpu, attribute: str, share: float) -> float:
    """The driver counts NVLink payload in KiB."""
    size: float = getattr(gpu, attribute)
    return float(int(size * share / 1024.0)) * 1024.0


def _rates(gpu: Gpu) -> Iterator[Series]:
    yield _moving(gpu, device.MEMORY_ACCESS, lambda: round(gpu.memory_access_ratio, 2))
    yield _moving(gpu, device.PCIE_TRANSMIT_RATE, lambda: round(gpu.per_second(gpu.work.pcie_transmit_bytes)))
    yield _moving(gpu, device.PCIE_RECEIVE_RATE, lambda: round(gpu.per_second(gpu.work.pcie_receive_bytes)))
    for metric in (device.LINK_TRANSMIT_RATE, device.LINK_RECEIVE_RATE):
        yield _moving(gpu, metric, lambda: round(gpu.per_second(gpu.work.link_bytes)))
    yield _moving(gpu, device.POWER_INSTANT, lambda: round(gpu.instant_watts, 3))


def _margins(gpu: Gpu) -> Iterator[Series]:
    """T.Limit: degrees left until full clocks end; the limits are the hotter ones' distances from there."""
    board = gpu.board
    yield _moving(gpu, device.TEMPERATURE_MARGIN, lambda: board.full_clocks_celsius - round(gpu.core_celsius))
    for limit, celsius in (
        ("max_operating", board.full_clocks_celsius),
        ("slowdown", board.slowdown_celsius),
        ("shutdown", board.shutdown_celsius),
    ):
        yield _still(gpu, device.TEMPERATURE_MARGIN_LIMIT, limit, value=board.full_clocks_celsius - celsius)


def _distributions(gpu: Gpu) -> Iterator[Series]:
    yield _seldom(gpu, device.POWER_DISTRIBUTION, gpu.power_time.histogram)
    yield _seldom(gpu, device.UTILIZATION_DISTRIBUTION, gpu.engine_time.histogram, "compute")
    yield _seldom(gpu, device.UTILIZATION_DISTRIBUTION, gpu.memory_access_time.histogram, "memory")
    for source, seconds in _PERIODS.items():
        yield _still(gpu, device.SAMPLE_PERIOD, source, value=seconds)


def _errors(gpu: Gpu) -> Iterator[Series]:
    yield _still(gpu, device.PCIE_REPLAY_ROLLOVER)
    for error in _PCIE_ERRORS:
        yield _still(gpu, device.PCIE_ERRORS, error)
    for persistence in ("volatile", "aggregate"):
        # Every error of the model is one of its memory.
        read, place = partial(_corrected, gpu, persistence), (persistence, "device_memory")
        yield _seldom(gpu, device.ECC_LOCATION_ERRORS, read, "corrected", *place)
        yield _still(gpu, device.ECC_LOCATION_ERRORS, "uncorrected", persistence, "device_memory")
        for severity in ("corrected", "uncorrected"):
            yield _still(gpu, device.ECC_LOCATION_ERRORS, severity, persistence, "sram")
    for availability, banks in _BANKS.items():
        yield _still(gpu, device.ROW_REMAP_BANKS, availability, value=banks)
    yield from _one_of(gpu, device.RECOVERY_ACTION, "none")
    for xid in EXPECTED_XIDS:
        yield _seldom(gpu, device.XID_EVENTS, partial(_happened, gpu, xid), str(xid))


def _corrected(gpu: Gpu, persistence: str) -> float:
    return float(gpu.corrected_errors_volatile if persistence == "volatile" else gpu.corrected_errors_aggregate)


def _happened(gpu: Gpu, xid: int) -> float:
    return float(gpu.xids.get(xid, 0))


def _modes(gpu: Gpu) -> Iterator[Series]:
    yield _still(gpu, device.FIRMWARE_INFO, *_FIRMWARE, value=1.0)
    yield _still(gpu, device.PERSISTENCE_MODE, value=1.0)
    for when in ("current", "pending"):
        yield _still(gpu, device.ECC_MODE, when, value=1.0)
        yield _still(gpu, device.MIG_MODE, when)
    yield from _one_of(gpu, device.COMPUTE_MODE, "default")
