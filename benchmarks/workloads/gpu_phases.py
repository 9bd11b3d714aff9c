"""Puts a GPU through labeled phases, each with a bottleneck of its own, so that a recording beside it can be judged.

    python benchmarks/workloads/gpu_phases.py --seconds 20 --out phases.json
    python benchmarks/workloads/gpu_phases.py --device cpu --seconds 0.2 --out phases.json     the same in toy size

Needs torch, which is not ours to install. Says each phase on stdout as it begins, one JSON object a line; the label
file is written anew after each phase, so one that breaks off tells what was done until then. What no memory or no
kernel could be had for is in it with its error, and the other phases go on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warpgauge.core.atomic import write_atomically
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCHEMA = "warpgauge.phases/v1"
GIB = 1 << 30
MIB = 1 << 20
LAUNCHES = 1000  # between two waits for the device
LAYERS = 200
SMALL_LAYER = 128  # rows and columns
LOADER_SECONDS = 0.09  # the input of a step, many times what its compute takes
EXCHANGE_SECONDS = 0.05  # compute and waiting in turns, as a rank that waits for its peers
FULL_SHARE = 0.95  # of the memory that is free


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large the work is on a kind of device."""

    matrix: int  # rows and columns
    copy_bytes: int
    host_bytes: int
    step_matrix: int


