"""What a TPU runtime's answers mean: which chip a point is about, and distributions as histograms. Pure mapping.

Ids and their traps follow tpu-info 0.14.2 (metrics.py): memory, duty cycle and idleness carry the device as the value
of their only attribute; queues and programs carry a list of attributes with `device_ordinal`, an integer in older
runtimes and a string in newer ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.rebucket import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Point", "by_chip"]

_MOST_BUCKETS: Final = 4096


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one device (None: of the node)."""

    device: int | None
    value: float | Distribution | None

    @classmethod
    def of(cls, metric: Any) -> Point:  # noqa: ANN401 - a message that is made at run time
        """Read one; a value that makes no sense is None."""
        return cls(_device(metric.attribute.value), _value(metric))


def by_chip(points: Iterable[Point], chips: int, cores_per_chip: int) -> list[list[Point]] | None:
    """Points of each chip in the order of its ids: one per chip or one per core of it; None if they fit neither.

    Ids count from wherever this host stands in its slice, so only their order says which chip is meant.
    """
    known = sorted((point for point in points if point.device is not None), key=lambda point: point.device or 0)
    ids = sorted({point.device for point in known if point.device is not None})
    for per_chip in (1, cores_per_chip):
        if len(ids) == chips * per_chip:
            place = {number: position // per_chip for position, number in enumerate(ids)}
            found: list[list[Point]] = [[] for _ in range(chips)]
            for point in known:
                found[place[point.device or 0]].append(point)
            return found
    return None


def _distribution(raw: Any) -> Distribution | None:  # noqa: ANN401 - as above
    """One distribution; None if its buckets make no sense."""
    counts = tuple(raw.bucket_counts)
    bounds = _bounds(raw.bucket_options, len(counts) - 1)
    rises = all(low < high for low, high in pairwise(bounds))
    total = raw.mean * raw.count
    is_sound = len(counts) <= _MOST_BUCKETS and min(counts, default=0) >= 0 and isfinite(total)
    if not rises or not is_sound or len(bounds) < len(counts) - 1:
        return None
    return Distribution(counts, bounds[: max(len(counts) - 1, 0)], total)


def _bounds(options: Any, wanted: int) -> tuple[float, ...]:  # noqa: ANN401 - as above
    """Bounds between the buckets, `wanted` of them unless they are listed one by one."""
    count = min(max(wanted, 0), _MOST_BUCKETS)
    kind = options.WhichOneof("options")
    if kind == "exponential_buckets":
        scale, growth = options.exponential_buckets.scale, options.exponential_buckets.growth_factor
        return _finite(scale, growth, count)
    if kind == "linear_buckets":
        linear = options.linear_buckets
        return tuple(linear.offset + linear.width * step for step in range(count))
    return tuple(options.explicit_buckets.bounds)


def _finite(scale: float, growth: float, count: int) -> tuple[float, ...]:
    bounds = []
    bound = scale
    for _ in range(count):
        if not isfinite(bound) or bound <= 0:
            break
        bounds.append(bound)
        bound *= growth
    return tuple(bounds)


def _device(value: Any) -> int | None:  # noqa: ANN401 - as above
    kind = value.WhichOneof("attr")
    if kind == "kvlist_attr":
        ordinals = [one.value for one in value.kvlist_attr.attributes if one.key == "device_ordinal"]
        return _device(ordinals[0]) if ordinals else None
    if kind == "int_attr":
        return int(value.int_attr)
    if kind == "string_attr" and value.string_attr.isascii() and value.string_attr.isdecimal():
        return int(value.string_attr[:9])
    return None


def _value(metric: Any) -> float | Distribution | None:  # noqa: ANN401 - as above
    kind = metric.WhichOneof("measure")
    if kind == "distribution":
        return _distribution(metric.distribution)
    if kind not in {"gauge", "counter"}:
        return None
    measure = getattr(metric, kind)
    field = measure.WhichOneof("value")
    value = getattr(measure, field) if field in {"as_double", "as_int"} else None
    return float(value) if value is not None and isfinite(value) else None
