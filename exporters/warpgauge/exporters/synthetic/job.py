"""A training job: its ranks step in lockstep, so the slowest one sets the pace and all others wait for it.

step = slowest rank's (input wait + compute) + communication + other [+ checkpoint]. What a rank does not need for its
own input and compute it spends waiting in the collective: the rank that waits least is the one the others wait for.
All ranks draw batches from one shared source, prepared while they compute: who computes longer than a batch takes
never waits for input.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import training
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic.gpu import Work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from warpgauge.exporters.synthetic.roster import Training
    from warpgauge.exporters.synthetic.workload import Demand, Seat

__all__ = ["TrainingJob"]

_BATCH_DEVIATION: Final = 0.012  # all ranks: sequence lengths, image sizes
_RANK_DEVIATION: Final = 0.007  # one rank against the others
_SOURCE_DEVIATION: Final = 0.02  # all loaders: sample sizes, the storage behind them
_LOADER_DEVIATION: Final = 0.006  # one rank's loader against the others
_EVALUATION_RATIO: Final = 0.7  # of an evaluation computes; the rest reads, gathers and counts
_FETCH_RATIO: Final = 0.006  # handing over a ready batch, relative to a step
_USABLE_RATIO: Final = 0.993  # device memory that is neither reserved nor total: see Board
_HOST_THREAD_CORES: Final = 1.0  # one thread per rank launches kernels and polls for their end
_HOST_SYSTEM_CORES: Final = 0.18
_LOADER_SYSTEM_RATIO: Final = 0.12  # system time of the loader's workers per second of their user time


class _Piece:
    """A stretch of one step in which shares are constant: the step proper, or its checkpoint."""

    __slots__ = ("communication", "compute", "end", "is_checkpoint", "is_step", "seconds")

    def __init__(
        self, start: float, seconds: float, compute: list[float], communication: list[float], *, is_step: bool = True
    ) -> None:
        self.is_step = is_step
        self.seconds = seconds
        self.end = start + seconds
        self.compute = [value / seconds for value in compute]
        self.communication = [value / seconds for value in communication]
        self.is_checkpoint = not compute


class TrainingJob:
    """One job over its seats, in rank order.

    Causes that a fault may change: `batch_cost_ratio` (what a batch costs the loader), `share_ratios` (work of each
    rank relative to its even share), `wandering_ratio` (work of one rank that is another one at every step),
    `collective_ratio` (time of the collectives) and `is_silent` (a collective that never ends).
    """

    is_lockstep = True

    def __init__(
        self, row: Training, seats: Sequence[Seat], random: Random, begin: float, *, is_new: bool = False
    ) -> None:
        self.owner = row.owner
        self.seats = seats
        self.batch_cost_ratio = 1.0
        self._row = row
        self._random = random
        self._time = begin
        self._busy_seconds = [row.step_seconds] * len(seats)
        self._loader_bias = [random.uniform(0.99, 1.01) for _ in seats]
        self.share_ratios = [1.0] * len(seats)
        self.wandering_ratio = 1.0
        self.collective_ratio = 1.0
        self.is_silent = False
        self.reports_steps = row.reports_steps
        self._steps = 0 if is_new else random.randrange(20_000, 90_000)
        self._counts = [0] * (len(training.STEP_SECONDS.buckets) + 1)
        self._counts[bisect_left(training.STEP_SECONDS.buckets, row.step_seconds)] = self._steps
        self._sum_seconds = self._steps * row.step_seconds
        self.phase_seconds = [self._past_phases() for _ in seats]
        self._pieces: list[_Piece] = []
        self._pending: list[tuple[float, float, float, float, float]] = []
        self._duration = 0.0
        self._begin_step(begin)

    @property
    def loader_fill(self) -> float:
        """Share of an undisturbed step that the loader needs as long as batches cost what was planned."""
        return self._row.loader.fill

    def stage_of(self, rank: int) -> int:
        """Pipeline stage of a rank."""
        return rank * self._row.stages // len(self.seats)

    @property
    def present_step_seconds(self) -> float:
        """What a step without collectives or loaders at fault takes at the present clocks, which may be locked."""
        row = self._row
        costs = (self._clock_cost(seat) * share for seat, share in zip(self.seats, self.share_ratios, strict=True))
        return row.step_seconds + row.compute_seconds * (max(costs) - 1.0)

    def batch_cost(self, of_step: float, step_seconds: float) -> float:
        """What a batch must cost the loader to take so many times as long as such a step."""
        return of_step * step_seconds / (max(self.loader_fill, 0.01) * self._row.step_seconds)

    def collective_cost(self, slowdown: float, step_seconds: float) -> float:
        """How much longer its collectives must take for such a step to take `slowdown` times as long."""
        row = self._row
        return 1.0 + (slowdown - 1.0) * step_seconds / max(row.communication_seconds, row.step_seconds / 100.0)

    @property
    def memory_bound(self) -> float:
        """Share of kernel time that does not follow the SM clock."""
        return self._row.kernel.memory_bound

    @property
    def steps(self) -> Histogram:
        """Durations of all steps since the job began: the same for every rank, for they step together."""
        cumulative, total = [], 0
        for count in self._counts:
            total += count
            cumulative.append(total)
        return Histogram(tuple(cumulative), self._sum_seconds)

    def advance(self, to: float, demands: Sequence[Demand]) -> list[Work]:
        """Work per rank until `to`; its loaders, launch threads and checkpoints fall on `demands`."""
        span = to - self._time
        ranks = len(self.seats)
        compute, communication = [0.0] * ranks, [0.0] * ranks
        stepped = saved = 0.0  # steps and checkpoints done in the interval, as fractions
        if self.is_silent:
            return self._wait_for_ever(to, demands)
        while self._time < to:
            piece = self._pieces[0]
            until = min(to, piece.end)
            seconds = until - self._time
            if piece.is_checkpoint:
                saved += seconds / piece.seconds
            else:
                stepped += seconds / piece.seconds * piece.is_step
                for rank in range(ranks):
                    compute[rank] += seconds * piece.compute[rank]
                    communication[rank] += seconds * piece.communication[rank]
            self._time = until
            if until >= piece.end:
                self._end_piece()
        self._ask_hosts(demands, span, stepped, saved)
        return [self._work(c / span, w / span, stepped, saved) for c, w in zip(compute, communication, strict=True)]

    def _wait_for_ever(self, to: float, demands: Sequence[Demand]) -> list[Work]:
        """Every rank spins in a collective that one of them never joins; what was begun ends after the silence."""
        span = to - self._time
        self._time = to
        for piece in self._pieces:
            piece.end += span
        self._ask_hosts(demands, span, 0.0, 0.0)
        return [self._work(0.0, 1.0, 0.0, 0.0) for _ in self.seats]

    # ---- one step

    def _begin_step(self, start: float) -> None:
        row, gauss = self._row, self._random.gauss
        batch = 1.0 + gauss(0.0, _BATCH_DEVIATION)
        collective = row.communication_seconds * (1.0 + gauss(0.0, 0.04)) * self.collective_ratio
        other = row.other_seconds * (1.0 + abs(gauss(0.0, 0.2)))
        source = self._loader_seconds() * (1.0 + gauss(0.0, _SOURCE_DEVIATION))
        waits, computes = [], []
        for rank, seat in enumerate(self.seats):
            ready = source * self._loader_bias[rank] * (1.0 + gauss(0.0, _LOADER_DEVIATION))
            fetch = _FETCH_RATIO * row.step_seconds * (1.0 + 0.5 * abs(gauss(0.0, 1.0)))
            waits.append(fetch + max(0.0, ready - self._busy_seconds[rank]))
            share = self.share_ratios[rank] * seat.gpu.kernel_cost_ratio * seat.gpu.launch_cost_ratio
            cost = self._clock_cost(seat) * share / (1.0 - seat.gpu.stranger_share)
            computes.append(row.compute_seconds * batch * cost * (1.0 + gauss(0.0, _RANK_DEVIATION)))
        if self.wandering_ratio > 1.0:
            computes[self._random.randrange(len(computes))] *= self.wandering_ratio
        latest = max(map(float.__add__, waits, computes))
        shared = [latest - wait - compute + collective for wait, compute in zip(waits, computes, strict=True)]
        self._steps += 1
        save = (
            row.checkpoint_seconds * self._random.uniform(0.9, 1.2) if self._steps % row.checkpoint_steps == 0 else 0.0
        )
        proper = latest + collective + other
        self._pieces = [_Piece(start, proper, computes, shared)]
        if save:
            self._pieces.append(_Piece(start + proper, save, [], []))
        self._duration = proper + save
        self._busy_seconds = [compute + collective + other for compute in computes]
        self._pending = [(w, c, s, save, other) for w, c, s in zip(waits, computes, shared, strict=True)]

    def _end_piece(self) -> None:
        ended = self._pieces.pop(0)
        if self._pieces:
            return
        if not ended.is_step:
            self._begin_step(ended.end)
            return
        self._counts[bisect_left(training.STEP_SECONDS.buckets, self._duration)] += 1
        self._sum_seconds += self._duration
        for phases, spent in zip(self.phase_seconds, self._pending, strict=True):
            for position, seconds in enumerate(spent):
                phases[position] += seconds
        row = self._row
        if row.evaluation_steps and self._steps % row.evaluation_steps == 0:
            busy = [row.evaluation_seconds * _EVALUATION_RATIO] * len(self.seats)
            self._pieces = [_Piece(ended.end, row.evaluation_seconds, busy, [0.0] * len(busy), is_step=False)]
            return
        self._begin_step(ended.end)

    def _clock_cost(self, seat: Seat) -> float:
        """How much longer this device computes than at the highest clock."""
        fixed = self._row.kernel.memory_bound
        return fixed + (1.0 - fixed) / seat.gpu.mean_clock_ratio

    def _loader_seconds(self) -> float:
        """Time the workers of one rank need per batch, all of them at work."""
        return self._row.loader.fill * self._row.step_seconds * self.batch_cost_ratio

    def _past_phases(self) -> list[float]:
        """Phase totals of the steps before the model began, in the order of `training.PHASES`."""
        row = self._row
        per_step = (
            _FETCH_RATIO * 1.4 * row.step_seconds,
            row.compute_seconds,
            row.communication_seconds,
            row.checkpoint_seconds / row.checkpoint_steps,
            row.other_seconds,
        )
        return [seconds * self._steps for seconds in per_step]

    # ---- what a step asks of devices and hosts

    def _work(self, compute: float, communication: float, stepped: float, saved: float) -> Work:
        row, board = self._row, self.seats[0].gpu.board
        return Work(
            row.kernel,
            compute,
            communication,
            row.memory_ratio * _USABLE_RATIO * board.memory_total_bytes,
            1,
            stepped * row.network_bytes + saved * row.checkpoint_bytes,
            stepped * (row.network_bytes + row.loader.batch_bytes),
            stepped * row.link_bytes,
        )

    def _ask_hosts(self, demands: Sequence[Demand], seconds: float, stepped: float, saved: float) -> None:
        row = self._row
        loading = self._loader_seconds() * row.loader.workers * stepped
        for seat in self.seats:
            demand = demands[seat.node]
            demand.user_seconds += loading + _HOST_THREAD_CORES * seconds
            demand.system_seconds += loading * _LOADER_SYSTEM_RATIO + _HOST_SYSTEM_CORES * seconds
            demand.memory_bytes += row.host_bytes
            demand.disk_written_bytes += saved * row.checkpoint_bytes
            if row.loader.is_local:
                demand.disk_read_bytes += stepped * row.loader.batch_bytes
            else:
                demand.network_receive_bytes += stepped * row.loader.batch_bytes
