"""One question to GPM: what some metrics were between two samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from warpgauge.exporters.collectors.nvml_api import constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.collectors.nvml_api import NvmlApi

__all__ = ["GpmAnswer", "GpmQuestion"]


class GpmAnswer(NamedTuple):
    """What the driver says about one metric; `value` and `unit` mean something only where `code` is 0."""

    code: int
    value: float
    unit: str  # the driver's own word, empty where it gives none


class GpmQuestion:
    """The structure that carries questions and answers: 19 kB, so it is made once."""

    def __init__(self, api: NvmlApi) -> None:
        self._api = api
        self._body: Any = None

    def ask(self, first: Any, second: Any, ids: Sequence[int]) -> list[GpmAnswer]:  # noqa: ANN401 - opaque pointers
        """An answer for each id, from two samples in their order.

        Raises:
            CallFailedError: the driver answered none of them.

        """
        body = self._body = self._body or self._api.nvml.c_nvmlGpmMetricsGet_t()
        body.version = constant("NVML_GPM_METRICS_GET_VERSION")
        body.numMetrics = len(ids)
        body.sample1, body.sample2 = first, second
        for slot, number in zip(body.metrics, ids, strict=False):
            slot.metricId = number
            slot.metricInfo.unit = None  # of another metric, the last time
        self._api.call("nvmlGpmMetricsGet", body)
        return [_answer(slot) for slot in body.metrics[: len(ids)]]


def _answer(slot: Any) -> GpmAnswer:  # noqa: ANN401 - nvmlGpmMetric_t
    code = int(slot.nvmlReturn)
    unit = b"" if code else slot.metricInfo.unit or b""
    return GpmAnswer(code, float(slot.value), unit.decode(errors="replace"))
