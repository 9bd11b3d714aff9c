"""GPM: what the SMs really do, without DCGM, on Hopper and newer.

A value is the average between two samples. The previous one is kept from the last tick, so nothing ever sleeps:
the first tick gives nothing. nvml.h asks for more than 100 ms between samples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import device
from warpgauge.exporters.collectors.nvml_api import CallFailedError, Verdict, constant

if TYPE_CHECKING:
    from warpgauge.core.clock import Clock
    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Reading

__all__ = ["Gpm"]

_SHORTEST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 600.0  # an average over more than this says nothing about now

_RATIOS: Final = (
    (constant("NVML_GPM_METRIC_GRAPHICS_UTIL"), device.GRAPHICS_ENGINE_ACTIVE, ()),
    (constant("NVML_GPM_METRIC_SM_UTIL"), device.COMPUTE_ACTIVE, ()),
    (constant("NVML_GPM_METRIC_SM_OCCUPANCY"), device.COMPUTE_OCCUPANCY, ()),
    (constant("NVML_GPM_METRIC_ANY_TENSOR_UTIL"), device.PIPE_ACTIVE, ("tensor",)),
    (constant("NVML_GPM_METRIC_DRAM_BW_UTIL"), device.MEMORY_BANDWIDTH_ACTIVE, ()),
)


class Gpm:
    """The GPM samples of one device."""

    def __init__(self, api: NvmlApi, handle: Any, clock: Clock) -> None:  # noqa: ANN401 - an opaque pointer
        self._api = api
        self._handle = handle
        self._clock = clock
        self._previous: tuple[Any, float] | None = None
        self._spare: Any = None
        self._question: Any = None  # 19 kB, so it is made once

    @classmethod
    def of(cls, api: NvmlApi, handle: Any, clock: Clock) -> Gpm | None:  # noqa: ANN401 - an opaque pointer
        """The reader of a device that supports GPM, None for any other."""
        try:
            supported = bool(api.call("nvmlGpmQueryDeviceSupport", handle).isSupportedDevice)
        except CallFailedError as failure:
            if failure.verdict in {Verdict.LOST, Verdict.NEEDS_RESET, Verdict.DRIVER}:
                raise
            return None
        return cls(api, handle, clock) if supported else None

    def read(self) -> list[Reading]:
        """Averages since the last call; empty at first, and when the interval is too short or too long.

        Raises:
            CallFailedError: the driver gave no sample.

        """
        now = self._clock.monotonic()
        if self._previous is not None and now - self._previous[1] < _SHORTEST_SECONDS:
            return []
        sample = self._spare if self._spare is not None else self._api.call("nvmlGpmSampleAlloc")
        self._spare = sample
        self._api.call("nvmlGpmSampleGet", self._handle, sample)
        previous, self._previous, self._spare = self._previous, (sample, now), None
        if previous is None:
            return []
        self._spare = previous[0]
        return [] if now - previous[1] > _LONGEST_SECONDS else self._between(previous[0], sample)

    def _between(self, first: Any, second: Any) -> list[Reading]:  # noqa: ANN401 - opaque pointers
        question = self._question or self._api.nvml.c_nvmlGpmMetricsGet_t()
        self._question = question
        question.version = constant("NVML_GPM_METRICS_GET_VERSION")
        question.numMetrics = len(_RATIOS)
        question.sample1, question.sample2 = first, second
        for slot, (metric_id, _, _) in zip(question.metrics, _RATIOS, strict=False):
            slot.metricId = metric_id
        self._api.call("nvmlGpmMetricsGet", question)
        answers = [(int(slot.nvmlReturn), float(slot.value)) for slot in question.metrics[: len(_RATIOS)]]
        return [
            (metric, labels, min(1.0, max(0.0, percent / 100.0)))
            for (_, metric, labels), (code, percent) in zip(_RATIOS, answers, strict=True)
            if code == 0 and math.isfinite(percent)
        ]

    def close(self) -> None:
        """Free both samples; nvml.h wants that before the shutdown."""
        held = [self._spare, self._previous[0] if self._previous else None]
        self._spare = self._previous = None
        for sample in held:
            if sample is not None:
                self._api.call("nvmlGpmSampleFree", sample)
