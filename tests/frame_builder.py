"""Frames out of plain arrays, to say "this device did that".

    builder = FrameBuilder(columns=180)
    builder.device("n1", "GPU-a", index=0, model="H100")
    builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, 0.0, node="n1", uuid="GPU-a", index="0")
    builder.rate(host.CPU_SECONDS, 1.5, node="n1", cpu="0", mode="user")
    builder.job("train", [("n1", "GPU-a")])
    builder.steps("train", rank=0, node="n1", seconds=0.5)
    frame = builder.build()

A value is a number or an array with one value per column; NaN means no sample. As everywhere, one missing sample is
bridged; a gap takes two or more. Samples go through the same `ingest` as everywhere else. Counters are given as rates
per second and added up. Columns start at `start` (seconds since the epoch, a multiple of the step).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.frame import Doubles, Frame, Ints
from warpgauge.core.catalog import Metric, device, training

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

__all__ = ["FrameBuilder"]


class FrameBuilder:
    """Collects samples, one per column and series, and makes a frame of them."""

    def __init__(
        self,
        *,
        columns: int = 360,
        step_seconds: float = 10.0,
        start: float = 1_750_000_000.0,
        cluster: str = "test",
    ) -> None:
        self.frame = Frame(step_seconds=step_seconds, window_seconds=columns * step_seconds)
        self.columns = columns
        self.step_seconds = step_seconds
        self.start = start
        self.cluster = cluster
        self._ids: list[Ints] = []
        self._values: list[Doubles] = []
        self._times_ms: list[Ints] = []

    def device(
        self, node: str, uuid: str, *, index: int = 0, model: str = "H100", kind: str = "gpu", simulated: bool = False
    ) -> None:
        """Introduce a device, as its info series would."""
        labels = {"node": node, "uuid": uuid, "index": str(index), "vendor": "nvidia", "model": model, "kind": kind}
        self._series(device.DEVICE_INFO, labels | {"simulated": "true" if simulated else ""})

    def gauge(self, metric: Metric, value: ArrayLike, **labels: str) -> None:
        """Add a gauge or state; one sample in the middle of each column that is not NaN."""
        self._add(self._series(metric, labels), self._full(value))

    def rate(self, metric: Metric, per_second: ArrayLike, *, part: str = "", **labels: str) -> None:
        """Add a counter that grows by `per_second`; NaN columns have no sample and no growth.

        The sample before the first column exists too, so that the first column has a rate.
        """
        growth = self._full(per_second)
        total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(growth)) * self.step_seconds])
        known = np.concatenate([[False], ~np.isnan(growth)])
        known[:-1] |= ~np.isnan(growth)
        self._add(self._series(metric, labels, part), np.where(known, total, np.nan), first=-1)

    def steps(self, job_id: str, *, rank: int, node: str, seconds: ArrayLike, stage: int | None = None) -> None:
        """Add the step histogram of a rank whose steps take `seconds` each, back to back."""
        duration = self._full(seconds)
        labels = {"job_id": job_id, "rank": str(rank), "stage": "" if stage is None else str(stage), "node": node}
        self.rate(training.STEP_SECONDS, 1.0 / duration, part="count", **labels)
        self.rate(training.STEP_SECONDS, np.where(np.isnan(duration), np.nan, 1.0), part="sum", **labels)

    def phases(
        self,
        job_id: str,
        *,
        rank: int,
        node: str,
        shares: Mapping[str, ArrayLike],
        clock: str = "host",
        stage: int | None = None,
    ) -> None:
        """Add phase counters of a rank: the share of its time in each phase."""
        stage_text = "" if stage is None else str(stage)
        for phase, share in shares.items():
            labels = {"job_id": job_id, "rank": str(rank), "stage": stage_text, "node": node, "clock": clock}
            self.rate(training.PHASE_SECONDS, share, phase=phase, **labels)

    def job(
        self,
        job_id: str,
        devices: Sequence[tuple[str, str]],
        *,
        held: ArrayLike = 1.0,
        scheduler: str = "slurm",
        user: str = "someone",
    ) -> None:
        """Let a job hold devices `(node, uuid)`, rank i on the i-th; columns where `held` is NaN have no series."""
        for rank, (node, uuid) in enumerate(devices):
            labels = {"node": node, "uuid": uuid, "job_id": job_id, "rank": str(rank)}
            labels |= {"scheduler": scheduler, "user": user}
            self._add(self._series(device.WORKLOAD_INFO, labels), self._full(held))

    def build(self) -> Frame:
        """Ingest everything; the frame's newest column is the last one given."""
        if self._ids:
            ids, times_ms = np.concatenate(self._ids), np.concatenate(self._times_ms)
            self.frame.ingest(ids, times_ms, np.concatenate(self._values), hold_seconds=2.5 * self.step_seconds)
        return self.frame

    def _series(self, metric: Metric, labels: Mapping[str, str], part: str = "") -> int:
        return self.frame.series_id(metric, {"cluster": self.cluster, **labels}, part=part, origin="builder")

    def _full(self, value: ArrayLike) -> Doubles:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (self.columns,))

    def _add(self, series: int, values: Doubles, *, first: int = 0) -> None:
        known = np.flatnonzero(~np.isnan(values))
        middle_ms = (known + first + 0.5) * self.step_seconds * 1000.0 + self.start * 1000.0
        self._ids.append(np.full(len(known), series, dtype=np.int64))
        self._times_ms.append(middle_ms.astype(np.int64))
        self._values.append(values[known])
