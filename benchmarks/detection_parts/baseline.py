"""What plain thresholds say about the same samples: the rules one finds in public alert files, held for two minutes.

Each is a fixed limit on one reading, as in the rule collections for dcgm-exporter, node_exporter and vLLM (requests
that wait, a cache above nine tenths, for five minutes); none looks at peers, history or steps. They get the kind right
by what they watch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.core.catalog import device, host, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame

__all__ = ["Baseline"]

HOT_CELSIUS: Final = 85.0
SLOW_CLOCK: Final = 0.7  # of the highest
WORKS: Final = 0.5  # utilization
LOW: Final = 0.7
IDLE: Final = 0.05
IDLE_WATTS: Final = 150.0
LITTLE_FREE: Final = 0.10
FULL_CACHE: Final = 0.9
_FOR_SECONDS: Final = 120.0
_EVERY_SECONDS: Final = 30.0  # between two evaluations
_TICKS: Final = round(_FOR_SECONDS / _EVERY_SECONDS)
_QUEUE_TICKS: Final = round(300.0 / _EVERY_SECONDS)  # rules for vLLM wait five minutes
_TICKS_OF: Final = {"queue_bound": _QUEUE_TICKS, "kv_cache_bound": _QUEUE_TICKS}
_GONE_SECONDS: Final = 300.0

Told = tuple[str, dict[str, Any]]


class Baseline:
    """Remembers since when each rule holds at each place; tells once when it has held long enough."""

    def __init__(self) -> None:
        self._looked = 0.0
        self._held: dict[tuple[str, str], int] = {}

    def is_due(self, now: float) -> bool:
        """Whether it is time to look again."""
        if now - self._looked < _EVERY_SECONDS:
            return False
        self._looked = now
        return True

    def look(self, frame: Frame) -> list[Told]:
        """What fires now and did not before."""
        holding = {(kind, str(sorted(scope.items()))): (kind, scope) for kind, scope in _rules(frame)}
        self._held = {key: self._held.get(key, 0) + 1 for key in holding}
        return [holding[key] for key, ticks in self._held.items() if ticks == _TICKS_OF.get(key[0], _TICKS)]


def _rules(frame: Frame) -> Iterator[Told]:
    def at(metric: Any, *extra: str) -> NDArray[Any]:  # noqa: ANN401 - a catalog row
        return frame.latest(metric, *extra, seconds=120.0)

    used, total = at(device.MEMORY_USED), at(device.MEMORY_TOTAL)
    clock, fastest = at(device.CLOCK, "sm"), at(device.CLOCK_MAX, "sm")
    busy = at(device.UTILIZATION, "compute")
    by_kind = {
        "thermal_limited": at(device.TEMPERATURE, "core") > HOT_CELSIUS,
        "straggler": (clock < SLOW_CLOCK * fastest) & (busy > WORKS),
        "idle_allocated": (busy < IDLE) & (used > 2.0**30),
        "input_bound": (busy > IDLE) & (busy < LOW),
        "memory_leak": used > 0.95 * total,
        "pcie_downtrained": at(device.PCIE_LINK_WIDTH) < at(device.PCIE_LINK_WIDTH_MAX),
        "row_remap": at(device.ROW_REMAP_PENDING) > 0,
        "hardware_throttle": at(device.THROTTLE_ACTIVE, "hw_slowdown") > 0,
        "device_lost": at(device.DEVICE_STATE, "lost") > 0,
        "device_hung": at(device.DEVICE_STATE, "hung") > 0,
        "ecc_degradation": _grew(frame, device.ECC_ERRORS, "corrected", "volatile"),
        "link_errors": _grew(frame, device.LINK_ERRORS, "0", "crc"),
        "hang": (busy >= 1.0) & (at(device.POWER) < IDLE_WATTS),
        "xid": _any_xid(frame),
    }
    for kind, fires in by_kind.items():
        for row in np.flatnonzero(fires[: len(frame.devices)]):
            entity = frame.devices.entities[row]
            job = frame.device_job[row]
            scope = {"node": entity.node, "uuid": entity.uuid} | ({"job_id": job[1]} if job else {})
            if kind in {"idle_allocated", "input_bound"}:
                scope = {"job_id": job[1]} if job else {}
            if scope:
                yield kind, scope
    yield from _of_nodes(frame)


def _of_nodes(frame: Frame) -> Iterator[Told]:
    idle = np.nan_to_num(frame.latest(host.CPU_SECONDS, "idle", seconds=120.0), nan=np.inf)
    count = frame.latest(host.CPU_COUNT, seconds=120.0)
    free = frame.latest(host.MEMORY_AVAILABLE, seconds=120.0) / frame.latest(host.MEMORY_TOTAL, seconds=120.0)
    silent = frame.newest_sample - frame.nodes.last_seen_ms[: len(frame.nodes)] / 1000.0 > _GONE_SECONDS
    for kind, fires in (
        ("host_saturated", idle < 0.15 * count),
        ("memory_pressure", free < LITTLE_FREE),
        ("telemetry_gap", silent),
        ("queue_bound", _any_server(frame, serving.WAITING, 0.0)),
        ("kv_cache_bound", _any_server(frame, serving.KV_CACHE, FULL_CACHE)),
    ):
        for row in np.flatnonzero(fires):
            yield kind, {"node": frame.nodes.entities[row].node}


def _grew(frame: Frame, metric: Any, *extra: str) -> NDArray[np.bool_]:  # noqa: ANN401 - a catalog row
    return np.asarray(np.nansum(frame.values(metric, *extra, seconds=300.0), axis=1) > 0)


def _any_server(frame: Frame, metric: Any, limit: float) -> NDArray[np.bool_]:  # noqa: ANN401 - a catalog row
    """[node], whether a server there is beyond the limit."""
    fires = np.zeros(len(frame.nodes), dtype=bool)
    for row in np.flatnonzero(frame.latest(metric, seconds=120.0) > limit).tolist():
        server = frame.servers.entities[row]
        fires[list(frame.sites.nodes_at((server.cluster, server.node)))] = True
    return fires


def _any_xid(frame: Frame) -> NDArray[np.bool_]:
    fires = np.zeros(len(frame.devices), dtype=bool)
    for extra in frame.channels(device.XID_EVENTS):
        fires |= _grew(frame, device.XID_EVENTS, *extra)
    return fires
