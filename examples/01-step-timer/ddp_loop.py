"""DistributedDataParallel with the step timer: torchrun --nproc-per-node=2 ddp_loop.py. Needs torch; no GPU.

DDP reduces gradients inside of `backward()`, so a loop has no place for a phase around that, and what a rank waits for
its peers would count as its own computing: all ranks look equally slow. `GradientWait` tells the two apart.

To see it, make one rank slow: --slow compute (its forward pass takes longer) or --slow loader (its batches do).
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from types import TracebackType

WIDTH = 64
BATCH = 32


class GradientWait:
    """`wait = GradientWait(model, timer)`, then each step `with wait: loss.backward()`: compute, and then communication.

    DDP hands over gradients in buckets while it computes the next ones. A rank that has handed over its last bucket has
    nothing left to compute: from there to the end of backward it waits for its peers, and for the sum.
    """

    def __init__(self, model: DistributedDataParallel, timer: StepTimer) -> None:
        """Become the model's communication hook, which does what DDP does without one."""
        self._timer = timer
        self._phase: Any = None
        self._is_waiting = False
        model.register_comm_hook(None, self._reduce)

    def _reduce(self, _state, bucket):  # noqa: ANN001, ANN202 - DDP refuses annotations that are no classes but names
        reduced = allreduce_hook(None, bucket)
        if bucket.is_last() and self._phase is not None:
            self._is_waiting = True
            self._phase.__enter__()
        return reduced

    def __enter__(self) -> None:
        self._phase = self._timer.phase("allreduce")  # of the loop's thread; on a GPU the hook runs in another

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        phase, self._phase = self._phase, None
        if self._is_waiting:  # not where gradients only accumulate: no_sync()
            self._is_waiting = False
            phase.__exit__(kind, error, at)


class Noise(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Points and their sums; each batch takes `seconds` to read."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size, self._seconds = size, seconds

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        if number < 0 or number >= self._size:
            raise IndexError(number)
        time.sleep(self._seconds / BATCH)
        point = torch.randn(WIDTH, generator=torch.Generator().manual_seed(number))
        return point, point.sum(0, keepdim=True)


class Network(torch.nn.Sequential):
    """Two layers, whose forward pass may take longer."""

    def __init__(self, seconds: float) -> None:
        super().__init__(torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 1))
        self._seconds = seconds

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        time.sleep(self._seconds)
        return super().forward(points)


def train(model: DistributedDataParallel, loader: DataLoader[Any], timer: StepTimer) -> float:
    """Train over the loader once; the last loss."""
    wait, optimizer = GradientWait(model, timer), torch.optim.SGD(model.parameters(), lr=0.01)
    last = 0.0
    for points, wanted in timer.input(loader):
        with timer.step():
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(points), wanted)
            with wait:
                loss.backward()
            optimizer.step()
            last = loss.item()
    timer.close()
    return last


def main() -> None:
    """Be one rank, as torchrun's variables say which."""
    parser = argparse.ArgumentParser(description="DistributedDataParallel with the step timer.")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2, help="processes that load data, of each rank")
    parser.add_argument("--slow", choices=("compute", "loader"))
    parser.add_argument("--slow-rank", type=int, default=1)
    parser.add_argument("--slow-seconds", type=float, default=0.05, help="that a batch takes longer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    is_slow = dist.get_rank() == arguments.slow_rank
    extra = {name: arguments.slow_seconds if is_slow and arguments.slow == name else 0.0 for name in ("compute", "loader")}
    data = Noise(arguments.steps * BATCH * dist.get_world_size(), extra["loader"])
    loader = DataLoader(data, BATCH, sampler=DistributedSampler(data), num_workers=arguments.workers)
    loss = train(DistributedDataParallel(Network(extra["compute"])), loader, StepTimer())
    print(f"rank {dist.get_rank()}: loss {loss:.4f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
