"""Typical pods: the request shapes that make up most of a workload, and how many GPUs none of them could use.

Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC
2023, section 3: a node's fragmentation is the idle milli-GPU that a pod drawn from the workload can not use there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.pool import Pod, Request

__all__ = ["TypicalPods"]

_POPULARITY: Final = 0.95  # of the pods, by count, as in the authors' experiments
_Key = tuple[int, int, int, tuple[str, ...]]


def _key(request: Request) -> _Key:
    """What tells shapes apart here; memory does not, as in the authors' simulator."""
    return request.cpu_milli, request.gpu_milli, request.gpu_count, tuple(sorted(request.models))


class TypicalPods:
    """The most frequent request shapes, up to 95 % of the pods, and their shares of those."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        counts = Counter(_key(pod.request) for pod in pods)
        ranked = sorted(counts.items(), key=lambda item: (item[1], item[0]), reverse=True)
        shapes = _most_frequent(ranked, _POPULARITY * counts.total())
        self.cpu = np.array([shape[0] for shape, _ in shapes], dtype=np.int64)
        self.milli = np.array([shape[1] for shape, _ in shapes], dtype=np.int64)
        self.count = np.array([shape[2] for shape, _ in shapes], dtype=np.int64)
        self.models = tuple(frozenset(shape[3]) for shape, _ in shapes)
        self.frequency = np.array([number for _, number in shapes], dtype=np.float64)
        self.frequency /= max(1.0, self.frequency.sum())
        self._is_gpu = self.count > 0
        self._steps, self._step = np.unique(self.milli, return_inverse=True)
        self.demand = self.frequency * self.milli * self.count
        self.demand /= max(1.0, self.demand.sum())

    def weights(self, model: str) -> NDArray[np.float64]:
        """Frequency of each shape on nodes of this model: 0 for those that ask for no GPU or for another model."""
        return np.where(self._is_allowed(model) & self._is_gpu, self.frequency, 0.0)

    def demand_weights(self, model: str) -> NDArray[np.float64]:
        """Share of all GPUs asked for that each shape asks for, 0 for those that this model may not serve."""
        return np.where(self._is_allowed(model), self.demand, 0.0)

    def _is_allowed(self, model: str) -> NDArray[np.bool_]:
        return np.array([not models or model in models for models in self.models], dtype=bool)

    def fragmented(
        self, cpu_left: NDArray[np.int64], gpu_left: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Idle milli-GPU of each state [state] that a typical pod can not use: `gpu_left` is [state, device].

        All idle milli-GPU for a pod that does not fit or asks for none, else those on devices with less than it needs.
        """
        is_enough = gpu_left[:, :, None] >= self._steps
        number = is_enough.sum(axis=1)
        usable = (gpu_left[:, :, None] * is_enough).sum(axis=1)
        fits = (cpu_left[:, None] >= self.cpu) & (number[:, self._step] >= self.count)
        lost: NDArray[np.float64] = gpu_left.sum(axis=1) - (fits * usable[:, self._step]) @ weights
        return lost

    def stranded(
        self, cpu_left: NDArray[np.int64], gpu_left: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Idle milli-GPU that stays idle when a state [state] is filled up with copies of one typical pod, on average.

        Sees what `fragmented` does not: a node with 8 idle devices and cores for two pods serves any one pod, and
        strands six devices; a device with 530 milli-GPU left serves a pod of 320, and strands 210.
        """
        size = np.maximum(self._steps, 1)
        shares = (gpu_left[:, :, None] // size).sum(axis=1)[:, self._step]
        devices = (gpu_left[:, :, None] >= size).sum(axis=1)[:, self._step]
        copies = np.where(self.count > 1, devices // np.maximum(self.count, 1), shares)
        copies = np.minimum(copies, cpu_left[:, None] // np.maximum(self.cpu, 1))
        idle = gpu_left.sum(axis=1) * weights.sum()
        rest: NDArray[np.float64] = idle - (copies * self.milli * self.count) @ weights
        return rest


def _most_frequent(ranked: list[tuple[_Key, int]], enough: float) -> list[tuple[_Key, int]]:
    covered = 0
    for place, (_, number) in enumerate(ranked):
        if covered >= enough:
            return ranked[:place]
        covered += number
    return ranked
