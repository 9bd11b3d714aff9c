"""A PyTorch loop with the step timer: python pytorch_loop.py [--steps 200]. Needs torch; no GPU.

The host's clock sees when work was handed to a device, not when it ran: reading the loss at the end of each step waits
for the device, so that a step takes what it really takes. A loop that logs its loss each step does that anyway. Phases
need no such wait on a GPU: there the device times them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import torch

from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def train(
    model: torch.nn.Module,
    loader: Iterable[tuple[torch.Tensor, torch.Tensor]],
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    timer: StepTimer,
) -> float:
    """Train over the loader once; the last loss."""
    last = 0.0
    for inputs, wanted in timer.input(loader):
        with timer.step():
            optimizer.zero_grad()
            loss = loss_of(model(inputs), wanted)
            loss.backward()  # DistributedDataParallel waits for peers in here: see ddp_loop.py
            optimizer.step()
            last = loss.item()
    timer.close()
    return last


def main() -> None:
    """Fit a line to noise around it."""
    parser = argparse.ArgumentParser(description="A PyTorch loop with the step timer.")
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    inputs = torch.rand(arguments.steps * 64, 1)
    data = torch.utils.data.TensorDataset(inputs, 3 * inputs + 2 + 0.1 * torch.randn_like(inputs))
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    loader = torch.utils.data.DataLoader(data, batch_size=64)
    loss = train(model, loader, optimizer, torch.nn.functional.mse_loss, StepTimer(job_id="pytorch-example"))
    print(f"loss {loss:.4f}")


if __name__ == "__main__":
    main()
