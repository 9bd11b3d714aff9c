"""What amdsmi's answers mean: pure mapping, one function per call. Units as amdsmi 7.0.2 documents them.

A value may be the string "N/A", or the highest number of its type where the library forgot to say so: both are
absent here, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import device as rows
from warpgauge.core.catalog import vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.core.catalog import Metric

__all__ = [
    "Row",
    "activity",
    "bad_pages",
    "clock",
    "ecc_total",
    "energy_joules",
    "links",
    "number",
    "pcie",
    "power_limits",
    "power_watts",
    "violations",
]

Row = tuple["Metric", tuple[str, ...], float]
"""Metric, labels after the identity, value."""

_MEGA: Final = 1e6
_MICRO: Final = 1e-6
_KIBI: Final = 1024.0
_GIGABIT_BYTES: Final = 1e9 / 8
_ABSENT: Final = frozenset({0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})
_GENERATION_OF_SPEED: Final = {2500: 1, 5000: 2, 8000: 3, 16000: 4, 32000: 5, 64000: 6}  # MT/s
_LIMITS: Final = {
    "per_ppt_pwr": "power",
    "per_socket_thrm": "socket_thermal",
    "per_vr_thrm": "vr_thermal",
    "per_hbm_thrm": "hbm_thermal",
    "per_prochot_thrm": "prochot",
}
_THERMAL: Final = ("active_socket_thrm", "active_vr_thrm", "active_hbm_thrm", "active_prochot_thrm")


def number(raw: object) -> float | None:
    """A number of amdsmi; None for "N/A", a missing key, or the highest number of an unsigned type."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or raw in _ABSENT or raw < 0:
        return None
    return float(raw)


def activity(raw: Mapping[str, Any]) -> Iterator[Row]:
    """amdsmi_get_gpu_activity, percent."""
    table: tuple[tuple[str, Metric, tuple[str, ...]], ...] = (
        ("gfx_activity", rows.UTILIZATION, ("compute",)),
        ("umc_activity", rows.MEMORY_ACCESS, ()),
        ("mm_activity", rows.UTILIZATION, ("media",)),
    )
    for key, metric, labels in table:
        value = number(raw.get(key))
        if value is not None and value <= 100:  # noqa: PLR2004 - percent
            yield metric, labels, value / 100


def power_watts(raw: Mapping[str, Any]) -> float | None:
    """amdsmi_get_power_info: the first that this board has; 0 where a board has the key and no sensor."""
    for key in ("socket_power", "current_socket_power", "average_socket_power"):
        value = number(raw.get(key))
        if value:
            return value
    return None


def power_limits(raw: Mapping[str, Any]) -> Iterator[Row]:
    """amdsmi_get_power_cap_info, microwatts."""
    names = {"power_cap": "enforced", "default_power_cap": "default", "min_power_cap": "min", "max_power_cap": "max"}
    for key, limit in names.items():
        value = number(raw.get(key))
        if value is not None:
            yield rows.POWER_LIMIT, (limit,), value * _MICRO


def energy_joules(raw: Mapping[str, Any]) -> float | None:
    """amdsmi_get_energy_count: ticks x resolution (microjoules); older ROCm calls the ticks `power`."""
    ticks = number(raw.get("energy_accumulator", raw.get("power")))
    resolution = number(raw.get("counter_resolution"))
    return ticks * resolution * _MICRO if ticks is not None and resolution else None


def clock(name: str, raw: Mapping[str, Any]) -> Iterator[Row]:
    """amdsmi_get_clock_info, megahertz: now, and the highest."""
    for key, metric in (("clk", rows.CLOCK), ("max_clk", rows.CLOCK_MAX)):
        value = number(raw.get(key))
        if value is not None:
            yield metric, (name,), value * _MEGA


def ecc_total(raw: Mapping[str, Any]) -> Iterator[Row]:
    """amdsmi_get_gpu_total_ecc_count: since the driver was loaded."""
    names = {"correctable_count": "corrected", "uncorrectable_count": "uncorrected", "deferred_count": "deferred"}
    for key, severity in names.items():
        value = number(raw.get(key))
        if value is not None:
            yield rows.ECC_ERRORS, (severity, "volatile"), value


def bad_pages(pages: list[Mapping[str, Any]], pending: object) -> Iterator[Row]:
    """amdsmi_get_gpu_bad_page_info: pages taken out of use, and whether some wait for the next load of the driver."""
    waiting = sum(page.get("status") == pending for page in pages)
    yield rows.PAGES_RETIRED, ("ras",), float(len(pages) - waiting)
    yield rows.PAGE_RETIREMENT_PENDING, (), float(waiting > 0)


def pcie(raw: Mapping[str, Any]) -> Iterator[Row]:
    """amdsmi_get_pcie_info."""
    static, now = raw.get("pcie_static", {}), raw.get("pcie_metric", {})
    speed = number(now.get("pcie_speed"))
    table: tuple[tuple[Metric, tuple[str, ...], float | None], ...] = (
        (rows.PCIE_LINK_WIDTH, (), number(now.get("pcie_width"))),
        (rows.PCIE_LINK_WIDTH_MAX, (), number(static.get("max_pcie_width"))),
        (rows.PCIE_LINK_GENERATION, (), _GENERATION_OF_SPEED.get(int(speed or 0))),
        (rows.PCIE_LINK_GENERATION_MAX, (), number(static.get("pcie_interface_version"))),
        (rows.PCIE_REPLAY, (), number(now.get("pcie_replay_count"))),
        (rows.PCIE_REPLAY_ROLLOVER, (), number(now.get("pcie_replay_roll_over_count"))),
        (rows.PCIE_ERRORS, ("nak_sent",), number(now.get("pcie_nak_sent_count"))),
        (rows.PCIE_ERRORS, ("nak_received",), number(now.get("pcie_nak_received_count"))),
        (rows.PCIE_ERRORS, ("l0_to_recovery",), number(now.get("pcie_l0_to_recovery_count"))),
    )
    for metric, labels, value in table:
        if value is not None:
            yield metric, labels, float(value)


def links(raw: Mapping[str, Any], xgmi: object) -> Iterator[Row]:
    """amdsmi_get_link_metrics: traffic of the XGMI links in KiB and their speed in gigabits a second."""
    found = [link for link in raw.get("links", ()) if xgmi is None or link.get("link_type") == xgmi]
    for position, link in enumerate(found):
        name = str(position)
        speed = number(link.get("bit_rate"))
        if not speed:
            continue  # a slot of the table without a link
        yield rows.LINK_SPEED, (name,), speed * _GIGABIT_BYTES
        for key, metric in (("read", rows.LINK_RECEIVE), ("write", rows.LINK_TRANSMIT)):
            value = number(link.get(key))
            if value is not None:
                yield metric, (name,), value * _KIBI


def violations(raw: Mapping[str, Any]) -> Iterator[Row]:
    """amdsmi_get_violation_status: shares in percent, and which reasons hold now."""
    for key, limit in _LIMITS.items():
        value = number(raw.get(key))
        if value is not None and value <= 100:  # noqa: PLR2004 - percent
            yield vendor.VIOLATION, (limit,), value / 100
    power = raw.get("active_ppt_pwr")
    if isinstance(power, bool):
        yield rows.THROTTLE_ACTIVE, ("sw_power_cap",), float(power)
    thermal = [raw[key] for key in _THERMAL if isinstance(raw.get(key), bool)]
    if thermal:
        yield rows.THROTTLE_ACTIVE, ("hw_thermal",), float(any(thermal))
