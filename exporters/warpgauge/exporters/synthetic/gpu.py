"""One accelerator: work makes power, power makes heat, limits take clocks away.

The board is an H100 SXM (80 GB). Laws: dynamic power ~ load x clock^2.5 (voltage follows frequency near the top of the
curve); core temperature follows inlet + thermal resistance x power with a time constant; the power regulator holds the
enforced limit, the software thermal regulator holds the highest temperature for full clocks, the hardware halves the
clocks at the slowdown temperature. A fault changes causes such as `clock_ceiling` or `cooling_ratio`, never a reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, exp
from typing import TYPE_CHECKING, Final, NamedTuple

from warpgauge.core.catalog import device
from warpgauge.core.device import DeviceState
from warpgauge.exporters.synthetic.time_spent import TimeSpent

if TYPE_CHECKING:
    from random import Random

__all__ = ["BOARDS", "H100", "IDLE", "TIMED_REASONS", "Board", "Gpu", "Kernel", "Work"]

_MIB: Final = 1024.0 * 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What is printed on the box; `nvidia-smi -q` of an H100 SXM shows these limits."""

    model: str = "NVIDIA H100 80GB HBM3"
    architecture: str = "hopper"
    memory_total_bytes: float = 81_559 * _MIB
    memory_reserved_bytes: float = 551 * _MIB
    sm_max_hertz: float = 1980e6
    sm_idle_hertz: float = 345e6
    clock_step_hertz: float = 15e6
    memory_hertz: float = 2619e6
    video_idle_hertz: float = 765e6
    video_max_hertz: float = 1545e6
    pcie_generation: int = 5
    pcie_width: int = 16
    links: int = 18
    link_bytes_per_second: float = 26.562e9  # one direction, as NVML says it
    link_version: str = "4.0"
    power_limit_watts: float = 700.0
    power_min_watts: float = 200.0
    idle_watts: float = 70.0
    context_watts: float = 45.0  # on top of idle as soon as a process holds a context
    dynamic_watts: float = 760.0  # load 1 at the highest clock
    full_clocks_celsius: float = 87.0
    slowdown_celsius: float = 89.0
    shutdown_celsius: float = 95.0
    memory_max_celsius: float = 95.0
    kelvin_per_watt: float = 0.054
    time_constant_seconds: float = 25.0
    memory_time_constant_seconds: float = 40.0


H100: Final = Board()

H200: Final = replace(H100, model="NVIDIA H200", memory_total_bytes=143_771 * _MIB, memory_hertz=3201e6)

A100: Final = Board(
    model="NVIDIA A100-SXM4-80GB",
    architecture="ampere",
    memory_total_bytes=81_920 * _MIB,
    memory_reserved_bytes=603 * _MIB,
    sm_max_hertz=1410e6,
    sm_idle_hertz=210e6,
    memory_hertz=1593e6,
    video_idle_hertz=585e6,
    video_max_hertz=1290e6,
    pcie_generation=4,
    links=12,
    link_bytes_per_second=25e9,
    link_version="3.0",
    power_limit_watts=400.0,
    power_min_watts=100.0,
    idle_watts=55.0,
    context_watts=20.0,
    dynamic_watts=410.0,
    full_clocks_celsius=85.0,
    shutdown_celsius=92.0,
    kelvin_per_watt=0.08,
)

BOARDS: Final = {"h100": H100, "h200": H200, "a100": A100}
"""Boards that a scenario can ask for; what is printed on them, and thermal laws of the same form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What the counters read while such kernels run; all ratios 0-1, `power` relative to `Board.dynamic_watts`."""

    sm: float
    tensor: float
    dram: float
    occupancy: float
    power: float
    memory_bound: float  # share of kernel time that does not follow the SM clock


class Work(NamedTuple):
    """What a device is asked to do in one interval; shares of the interval, bytes in the interval."""

    kernel: Kernel
    compute: float = 0.0
    communication: float = 0.0
    memory_bytes: float = 0.0
    processes: int = 0
    pcie_transmit_bytes: float = 0.0
    pcie_receive_bytes: float = 0.0
    link_bytes: float = 0.0


IDLE: Final = Work(
    Kernel(sm=0.0, tensor=0.0, dram=0.0, occupancy=0.0, power=0.0, memory_bound=0.0),
    memory_bytes=4.0 * _MIB,
)
"""Nothing runs and nobody holds the device; the driver's own few MiB stay."""

STRANGER: Final = Work(
    Kernel(sm=0.6, tensor=0.15, dram=0.4, occupancy=0.3, power=0.6, memory_bound=0.35),
    memory_bytes=3.0 * 1024.0 * _MIB,
    processes=1,
)
"""A process that somebody started by hand beside whatever runs there: a small model and its context."""

