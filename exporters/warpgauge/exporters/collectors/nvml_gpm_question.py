"""One question to GPM: what some metrics were between two samples."""

from __future__ import annotations

import ctypes
import struct
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from warpgauge.exporters.collectors.nvml_api import PYNVML, constant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.exporters.collectors.nvml_api import NvmlApi

__all__ = ["GpmAnswer", "GpmColumns", "GpmQuestion"]


_METRICS: Final = PYNVML.c_nvmlGpmMetricsGet_t.metrics.offset
_SLOT: Final = PYNVML.c_nvmlGpmMetric_t
_METRIC: Final = f"{_SLOT.nvmlReturn.offset}xidQ8xQ"  # code, value, pointers to short name and unit
_NUMBERS: Final = 4  # of each metric


class GpmAnswer(NamedTuple):
    """What the driver says about one metric; the rest means something only where `code` is 0."""

    code: int
    value: float
    name_at: int  # address of the driver's short name, 0: "NULL if not defined"
    unit_at: int  # address of the driver's own word for the unit, or 0

    @property
    def unit(self) -> str:
        """The driver's own word, empty where it gives none."""
        return ctypes.string_at(self.unit_at).decode(errors="replace") if self.unit_at and not self.code else ""


_AS_ANSWER: Final[Callable[[tuple[Any, ...]], GpmAnswer]] = partial(tuple.__new__, GpmAnswer)  # `_make` is Python


class GpmColumns(NamedTuple):
    """What the driver says about some metrics, as in `GpmAnswer`."""

    codes: tuple[int, ...]
    values: tuple[float, ...]
    names_at: tuple[int, ...]
    units_at: tuple[int, ...]


class GpmQuestion:
    """The structure that carries questions and answers: 19 kB, so it is made once, and read without ctypes' objects."""

    def __init__(self, api: NvmlApi) -> None:
        self._api = api
        self._body: Any = None
        self._asked: list[int] = []
        self._blank = b""  # the metrics of the body before they are answered
        self._layout = struct.Struct("")  # of their answers
        self._metrics = memoryview(b"")  # where they are

    def ask(self, first: Any, second: Any, ids: Sequence[int]) -> list[GpmAnswer]:  # noqa: ANN401 - opaque pointers
        """An answer for each id, from two samples in their order.

        Raises:
            CallFailedError: the driver answered none of them.

        """
        return list(map(_AS_ANSWER, zip(*self.columns(first, second, ids), strict=True)))

    def columns(self, first: Any, second: Any, ids: Sequence[int]) -> GpmColumns:  # noqa: ANN401 - opaque pointers
        """The same for all ids at once.

        Raises:
            CallFailedError: the driver answered none of them.

        """
        if self._body is None or self._asked != ids:
            self._write(list(ids))
        _put(self._body, "sample1", first)
        _put(self._body, "sample2", second)
        self._metrics[:] = self._blank  # no answer of before is left
        self._api.direct("nvmlGpmMetricsGet", ctypes.byref(self._body))
        answers = self._layout.unpack(self._metrics)
        return GpmColumns(*[answers[column::_NUMBERS] for column in range(_NUMBERS)])

    def _write(self, ids: list[int]) -> None:
        body = self._body = self._body or self._api.nvml.c_nvmlGpmMetricsGet_t()
        body.version = constant("NVML_GPM_METRICS_GET_VERSION")
        body.numMetrics = len(ids)
        for slot, number in zip(body.metrics, ids, strict=False):
            slot.metricId, slot.nvmlReturn, slot.value = number, 0, 0.0
            slot.metricInfo.shortName = slot.metricInfo.unit = None
        self._asked = ids
        self._layout = struct.Struct("=" + _METRIC * len(ids))
        self._metrics = memoryview(body).cast("B")[_METRICS : _METRICS + self._layout.size]
        self._blank = bytes(self._metrics)


_put: Final = ctypes.Structure.__setattr__  # pynvml's own looks at each value for text first
