"""`GET /api/v1/series`: values of one metric from the frame. Not PromQL: one metric, label filters, one step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.frame.entities import DeviceEntity, RankEntity, ServerEntity
from warpgauge.analyzer.frame.schema import PLACES
from warpgauge.core.catalog import BY_NAME, Kind
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Entity
    from warpgauge.analyzer.frame.table import Floats, Ints
    from warpgauge.core.catalog import Metric

__all__ = ["MAX_SERIES", "SeriesQuery", "parse_query", "series_document"]

MAX_SERIES: Final = 200
_RESERVED: Final = frozenset({"metric", "start", "end", "step"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesQuery:
    """What is asked for; times are seconds since the epoch, None is open."""

    metric: Metric
    start: float | None
    end: float | None
    step_seconds: float | None
    filters: tuple[tuple[str, str], ...]  # label equals value


def parse_query(params: Mapping[str, str]) -> SeriesQuery:
    """Read the parameters of a request.

    Raises:
        InputError: a parameter is missing, malformed or names what the frame does not keep.

    """
    name = params.get("metric", "")
    if name not in PLACES:
        close = get_close_matches(name, PLACES, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; GET /api/v1/openapi.json tells more"
        msg = f"metric={name!r} is not kept in the frame{hint}"
        raise InputError(msg)
    step = _number(params, "step")
    if step is not None and step <= 0:
        msg = f"step={params['step']!r} must be > 0"
        raise InputError(msg)
    filters = tuple(sorted((label, value) for label, value in params.items() if label not in _RESERVED))
    start, end = _number(params, "start"), _number(params, "end")
    return SeriesQuery(metric=BY_NAME[name], start=start, end=end, step_seconds=step, filters=filters)


def series_document(frame: Frame, query: SeriesQuery) -> dict[str, Any]:
    """Series that match, each as [time, value] pairs without the gaps; at most MAX_SERIES, `left_out` counts more."""
    columns = _columns(frame, query)
    step_ms = _step_ms(frame, query)
    times = frame.time_ms[columns]
    found: list[dict[str, Any]] = []
    left_out = 0
    for labels, values in _matching(frame, query):
        if len(found) >= MAX_SERIES:
            left_out += 1
            continue
        found.append({"labels": labels, "values": _points(times, values[columns], step_ms)})
    return {
        "metric": query.metric.name,
        "unit": query.metric.unit.value,
        "is_rate": query.metric.kind is Kind.COUNTER,
        "step": step_ms / 1000.0,
        "series": found,
        "left_out": left_out,
    }


def _step_ms(frame: Frame, query: SeriesQuery) -> int:
    """A whole number of columns, at most the window."""
    wanted = min(query.step_seconds or frame.step_seconds, frame.columns * frame.step_seconds)
    return round(max(1, round(wanted / frame.step_seconds)) * frame.step_seconds * 1000.0)


def _matching(frame: Frame, query: SeriesQuery) -> Iterator[tuple[dict[str, str], Floats]]:
    place = PLACES[query.metric.name]
    keep = (*place.keep, "part") if query.metric.kind is Kind.HISTOGRAM else place.keep
    table = frame.table_of(query.metric)
    extras = frame.channels(query.metric)
    if query.metric.kind is Kind.HISTOGRAM and extras:
        extras = [("mean",), *extras]
    for extra in extras:
        values = frame.values(query.metric, *extra)
        for row, entity in enumerate(table.entities):
            labels = _labels(entity) | dict(zip(keep, extra, strict=True))
            if all(labels.get(label, "") == value for label, value in query.filters):
                yield labels, values[row]


def _labels(entity: Entity) -> dict[str, str]:
    labels = {"cluster": entity.cluster, "node": entity.node}
    if isinstance(entity, DeviceEntity):
        labels |= {"uuid": entity.uuid}
        labels |= {"index": str(entity.index)} if entity.index >= 0 else {}
        labels |= {"instance_id": entity.instance_id} if entity.instance_id else {}
    elif isinstance(entity, RankEntity):
        labels |= {"job_id": entity.job_id, "rank": str(entity.rank)}
        labels |= {"stage": str(entity.stage)} if entity.stage is not None else {}
    elif isinstance(entity, ServerEntity):
        labels |= {"server": entity.server, "endpoint": entity.endpoint}
        labels |= {"model": entity.model} if entity.model else {}
    return labels


def _columns(frame: Frame, query: SeriesQuery) -> Ints:
    ends = frame.time_ms / 1000.0
    start = -math.inf if query.start is None else query.start
    end = math.inf if query.end is None else query.end
    return np.flatnonzero((ends > start) & (ends - frame.step_seconds < end))


def _points(ends_ms: Ints, values: Floats, step_ms: int) -> list[list[float]]:
    """Means over steps counted from the epoch, each dated at the step's end; steps without a value are left out."""
    known = np.isfinite(values)
    steps, first = np.unique((ends_ms[known] - 1) // step_ms, return_index=True)
    if not len(steps):
        return []
    counts = np.diff(np.append(first, np.count_nonzero(known)))
    means = np.add.reduceat(values[known].astype(np.float64), first) / counts
    points: list[list[float]] = np.column_stack([(steps + 1) * (step_ms / 1000.0), means]).tolist()
    return points


def _number(params: Mapping[str, str], name: str) -> float | None:
    text = params.get(name)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f"{name}={text!r} must be a number of seconds"
        raise InputError(msg)
    return number
