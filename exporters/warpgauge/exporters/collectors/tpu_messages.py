"""The messages of the TPU runtime's metric service, built from a description instead of generated code.

`_MESSAGES` is the part that is read of tpu_info/proto/tpu_metric_service.proto (package tpu.monitoring.runtime, as
shipped in tpu-info 0.14.2, Apache-2.0): names and field numbers are the protocol. What is left out is kept by
protobuf as unknown fields. protobuf and grpcio are imported here and in `tpu_runtime` only, and only where a TPU is.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["METHOD_GET", "SERVICE", "message"]

_PACKAGE: Final = "tpu.monitoring.runtime"
SERVICE: Final = f"{_PACKAGE}.RuntimeMetricService"
METHOD_GET: Final = f"/{SERVICE}/GetRuntimeMetric"

# message -> fields: name, number, type (a scalar or a message), modifiers
_MESSAGES: Final[dict[str, tuple[str, ...]]] = {
    "Exponential": ("num_finite_buckets 1 int32", "growth_factor 2 double", "scale 3 double"),
    "Linear": ("num_finite_buckets 1 int32", "width 2 double", "offset 3 double"),
    "Explicit": ("bounds 1 double repeated",),
    "BucketOptions": (
        "exponential_buckets 2 Exponential oneof:options",
        "explicit_buckets 3 Explicit oneof:options",
        "linear_buckets 4 Linear oneof:options",
    ),
    "Distribution": (
        "count 1 int64",
        "mean 2 double",
        "bucket_options 6 BucketOptions",
        "bucket_counts 7 int64 repeated",
    ),
    "Gauge": (
        "as_double 1 double oneof:value",
        "as_int 2 int64 oneof:value",
        "as_string 3 string oneof:value",
        "as_bool 4 bool oneof:value",
    ),
    "Counter": ("as_double 1 double oneof:value", "as_int 2 uint64 oneof:value"),
    "AttrValue": (
        "string_attr 1 string oneof:attr",
        "bool_attr 2 bool oneof:attr",
        "int_attr 3 int64 oneof:attr",
        "double_attr 4 double oneof:attr",
        "kvlist_attr 6 KeyValueList oneof:attr",
    ),
    "KeyValueList": ("attributes 1 Attribute repeated",),
    "Attribute": ("key 1 string", "value 2 AttrValue"),
    "Metric": (
        "attribute 1 Attribute",
        "gauge 3 Gauge oneof:measure",
        "counter 4 Counter oneof:measure",
        "distribution 5 Distribution oneof:measure",
    ),
    "TPUMetric": ("name 1 string", "description 2 string", "metrics 3 Metric repeated"),
    "MetricRequest": ("metric_name 1 string", "skip_node_aggregation 2 bool"),
    "MetricResponse": ("metric 1 TPUMetric",),
}
_FIELD: Final = descriptor_pb2.FieldDescriptorProto


def _file() -> descriptor_pb2.FileDescriptorProto:
    described = descriptor_pb2.FileDescriptorProto(
        name="warpgauge/tpu_metric_service.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        _describe(described.message_type.add(name=name), fields)
    return described


def _describe(into: Any, fields: tuple[str, ...]) -> None:  # noqa: ANN401 - protobuf's types are made at run time
    for line in fields:
        name, number, kind, *modifiers = line.split()
        added = into.field.add(name=name, number=int(number), label=_FIELD.LABEL_OPTIONAL)
        if kind in _MESSAGES:
            added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
        else:
            added.type = getattr(_FIELD, f"TYPE_{kind.upper()}")
        for modifier in modifiers:
            if modifier == "repeated":
                added.label = _FIELD.LABEL_REPEATED
            else:
                added.oneof_index = _oneof(into, modifier.removeprefix("oneof:"))


def _oneof(into: Any, name: str) -> int:  # noqa: ANN401 - as above
    names = [one.name for one in into.oneof_decl]
    if name not in names:
        into.oneof_decl.add(name=name)
        names.append(name)
    return names.index(name)


_POOL: Final = descriptor_pool.DescriptorPool()  # our own: the process may hold the full description as well
_POOL.Add(_file())


def message(name: str) -> Any:  # noqa: ANN401 - as above
    """The class of one message."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
