"""A JAX loop with the step timer: python jax_loop.py [--steps 200]. Needs jax; no GPU.

JAX returns before the device has computed: waiting for the result inside the step makes the host's clock see the work.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, TypeVar

import jax

from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

State = TypeVar("State")


def train(
    update: Callable[[State, Any], tuple[State, jax.Array]], state: State, loader: Iterable[Any], timer: StepTimer
) -> State:
    """Train over the loader once; `update` takes state and batch and gives the next state and the loss."""
    for batch in timer.input(loader):
        with timer.step():
            state, loss = update(state, batch)
            jax.block_until_ready(loss)
    timer.close()
    return state


def main() -> None:
    """Fit a line to noise around it."""
    parser = argparse.ArgumentParser(description="A JAX loop with the step timer.")
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()

    def loss_of(line: jax.Array, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        return ((line[0] * batch[0] + line[1] - batch[1]) ** 2).mean()

    @jax.jit
    def update(line: jax.Array, batch: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        loss, slope = jax.value_and_grad(loss_of)(line, batch)
        return line - 0.3 * slope, loss

    keys = jax.random.split(jax.random.PRNGKey(1), arguments.steps)
    batches = ((xs, 3 * xs + 2) for xs in (jax.random.uniform(key, (64,)) for key in keys))
    line = train(update, jax.numpy.zeros(2), batches, StepTimer(job_id="jax-example"))
    print(f"y = {float(line[0]):.2f} x + {float(line[1]):.2f}")


if __name__ == "__main__":
    main()
