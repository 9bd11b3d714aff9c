"""Where each catalog row stands in the frame: which table, which labels stay apart, how the others fold together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from warpgauge.core.catalog import BY_NAME, Family, Kind, Metric, Tier, device, host, process, serving, training
from warpgauge.core.inference_servers import FULLEST

__all__ = ["HISTOGRAM_PARTS", "PLACES", "Place", "Reduce", "TableName"]


class TableName(StrEnum):
    """The kinds of things that have values over time."""

    DEVICES = "devices"
    NODES = "nodes"
    RANKS = "ranks"
    SERVERS = "servers"


class Reduce(StrEnum):
    """How several series of one channel and entity become one value."""

    LAST = "last"  # one series per channel is expected; the last one written stands
    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a metric's values go.

    `keep` are labels whose values stay apart, in this order: they are the `extra` of a channel. Identity labels
    (uuid, index, job_id, rank, stage; server, endpoint, model) name the entity; whatever is left folds by `reduce`.
    `is_age` stores the age of a timestamp (sample time minus value): seconds since the epoch do not fit float32.
    """

    table: TableName
    keep: tuple[str, ...] = ()
    reduce: Reduce = Reduce.LAST
    is_age: bool = False


HISTOGRAM_PARTS: Final = ("sum", "count")
"""Suffixes of a histogram that the frame keeps, as rates; buckets are not kept.

A histogram's channels are `("mean",)`: mean of the observations that ended in the column (NaN without any),
`("count",)`: observations per second, `("sum",)`: sum of observations per second.
"""


def _device(*keep: str, reduce: Reduce = Reduce.LAST, is_age: bool = False) -> Place:
    return Place(table=TableName.DEVICES, keep=keep, reduce=reduce, is_age=is_age)


def _node(*keep: str, reduce: Reduce = Reduce.LAST, is_age: bool = False) -> Place:
    return Place(table=TableName.NODES, keep=keep, reduce=reduce, is_age=is_age)


_IDENTITY: Final = frozenset({"uuid", "index", "instance_id", "job_id", "rank", "stage"})

# Rows whose placement cannot be read off their labels.
_SPECIAL: Final[dict[Metric, Place]] = {
    device.LAST_SAMPLE: _device(is_age=True),
    device.XID_LAST: _device("xid", is_age=True),
    device.FAN_SPEED: _device(reduce=Reduce.MAX),
    device.LINK_TRANSMIT: _device(reduce=Reduce.SUM),  # of one device: a link that is slow shows in its own series
    device.LINK_RECEIVE: _device(reduce=Reduce.SUM),
    host.BOOT_TIME: _node(is_age=True),
    host.CPU_SECONDS: _node("mode", reduce=Reduce.SUM),
    host.CPU_FREQUENCY: _node(reduce=Reduce.MAX),
    host.DISK_READ: _node(reduce=Reduce.SUM),
    host.DISK_WRITTEN: _node(reduce=Reduce.SUM),
    host.DISK_READS: _node(reduce=Reduce.SUM),
    host.DISK_WRITES: _node(reduce=Reduce.SUM),
    host.DISK_IO_TIME: _node("device"),
    host.FILESYSTEM_SIZE: _node("mountpoint", reduce=Reduce.MAX),
    host.FILESYSTEM_AVAILABLE: _node("mountpoint", reduce=Reduce.MAX),
    host.NETWORK_RECEIVE: _node(reduce=Reduce.SUM),
    host.NETWORK_TRANSMIT: _node(reduce=Reduce.SUM),
    host.NETWORK_RECEIVE_ERRORS: _node(reduce=Reduce.SUM),
    host.NETWORK_TRANSMIT_ERRORS: _node(reduce=Reduce.SUM),
    training.STEP_SECONDS: Place(table=TableName.RANKS),
    training.PHASE_SECONDS: Place(table=TableName.RANKS, keep=("phase",), reduce=Reduce.SUM),
}


_FAMILIES: Final = frozenset({Family.DEVICE, Family.HOST, Family.SERVING})
_NOWHERE: Final = frozenset({process.PROCESS_MEMORY, process.PROCESS_UTILIZATION})
"""A process is a channel that hardly ever comes again; what its device does is in the device's own metrics."""


def _place(metric: Metric) -> Place | None:
    if metric in _NOWHERE:
        return None
    if metric in _SPECIAL:
        return _SPECIAL[metric]
    if metric.family not in _FAMILIES or metric.kind is Kind.INFO or metric.tier is Tier.ON_DEMAND:
        return None
    if metric.kind is Kind.HISTOGRAM:  # a distribution of time: its mean over a column is what its gauge has
        return None
    if metric.family is Family.SERVING:  # several engines behind one page
        return Place(table=TableName.SERVERS, reduce=Reduce.MAX if metric in {serving.UP, *FULLEST} else Reduce.SUM)
    keep = tuple(label for label in metric.labels if label not in _IDENTITY)
    return _device(*keep) if "uuid" in metric.labels else _node(*keep)


PLACES: Final[dict[str, Place]] = {
    name: place for name, metric in BY_NAME.items() if (place := _place(metric)) is not None
}
"""By metric name. What is not here (our own metrics, info series, distributions) has no values in the frame."""
