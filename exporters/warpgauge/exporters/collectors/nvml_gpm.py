"""GPM: what the SMs really do, without DCGM, on Hopper and newer.

A value is the average between two samples. The previous one is kept from an earlier tick, so nothing ever sleeps:
the first tick gives nothing. nvml.h asks for more than 100 ms between samples.

Each question takes 1.5 to 2 ms of CPU in the driver (H100 and H200, driver 580.159), so it is not asked every tick:
between two questions the last answer stands. An average over more seconds also tells a scrape each 15 s more than
one over the last second would.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from warpgauge.core.catalog import Metric, Unit, device
from warpgauge.exporters.collectors.nvml_api import CallFailedError, Verdict, constant
from warpgauge.exporters.collectors.nvml_gpm_question import GpmQuestion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Reading

__all__ = ["ASKED", "Gpm"]

PERCENT: Final = 0.01
MIB: Final = 1024.0 * 1024.0
_SHORTEST_SECONDS: Final = 0.1
_EARLY_SECONDS: Final = 0.05  # that a tick may come before its time and still count
_LONGEST_SECONDS: Final = 600.0  # an average over more than this says nothing about now

_PIPES: Final = {
    "ANY_TENSOR": "tensor",
    "DFMA_TENSOR": "tensor_dfma",
    "HMMA_TENSOR": "tensor_hmma",
    "DMMA_TENSOR": "tensor_dmma",
    "IMMA_TENSOR": "tensor_imma",
    "FP64": "fp64",
    "FP32": "fp32",
    "FP16": "fp16",
    "INTEGER": "int",
}


class _Asked(NamedTuple):
    """One GPM metric: what it is in the catalog, and what turns its unit into a base unit."""

    id: int
    metric: Metric
    labels: tuple[str, ...]
    factor: float
    most: float  # in base units; shares stay within 0-1, for drivers were seen to overshoot both ends


def _asked(suffix: str, metric: Metric, *labels: str, factor: float = PERCENT) -> _Asked:
    most = 1.0 if metric.unit is Unit.RATIO else math.inf
    return _Asked(constant(f"NVML_GPM_METRIC_{suffix}"), metric, labels, factor, most)


ASKED: Final = (
    _asked("GRAPHICS_UTIL", device.GRAPHICS_ENGINE_ACTIVE),
    _asked("SM_UTIL", device.COMPUTE_ACTIVE),
    _asked("SM_OCCUPANCY", device.COMPUTE_OCCUPANCY),
    _asked("DRAM_BW_UTIL", device.MEMORY_BANDWIDTH_ACTIVE),
    *[_asked(f"{suffix}_UTIL", device.PIPE_ACTIVE, pipe) for suffix, pipe in _PIPES.items()],
    _asked("PCIE_TX_PER_SEC", device.PCIE_TRANSMIT_RATE, factor=MIB),
    _asked("PCIE_RX_PER_SEC", device.PCIE_RECEIVE_RATE, factor=MIB),
    _asked("NVLINK_TOTAL_TX_PER_SEC", device.LINK_TRANSMIT_RATE, factor=MIB),
    _asked("NVLINK_TOTAL_RX_PER_SEC", device.LINK_RECEIVE_RATE, factor=MIB),
)
"""All of them exist since GPM does; nvml.h gives rates in MiB/s, shares in percent."""


class Gpm:
    """The GPM samples of one device, or of one of its GPU instances: `fill` writes the present counts into a sample."""

    def __init__(self, api: NvmlApi, fill: Callable[[Any], object], clock: Clock, every: float = 0.0) -> None:
        """`every` so many seconds there is a new average; by default at each reading."""
        self._api = api
        self._fill = fill
        self._clock = clock
        self._every = max(every, _SHORTEST_SECONDS)
        self._readings: list[Reading] | None = None  # the last answer
        self._previous: tuple[Any, float] | None = None
        self._spare: Any = None
        self._question = GpmQuestion(api)
        self._asked = ASKED  # without what this device was found not to support

    @classmethod
    def of(cls, api: NvmlApi, handle: Any, clock: Clock, every: float = 0.0) -> Gpm | None:  # noqa: ANN401 - an opaque pointer
        """The reader of a device that supports GPM, None for any other."""
        try:
            supported = bool(api.call("nvmlGpmQueryDeviceSupport", handle).isSupportedDevice)
        except CallFailedError as failure:
            if failure.verdict in {Verdict.LOST, Verdict.NEEDS_RESET, Verdict.DRIVER}:
                raise
            return None
        if not supported:
            return None
        return cls(api, lambda sample: api.call("nvmlGpmSampleGet", handle, sample), clock, every)

    def read(self) -> list[Reading]:
        """Averages of the last interval; empty at first, and when the interval was too long.

        Raises:
            CallFailedError: the driver gave no sample.

        """
        now = self._clock.monotonic()
        if self._previous is not None and now - self._previous[1] < self._wait:
            return self._readings or []
        sample = self._spare if self._spare is not None else self._api.call("nvmlGpmSampleAlloc")
        self._spare = sample
        self._fill(sample)
        previous, self._previous, self._spare = self._previous, (sample, now), None
        if previous is None:
            return []
        self._spare = previous[0]
        self._readings = [] if now - previous[1] > _LONGEST_SECONDS else self._between(previous[0], sample)
        return self._readings

    @property
    def _wait(self) -> float:
        """Seconds between two samples; the first answer does not keep anybody waiting."""
        return _SHORTEST_SECONDS if self._readings is None else self._every - _EARLY_SECONDS

    @property
    def pair(self) -> tuple[Any, Any] | None:
        """The last two samples, the older one first; None until there are two."""
        if self._previous is None or self._spare is None:
            return None
        return self._spare, self._previous[0]

    def _between(self, first: Any, second: Any) -> list[Reading]:  # noqa: ANN401 - opaque pointers
        answers = self._question.ask(first, second, [asked.id for asked in self._asked])
        readings = [
            (asked.metric, asked.labels, min(asked.most, max(0.0, value * asked.factor)))
            for asked, (code, value, _) in zip(self._asked, answers, strict=True)
            if code == 0 and math.isfinite(value)
        ]
        self._drop_unsupported([answer.code for answer in answers])
        return readings

    def _drop_unsupported(self, codes: Sequence[int]) -> None:
        """Each metric has a return code of its own; what the device does not support is not asked for again."""
        if any(codes):
            verdicts = [self._api.failure(code, "nvmlGpmMetricsGet").verdict if code else None for code in codes]
            pairs = zip(self._asked, verdicts, strict=True)
            self._asked = tuple(asked for asked, verdict in pairs if verdict is not Verdict.UNSUPPORTED)

    def close(self) -> None:
        """Free both samples; nvml.h wants that before the shutdown."""
        held = [self._spare, self._previous[0] if self._previous else None]
        self._spare = self._previous = self._readings = None
        for sample in held:
            if sample is not None:
                self._api.call("nvmlGpmSampleFree", sample)

    def forget(self) -> None:
        """Begin anew: the next reading gives nothing, whatever the driver says about the samples of before."""
        with suppress(CallFailedError):
            self.close()
