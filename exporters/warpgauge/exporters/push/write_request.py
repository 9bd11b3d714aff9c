"""Samples as a remote-write 1.0 message (prometheus/prompb/remote.proto and types.proto), snappy-compressed.

The specification is https://prometheus.io/docs/specs/prw/remote_write_spec/. The message class is built from the few
fields that samples need, so no generated file of another project is copied.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Kind
from warpgauge.core.exposition.rendering import bound
from warpgauge.core.fine_buckets import SCHEMA, ZERO, ZERO_THRESHOLD
from warpgauge.core.sample import Histogram, Unavailable

try:
    import cramjam
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ModuleNotFoundError as error:
    message = "Pushing needs cramjam and protobuf: pip install '.[push]'"
    raise ModuleNotFoundError(message, name=error.name) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from warpgauge.core.sample import Sample
    from warpgauge.exporters.push.reading import Reading

__all__ = ["EMPTY", "STALE", "Writer"]

STALE: Final[float] = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]
"""The NaN by which Prometheus knows that a series has ended (model/value/value.go, StaleNaN)."""

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_KINDS: Final = {
    "string": _FIELD.TYPE_STRING,
    "double": _FIELD.TYPE_DOUBLE,
    "int64": _FIELD.TYPE_INT64,
    "uint64": _FIELD.TYPE_UINT64,
    "uint32": _FIELD.TYPE_UINT32,
    "sint32": _FIELD.TYPE_SINT32,
    "sint64s": _FIELD.TYPE_SINT64,  # several
}
_MESSAGES: Final = {
    "Label": (("name", 1, "string"), ("value", 2, "string")),
    "Sample": (("value", 1, "double"), ("timestamp", 2, "int64")),
    "BucketSpan": (("offset", 1, "sint32"), ("length", 2, "uint32")),
    "Histogram": (
        ("count_int", 1, "uint64"),
        ("sum", 3, "double"),
        ("schema", 4, "sint32"),
        ("zero_threshold", 5, "double"),
        ("zero_count_int", 6, "uint64"),
        ("positive_spans", 11, "BucketSpan"),
        ("positive_deltas", 12, "sint64s"),
        ("timestamp", 15, "int64"),
    ),
    "TimeSeries": (("labels", 1, "Label"), ("samples", 2, "Sample"), ("histograms", 4, "Histogram")),
    "WriteRequest": (("timeseries", 1, "TimeSeries"),),
}
_Labels = tuple[tuple[str, str], ...]
"""All labels of a series, `__name__` among them, in alphabetical order as the specification demands."""


def _message_class() -> Any:  # noqa: ANN401 - made at run time
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    for name, fields in _MESSAGES.items():
        row = file.message_type.add(name=name)
        for field, number, kind in fields:
            added = row.field.add(name=field, number=number, type=_KINDS.get(kind, _FIELD.TYPE_MESSAGE))
            is_one = kind in _KINDS and not kind.endswith("s")
            added.label = _FIELD.LABEL_OPTIONAL if is_one else _FIELD.LABEL_REPEATED
            if kind not in _KINDS:
                added.type_name = f".prometheus.{kind}"
    pool = descriptor_pool.DescriptorPool()  # of our own: another library in the process may define the same names
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


_WriteRequest: Final = _message_class()


class Writer:
    """Writes one reading after the other; a series that is gone from a reading gets its end marker there, once."""

    def __init__(
        self, external: Mapping[str, str], takes: Callable[[str], bool], *, has_native_histograms: bool = False
    ) -> None:
        """`takes` says by its full name whether a series is written."""
        self._has_native_histograms = has_native_histograms
        self._external = external
        self._takes = takes
        self._known: dict[tuple[str, tuple[str, ...]], list[_Labels]] = {}  # metric and label values -> its series
        self._living: frozenset[_Labels] = frozenset()

    def message(self, reading: Reading) -> bytes:
        """The compressed request; `EMPTY` if there is nothing to say."""
        request = _WriteRequest()
        stamp = round(reading.time * 1000)
        known = self._known
        self._known = {}  # of this reading only, so that it cannot grow without end
        living = set()
        for sample in reading.samples:
            for labels, value in self._series(sample, known):
                living.add(labels)
                _add(request, labels, value, stamp)
            if self._has_native_histograms and (labels := self._native(sample)):
                living.add(labels)
                _add_native(request, labels, sample.value, stamp)
        for labels in sorted(self._living - living):
            _add(request, labels, STALE, stamp)
        self._living = frozenset(living)
        return _compressed(request.SerializeToString())

    def _series(
        self, sample: Sample, known: dict[tuple[str, tuple[str, ...]], list[_Labels]]
    ) -> Iterator[tuple[_Labels, float]]:
        value = sample.value
        if isinstance(value, Unavailable):
            return
        key = (sample.metric.name, sample.labels)
        rows = known.get(key) or list(self._labels(sample))
        self._known[key] = rows
        numbers = (*value.counts, value.counts[-1], value.sum) if isinstance(value, Histogram) else (value,)
        for labels, number in zip(rows, numbers, strict=True):
            if labels:
                yield labels, float(number)

    def _native(self, sample: Sample) -> _Labels:
        """Labels of the native histogram; empty where none is written.

        Counts of narrower buckets that are not all there is, as of a recording that has none, would be a lie.
        """
        value, metric = sample.value, sample.metric
        if not isinstance(value, Histogram) or not value.fine or sum(n for _, n in value.fine) != value.counts[-1]:
            return ()
        return self._chosen(metric.name, dict(zip(metric.label_names(sample.labels), sample.labels, strict=True)))

    def _labels(self, sample: Sample) -> Iterator[_Labels]:
        """Labels of a sample's series, in the order of its numbers; empty for one that is not written."""
        metric = sample.metric
        pairs = dict(zip(metric.label_names(sample.labels), sample.labels, strict=True))
        if metric.kind is not Kind.HISTOGRAM:
            yield self._chosen(metric.name, pairs)
            return
        for le in (*metric.buckets, float("inf")):
            yield self._chosen(f"{metric.name}_bucket", {**pairs, "le": bound(le)})
        yield self._chosen(f"{metric.name}_count", pairs)
        yield self._chosen(f"{metric.name}_sum", pairs)

    def _chosen(self, name: str, pairs: Mapping[str, str]) -> _Labels:
        if not self._takes(name):
            return ()
        every = {**self._external, **pairs, "__name__": name}  # a series' own label wins, as in Prometheus
        return tuple(sorted((key, _clean(value)) for key, value in every.items() if value))


