"""Remote write's message as Google's own library writes and reads it: the oracle for our reader.

prometheus/prompb/remote.proto and types.proto, as far as a receiver of samples needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIELD = descriptor_pb2.FieldDescriptorProto
KINDS = {"string": FIELD.TYPE_STRING, "double": FIELD.TYPE_DOUBLE, "int64": FIELD.TYPE_INT64}
MESSAGES = {
    "Label": (("name", 1, "string", False), ("value", 2, "string", False)),
    "Sample": (("value", 1, "double", False), ("timestamp", 2, "int64", False)),
    "Histogram": (("timestamp", 15, "int64", False),),
    "MetricMetadata": (("metric_family_name", 2, "string", False),),
    "TimeSeries": (
        ("labels", 1, "Label", True),
        ("samples", 2, "Sample", True),
        ("histograms", 4, "Histogram", True),
    ),
    "WriteRequest": (("timeseries", 1, "TimeSeries", True), ("metadata", 3, "MetricMetadata", True)),
}


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = message.field.add(name=field, number=number)
            added.label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
            added.type = KINDS.get(kind, FIELD.TYPE_MESSAGE)
            if kind not in KINDS:
                added.type_name = f".prometheus.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WriteRequest = _message_class()


def message(series: Iterable[tuple[Mapping[str, str], Iterable[tuple[int, float]]]]) -> bytes:
    """A request of these series: labels and (milliseconds, value) pairs."""
    request = WriteRequest()
    for labels, samples in series:
        added = request.timeseries.add()
        for name in sorted(labels):
            added.labels.add(name=name, value=labels[name])
        for time_ms, value in samples:
            added.samples.add(timestamp=time_ms, value=value)
    return request.SerializeToString()


def samples_of(body: bytes) -> list[tuple[dict[str, str], int, float]]:
    """What the library reads."""
    request = WriteRequest.FromString(body)
    return [
        ({label.name: label.value for label in series.labels}, sample.timestamp, sample.value)
        for series in request.timeseries
        for sample in series.samples
    ]
