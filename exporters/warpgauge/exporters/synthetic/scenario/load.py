"""Causes that people bring and no part has failed: more requests, longer contexts, a process beside a job."""

from __future__ import annotations

from typing import Final

from warpgauge.core.finding import FindingKind
from warpgauge.exporters.synthetic.scenario.cause import Cause, Strikes, Target
from warpgauge.exporters.synthetic.sessions import Server

__all__ = ["LOAD"]

_WAITING_SHARE: Final = 0.1  # of those that run: by Little's law who waits is served a tenth later


def _overload(target: Target, size: float | None, _seconds: float) -> None:
    if isinstance(target.job, Server):
        target.job.overload_ratio = size or 0.0


def _long_contexts(target: Target, size: float | None, _seconds: float) -> None:
    if isinstance(target.job, Server):
        target.job.context_ratio = size or 1.0


def _waits(target: Target) -> float:
    """1 while so many wait that each is served a tenth later."""
    if not isinstance(target.job, Server):
        return 0.0
    requests = target.job.requests
    return float(requests.waiting >= max(1.0, _WAITING_SHARE * requests.running))


def _device_sharer(target: Target, size: float | None, _seconds: float) -> None:
    for gpu in target.gpus:
        gpu.stranger_share = size or 0.0


LOAD: Final[dict[str, Cause]] = {
    "overload": Cause(
        kind=FindingKind.QUEUE_BOUND, strikes=Strikes.SERVER, sizes=(0.5, 5.0), usual=1.5, least=1.1,
        measure="requests that come, relative to what the server answers with a full batch",
        strike=_overload, needs=("serving",),
    ),
    "long_contexts": Cause(
        kind=FindingKind.KV_CACHE_BOUND, strikes=Strikes.SERVER, sizes=(1.05, 6.0), usual=3.0, least=1.2,
        measure="length of contexts, relative to those of which the KV cache holds a full batch and an eighth",
        strike=_long_contexts, felt=_waits, least_felt=0.5, needs=("serving",),
        asked="where a tenth as many wait as run, for half of the time",
        consequences=(FindingKind.QUEUE_BOUND,),
    ),
    "device_sharer": Cause(
        kind=FindingKind.NOISY_NEIGHBOR, strikes=Strikes.DEVICE, sizes=(0.02, 0.8), usual=0.4, least=0.13,
        measure="share of the device's time that a process of somebody else gets",
        strike=_device_sharer, needs=("training",), consequences=(FindingKind.STRAGGLER,),
    ),
}  # fmt: skip
