"""A training loop whose loader is slower than its model: what the step timer shows about it.

Needs no GPU and nothing beyond the standard library and warpgauge. The work is real: the loader unpacks and parses
compressed CSV, the model is a linear regression fitted by gradient descent. Usage: python train.py [--steps 200]
"""

from __future__ import annotations

import argparse
import gzip
import random
from typing import TYPE_CHECKING

from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = "step-timer-example"
BATCH_ROWS = 2000
SLOPE, OFFSET = 3.0, 2.0
Batch = list[tuple[float, float]]


def compressed_batch(noise: random.Random) -> bytes:
    """A batch as it would lie on disk: rows of x,y around a line, gzipped."""
    xs = [noise.uniform(-1, 1) for _ in range(BATCH_ROWS)]
    return gzip.compress("\n".join(f"{x},{SLOPE * x + OFFSET + noise.gauss(0, 0.1)}" for x in xs).encode())


def batches(steps: int) -> Iterator[Batch]:
    """The loader: unpack and parse one batch after the other, on the main thread, which is its mistake."""
    stored = [compressed_batch(random.Random(seed)) for seed in range(8)]
    for step in range(steps):
        lines = gzip.decompress(stored[step % len(stored)]).decode().splitlines()
        yield [(float(x), float(y)) for x, _, y in (line.partition(",") for line in lines)]


def fit(batch: Batch, slope: float, offset: float, rate: float = 0.5) -> tuple[float, float, float]:
    """One step of gradient descent; the new slope and offset, and the loss before it."""
    errors = [(x, slope * x + offset - y) for x, y in batch]
    loss = sum(error * error for _, error in errors) / len(errors)
    slope -= rate * sum(error * x for x, error in errors) / len(errors)
    offset -= rate * sum(error for _, error in errors) / len(errors)
    return slope, offset, loss


def train(steps: int, timer: StepTimer) -> tuple[float, float, float]:
    """The loop with its three lines for the timer."""
    slope = offset = loss = 0.0
    for batch in timer.input(batches(steps)):
        with timer.step():
            slope, offset, loss = fit(batch, slope, offset)
    timer.close()
    return slope, offset, loss


def main() -> None:
    """Train and say what was learned."""
    parser = argparse.ArgumentParser(description="A training loop with a slow loader.")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--socket", help="where the agent listens, if not at its usual place")
    arguments = parser.parse_args()
    timer = StepTimer(job_id=JOB, rank=0, socket_path=arguments.socket)
    slope, offset, loss = train(arguments.steps, timer)
    print(f"y = {slope:.2f} x + {offset:.2f}, loss {loss:.4f}")


if __name__ == "__main__":
    main()
