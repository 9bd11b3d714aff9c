"""GPM's cumulative metrics: counters behind the ratios, where a driver has them.

A ratio is an average between two readings, so what a scrape misses is lost; a counter loses nothing. nvml.h has no
call of its own for them: they are asked for like any metric, with two samples, and what comes is the total "since
reboot". Which drivers give them no source says; not seen on a real driver yet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from warpgauge.core.catalog import Metric, cycles, device
from warpgauge.exporters.collectors.nvml_api import constant, is_supported
from warpgauge.exporters.collectors.nvml_gpm_question import GpmQuestion

if TYPE_CHECKING:
    from collections.abc import Collection

    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Reading
    from warpgauge.exporters.collectors.nvml_gpm import Gpm
    from warpgauge.exporters.collectors.nvml_gpm_question import GpmAnswer

__all__ = ["COUNTERS", "GpmCounter", "GpmCounters", "link_counters"]

_MOST_LINKS: Final = 72  # that GPM has metrics for
_PIPES: Final = {
    "MMA": "tensor",
    "DFMA": "tensor_dfma",
    "HMMA": "tensor_hmma",
    "DMMA": "tensor_dmma",
    "IMMA": "tensor_imma",
    "FP64": "fp64",
    "FP32": "fp32",
    "FP16": "fp16",
    "INTEGER": "int",
}
_BYTES: Final = {"b": 1.0, "byte": 1.0, "bytes": 1.0, "kib": 2.0**10, "mib": 2.0**20, "kb": 1e3, "mb": 1e6}


class GpmCounter(NamedTuple):
    """One cumulative metric; `says_unit`: nvml.h does not, so the driver has to, in its answer."""

    id: int
    metric: Metric
    labels: tuple[str, ...] = ()
    says_unit: bool = False


def _counter(suffix: str, metric: Metric, *labels: str, says_unit: bool = False) -> GpmCounter:
    return GpmCounter(constant(f"NVML_GPM_METRIC_{suffix}"), metric, labels, says_unit)


COUNTERS: Final = (
    _counter("SM_CYCLES_ELAPSED", cycles.COMPUTE_CYCLES),
    _counter("SM_CYCLES_ACTIVE", cycles.COMPUTE_ACTIVE_CYCLES),
    *[_counter(f"{suffix}_CYCLES_ACTIVE", cycles.PIPE_ACTIVE_CYCLES, pipe) for suffix, pipe in _PIPES.items()],
    _counter("PCIE_TX", device.PCIE_TRANSMIT, says_unit=True),
    _counter("PCIE_RX", device.PCIE_RECEIVE, says_unit=True),
)
"""Those that every board can have."""


def link_counters(links: int) -> tuple[GpmCounter, ...]:
    """Those of each NVLink, in bytes."""
    return tuple(
        _counter(f"NVLINK_L{link}_{suffix}", metric, str(link))
        for link in range(min(links, _MOST_LINKS))
        for suffix, metric in (("TX", device.LINK_TRANSMIT), ("RX", device.LINK_RECEIVE))
    )


class GpmCounters:
    """The cumulative metrics of one device, from the samples that `Gpm` has taken anyway."""

    def __init__(self, api: NvmlApi, gpm: Gpm, links: int) -> None:
        self._gpm = gpm
        self._question = GpmQuestion(api)
        self._asked = (*COUNTERS, *link_counters(links))  # without what this device was found not to support

    def read(self, told: Collection[Metric]) -> list[Reading]:
        """Totals since reboot of all but the metrics that another call tells; empty until there are two samples.

        Raises:
            CallFailedError: the driver gave none.

        """
        wanted = [counter for counter in self._asked if counter.metric not in told]
        pair = self._gpm.pair
        if pair is None or not wanted:
            return []
        answers = self._question.ask(*pair, [counter.id for counter in wanted])
        both = list(zip(wanted, answers, strict=True))
        lacking = {counter for counter, answer in both if not is_supported(answer.code)}
        self._asked = tuple(counter for counter in self._asked if counter not in lacking)
        numbers = [(counter, _base_unit(counter, answer)) for counter, answer in both]
        return [(counter.metric, counter.labels, number) for counter, number in numbers if number is not None]


def _base_unit(counter: GpmCounter, answer: GpmAnswer) -> float | None:
    """The total in cycles or bytes; None where there is none, or where nobody says in which unit it is."""
    factor = _BYTES.get(answer.unit.strip().lower()) if counter.says_unit else 1.0
    if answer.code or factor is None or not math.isfinite(answer.value) or answer.value < 0:
        return None
    return answer.value * factor
