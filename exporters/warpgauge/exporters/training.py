"""StepTimer tells the warpgauge agent on this machine how long training steps take and where their time goes.

Standard library only and one file: import it from here, or copy it beside the training script.

    timer = StepTimer()
    for batch in timer.input(loader):          # waiting for data
        with timer.step():                     # one step; what no phase claims is compute
            loss = model(batch)
            with timer.phase("allreduce"):     # waiting for peers included
                reduce_gradients()

`timer.step()` also works as a plain call at the end of an iteration; the first call then only starts the clock, and
everything between two calls belongs to the step. Wrap only the loader of the training loop: what `input` waits counts
for the next step. A phase outside a step (a checkpoint between two) counts by itself.

A step's duration is the host's. Its phases are too (clock="host"), but an accelerator works asynchronously, so a host
clock sees when work was handed over and not when it ran, and says nothing about network or compute on the device. Where
torch is imported already and CUDA is up, phases are therefore timed by the device itself (clock="device"): events on
the current stream, looked at when they are reached and never waited for. What is told then comes some steps late, and
each event costs a call into the driver. `device_clock=False` leaves it at the host's.

Where no agent is to be had, `StepTimer(address=...)` writes lines of Prometheus' text format with timestamps instead:
"file:/scratch/steps-{rank}.prom" appends to a file that `warpgauge analyze` reads, and "http://HOST:PORT/PATH" posts to
what imports that format, such as VictoriaMetrics' /api/v1/import/prometheus. Nobody checks there whose job it is.

Nothing here raises into the training loop. Without an agent the timer costs one attribute test per call and writes one
line of log; it looks for the agent again every ten seconds.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import socket
import sys
import tempfile
import threading
import time
import weakref
from array import array
from collections import deque
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

__all__ = ["MESSAGE_VERSION", "PHASES", "StepTimer", "socket_candidates"]

Item = TypeVar("Item")

MESSAGE_VERSION: Final = 1
PHASES: Final = ("input", "compute", "communication", "checkpoint", "other", "transfer")
_INPUT, _COMPUTE, _COMMUNICATION, _CHECKPOINT, _OTHER, _TRANSFER = range(len(PHASES))

_PHASE_OF: Final[Mapping[object, int]] = {
    **{name: index for index, name in enumerate(PHASES)},
    **dict.fromkeys(("data", "dataloader", "load", "host_to_device"), _INPUT),
    **dict.fromkeys(("forward", "backward", "optimizer"), _COMPUTE),
    **dict.fromkeys(
        ("allreduce", "all_reduce", "allgather", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "barrier"),
        _COMMUNICATION,
    ),
    **dict.fromkeys(("save", "save_checkpoint"), _CHECKPOINT),
    "send": _TRANSFER,
}

_YARN_CONTAINER: Final = re.compile(r"container_(?:e\d+_)?(\d{10,}_\d{4,})_\d{2,}_\d{6,}", re.ASCII)
_LAUNCHERS: Final = (  # which rank a process is and how many there are; the innermost launcher knows best
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # SLURM_NTASKS stands in a batch script too, which is one process
)
_COUNT: Final = re.compile(r"\d{1,7}", re.ASCII)
_MOST_RANKS: Final = 1_000_000
_SOCKET_NAME: Final = "warpgauge-train.sock"
_SEND_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 10.0  # between two looks for an absent agent
_HEARTBEAT_SECONDS: Final = 15.0  # the agent forgets a rank after 60 s of silence; a step may take longer
_STEPS_PER_MESSAGE: Final = 200  # keeps a message under 4 KiB
_TEXT_SECONDS: Final = 5.0  # between two blocks of lines
_POST_SECONDS: Final = 1.0  # that a receiver over HTTP may take
_MOST_NAMES: Final = 256  # of phases whose objects a thread keeps
_MOST_MARKS: Final = 512  # events of one step; phases beyond count with what is around them
_MOST_BEHIND: Final = 1024  # steps that the device may lag behind the host; beyond it the oldest lose their phases
_RING: Final = 16384  # steps a thread keeps while the agent is too slow or stopped; beyond it the oldest go

_log = logging.getLogger("warpgauge.training")


class StepTimer:
    """Measures steps and phases of one rank; may be used from several threads, each with steps of its own."""

    _tracks: threading.local
    _sender: _Sender
    _is_live: bool
    _device: _Device | None

    def __init__(  # noqa: PLR0913 - what a user may set, all with defaults
        self,
        *,
        job_id: str | None = None,
        rank: int | None = None,
        ranks: int | None = None,
        stage: int | None = None,
        socket_path: str | None = None,
        address: str | None = None,
        device_clock: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take rank and ranks from RANK and WORLD_SIZE, MPI or Slurm and the job from SLURM_JOB_ID or YARN.

        `job_id` names the job where no Slurm does: in a Slurm job the agent accepts that job's own id only.
        Without either it is MASTER_ADDR:MASTER_PORT, or the process itself. `stage` is the pipeline stage.
        `ranks` is how many ranks of the job have a timer: 1 where rank 0 alone has one.
        `socket_path` is where the agent listens, else WARPGAUGE_TRAINING_SOCKET, else the agent's default.
        `address`, else WARPGAUGE_TRAINING_ADDRESS, is a file: or http: address to write to in its place.
        `device_clock` lets the device time phases where torch has it up.
        """
        self._given = {
            "job_id": job_id,
            "rank": rank,
            "ranks": ranks,
            "stage": stage,
            "socket_path": socket_path,
            "address": address,
            "device_clock": device_clock,
        }
        self._clock = clock
        self._begin()
        _timers.add(self)

    def step(self) -> _Track | _Nothing:
        """One step: `with timer.step():` around its work, or a plain call at its end."""
        if not self._is_live:
            return _NOTHING
        try:
            track: _Track = self._tracks.track
        except AttributeError:  # the first use in this thread
            track = self._new_track()
        track.call()
        return track

    def phase(self, name: str) -> _Phase | _Nothing:
        """A phase: input, compute, communication, checkpoint, other; `allreduce`, `forward` and such are known.

        `transfer` (or `send`) is for what a rank sends itself, where a script can tell that from waiting for others:
        it shows whose link is slow, which communication, as long for all who wait, does not.
        """
        if not self._is_live:
            return _NOTHING
        try:
            phase: _Phase = self._tracks.phases[name]
        except (AttributeError, KeyError, TypeError):  # the first use in this thread, of this name, or no name at all
            return self._new_phase(name)
        return type(phase)(phase.track, name) if phase.is_open else phase

    def input(self, loader: Iterable[Item]) -> _Input[Item]:
        """The same items; the time until each of them comes is the next step's input phase."""
        return _Input(loader, self._waited, self._clock)

    def flush(self) -> None:
        """Send what this thread has finished; waits a fifth of a second at most."""
        if self._is_live and self._sender.is_started:
            track: _Track | None = getattr(self._tracks, "track", None)
            if track is not None:
                track.flush()
            self._sender.flush()

    def close(self) -> None:
        """Flush and stop sending; using the timer afterwards does nothing."""
        track: _Track | None = getattr(self._tracks, "track", None)
        if track is not None:
            track.end()
        self.flush()
        self._sender.stop()
        self._is_live = False

    def _waited(self, seconds: float) -> None:
        if self._is_live:
            try:
                self._tracks.track.wait(seconds)
            except AttributeError:
                self._new_track().wait(seconds)

    def _new_track(self) -> _Track:
        track, device = _Track(self._clock), self._device
        if device is not None and device.is_mine():
            track = _DeviceTrack(self._clock, device.event, self._device_lost)
        self._tracks.phases = {}
        self._tracks.track = track
        self._sender.join(track)
        return track

    def _new_phase(self, name: object) -> _Phase:
        """One that this thread keeps for the next time, unless its names have no end or are no names."""
        track: _Track = getattr(self._tracks, "track", None) or self._new_track()
        phase, kept = track.phase(name), self._tracks.phases
        if len(kept) < _MOST_NAMES and isinstance(name, str):
            kept[name] = phase
        return phase

    def _agent_came(self) -> None:
        if not self._is_live:
            self._tracks = threading.local()  # what was half measured when the agent went is worth nothing
            self._is_live = True

    def _agent_went(self) -> None:
        self._is_live = False

    def _device_came(self, device: _Device) -> None:
        """Let each thread time by the device from its next step or phase on."""
        self._device = device
        self._tracks = threading.local()

    def _device_lost(self, why: Exception) -> None:
        """Go back to the host's clock for good; what the device had not told is lost."""
        if self._device is not None:
            self._device = None
            self._tracks = threading.local()
            _log.warning("the device's clock cannot be read, phases are timed by the host's: %s", why)

    def _restart(self) -> None:
        """Begin anew in a forked child, which has none of its parent's threads."""
        self._sender.abandon()
        self._begin()

    def _begin(self) -> None:
        self._tracks = threading.local()
        self._device = None  # until this process works on one
        self._sender = _Sender(self._given, came=self._agent_came, went=self._agent_went, device=self._device_came)
        self._is_live = True  # until the sender, which starts with the first use, has looked for the agent

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], StepTimer], tuple[dict[str, Any]]]:
        """A copy in another process (spawn) is a timer of its own, with the usual clock."""
        return _rebuild, (self._given,)


