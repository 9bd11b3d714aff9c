"""Which pod has which device, asked of the kubelet: v1 of its pod-resources API over its unix socket.

The messages are described here by hand, field by field, after k8s.io/kubelet/pkg/apis/podresources/v1/api.proto; what
newer kubelets add is ignored. grpcio and protobuf are imported once there is a socket, and in this file only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from warpgauge.core.errors import WarpgaugeError
from warpgauge.exporters.attribution.workload import Workload, plain

__all__ = [
    "METHOD",
    "SOCKET",
    "PodDevice",
    "PodResources",
    "PodResourcesError",
    "describe",
    "message_types",
    "split_device_id",
]

SOCKET: Final = "/var/lib/kubelet/pod-resources/kubelet.sock"
METHOD: Final = "/v1.PodResourcesLister/List"
_PACKAGE: Final = "v1"
_TIMEOUT_SECONDS: Final = 1.0
_LARGEST_ANSWER_BYTES: Final = 16 << 20
_MOST_DEVICES: Final = 4096

# Message -> fields (name, number, message of a repeated field or None for text, whether repeated).
_MESSAGES: Final[dict[str, tuple[tuple[str, int, str | None, bool], ...]]] = {
    "ListPodResourcesRequest": (),
    "ListPodResourcesResponse": (("pod_resources", 1, "PodResources", True),),
    "PodResources": (
        ("name", 1, None, False),
        ("namespace", 2, None, False),
        ("containers", 3, "ContainerResources", True),
    ),
    "ContainerResources": (("name", 1, None, False), ("devices", 2, "ContainerDevices", True)),
    "ContainerDevices": (("resource_name", 1, None, False), ("device_ids", 2, None, True)),
}

_TIME_SLICE: Final = re.compile(r"::\d+$")  # GPU-...::3: the fourth share of a GPU that several pods take turns on
_OLD_MIG: Final = re.compile(r"MIG-(?P<gpu>GPU-[0-9a-fA-F-]{36})/(?P<instance>\d{1,3})/\d{1,3}", re.ASCII)


class PodResourcesError(WarpgaugeError):
    """The kubelet did not say; the message tells why and the mend."""


@dataclass(frozen=True, slots=True)
class PodDevice:
    """A device that the kubelet gave to a container."""

    resource: str  # nvidia.com/gpu, nvidia.com/mig-1g.10gb, amd.com/gpu, google.com/tpu ...
    device_id: str  # as the device plugin names it, without the number of a time slice
    instance_id: str  # of the GPU instance, where the name tells it
    workload: Workload


class PodResources:
    """Asks the kubelet; the connection is kept, and made again when it breaks."""

    def __init__(self, socket: str | Path = SOCKET, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._socket = Path(socket)
        self._timeout_seconds = timeout_seconds
        self._channel: Any = None
        self._list: Any = None

    @property
    def is_here(self) -> bool:
        """Whether a kubelet has its socket where we look."""
        try:
            return self._socket.is_socket()
        except OSError:  # its folder is root's
            return False

    def devices(self) -> list[PodDevice]:
        """Every device of every container on this node.

        Raises:
            PodResourcesError: the kubelet does not answer, or not with this message.

        """
        grpc = _grpc()
        try:
            answer = self._method()(message_types()["ListPodResourcesRequest"](), timeout=self._timeout_seconds)
        except grpc.RpcError as error:
            self.close()
            code = error.code().name.lower()
            msg = f"{self._socket}: {code}: {error.details()}"
            raise PodResourcesError(msg) from error
        return _devices(answer)

    def close(self) -> None:
        """Hang up."""
        if self._channel is not None:
            self._channel.close()
        self._channel = self._list = None

    def _method(self) -> Any:  # noqa: ANN401 - grpcio has no types
        if self._list is None:
            options = [("grpc.max_receive_message_length", _LARGEST_ANSWER_BYTES), ("grpc.enable_http_proxy", 0)]
            self._channel = _grpc().insecure_channel(f"unix:{self._socket}", options=options)
            types = message_types()
            self._list = self._channel.unary_unary(
                METHOD,
                request_serializer=types["ListPodResourcesRequest"].SerializeToString,
                response_deserializer=types["ListPodResourcesResponse"].FromString,
            )
        return self._list


def split_device_id(text: str) -> tuple[str, str]:
    """Name of the device and of its GPU instance; a time slice's number is dropped, all slices are one device."""
    name = _TIME_SLICE.sub("", plain(text))
    old = _OLD_MIG.fullmatch(name)
    return (old["gpu"], old["instance"]) if old else (name, "")


def describe() -> Any:  # noqa: ANN401 - a FileDescriptorProto
    """The API's messages as protobuf describes them."""
    from google.protobuf import descriptor_pb2  # noqa: PLC0415 - only where there is a kubelet

    file = descriptor_pb2.FileDescriptorProto(name="podresources.proto", package=_PACKAGE, syntax="proto3")
    for name, members in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, is_repeated in members:
            one = descriptor_pb2.FieldDescriptorProto
            message.field.add(
                name=field,
                number=number,
                label=one.LABEL_REPEATED if is_repeated else one.LABEL_OPTIONAL,
                type=one.TYPE_MESSAGE if kind else one.TYPE_STRING,
                type_name=f".{_PACKAGE}.{kind}" if kind else None,
            )
    return file


_CLASSES: dict[str, Any] = {}


def message_types() -> dict[str, Any]:
    """A class per message; made once, in a pool of their own so that another user of the API is not disturbed."""
    if not _CLASSES:
        from google.protobuf import descriptor_pool, message_factory  # noqa: PLC0415 - only where there is a kubelet

        pool = descriptor_pool.DescriptorPool()
        pool.Add(describe())
        for name in _MESSAGES:
            _CLASSES[name] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    return _CLASSES


def _grpc() -> Any:  # noqa: ANN401 - grpcio has no types
    try:
        import google.protobuf  # noqa: F401, PLC0415 - said here, where the mend is
        import grpc  # noqa: PLC0415 - 10 MB that a node without a kubelet need not have
    except ImportError as error:
        msg = "pods are not named: pip install '.[kubernetes]'"
        raise PodResourcesError(msg) from error
    return grpc


def _devices(answer: Any) -> list[PodDevice]:  # noqa: ANN401 - a ListPodResourcesResponse
    found = []
    for pod in answer.pod_resources:
        for container in pod.containers:
            workload = Workload(
                scheduler="kubernetes",
                namespace=plain(pod.namespace),
                pod=plain(pod.name),
                container=plain(container.name),
            )
            for given in container.devices:
                resource = plain(given.resource_name)
                found += [PodDevice(resource, *split_device_id(text), workload) for text in given.device_ids]
    return found[:_MOST_DEVICES]