SIZES = {
    "cuda": Sizes(matrix=8192, copy_bytes=4 * GIB, host_bytes=GIB, step_matrix=4096),
    "cpu": Sizes(matrix=96, copy_bytes=4 * MIB, host_bytes=MIB, step_matrix=64),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One kind of work: `prepare` gives a function that does one round of it and says how much that was."""

    label: str
    expected: FindingKind
    unit: str  # of what a round counts
    prepare: Callable[[], Callable[[], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A phase that was run: when, and how much was done; times are seconds since the epoch."""

    label: str
    expected: str
    start: float
    end: float
    rate: float | None  # units per second
    unit: str
    error: str = ""


def run(
    phases: Sequence[Phase], seconds: float, clock: Clock, tell: Callable[[Sequence[Done], Phase | None], None]
) -> None:
    """Run the phases one after the other; `tell` is called before each and after the last with what is done."""
    done: list[Done] = []
    for phase in phases:
        tell(done, phase)
        done.append(_one(phase, seconds, clock))
    tell(done, None)


def _one(phase: Phase, seconds: float, clock: Clock) -> Done:
    start, begun, amount, error = clock.now(), clock.monotonic(), 0.0, ""
    try:
        once = phase.prepare()
        while clock.monotonic() - begun < seconds:
            amount += once()
    except (RuntimeError, MemoryError) as failure:  # torch says both for memory that is not there
        error = str(failure).splitlines()[0] if str(failure) else repr(failure)
    took = clock.monotonic() - begun
    rate = amount / took if took > 0 and not error else None
    about = {"label": phase.label, "expected": phase.expected.value, "unit": phase.unit}
    return Done(**about, start=start, end=start + took, rate=rate, error=error)


class Work:
    """The work itself, on one device of torch."""

    def __init__(self, torch: Any, device: str) -> None:  # noqa: ANN401 - a module of another project
        self._torch = torch
        self._device = torch.device(device)
        self._is_cuda = device.startswith("cuda")
        self._sizes = SIZES["cuda" if self._is_cuda else "cpu"]

    def phases(self) -> list[Phase]:
        """Every phase, in the order they are run."""
        torch, kind = self._torch, FindingKind
        rest = (
            ("matmul_bf16_ones", kind.COMPUTE_BOUND, "FLOP", lambda: self._matmul(torch.bfloat16, fill=torch.ones)),
            ("matmul_bf16", kind.COMPUTE_BOUND, "FLOP", lambda: self._matmul(torch.bfloat16)),
            ("matmul_fp32", kind.COMPUTE_BOUND, "FLOP", lambda: self._matmul(torch.float32)),
            ("memory_copy", kind.MEMORY_BANDWIDTH_BOUND, "bytes", self._memory_copy),
            ("host_to_device", kind.INTERCONNECT_BOUND, "bytes", lambda: self._host_to_device(is_pinned=True)),
            ("pageable_to_device", kind.HOST_BOUND, "bytes", lambda: self._host_to_device(is_pinned=False)),
            ("tiny_kernels", kind.LAUNCH_BOUND, "kernels", self._tiny_kernels),
            ("small_layers", kind.LAUNCH_BOUND, "layers", self._small_layers),
            ("input_starved", kind.INPUT_BOUND, "steps", self._input_starved),
            ("all_reduce_like", kind.NETWORK_BOUND, "steps", self._all_reduce_like),
            ("memory_full", kind.MEMORY_CAPACITY_BOUND, "steps", self._memory_full),
        )
        later = [Phase(label=label, expected=expected, unit=unit, prepare=do) for label, expected, unit, do in rest]
        return [Phase(label="idle", expected=kind.IDLE_ALLOCATED, unit="seconds", prepare=self._idle), *later]

    def _sync(self) -> None:
        if self._is_cuda:
            self._torch.cuda.synchronize(self._device)

    def _tensor(self, *shape: int, dtype: Any) -> Any:  # noqa: ANN401 - torch's own types
        return self._torch.ones(*shape, dtype=dtype, device=self._device)

    def _idle(self) -> Callable[[], float]:
        self._tensor(1, dtype=self._torch.float32)  # the context is there, and nothing is done with it
        pause = 0.1 if self._is_cuda else 0.01

        def once() -> float:
            time.sleep(pause)
            return pause

        return once

    def _matmul(self, dtype: Any, size: int | None = None, fill: Any = None) -> Callable[[], float]:  # noqa: ANN401
        """Of random numbers, as in life: what is all ones flips few bits and draws little power."""
        side = size or self._sizes.matrix
        make = fill or self._torch.randn
        left, right = (make(side, side, dtype=dtype, device=self._device) for _ in range(2))
        out = self._tensor(side, side, dtype=dtype)

        def once() -> float:
            self._torch.matmul(left, right, out=out)
            self._sync()
            return 2.0 * side**3

        return once

    def _memory_copy(self) -> Callable[[], float]:
        source, target = (self._tensor(self._sizes.copy_bytes, dtype=self._torch.uint8) for _ in range(2))

        def once() -> float:
            target.copy_(source)
            self._sync()
            return 2.0 * self._sizes.copy_bytes  # read and written

        return once

    def _host_to_device(self, *, is_pinned: bool) -> Callable[[], float]:
        shape = (self._sizes.host_bytes,)
        host = self._torch.ones(shape, dtype=self._torch.uint8, pin_memory=is_pinned and self._is_cuda)
        target = self._tensor(*shape, dtype=self._torch.uint8)

        def once() -> float:
            target.copy_(host, non_blocking=True)
            self._sync()
            return float(self._sizes.host_bytes)

        return once

    def _tiny_kernels(self) -> Callable[[], float]:
        number = self._tensor(1, dtype=self._torch.float32)

        def once() -> float:
            for _ in range(LAUNCHES):
                number.add_(1.0)
            self._sync()
            return float(LAUNCHES)

        return once

    def _small_layers(self) -> Callable[[], float]:
        """A network of small layers run one operation at a time, as an agent's policy or a batch of one is."""
        torch, side = self._torch, SMALL_LAYER
        weights = torch.randn(side, side, device=self._device) / side**0.5
        state = torch.randn(1, side, device=self._device)

        def once() -> float:
            values = state
            for _ in range(LAYERS):
                values = torch.nn.functional.layer_norm(torch.relu(values @ weights) + values, (side,))
            self._sync()
            return float(LAYERS)

        return once

    def _input_starved(self) -> Callable[[], float]:
        step = self._matmul(self._torch.float32, self._sizes.step_matrix)

        def once() -> float:
            time.sleep(LOADER_SECONDS)
            step()
            return 1.0

        return once

    def _all_reduce_like(self) -> Callable[[], float]:
        step = self._matmul(self._torch.float32, self._sizes.step_matrix)

        def once() -> float:
            end = time.monotonic() + EXCHANGE_SECONDS
            while time.monotonic() < end:
                step()
            time.sleep(EXCHANGE_SECONDS)
            return 1.0

        return once

    def _memory_full(self) -> Callable[[], float]:
        step = self._matmul(self._torch.float32, self._sizes.step_matrix)
        held = self._fill()

        def once() -> float:
            step()
            held[0, :1].add_(1)  # keeps it alive, and touched
            return 1.0

        return once

    def _fill(self) -> Any:  # noqa: ANN401 - a tensor
        free = self._torch.cuda.mem_get_info(self._device)[0] if self._is_cuda else 16 * MIB
        return self._tensor(int(free * FULL_SHARE) // MIB, MIB, dtype=self._torch.uint8)


def document(done: Sequence[Done], about: dict[str, str]) -> bytes:
    """The label file; what is unknown is absent."""
    phases = [{key: value for key, value in asdict(one).items() if value not in (None, "")} for one in done]
    return json.dumps({"schema": SCHEMA, **about, "phases": phases}, indent=1).encode() + b"\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (default cuda)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase (default 20)")
    parser.add_argument("--out", type=Path, required=True, help="label file")
    args = parser.parse_args(arguments)
    try:
        import torch  # noqa: PLC0415 - missing on most machines, and that is worth a sentence
    except (ImportError, OSError) as error:  # OSError: it is there, but a library of its own is not
        print(f"gpu_phases needs torch, the build that fits the driver: {error}", file=sys.stderr)
        return 2
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print("torch sees no CUDA device here; --device cpu runs the same in toy size", file=sys.stderr)
        return 2
    name = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "cpu"
    about = {"device": name, "torch": str(torch.__version__)}

    def tell(done: Sequence[Done], beginning: Phase | None) -> None:
        write_atomically(args.out, document(done, about))
        if beginning is not None:
            print(json.dumps({"begins": beginning.label, "seconds": args.seconds}), flush=True)
        if args.device.startswith("cuda"):
            torch.cuda.empty_cache()  # what one phase held, the next must not find taken

    run(Work(torch, args.device).phases(), args.seconds, SystemClock(), tell)
    return 0


if __name__ == "__main__":
    sys.exit(main())
