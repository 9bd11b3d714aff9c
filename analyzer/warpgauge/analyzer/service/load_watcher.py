"""How loaded the nodes of a cluster are, as the load watcher of Trimaran serves it: the scheduler pulls, we answer.

The plugins of kubernetes-sigs/scheduler-plugins read `watcherAddress` + `/watcher` every 30 s and score nodes by the
entries of type CPU and Memory, in percent (paypal/load-watcher pkg/watcher/watcher.go and watcher_json.go: the nodes
stand under `data.NodeMetricsMap`, not under `data` as its watcher-schema.json says). They know no accelerators: the
entries of type GPU are for plugins of a site's own, and the others leave them alone. Giving the load of GPUs out as
CPU would make TargetLoadPacking add the cores that a pod asks for to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.detection.cpu import busy_ratio
from warpgauge.analyzer.detection.windows import ratio
from warpgauge.core.catalog import device, host
from warpgauge.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from warpgauge.analyzer.detection.windows import Array
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.sites import Site
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.core.catalog import Metric

__all__ = ["load_document"]

WINDOW_SECONDS: Final = 900.0  # the longest of load-watcher's three, which is the one that it serves
_PERCENT: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """One kind of load: `values` [row, column], 0-1, and the row of each node that has one."""

    type: str
    metric: Metric
    rows: dict[Site, int]
    values: Array


def load_document(frame: Frame, cluster: str) -> dict[str, Any] | None:
    """Mean and standard deviation of each node's load in the last 15 minutes; None if the cluster has no such node.

    What was not measured is absent, and so are simulated nodes: a scheduler acts on what it reads here.
    """
    loads = (_cpu(frame), _memory(frame), _gpu(frame))
    simulated = {(one.cluster, one.node) for one in frame.nodes.entities if one.simulated}
    simulated |= {(one.cluster, one.node) for one in frame.devices.entities if one.simulated}
    nodes = {
        name: entries
        for place, name in frame.sites.keys
        if place == cluster and name and (place, name) not in simulated
        for entries in [[entry for load in loads for entry in _entries(load, (place, name), _rollup(frame))]]
        if entries
    }
    if not nodes:
        return None
    end = int(frame.now)
    return {
        "timestamp": end,
        "window": {"duration": _rollup(frame), "start": end - round(_seconds(frame)), "end": end},
        "source": f"warpgauge {VERSION}",
        "data": {"NodeMetricsMap": {name: {"metrics": entries} for name, entries in nodes.items()}},
    }


def _seconds(frame: Frame) -> float:
    return min(WINDOW_SECONDS, frame.columns * frame.step_seconds)


def _rollup(frame: Frame) -> str:
    return f"{_seconds(frame) / 60:.0f}m"


def _entries(load: _Load, node: Site, rollup: str) -> Iterator[dict[str, Any]]:
    """The deviation first: clients older than the field `operator` take the last entry of a type for its mean."""
    row = load.rows.get(node)
    seen = load.values[row] if row is not None else np.empty(0)
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        return
    for operator, value in (("STD", float(seen.std())), ("AVG", float(seen.mean()))):
        yield {
            "name": load.metric.name,
            "type": load.type,
            "operator": operator,
            "rollup": rollup,
            "value": round(value * _PERCENT, 3),
        }


def _cpu(frame: Frame) -> _Load:
    return _Load(type="CPU", metric=host.CPU_SECONDS, rows=_nodes(frame), values=busy_ratio(frame, WINDOW_SECONDS))


def _memory(frame: Frame) -> _Load:
    available = frame.values(host.MEMORY_AVAILABLE, seconds=WINDOW_SECONDS)
    free = ratio(available, frame.values(host.MEMORY_TOTAL, seconds=WINDOW_SECONDS))
    return _Load(type="Memory", metric=host.MEMORY_AVAILABLE, rows=_nodes(frame), values=1.0 - free)


def _gpu(frame: Frame) -> _Load:
    """As the recording rule `node:accel_load:ratio`: the greatest of a device's instances, then the devices' mean."""
    metric = device.COMPUTE_ACTIVE if frame.has(device.COMPUTE_ACTIVE) else device.UTILIZATION
    fine = frame.values(device.COMPUTE_ACTIVE, seconds=WINDOW_SECONDS)
    coarse = frame.values(device.UTILIZATION, "compute", seconds=WINDOW_SECONDS)
    busy = np.where(np.isnan(fine), coarse, fine).astype(np.float64)
    boards, of_board = _boards(frame)
    each = np.full((len(boards), busy.shape[1]), np.nan)
    np.fmax.at(each, of_board, busy)
    sites = {site: number for number, site in enumerate(dict.fromkeys(site for site, _ in boards))}
    of_site = np.array([sites[site] for site, _ in boards], dtype=np.int64)
    return _Load(type="GPU", metric=metric, rows=sites, values=_means(each, of_site, len(sites)))


def _boards(frame: Frame) -> tuple[list[tuple[Site, str]], Ints]:
    """Devices without regard to their instances, and which of them each row is of."""
    numbers: dict[tuple[Site, str], int] = {}
    rows = [numbers.setdefault(((one.cluster, one.node), one.uuid), len(numbers)) for one in frame.devices.entities]
    return list(numbers), np.array(rows, dtype=np.int64)


def _means(values: NDArray[np.float64], groups: Ints, count: int) -> Array:
    """Mean over the rows of each group that have a value, [group, column]; NaN where none has."""
    total, known = np.zeros((count, values.shape[1])), np.zeros((count, values.shape[1]))
    np.add.at(total, groups, np.nan_to_num(values))
    np.add.at(known, groups, np.isfinite(values).astype(np.float64))
    return ratio(total, known)


def _nodes(frame: Frame) -> dict[Site, int]:
    return {(one.cluster, one.node): row for row, one in enumerate(frame.nodes.entities)}
