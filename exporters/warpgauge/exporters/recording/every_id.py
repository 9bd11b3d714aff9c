"""Asks one device for every field and every GPM metric that this pynvml knows, one call each.

So each has a return code and a latency of its own, which no public document tells.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import PYNVML, constant

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ask_every_id"]

_BETWEEN_SAMPLES_SECONDS: Final = 0.2  # nvml.h wants more than 0.1


def ask_every_id(position: int, pause: Callable[[float], None]) -> None:
    """Every field id below NVML_FI_MAX and every GPM id below NVML_GPM_METRIC_MAX; what fails is recorded as such."""
    with suppress(PYNVML.NVMLError):
        handle = PYNVML.nvmlDeviceGetHandleByIndex(position)
        for number in range(1, constant("NVML_FI_MAX")):
            with suppress(PYNVML.NVMLError):
                PYNVML.nvmlDeviceGetFieldValues(handle, [(number, 0)])
        if PYNVML.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice:
            _ask_gpm(handle, pause)


def _ask_gpm(handle: Any, pause: Callable[[float], None]) -> None:  # noqa: ANN401 - an opaque pointer
    samples = [PYNVML.nvmlGpmSampleAlloc(), PYNVML.nvmlGpmSampleAlloc()]
    try:
        PYNVML.nvmlGpmSampleGet(handle, samples[0])
        pause(_BETWEEN_SAMPLES_SECONDS)
        PYNVML.nvmlGpmSampleGet(handle, samples[1])
        for number in range(1, constant("NVML_GPM_METRIC_MAX")):
            with suppress(PYNVML.NVMLError):
                PYNVML.nvmlGpmMetricsGet(_question(samples, number))
    finally:
        for sample in samples:
            PYNVML.nvmlGpmSampleFree(sample)


def _question(samples: list[Any], number: int) -> Any:  # noqa: ANN401 - nvmlGpmMetricsGet_t
    question = PYNVML.c_nvmlGpmMetricsGet_t()
    question.version, question.numMetrics = constant("NVML_GPM_METRICS_GET_VERSION"), 1
    question.sample1, question.sample2 = samples
    question.metrics[0].metricId = number
    return question
