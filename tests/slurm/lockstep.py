"""A training job without a model: ranks that compute, wait for each other and tell the step timer.

Each step is 10 ms of work on a CPU and 60 ms in which a device would work; then rank 0 hears from everybody and lets
everybody go on, as an all-reduce does. Usage: srun python lockstep.py PORT
"""

from __future__ import annotations

import os
import socket
import sys
import time

from warpgauge.exporters.training import StepTimer

WORK = 60_000  # additions, some milliseconds
DEVICE_SECONDS = 0.06
PATIENCE_SECONDS = 30.0


def meet(rank: int, ranks: int, port: int) -> list[socket.socket]:
    """The connections of rank 0 to all others, and of each other rank to rank 0."""
    if rank == 0:
        with socket.create_server(("127.0.0.1", port), reuse_port=False) as server:
            server.settimeout(PATIENCE_SECONDS)
            return [server.accept()[0] for _ in range(ranks - 1)]
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return [socket.create_connection(("127.0.0.1", port))]
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def allreduce(rank: int, peers: list[socket.socket]) -> None:
    """Wait until all ranks are here; a peer that is gone ends this rank."""
    if rank != 0:
        peers[0].sendall(b"x")
    for peer in peers:
        if not peer.recv(1):
            sys.exit(1)
    if rank == 0:
        for peer in peers:
            peer.sendall(b"x")


def main() -> None:
    """Step until somebody ends the job."""
    rank, ranks = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_NTASKS"])
    peers = meet(rank, ranks, int(sys.argv[1]))
    for peer in peers:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    timer = StepTimer()
    while True:
        with timer.step():
            sum(range(WORK))
            time.sleep(DEVICE_SECONDS)
            with timer.phase("allreduce"):
                allreduce(rank, peers)


if __name__ == "__main__":
    main()