TIMED_REASONS: Final = ("sw_power_cap", "sync_boost", "sw_thermal", "hw_thermal", "hw_power_brake")
"""Throttle reasons whose time the driver counts (NVML fields 74, 76, 269-271)."""

_POWER_EXPONENT: Final = 2.5
_LOWEST_RATIO: Final = 0.2
_COMMUNICATION_POWER: Final = 0.22  # waiting in a collective spins on a few SMs
_COMMUNICATION_SM: Final = 0.14
_COMMUNICATION_DRAM: Final = 0.07
_TENSOR_PEAK: Final = 0.93
_DRAM_PEAK: Final = 0.86
_WARM_CELSIUS: Final = 76.0  # from here on heat is stepped second by second: the regulators are fast
_SOFT_FLOOR: Final = 0.45
_HARD_FACTOR: Final = 0.5
_LOAD_MEMORY_SECONDS: Final = 20.0
_CORRECTED_ERRORS_PER_SECOND: Final = 2e-7


def _beside(work: Work, share: float) -> Work:
    """The work of a device on which a stranger gets that share of the time.

    The driver gives each process its turn. While the job's kernels compute, they already take longer by the cause;
    while they wait in a collective, or while the device has nothing to do, the stranger's kernels are on top.
    """
    return work._replace(
        kernel=work.kernel if work.processes else STRANGER.kernel,
        compute=work.compute + share * (1.0 - work.compute),
        communication=work.communication * (1.0 - share),
        memory_bytes=work.memory_bytes + STRANGER.memory_bytes,
        processes=work.processes + STRANGER.processes,
    )