class _Nothing:
    """What `step` and `phase` give while there is no agent."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_NOTHING: Final = _Nothing()


class _Track:
    """What one thread measures; as a context it is the step in progress.

    Only its thread writes and only the sender reads, so neither waits for the other; nothing is allocated per step.
    """

    __slots__ = (
        *("_begin", "_depth", "_mark", "_outer", "_ring", "_sent", "_taken", "_told", "_waited"),
        *("clock", "inner", "pending", "spent", "steps", "thread"),
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.thread = threading.current_thread()
        self.spent = [0.0] * len(PHASES)  # seconds in each phase since the track began
        self.steps = 0  # steps since the track began; the last ones stand in the ring
        self._ring = array("d", bytes(8 * _RING))
        self._sent = [0.0] * len(PHASES)  # what the sender has taken of `spent`, and how many of `steps`
        self._taken = 0
        self._begin: float | None = None  # start of the open `with` step
        self._depth = 0
        self._mark: float | None = None  # end of the last step, where steps are plain calls
        self._waited = 0.0  # input waited for outside a `with` step
        self.pending: float | None = None  # a call of step() that may turn out to open a `with`
        self.inner = 0.0  # seconds in phases directly inside the present one, or inside the step
        self._outer = 0.0  # what `inner` was before the step
        self._told = self.spent[:]  # what `spent` was when the step began

    source = "host"  # whose clock times phases

    def call(self) -> None:
        """A call of `step()`: the end of a step, or a `with` follows."""
        if self.pending is not None:
            self.settle()
        self.pending = self.clock()

    def phase(self, name: object) -> _Phase:
        """A phase of this track."""
        return _Phase(self, name)

    def __enter__(self) -> None:
        if self._depth == 0:
            self._begin = self.clock() if self.pending is None else self.pending
            self._mark = None
            self._told = self.spent[:]
            self._outer, self.inner = self.inner, 0.0
        self._depth += 1
        self.pending = None

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        now = self.clock()
        self.pending = None
        if self._depth > 1 or self._begin is None:
            self._depth = max(self._depth - 1, 0)
            return
        self._depth = 0
        seconds = now - self._begin
        if kind is None:
            self._finish(seconds)
        else:
            self._forget()
        self.inner = self._outer + seconds  # a phase around the step claims none of it
        self._begin = None
        self._waited = 0.0

    def settle(self) -> None:
        """The pending call was no `with`: it ended a step, or started the clock."""
        end, self.pending = self.pending, None
        if end is None or self._begin is not None:
            return
        mark, self._mark = self._mark, end
        if mark is not None:
            self._finish(end - mark - self._waited)
        self._told = self.spent[:]
        self.inner = self._waited = 0.0

    def flush(self) -> None:
        """Take in what is finished."""
        if self.pending is not None:
            self.settle()

    def end(self) -> None:
        """No step comes after the last call: what was timed since then counts by itself."""
        if self.pending is not None:
            self.settle()
        self._mark = None

    def wait(self, seconds: float) -> None:
        """Count a wait for input."""
        if self.pending is not None:
            self.settle()
        if self._begin is None:
            self._waited += seconds
        else:
            self.spent[_INPUT] += seconds
            self.inner += seconds

    def take(self, limit: int) -> tuple[list[float], list[float]]:
        """Durations of up to so many steps and the seconds of each phase that the sender has not had yet."""
        spent = self._complete()
        behind = self.steps - self._taken
        if behind > _RING:
            self._taken = self.steps - _RING * 7 // 8  # the eighth that is written next is left alone
        last = min(self._taken + limit, self.steps)
        steps = [round(self._ring[number % _RING], 7) for number in range(self._taken, last)]
        self._taken = last
        # Read between two writes the sums may lack a step for once; the next message makes it good.
        fresh = [round(max(now - sent, 0.0), 7) for now, sent in zip(spent, self._sent, strict=True)]
        self._sent = [sent + seconds for sent, seconds in zip(self._sent, fresh, strict=True)]
        return steps, fresh

    def _complete(self) -> list[float]:
        """Phases of the step in progress wait for its end, so that time and steps of a message belong together."""
        return list(self.spent if self._begin is None and self._mark is None else self._told)

    def is_over(self) -> bool:
        """Whether its thread ended and the sender has had everything."""
        return not self.thread.is_alive() and self._taken == self.steps

    def _forget(self) -> None:
        """A step that failed is no step."""
        self.spent[:] = self._told

    def _finish(self, seconds: float) -> None:
        """End a step; what no phase claims is compute, or other where compute was named."""
        spent = self.spent
        rest = seconds - self.inner
        if rest > 0:
            spent[_OTHER if spent[_COMPUTE] > self._told[_COMPUTE] else _COMPUTE] += rest
        spent[_INPUT] += self._waited
        self._ring[self.steps % _RING] = seconds + self._waited
        self.steps += 1


class _Phase:
    """One phase of one thread; phases nest, and each counts only the time that no inner one claims."""

    __slots__ = ("_outer", "_start", "index", "is_open", "track")

    def __init__(self, track: Any, name: object) -> None:  # noqa: ANN401 - of whichever kind
        self.track = track
        self.is_open = False
        try:
            self.index = _PHASE_OF[name]
        except (KeyError, TypeError):  # TypeError: not hashable, so no name either
            self.index = _OTHER
        self._start = self._outer = 0.0

    def __enter__(self) -> None:
        track = self.track
        if track.pending is not None:
            track.settle()
        self.is_open = True
        self._outer, track.inner = track.inner, 0.0
        self._start = track.clock()

    def __exit__(self, _kind: object, _error: object, _trace: object) -> None:
        track = self.track
        seconds = track.clock() - self._start
        track.spent[self.index] += seconds - track.inner
        track.inner = self._outer + seconds
        self.is_open = False


_BEGIN, _END, _APART = -1, -2, -3
"""What begins at a mark besides a phase: a step; what was before the innermost phase; a step inside of a phase."""


class _Timeline:
    """Events of one step, or of a phase outside of steps, in the order in which the device reaches them."""

    __slots__ = ("before", "depth", "host_seconds", "inside", "is_call", "marks", "outer", "waited")

    def __init__(self, event: Any, what: int, outer: _Timeline | None = None, *, is_call: bool = False) -> None:  # noqa: ANN401 - of torch
        self.marks = [(event, what)]
        self.outer = outer  # a phase that is around the step
        self.is_call = is_call  # begun by a plain call of step()
        self.depth = int(what >= 0)  # phases that are open
        self.before: Any = None  # the event that ended the step before
        self.waited = self.inside = 0.0  # host seconds of input before the step, and within it
        self.host_seconds: float | None = None  # of the step, wait included; None for a phase outside of steps

    def seconds(self) -> list[float]:
        """By phase, once the device has reached the last event; what no phase claims is compute, or other."""
        spent, rest, open_ = [0.0] * len(PHASES), 0.0, []
        for (event, what), (following, _) in pairwise(self.marks):
            if what >= 0 or what == _APART:
                open_.append(what)
            elif what == _END and open_:
                open_.pop()
            took = event.elapsed_time(following) / 1e3
            if not open_:
                rest += took
            elif open_[-1] != _APART:
                spent[open_[-1]] += took
        if self.before is not None and self.waited:  # while the device still works nobody waits for input
            spent[_INPUT] += min(self.waited, self.before.elapsed_time(self.marks[0][0]) / 1e3)
        inside = min(rest, self.inside)
        spent[_INPUT] += inside
        is_named = any(what == _COMPUTE for _, what in self.marks)
        spent[_OTHER if is_named else _COMPUTE] += rest - inside
        return spent


class _DeviceTrack(_Track):
    """A track whose phases the device times; a step is told once the device has reached its end."""

    __slots__ = ("_at_call", "_behind", "_ending", "_last", "_line", "_lost", "_make")
    source = "device"

    def __init__(self, clock: Callable[[], float], make: Callable[[], Any], lost: Callable[[Exception], None]) -> None:
        super().__init__(clock)
        self._make = make
        self._lost = lost
        self._line: _Timeline | None = None  # what is open
        self._behind: deque[_Timeline] = deque()  # what the host is done with
        self._at_call: Any = None  # event of a call of step() that may turn out to open a `with`
        self._ending: Any = None  # event of a call that ends a step
        self._last: Any = None  # event that ended the newest step

    def call(self) -> None:
        super().call()
        self._at_call = self._event()

    def phase(self, name: object) -> _DevicePhase:
        return _DevicePhase(self, name)

    def __enter__(self) -> None:
        event, self._at_call = self._at_call, None
        if self._depth == 0:
            event = event or self._event()
            outer = self._line if self._line is not None and self._line.depth and not self._line.is_call else None
            if outer is not None:
                outer.marks.append((event, _APART))
            self._line = _Timeline(event, _BEGIN, outer)
        super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._at_call = None
        super().__exit__(kind, error, trace)

    def settle(self) -> None:
        self._ending, self._at_call = self._at_call, None
        super().settle()
        if self._begin is None and self._ending is not None:
            self._line = _Timeline(self._ending, _BEGIN, is_call=True)
        self._ending = None

    def wait(self, seconds: float) -> None:
        if self.pending is not None:
            self.settle()
        if self._begin is None:
            self._waited += seconds
        elif self._line is not None:
            self._line.inside += seconds

    def flush(self) -> None:
        super().flush()
        self._look()

    def end(self) -> None:
        super().end()
        self._line = None
        until = time.monotonic() + 0.2
        while self._behind and time.monotonic() < until:
            self._look()
            time.sleep(0.002)

    def mark(self, what: int) -> bool:
        """Whether an event stands there now. A phase outside of a step is a timeline of its own."""
        line = self._line
        if line is None:
            if what >= 0:
                self._line = _Timeline(self._event(), what)
            return what >= 0
        if what >= 0 and len(line.marks) >= _MOST_MARKS:
            return False
        line.marks.append((self._event(), what))
        line.depth += 1 if what >= 0 else -1
        if line.depth == 0 and line.marks[0][1] >= 0:
            self._close(line)
        return True

    def _event(self) -> Any:  # noqa: ANN401 - of torch
        """One on the current stream; None if the device does not do that."""
        try:
            event = self._make()
            event.record()
        except Exception as error:  # noqa: BLE001 - the user's training goes on, whatever is wrong with us
            self._lost(error)
            return None
        return event

    def _finish(self, seconds: float) -> None:
        line, end = self._line, self._ending or self._event()
        if line is None:
            return
        line.marks.append((end, _END))
        line.host_seconds = seconds + self._waited
        if line.is_call:
            line.inside += self._waited
        else:
            line.before, line.waited = self._last, self._waited
        self._last = end
        self._close(line)

    def _forget(self) -> None:
        line, self._last = self._line, None
        if line is not None:
            self._line = line.outer
            if line.outer is not None:
                line.outer.marks.append((self._event(), _END))

    def _close(self, line: _Timeline) -> None:
        self._line = line.outer
        if line.outer is not None:
            line.outer.marks.append((line.marks[-1][0], _END))
        self._behind.append(line)
        self._look()
        if len(self._behind) > _MOST_BEHIND:
            self._count(self._behind.popleft(), [])

    def _look(self) -> None:
        """Count what the device has reached; nothing waits for it."""
        try:
            while self._behind and self._behind[0].marks[-1][0].query():
                line = self._behind.popleft()
                self._count(line, line.seconds())
        except Exception as error:  # noqa: BLE001 - as above
            self._behind.clear()
            self._lost(error)

    def _count(self, line: _Timeline, phases: Iterable[float]) -> None:
        for index, seconds in enumerate(phases):
            self.spent[index] += seconds
        if line.host_seconds is not None:
            self._ring[self.steps % _RING] = line.host_seconds
            self.steps += 1

    def _complete(self) -> list[float]:
        return self.spent[:]


class _DevicePhase(_Phase):
    """A phase that the device times."""

    __slots__ = ("_is_marked",)

    def __init__(self, track: _DeviceTrack, name: object) -> None:
        super().__init__(track, name)
        self._is_marked = False

    def __enter__(self) -> None:
        track = self.track
        if track.pending is not None:
            track.settle()
        self.is_open = True
        self._is_marked = track.mark(self.index)

    def __exit__(self, _kind: object, _error: object, _trace: object) -> None:
        if self._is_marked:
            self._is_marked = False
            self.track.mark(_END)
        self.is_open = False


class _Device:
    """torch's CUDA, where this process has memory on a device of it."""

    def __init__(self, cuda: Any) -> None:  # noqa: ANN401 - a module of torch
        self._cuda = cuda
        self.event: Callable[[], Any] = partial(cuda.Event, enable_timing=True)

    def is_mine(self) -> bool:
        """Whether the calling thread's device is such a one: an event on another would take memory there."""
        try:
            return bool(self._cuda.memory_reserved() > 0)
        except Exception:  # noqa: BLE001 - then it is none
            return False