def _add(request: Any, labels: _Labels, value: float, stamp: int) -> None:  # noqa: ANN401 - made at run time
    series = request.timeseries.add()
    for name, text in labels:
        series.labels.add(name=name, value=text)
    series.samples.add(value=value, timestamp=stamp)


def _add_native(request: Any, labels: _Labels, value: Any, stamp: int) -> None:  # noqa: ANN401 - made at run time
    series = request.timeseries.add()
    for name, text in labels:
        series.labels.add(name=name, value=text)
    counts = dict(value.fine)
    native = series.histograms.add(
        count_int=value.counts[-1],
        sum=value.sum,
        schema=SCHEMA,
        zero_threshold=ZERO_THRESHOLD,
        zero_count_int=counts.pop(ZERO, 0),
        timestamp=stamp,
    )
    last_bucket, last_count = None, 0
    for bucket, count in counts.items():  # rising
        if last_bucket is None or bucket != last_bucket + 1:
            native.positive_spans.add(offset=bucket if last_bucket is None else bucket - last_bucket - 1, length=0)
        native.positive_spans[-1].length += 1
        native.positive_deltas.append(count - last_count)
        last_bucket, last_count = bucket, count


def _clean(text: str) -> str:
    """The text without lone surrogates (a file name that is no UTF-8), which protobuf would refuse."""
    return text.encode("utf-8", "replace").decode()


def _compressed(content: bytes) -> bytes:
    """In snappy's block format, not its framing."""
    return bytes(cramjam.snappy.compress_raw(content))


EMPTY: Final = _compressed(b"")
"""A request without any series: receivers take it and keep nothing."""
