"""How the ranks exchange gradients: PyTorch's gloo where torch is installed, else a hub over sockets.

Over sockets a rank sends its gradient and waits for the hub's receipt: that is the phase `send`, its own link. Then it
waits for the sum, which comes once everybody's gradient is there: that is `allreduce`, everybody's slowest. Gloo does
both in one call, so there only `allreduce` is timed and a slow link cannot be told from a slow network.
"""

from __future__ import annotations

import importlib.util
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.exporters.training import StepTimer

__all__ = ["Exchange", "GlooExchange", "Hub", "Relay", "SocketExchange", "has_torch"]

RECEIPT = b"\x06"
HELLO = struct.Struct("!I")


def has_torch() -> bool:
    """Whether PyTorch is installed; importing it takes seconds, so that is left to the ranks."""
    return importlib.util.find_spec("torch") is not None


class Exchange(Protocol):
    """Sums a vector over all ranks."""

    def reduce(self, vector: Sequence[float], timer: StepTimer) -> list[float]:
        """The sum over all ranks, once all of them have called."""

    def close(self) -> None:
        """Leave the exchange."""


class GlooExchange:
    """PyTorch's all-reduce on CPUs."""

    def __init__(self, rank: int, ranks: int, port: int) -> None:
        import torch  # noqa: PLC0415 - optional, and slow to import
        import torch.distributed as dist  # noqa: PLC0415

        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
        self._torch: Any = torch
        self._dist: Any = dist

    def reduce(self, vector: Sequence[float], timer: StepTimer) -> list[float]:
        """The sum over all ranks.

        Raises:
            ConnectionError: another rank went away.

        """
        tensor = self._torch.tensor(vector, dtype=self._torch.float64)
        try:
            with timer.phase("allreduce"):
                self._dist.all_reduce(tensor)
        except RuntimeError as error:  # gloo has no error of its own
            msg = f"the other side of the exchange went away: {error}"
            raise ConnectionError(msg) from error
        return [float(value) for value in tensor.tolist()]

    def close(self) -> None:
        """Leave the process group."""
        self._dist.destroy_process_group()


class SocketExchange:
    """One connection to the hub."""

    def __init__(self, rank: int, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(HELLO.pack(rank))

    def reduce(self, vector: Sequence[float], timer: StepTimer) -> list[float]:
        """The sum over all ranks."""
        with timer.phase("send"):
            self._socket.sendall(struct.pack(f"!{len(vector)}d", *vector))
            receive(self._socket, len(RECEIPT))
        with timer.phase("allreduce"):
            total = receive(self._socket, 8 * len(vector))
        return list(struct.unpack(f"!{len(vector)}d", total))

    def close(self) -> None:
        """Leave; the hub then ends the job for all."""
        self._socket.close()


def receive(source: socket.socket, size: int) -> bytes:
    """Exactly so many bytes.

    Raises:
        ConnectionError: the other side went away.

    """
    parts = bytearray()
    while len(parts) < size:
        part = source.recv(size - len(parts))
        if not part:
            msg = "the other side of the exchange went away"
            raise ConnectionError(msg)
        parts += part
    return bytes(parts)


class Hub:
    """Sums what the ranks send; one thread per rank, all of which meet at a barrier."""

    def __init__(self, ranks: int, width: int) -> None:
        self._width = width
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sent: list[Sequence[float]] = [()] * ranks  # each thread writes its own place, before the barrier
        self._total: list[float] = []
        self._barrier = threading.Barrier(ranks, action=self._add)
        self._leaving = threading.Barrier(ranks)
        for _ in range(ranks):
            threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more ranks."""
        self._listener.close()

    def _add(self) -> None:
        self._total = [sum(values) for values in zip(*self._sent, strict=True)]

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._serve(connection)
        except (ConnectionError, threading.BrokenBarrierError):
            self._barrier.abort()  # a lockstep job ends with its first rank
            self._leaving.abort()
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        (rank,) = HELLO.unpack(receive(connection, HELLO.size))
        shape = f"!{self._width}d"
        while True:
            self._sent[rank] = struct.unpack(shape, receive(connection, 8 * self._width))
            connection.sendall(RECEIPT)
            self._barrier.wait()
            connection.sendall(struct.pack(shape, *self._total))
            self._leaving.wait()


class Relay:
    """A link to the hub that can be made slow: what goes up waits `delay()` seconds, what comes down does not."""

    def __init__(self, hub_port: int, delay: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._hub_port = hub_port
        self._delay = delay
        self._sleep = sleep
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections; the one that there is goes on."""
        self._listener.close()

    def _accept(self) -> None:
        below, _ = self._listener.accept()
        above = socket.create_connection(("127.0.0.1", self._hub_port))
        for end in (below, above):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._pump, args=(above, below, lambda: 0.0), daemon=True).start()
        self._pump(below, above, self._delay)

    def _pump(self, source: socket.socket, sink: socket.socket, delay: Callable[[], float]) -> None:
        try:
            while data := source.recv(65536):
                if seconds := delay():
                    self._sleep(seconds)
                sink.sendall(data)
        except OSError:  # either end is gone, and with it the job
            pass
        finally:
            source.close()
            sink.close()
