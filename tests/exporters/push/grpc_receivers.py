"""A gRPC receiver of ours that answers as it is told, by any method: for statuses on demand."""

from __future__ import annotations

import contextlib
from concurrent import futures
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Refusal:
    code: grpc.StatusCode
    details: str = ""
    retry_seconds: float | None = None  # told as google.rpc.RetryInfo
    raw_details: bytes | None = None  # told in its place


@dataclass(slots=True)
class Call:
    method: str
    metadata: dict[str, str]
    body: bytes


@dataclass(slots=True)
class GrpcReceiver:
    """`replies` are given one after the other, then an empty success for ever; `calls` are all that came."""

    url: str = ""
    replies: list[Refusal | bytes] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


class _AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, state: GrpcReceiver) -> None:
        self._state = state

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
            metadata = {name: value for name, value in details.invocation_metadata if isinstance(value, str)}
            self._state.calls.append(Call(details.method, metadata, body))
            reply = self._state.replies.pop(0) if self._state.replies else b""
            if isinstance(reply, bytes):
                return reply
            context.set_trailing_metadata(_trailing(reply))
            context.abort(reply.code, reply.details)
            raise AssertionError

        return grpc.unary_unary_rpc_method_handler(answer)


def _trailing(reply: Refusal) -> tuple[tuple[str, bytes], ...]:
    if reply.raw_details is not None:
        return (("grpc-status-details-bin", reply.raw_details),)
    if reply.retry_seconds is None:
        return ()
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(round(1000 * reply.retry_seconds))
    packed = Packed()
    packed.Pack(info)
    status = Status(code=reply.code.value[0], message=reply.details, details=[packed])
    return (("grpc-status-details-bin", status.SerializeToString()),)


@contextlib.contextmanager
def grpc_receiver(credentials: grpc.ServerCredentials | None = None, port: int = 0) -> Iterator[GrpcReceiver]:
    state = GrpcReceiver()
    server = grpc.server(
        futures.ThreadPoolExecutor(2), handlers=[_AnyMethod(state)], options=[("grpc.so_reuseport", 0)]
    )
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    state.url = f"{'https' if credentials else 'http'}://127.0.0.1:{bound}"
    server.start()
    try:
        yield state
    finally:
        server.stop(None).wait()
