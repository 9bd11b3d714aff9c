"""The parts of the lockstep example; the job as a whole runs in tests/e2e/test_lockstep.py."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "lockstep"


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """The example's modules, which import each other by name."""
    sys.path.insert(0, str(EXAMPLE))
    import exchange  # noqa: PLC0415 - found through the path above
    import rank  # noqa: PLC0415

    try:
        yield type("Example", (), {"exchange": exchange, "rank": rank})
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in ("exchange", "rank"):
            del sys.modules[name]


class Spent(StepTimer):
    """A timer that keeps what each phase took instead of sending it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def phase(self, name: str) -> Any:
        return _Phase(self.seconds, name)


class _Phase:
    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.name] = time.perf_counter() - self.began


def exchanged(example: Any, *, delay: float = 0.0) -> tuple[list[list[float]], list[Spent]]:
    """One exchange of two ranks, the second over a relay; what each got and spent."""
    hub = example.exchange.Hub(2, 3)
    relay = example.exchange.Relay(hub.port, lambda: delay, time.sleep)
    timers, sums = [Spent(), Spent()], [[], []]

    def take_part(rank: int, port: int) -> None:
        with closing(example.exchange.SocketExchange(rank, port)) as link:
            sums[rank] = link.reduce([1.0, 2.0, float(rank)], timers[rank])

    threads = [
        threading.Thread(target=take_part, args=(rank, port)) for rank, port in enumerate((hub.port, relay.port))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    hub.close()
    relay.close()
    return sums, timers


def test_the_hub_gives_every_rank_the_sum_of_all(example: Any):
    sums, _ = exchanged(example)

    assert sums == [[2.0, 4.0, 1.0]] * 2


def test_a_slow_link_shows_in_its_own_sending_and_in_the_waiting_of_the_other(example: Any):
    _, (sound, slow) = exchanged(example, delay=0.2)

    assert slow.seconds["send"] >= 0.2
    assert sound.seconds["send"] < slow.seconds["send"] / 2
    assert sound.seconds["allreduce"] > slow.seconds["allreduce"]


def test_the_ranks_learn_the_plane_that_their_shards_lie_around(example: Any):
    rows, model = example.rank.shard(1, 300), [0.0] * example.rank.WIDTH

    for _ in range(60):
        model = [one - 0.5 * part for one, part in zip(model, example.rank.gradient(rows, model), strict=True)]

    assert model == pytest.approx([1.0] * example.rank.WIDTH, abs=0.1)
