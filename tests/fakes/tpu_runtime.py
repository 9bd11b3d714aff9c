"""A TPU runtime's metric service over a real gRPC server, and the chips' folders in a tree like /sys: a double.

The messages come from the description that tpu-info 0.14.2 ships, not from the code under test.
"""

from __future__ import annotations

import time
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = Path(__file__).parents[1] / "fixtures/tpu/tpu-info-0.14.2.binpb"
PACKAGE = "tpu.monitoring.runtime"


def described() -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTION.read_bytes())


_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
for _file in described().file:
    _POOL.Add(_file)


def message(name: str):
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def gauges(values: dict[int, float], *, is_int: bool = False) -> list:
    """One point per device, its number as the attribute's value, as memory and duty cycle come."""
    metrics = []
    for device, value in values.items():
        metric = message("Metric")()
        metric.attribute.key = "device_id"
        metric.attribute.value.int_attr = device
        if is_int:
            metric.gauge.as_int = int(value)
        else:
            metric.gauge.as_double = value
        metrics.append(metric)
    return metrics


def queues(values: dict[int | str, int]) -> list:
    """As hlo.queue.size.gauge comes: device_ordinal among other attributes, a number or (newer libtpu) a string."""
    metrics = []
    for device, value in values.items():
        metric = _with_ordinal(device)
        metric.gauge.as_int = value
        metrics.append(metric)
    return metrics


def distributions(devices: list[int | str], counts: list[int], *, scale: float, growth: float, mean: float) -> list:
    metrics = []
    for device in devices:
        metric = _with_ordinal(device)
        metric.distribution.count = sum(counts)
        metric.distribution.mean = mean
        metric.distribution.bucket_counts.extend(counts)
        options = metric.distribution.bucket_options.exponential_buckets
        options.num_finite_buckets, options.scale, options.growth_factor = len(counts) - 2, scale, growth
        metrics.append(metric)
    return metrics


def _with_ordinal(device: int | str):
    metric = message("Metric")()
    attributes = metric.attribute.value.kvlist_attr.attributes
    core = attributes.add(key="core_type")
    core.value.string_attr = "TENSOR_CORE"
    ordinal = attributes.add(key="device_ordinal")
    if isinstance(device, str):
        ordinal.value.string_attr = device
    else:
        ordinal.value.int_attr = device
    return metric


class FakeRuntime:
    """Answers GetRuntimeMetric from `metrics`; `pause_seconds` makes it hang, it may be dead or lie."""

    def __init__(self) -> None:
        self.metrics: dict[str, list] = {}
        self.pause_seconds = 0.0
        self.is_dead = self.lies = False
        self.asked: list[str] = []
        self.address = ""

    def answer(self, request, context):
        time.sleep(self.pause_seconds)
        self.asked.append(request.metric_name)
        if self.is_dead:
            context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset by peer")
        if request.metric_name not in self.metrics:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown metric {request.metric_name}")
        response = message("MetricResponse")()
        response.metric.name = request.metric_name
        response.metric.metrics.extend(self.metrics[request.metric_name])
        if self.lies:
            del response.metric.metrics[:]
            response.metric.metrics.extend(gauges({-7: float("nan"), 10**6: float("inf")}))
        return response


@contextmanager
def serving(runtime: FakeRuntime) -> Iterator[FakeRuntime]:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    handler = grpc.unary_unary_rpc_method_handler(
        runtime.answer,
        request_deserializer=message("MetricRequest").FromString,
        response_serializer=message("MetricResponse").SerializeToString,
    )
    name = f"{PACKAGE}.RuntimeMetricService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, {"GetRuntimeMetric": handler})])
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    runtime.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield runtime
    finally:
        server.stop(None).wait()


def busy(chips: int, *, first: int = 0) -> dict[str, list]:
    """What a runtime with work on every chip (one device each) tells."""
    ids = range(first, first + chips)
    return {
        "tpu.runtime.hbm.memory.total.bytes": gauges(dict.fromkeys(ids, 2.0**34), is_int=True),
        "tpu.runtime.hbm.memory.usage.bytes": gauges({one: 1e9 * (one + 1) for one in ids}, is_int=True),
        "tpu.runtime.tensorcore.dutycycle.percent": gauges({one: 50.0 + one for one in ids}),
        "tpu.runtime.hbm.utilization.percent": gauges(dict.fromkeys(ids, 25.0)),
        "tpu.runtime.tensorcore.idle_duration.seconds": gauges(dict.fromkeys(ids, 0.5)),
        "hlo.queue.size.gauge": queues({str(one): one for one in ids}),
        "hlo.execution.timing.distribution.microseconds": distributions(
            [str(one) for one in ids], [1, 2, 3, 4], scale=1000.0, growth=10.0, mean=2000.0
        ),
    }


def plug_in(sys_root: Path, addresses: list[str], *, device: str = "0x0063", vendor: str = "0x1ae0") -> None:
    """Folders of PCI functions; IOMMU groups count down, so that address order is not the runtime's order."""
    for place, address in enumerate(addresses):
        folder = sys_root / "bus/pci/devices" / address
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "device").write_text(f"{device}\n")
        (folder / "subsystem_device").write_text("0x004f\n")
        (folder / "class").write_text("0x120000\n")
        (folder / "numa_node").write_text(f"{place % 2}\n")
        group = sys_root / "kernel/iommu_groups" / str(10 + len(addresses) - place)
        group.mkdir(parents=True, exist_ok=True)
        (folder / "iommu_group").symlink_to(group)
