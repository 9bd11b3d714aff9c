"""Asks the runtime of a TPU workload: gRPC RuntimeMetricService, port 8431 of this machine unless told otherwise.

Only there while a workload runs. All devices are in one answer, so that an answer serves every device for half a
second. The connection accepts no peer outside this machine (`grpc.local_channel_credentials`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc

from warpgauge.exporters.collectors.tpu_answers import Point
from warpgauge.exporters.collectors.tpu_messages import METHOD_GET, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.exporters.calls import CallTimes

__all__ = ["RuntimeAnswer", "TpuRuntime"]

_CALL_SECONDS: Final = 0.4  # one runtime that hangs must not use up the deadline of a reading
_FRESH_SECONDS: Final = 0.5
_MOST_BYTES: Final = 1 << 20  # of an answer; a host has at most eight chips
_NOT_THERE: Final = frozenset({grpc.StatusCode.UNAVAILABLE})
_NO_SUCH_METRIC: Final = frozenset(
    {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}
)


@dataclass(frozen=True, slots=True)
class RuntimeAnswer:
    """Points of one metric; without any, `reason` says why: "" where the runtime just has none."""

    points: tuple[Point, ...] = ()
    reason: str = ""  # absent: no runtime; unsupported: it does not know the metric; timeout; failed
    detail: str = ""


class TpuRuntime:
    """The metric services of one machine. The lock guards everything: readers of several devices ask at once."""

    def __init__(self, addresses: Sequence[str], calls: CallTimes, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, RuntimeAnswer]] = {}
        options = [("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.enable_http_proxy", 0)]
        self._channels = [
            grpc.secure_channel(address, grpc.local_channel_credentials(), options=options) for address in addresses
        ]
        self._ask = [
            channel.unary_unary(
                METHOD_GET,
                request_serializer=message("MetricRequest").SerializeToString,
                response_deserializer=message("MetricResponse").FromString,
            )
            for channel in self._channels
        ]
        self._silent_until = 0.0  # after a timeout nobody else waits for the same runtime in this tick

    def get(self, name: str) -> RuntimeAnswer:
        """Points of one metric over all runtimes; never raises and never takes longer than the calls may."""
        with self._lock:
            now = self._clock.monotonic()
            kept = self._kept.get(name)
            if kept is not None and now - kept[0] < _FRESH_SECONDS:
                return kept[1]
            if now < self._silent_until:
                return RuntimeAnswer(reason="timeout", detail=f"{name}: not asked, the runtime just did not answer")
            answer = self._get(name)
            if answer.reason == "timeout":
                self._silent_until = self._clock.monotonic() + _FRESH_SECONDS
            self._kept[name] = (self._clock.monotonic(), answer)
            return answer

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            channel.close()

    def _get(self, name: str) -> RuntimeAnswer:
        answers = [self._call(ask, name) for ask in self._ask]
        points = tuple(point for answer in answers for point in answer.points)
        failed = [answer for answer in answers if answer.reason]
        return failed[0] if failed and not points else RuntimeAnswer(points)

    def _call(self, ask: Any, name: str) -> RuntimeAnswer:  # noqa: ANN401 - grpc is untyped
        begun = self._clock.monotonic()
        try:
            response = ask(message("MetricRequest")(metric_name=name), timeout=_CALL_SECONDS)
            return RuntimeAnswer(tuple(Point.of(metric) for metric in response.metric.metrics))
        except grpc.RpcError as error:
            return RuntimeAnswer(reason=_reason(error.code()), detail=f"{name}: {error.details()}"[:200])
        finally:
            self._calls.add("GetRuntimeMetric", self._clock.monotonic() - begun)


def _reason(code: grpc.StatusCode) -> str:
    if code in _NOT_THERE:
        return "absent"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "timeout"
    return "unsupported" if code in _NO_SUCH_METRIC else "failed"
