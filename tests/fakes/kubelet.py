"""A kubelet's pod-resources API on a unix socket: grpcio's own server and the protocol's own messages."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from warpgauge.exporters.attribution.pod_resources import METHOD, message_types

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FakeKubelet:
    """Serves the pods that it was given; `hang_seconds`, `refuse` and `garbles` are its faults."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.hang_seconds = 0.0
        self.refuse = False
        self.garbles = False
        self._answer = message_types()["ListPodResourcesResponse"]()

    def give(self, namespace: str, pod: str, container: str, resource: str, *device_ids: str) -> None:
        """Let a container have these devices."""
        one = self._answer.pod_resources.add(name=pod, namespace=namespace)
        one.containers.add(name=container).devices.add(resource_name=resource, device_ids=device_ids)

    def end_all(self) -> None:
        del self._answer.pod_resources[:]

    def list(self, _request: object, context: grpc.ServicerContext) -> object:
        time.sleep(self.hang_seconds)
        if self.refuse:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit")
        return self._answer


@contextmanager
def serving(socket: Path) -> Iterator[FakeKubelet]:
    """A kubelet for as long as the block lasts."""
    kubelet = FakeKubelet(socket)
    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(
        kubelet.list,
        request_deserializer=message_types()["ListPodResourcesRequest"].FromString,
        response_serializer=lambda answer: b"\xff\xff\xff" if kubelet.garbles else answer.SerializeToString(),
    )
    _, service, method = METHOD.split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield kubelet
    finally:
        server.stop(0).wait()