class Gpu:
    """The state of one board; `advance` moves it through one interval."""

    def __init__(self, *, uuid: str, index: int, random: Random, inlet_celsius: float, board: Board = H100) -> None:
        self.uuid = uuid
        self.index = index
        self.board = board
        self.inlet_celsius = inlet_celsius
        self._random = random
        self._leakage = random.uniform(0.97, 1.03)
        self._resistance = board.kelvin_per_watt * random.uniform(0.96, 1.04)
        self._noise = 0.0
        # Causes that a fault may change.
        self.clock_ceiling = 1.0  # share of the highest SM clock that firmware grants
        self.cooling_ratio = 1.0  # thermal resistance relative to a sound cooler
        self.is_braked = False  # the server's power supply asks for less
        self.pcie_lanes = board.pcie_width  # that make contact
        self.decay_errors_per_second = 0.0  # of a memory cell that decays; they can be corrected
        self.broken_rows = 0  # memory rows that lost a word for good and wait to be remapped
        self.leaked_bytes = 0.0  # that an application keeps on top of what it needs
        self.locked_ratio = 1.0  # share of the highest SM clock that an administrator allows
        self.kernel_cost_ratio = 1.0  # time of a kernel at the same clock: memory that lost speed
        self.launch_cost_ratio = 1.0  # the same, where the host has no CPU left to launch kernels in time
        self.stranger_share = 0.0  # of the time, that kernels of a process beside the job's get
        self.replays_per_second = 0.0  # PCIe packets that are garbled and sent again
        self.link_errors_per_second = 0.0  # of the first NVLink
        self.state = DeviceState.OK  # what the driver answers
        self.answered = 0.0  # when it last did, seconds since the epoch
        self.spin_ratio: float | None = None  # a kernel that never ends holds it; its power, relative to full load
        # Regulators.
        self._soft_ceiling = 1.0
        self._is_hard_throttled = False
        # Readings.
        self.work = IDLE
        self.clock_ratio = board.sm_idle_hertz / board.sm_max_hertz  # at the end of the interval
        self.mean_clock_ratio = 1.0  # under load, over the interval
        self.power_watts = board.idle_watts
        self.core_celsius = inlet_celsius + self._resistance * board.idle_watts
        self.memory_celsius = self.core_celsius + 3.0
        self.instant_watts = board.idle_watts  # at the end of the interval
        self.energy_joules = board.idle_watts * random.uniform(2e5, 9e5)
        self.reasons: frozenset[str] = frozenset({"idle"})
        self.throttle_seconds = dict.fromkeys(TIMED_REASONS, 0.0)
        self.power_time = TimeSpent(device.POWER_DISTRIBUTION.buckets)
        self.engine_time = TimeSpent(device.UTILIZATION_DISTRIBUTION.buckets)
        self.memory_access_time = TimeSpent(device.UTILIZATION_DISTRIBUTION.buckets)
        self._interval_seconds = 1.0
        self.pcie_transmit_bytes = random.uniform(1e13, 9e13)
        self.pcie_receive_bytes = random.uniform(1e13, 9e13)
        self.link_transmit_bytes = random.uniform(1e15, 9e15)
        self.link_receive_bytes = self.link_transmit_bytes * random.uniform(0.98, 1.02)
        self.corrected_errors_volatile = 0
        self.corrected_errors_aggregate = random.choice((0, 0, 0, 0, 1, 2, 5))
        self.link_errors = self.pcie_replays = 0
        self.xids: dict[int, int] = {}  # how often each happened

    # ---- what the counters say about the last interval

    @property
    def engine_active_ratio(self) -> float:
        """Share of the interval in which any kernel ran, communication kernels included."""
        return min(1.0, self.work.compute + self.work.communication)

    @property
    def sm_active_ratio(self) -> float:
        """Share of SMs with a resident warp."""
        return self._mix(self.work.kernel.sm, _COMMUNICATION_SM)

    @property
    def occupancy_ratio(self) -> float:
        """Resident warps as a share of what the SMs can hold."""
        return self._mix(self.work.kernel.occupancy, 0.03)

    @property
    def tensor_active_ratio(self) -> float:
        """Tensor pipe cycles; a slower clock spends a larger share of its fewer cycles on the same work."""
        ratio = max(self.mean_clock_ratio, _LOWEST_RATIO)
        return min(_TENSOR_PEAK, self.work.compute * self.work.kernel.tensor / (ratio * self.slowdown_ratio))

    @property
    def dram_active_ratio(self) -> float:
        """Memory cycles that moved data; the same bytes over longer kernels are a smaller share."""
        busy = self.work.compute * self.work.kernel.dram / self.slowdown_ratio
        return min(_DRAM_PEAK, busy + self.work.communication * _COMMUNICATION_DRAM)

    @property
    def memory_access_ratio(self) -> float:
        """Share of time with any memory access: what the traffic takes at the practical peak, within busy time."""
        return min(self.engine_active_ratio, self.dram_active_ratio / _DRAM_PEAK)

    def per_second(self, size: float) -> float:
        """Bytes of the last interval as a rate."""
        return size / self._interval_seconds

    @property
    def memory_used_bytes(self) -> float:
        """Memory that workloads hold."""
        most = self.board.memory_total_bytes - self.board.memory_reserved_bytes
        return min(self.work.memory_bytes + self.leaked_bytes, most)

    @property
    def memory_free_bytes(self) -> float:
        """What is left of the total."""
        return self.board.memory_total_bytes - self.board.memory_reserved_bytes - self.memory_used_bytes

    @property
    def sm_hertz(self) -> float:
        """SM clock at the end of the interval, in the steps that the board can set."""
        step = self.board.clock_step_hertz
        return round(self.clock_ratio * self.board.sm_max_hertz / step) * step

    @property
    def video_hertz(self) -> float:
        """The video clock follows the SM clock between its own two ends."""
        board = self.board
        lowest = board.sm_idle_hertz / board.sm_max_hertz
        share = max(0.0, (self.clock_ratio - lowest) / (1.0 - lowest))
        hertz = board.video_idle_hertz + share * (board.video_max_hertz - board.video_idle_hertz)
        return round(hertz / board.clock_step_hertz) * board.clock_step_hertz

    @property
    def slowdown_ratio(self) -> float:
        """How much longer the present kernels take than at the highest clock, >= 1."""
        fixed = self.work.kernel.memory_bound
        return fixed + (1.0 - fixed) / max(self.mean_clock_ratio, _LOWEST_RATIO)

    def _mix(self, compute: float, communication: float) -> float:
        return min(1.0, self.work.compute * compute + self.work.communication * communication)

    # ---- the laws

    def advance(self, seconds: float, work: Work) -> None:
        """Do `work` for `seconds`."""
        if self.spin_ratio is not None:
            kernel = Kernel(sm=0.01, tensor=0.0, dram=0.0, occupancy=0.01, power=self.spin_ratio, memory_bound=0.0)
            work = work._replace(kernel=kernel, compute=1.0, communication=0.0, processes=max(1, work.processes))
        if self.stranger_share:
            work = _beside(work, self.stranger_share)
        self.work = work
        self._interval_seconds = seconds
        self._jitter(seconds)
        steps = ceil(seconds) if self.core_celsius > _WARM_CELSIUS else 1
        energy, clocks = self.energy_joules, 0.0
        for _ in range(steps):
            clocks += self._step(seconds / steps)
        self.mean_clock_ratio = clocks / steps
        self.power_watts = (self.energy_joules - energy) / seconds
        self.engine_time.add(self.engine_active_ratio, seconds)
        self.memory_access_time.add(self.memory_access_ratio, seconds)
        self.pcie_transmit_bytes += work.pcie_transmit_bytes
        self.pcie_receive_bytes += work.pcie_receive_bytes
        self.link_transmit_bytes += work.link_bytes
        self.link_receive_bytes += work.link_bytes
        expected = seconds * (_CORRECTED_ERRORS_PER_SECOND + self.decay_errors_per_second)
        errors = int(expected) + (self._random.random() < expected % 1.0)
        self.corrected_errors_volatile += errors
        self.corrected_errors_aggregate += errors
        if self.link_errors_per_second:
            expected = seconds * self.link_errors_per_second
            self.link_errors += int(expected) + (self._random.random() < expected % 1.0)
        if self.replays_per_second:
            expected = seconds * self.replays_per_second
            self.pcie_replays += int(expected) + (self._random.random() < expected % 1.0)

    def _jitter(self, seconds: float) -> None:
        """Load varies from batch to batch: an Ornstein-Uhlenbeck process with a memory of 20 s and 1 % deviation."""
        kept = exp(-seconds / _LOAD_MEMORY_SECONDS)
        self._noise = self._noise * kept + self._random.gauss(0.0, 0.01) * (1.0 - kept * kept) ** 0.5

    def _step(self, seconds: float) -> float:
        """One interval short enough for the regulators; returns the clock ratio under load."""
        board, work = self.board, self.work
        base = board.idle_watts + (board.context_watts if work.processes else 0.0)
        load = work.compute * work.kernel.power + work.communication * _COMMUNICATION_POWER
        dynamic = board.dynamic_watts * load * self._leakage * (1.0 + self._noise)
        ratio, reasons = self._granted(dynamic, board.power_limit_watts - base)
        power = base + dynamic * ratio**_POWER_EXPONENT
        self.energy_joules += power * seconds
        self.power_time.add(power, seconds)
        self.instant_watts = power
        self._heat(power, seconds)
        self._regulate(seconds)
        if not load:
            reasons = frozenset({"idle"})
        for reason in reasons & self.throttle_seconds.keys():
            self.throttle_seconds[reason] += seconds
        self.reasons = reasons
        self.clock_ratio = ratio if work.processes else board.sm_idle_hertz / board.sm_max_hertz
        return ratio

    def _granted(self, dynamic_watts: float, headroom_watts: float) -> tuple[float, frozenset[str]]:
        """The clock ratio that all limits together allow, and the reasons that bind (a silent ceiling gives none)."""
        ratio, reasons = min(self.clock_ceiling, self.locked_ratio), frozenset[str]()
        if dynamic_watts * ratio**_POWER_EXPONENT > headroom_watts:
            ratio = (headroom_watts / dynamic_watts) ** (1.0 / _POWER_EXPONENT)
            reasons = frozenset({"sw_power_cap"})
        if self._soft_ceiling < ratio:
            ratio, reasons = self._soft_ceiling, frozenset({"sw_thermal"})
        if self._is_hard_throttled:
            ratio *= _HARD_FACTOR
            reasons |= {"hw_slowdown", "hw_thermal"}
        if self.is_braked:
            ratio *= _HARD_FACTOR
            reasons |= {"hw_slowdown", "hw_power_brake"}
        return max(ratio, _LOWEST_RATIO), reasons

    def _heat(self, power_watts: float, seconds: float) -> None:
        """First-order lag towards inlet + resistance x power; memory sits beside the core and lags more."""
        board = self.board
        target = self.inlet_celsius + self._resistance * self.cooling_ratio * power_watts
        self.core_celsius += (target - self.core_celsius) * (1.0 - exp(-seconds / board.time_constant_seconds))
        beside = self.core_celsius + 3.0 + 8.0 * self.dram_active_ratio
        follow = 1.0 - exp(-seconds / board.memory_time_constant_seconds)
        self.memory_celsius += (beside - self.memory_celsius) * follow

    def _regulate(self, seconds: float) -> None:
        """Software lowers clocks step by step above the limit and gives them back below; hardware acts at once."""
        over = self.core_celsius - self.board.full_clocks_celsius
        if over > 0.0:
            self._soft_ceiling = max(_SOFT_FLOOR, self._soft_ceiling - 0.0075 * (0.5 + over) * seconds)
        elif over < -1.0:
            self._soft_ceiling = min(1.0, self._soft_ceiling + 0.0075 * seconds)
        if self.core_celsius >= self.board.slowdown_celsius:
            self._is_hard_throttled = True
        elif over < 0.0:
            self._is_hard_throttled = False