def _device_of(modules: Mapping[str, Any]) -> _Device | None:
    """The device, where torch is imported and at work on one; nothing is imported or started."""
    cuda = getattr(modules.get("torch"), "cuda", None)
    try:
        if cuda is None or not cuda.is_initialized():
            return None
        is_used = any(cuda.memory_reserved(number) > 0 for number in range(cuda.device_count()))
        return _Device(cuda) if is_used else None
    except Exception:  # noqa: BLE001 - half imported, or something else of that name
        return None


class _Input(Generic[Item]):
    """A loader whose waits are counted; what it raises goes through untouched."""

    def __init__(self, loader: Iterable[Item], waited: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._loader = loader
        self._waited = waited
        self._clock = clock

    def __iter__(self) -> Iterator[Item]:
        waited, clock = self._waited, self._clock
        start = clock()
        for item in self._loader:
            waited(clock() - start)
            yield item
            start = clock()

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type] # a loader without a length raises its own TypeError


class _Sender:
    """The daemon thread that looks for the agent and sends it what the tracks hold."""

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        came: Callable[[], None],
        went: Callable[[], None],
        device: Callable[[_Device], None],
    ) -> None:
        self._given = given
        self._came = came
        self._went = went
        self._device = device
        self._wants_device = bool(given["device_clock"])  # until it is there
        self._lock = threading.Lock()  # guards everything below: flush and the thread send, any thread joins
        self._tracks: list[_Track] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | _Text | None = None
        self._text: _Text | None = None  # what an address is written to; its sums outlive an outage
        self._unsent: bytes | None = None
        self._look_at = self._beat_at = 0.0
        self._has_complained = False
        self._identity: dict[str, object] = {}

    @property
    def is_started(self) -> bool:
        return self._thread is not None

    def join(self, track: _Track) -> None:
        """Take a thread's measurements from now on; the first starts the sender."""
        with self._lock:
            self._tracks.append(track)
            if self._thread is None and not self._stop.is_set():
                self._identity = _identity(self._given, os.environ)
                self._thread = threading.Thread(target=self._run, name="warpgauge-step-timer", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is going down, or the system has no thread left
                    self._went()

    def stop(self) -> None:
        self._stop.set()
        with self._lock:
            if self._text is not None and self._socket is self._text:
                self._text.close()
            self._hang_up()

    def abandon(self) -> None:
        """Let go of the socket without the lock: after a fork nobody is there to open it."""
        self._hang_up()

    def _hang_up(self) -> None:
        if isinstance(self._socket, socket.socket):
            self._socket.close()
        self._socket = None

    def flush(self) -> None:
        for _ in range(10):
            self._tick()
            if self._socket is None or self._unsent is None:
                return
            time.sleep(0.02)

    def _run(self) -> None:
        self._tick()
        while not self._stop.wait(_SEND_SECONDS):
            self._tick()

    def _tick(self) -> None:
        with self._lock:
            try:
                if self._wants_device and (device := _device_of(sys.modules)) is not None:
                    self._wants_device = False
                    self._device(device)
                if self._socket is None:
                    self._look()
                if self._socket is not None:
                    self._send_all(self._socket)
            except Exception:  # noqa: BLE001 - the user's training goes on, whatever is wrong with us
                self._lose("the step timer failed", with_trace=True)

    def _look(self) -> None:
        """Look for the agent, unless that was done just now; without one, what was measured is dropped."""
        now = time.monotonic()
        if now < self._look_at or self._stop.is_set():
            return
        self._look_at = now + _RETRY_SECONDS
        address = self._given["address"] or os.environ.get("WARPGAUGE_TRAINING_ADDRESS")
        if address:
            self._text = self._text or _Text(address, self._identity)
            self._socket = self._text if self._text.is_open() else None
        else:
            self._socket = _connect(self._given["socket_path"], os.environ)
        if self._socket is None:
            self._lose(self._refusal() or "no warpgauge agent listens for training steps; looking again every 10 s")
        else:
            self._look_at = self._beat_at = 0.0
            self._came()

    def _refusal(self) -> str:
        if self._text is None:
            return ""
        return f"training steps cannot be written to {self._text.address}; trying again every 10 s"

    def _lose(self, why: str, *, with_trace: bool = False) -> None:
        self._went()
        self._tracks.clear()
        self._unsent = None
        self._hang_up()
        if not self._has_complained:
            self._has_complained = True
            _log.warning("%s", why, exc_info=with_trace)

    def _send_all(self, agent: socket.socket | _Text) -> None:
        while message := self._unsent or self._next_message():
            self._unsent = message
            try:
                agent.send(message)
            except BlockingIOError:  # the agent is slow or stopped: keep it, and let the rings fill
                return
            except OSError:  # the agent went; another may listen already
                self._lose(self._refusal() or "the warpgauge agent went away; looking for it every 10 s")
                return
            self._unsent = None

    def _next_message(self) -> bytes | None:
        steps: list[float] = []
        sums = {source: [0.0] * len(PHASES) for source in ("host", "device")}
        for track in self._tracks:
            some, seconds = track.take(_STEPS_PER_MESSAGE - len(steps))
            steps += some
            sums[track.source] = [one + more for one, more in zip(sums[track.source], seconds, strict=True)]
        self._tracks = [track for track in self._tracks if not track.is_over()]
        phases, device = (_by_name(sums[source]) for source in ("host", "device"))
        now = time.monotonic()
        if not (steps or phases or device or now >= self._beat_at):
            return None
        self._beat_at = now + _HEARTBEAT_SECONDS
        message = {**self._identity, "steps": steps, "phases": phases} | ({"device": device} if device else {})
        return json.dumps(message, separators=(",", ":")).encode()


class _Text:
    """A file or an HTTP address in an agent's place: takes the same messages, and writes what they add up to."""

    def __init__(self, address: str, identity: Mapping[str, object]) -> None:
        self.address = address.replace("{rank}", str(identity["rank"]))
        labels = {"job_id": identity["job"], "rank": identity["rank"], "stage": identity.get("stage", "")}
        self._labels = {"node": socket.gethostname(), **labels}
        self._ranks = identity.get("ranks")
        self._steps = 0
        self._seconds = 0.0
        self._phases: dict[tuple[str, str], float] = {}
        self._due = 0.0
        self.now = time.time

    def is_open(self) -> bool:
        """Whether it takes anything now."""
        try:
            self._write(b"")
        except (OSError, ValueError):  # ValueError: it is no address
            return False
        return True

    def send(self, message: bytes) -> None:
        """Add up, and write if the last time is long enough ago."""
        said = json.loads(message)
        self._steps += len(said["steps"])
        self._seconds += sum(said["steps"])
        for clock, key in (("host", "phases"), ("device", "device")):
            for name, seconds in said.get(key, {}).items():
                self._phases[clock, name] = self._phases.get((clock, name), 0.0) + seconds
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _TEXT_SECONDS
            self._write(self._lines())

    def close(self) -> None:
        """Write what is left."""
        try:
            self._write(self._lines())
        except OSError:
            _log.warning("the last training steps could not be written to %s", self.address)

    def _lines(self) -> bytes:
        stamp = round(self.now() * 1000)
        rows: list[tuple[str, dict[str, str], object]] = [
            ("training_step_seconds_count", {}, self._steps),
            ("training_step_seconds_sum", {}, self._seconds),
        ]
        for (clock, phase), seconds in self._phases.items():
            rows.append(("training_phase_seconds_total", {"phase": phase, "clock": clock}, seconds))
        if self._ranks is not None:
            rows.append(("training_job_ranks", {}, self._ranks))
        return "".join(
            f"{name}{_braces({**self._labels, **more})} {value!r} {stamp}\n" for name, more, value in rows
        ).encode()

    def _write(self, lines: bytes) -> None:
        scheme, _, path = self.address.partition(":")
        if scheme == "file":
            with Path(path).open("ab", buffering=0) as file:  # one write, so that ranks may share a local file
                file.write(lines)
        elif scheme in {"http", "https"}:
            _post(self.address, lines)
        else:
            msg = f"{self.address} is neither a file: nor an http: address"
            raise ValueError(msg)


def _post(url: str, lines: bytes) -> None:
    import urllib.request  # noqa: PLC0415 - takes longer than the rest, and few need it

    request = urllib.request.Request(url, lines, {"Content-Type": "text/plain; version=0.0.4"})  # noqa: S310 - http only
    try:
        with urllib.request.urlopen(request, timeout=_POST_SECONDS):  # noqa: S310 - as above
            pass
    except OSError:
        raise
    except Exception as error:  # an answer that is no HTTP
        raise OSError(str(error)) from error


def _braces(labels: Mapping[str, object]) -> str:
    """Labels as the text format has them; an empty one is none."""
    quoted = {
        name: str(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in quoted.items() if value) + "}"


def _by_name(sums: Iterable[float]) -> dict[str, float]:
    return {name: round(total, 7) for name, total in zip(PHASES, sums, strict=True) if total > 0}


def _identity(given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, object]:
    identity: dict[str, object] = {"v": MESSAGE_VERSION, "job": _job_id(given["job_id"], environ)}
    rank = _number(given["rank"], *(environ.get(name) for name, _ in _LAUNCHERS), 0)
    ranks = _ranks(given["ranks"], rank, environ)
    identity["rank"] = rank
    if ranks is not None:
        identity["ranks"] = ranks
    if given["stage"] is not None:
        identity["stage"] = _number(given["stage"], 0)
    return identity


def _ranks(given: object, rank: int, environ: Mapping[str, str]) -> int | None:
    """How many ranks the job has; None where nobody says, or says a number that this rank does not fit."""
    told = [environ.get(name) for _, name in _LAUNCHERS] if given is None else [given]
    numbers = [int(str(one)) for one in told if _COUNT.fullmatch(str(one))]
    return next((one for one in numbers if rank < one <= _MOST_RANKS), None)


def _job_id(given: object, environ: Mapping[str, str]) -> str:
    address, port = environ.get("MASTER_ADDR"), environ.get("MASTER_PORT")
    together = f"{address}:{port}" if address and port else None  # what the ranks of a job have in common
    own = environ.get("SLURM_JOB_ID") or _yarn_application(environ.get("CONTAINER_ID", ""))
    return str(own or given or together or f"pid-{os.getpid()}")[:128]


def _yarn_application(container: str) -> str | None:
    """application_N_M of container_eE_N_M_A_C, where eE may be absent."""
    match = _YARN_CONTAINER.fullmatch(container)
    return f"application_{match[1]}" if match else None


def _number(*candidates: object) -> int:
    """The first of these that is a whole number from 0 on."""
    return next(int(str(one)) for one in candidates if one is not None and str(one).isascii() and str(one).isdecimal())


def socket_candidates(given: str | None, environ: Mapping[str, str]) -> list[str]:
    """Where the agent may listen: as told; else as a service, in this user's session, or as this user without one."""
    told = given or environ.get("WARPGAUGE_TRAINING_SOCKET")
    if told:
        return [told]
    own = Path(tempfile.gettempdir()) / f"warpgauge-{os.getuid()}"
    runtime = environ.get("XDG_RUNTIME_DIR")
    folders = [Path("/run/warpgauge"), *([Path(runtime)] if runtime else []), *([own] if _is_ours(own) else [])]
    return [str(folder / _SOCKET_NAME) for folder in folders]


def _is_ours(folder: Path) -> bool:
    """Anybody may make a folder in /tmp; only our own is to be trusted."""
    try:
        return folder.lstat().st_uid == os.getuid()
    except OSError:
        return False


def _connect(given: str | None, environ: Mapping[str, str]) -> socket.socket | None:
    if not (hasattr(socket, "AF_UNIX") and hasattr(os, "getuid")):  # Windows
        return None
    for path in socket_candidates(given, environ):
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.settimeout(0)
        try:
            sender.connect(path)
        except OSError:
            sender.close()
            continue
        return sender
    return None


_timers: weakref.WeakSet[StepTimer] = weakref.WeakSet()


def _rebuild(given: dict[str, Any]) -> StepTimer:
    return StepTimer(**given)


def _restart_all() -> None:
    for timer in list(_timers):
        timer._restart()  # noqa: SLF001 - the same module


def _close_all() -> None:
    for timer in list(_timers):
        timer.close()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
