"""NVML's own sample buffers: what a device did between two readings, as histograms of time.

The driver keeps the last samples of power and utilization (some 100, at 5 to 50 a second). All that came since the last
time is read before the buffer is full, so no spike of a sample's length is missed, however seldom anybody scrapes.
Clocks have a buffer too and no row here: drivers were seen to add to it only when a clock changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Metric, device
from warpgauge.exporters.collectors.nvml_api import PYNVML, constant
from warpgauge.exporters.collectors.nvml_rings import RingReader
from warpgauge.exporters.collectors.sample_time import SampleTime
from warpgauge.exporters.collectors.time_gain import TimeGain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from warpgauge.core.clock import Clock
    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Reading
    from warpgauge.exporters.increments import Bookmark

__all__ = ["SOURCES", "SampleBuffers", "Source"]

MILLI: Final = 1e-3
PERCENT: Final = 0.01
_NOT_AVAILABLE: Final = float(PYNVML.NVML_VALUE_NOT_AVAILABLE_uint.value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """One sample buffer: the distribution it feeds, and the getter that stands in while it is dry. Each is a row."""

    name: str  # the period's label
    type: int  # nvmlSamplingType_t
    metric: Metric
    labels: tuple[str, ...] = ()
    factor: float  # from the driver's unit to the base unit
    most: float = inf  # drivers were seen to say 101 %
    stand_in: str
    pick: Callable[[Any], float] = float  # the driver's number in what `stand_in` returns


def _engine(engine: str, suffix: str, stand_in: str, pick: Callable[[Any], float]) -> Source:
    return Source(
        name=f"{engine}_utilization",
        type=constant(f"NVML_{suffix}_UTILIZATION_SAMPLES"),
        metric=device.UTILIZATION_DISTRIBUTION,
        labels=(engine,),
        factor=PERCENT,
        most=1.0,
        stand_in=stand_in,
        pick=pick,
    )


SOURCES: Final = (
    Source(
        name="power",
        type=constant("NVML_TOTAL_POWER_SAMPLES"),
        metric=device.POWER_DISTRIBUTION,
        factor=MILLI,
        stand_in="nvmlDeviceGetPowerUsage",
    ),
    _engine("compute", "GPU", "nvmlDeviceGetUtilizationRates", lambda raw: float(raw.gpu)),
    _engine("memory", "MEMORY", "nvmlDeviceGetUtilizationRates", lambda raw: float(raw.memory)),
    _engine("encoder", "ENC", "nvmlDeviceGetEncoderUtilization", lambda raw: float(raw[0])),
    _engine("decoder", "DEC", "nvmlDeviceGetDecoderUtilization", lambda raw: float(raw[0])),
)
"""Every buffer that is read."""


class SampleBuffers:
    """The sample buffers of one device, and how far each was counted."""

    def __init__(self, api: NvmlApi, handle: Any, clock: Clock, bookmark: Bookmark) -> None:  # noqa: ANN401 - an opaque pointer
        self._api = api
        self._handle = handle
        self._rings = RingReader(api, handle)
        self._clock = clock
        now = clock.monotonic()
        self._times = {source: SampleTime(now, bookmark.get(source.name, ())) for source in SOURCES}
        self._gains: dict[Source, TimeGain] = {}
        self.is_fine = True  # whether narrower buckets are kept for those who push them

    def read(self, source: Source) -> list[Reading]:
        """Count what is new in a buffer; gives its measured period, once there is one.

        Raises:
            CallFailedError: the driver has no such buffer, or does not answer.

        """
        now, time = self._clock.monotonic(), self._times[source]
        if time.is_due(now):
            self._count(source, time, now)
        period = time.period_seconds
        return [] if period is None else [(device.SAMPLE_PERIOD, (source.name,), period)]

    def _count(self, source: Source, time: SampleTime, now: float) -> None:
        spans = time.take(self._ask(source, time.ask_from(now)), now)
        if time.is_dry(now):
            spans += time.stand_in(self._present(source), now)
        if time.is_open:
            gain = self._gains.get(source)
            if gain is None:
                gain = self._gains[source] = TimeGain(source.metric, source.labels)
            gain.is_fine = self.is_fine
            gain.add(spans)

    @property
    def gains(self) -> Iterable[TimeGain]:
        """What each histogram gained, ever more of them."""
        return self._gains.values()

    @property
    def bookmark(self) -> Bookmark:
        """How far each buffer was counted."""
        return {source.name: time.bookmark for source, time in self._times.items() if time.is_open}

    def _ask(self, source: Source, stamp: int) -> list[tuple[int, float]]:
        """Stamps and values, in base units; empty when nothing is new."""
        raw = self._rings.read(source.type, stamp)
        factor, most = source.factor, source.most
        if most == inf:
            return [(at, number * factor) for at, number in raw if at and number < _NOT_AVAILABLE]
        return [(at, min(most, number * factor)) for at, number in raw if at and number < _NOT_AVAILABLE]

    def _present(self, source: Source) -> float:
        return min(source.most, source.pick(self._api.call(source.stand_in, self._handle)) * source.factor)
