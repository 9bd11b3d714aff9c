"""The ordered rules: out of the levels of a device and the shares of its job's steps, exactly one class. Pure arrays.

The first rule that applies gives the class. What step phases say of lost time goes before what counters suggest; among
counters, what names its cause (power, memory, links) goes before what only describes the load. A rule whose signals are
not measured does not apply; where no rule applies and a signal was missing, the class is undetermined.

Sources of the thresholds: NVIDIA's DCGM guide for the profiling fields (SM active above 0.8 is needed for good use,
device memory peaks near 0.8, tensor pipes near 0.93), KempnerPulse (engine busy at 40 % with SMs below 25 %: small
kernels; ours have to be small while they run, too), TraceML (a tenth of a step lost warns, a fifth is critical), the
PyTorch profiler (memory above 90 %). For communication the rule asks for a fifth: a sound pretraining job over three
nodes exposes a tenth. Recordings of an H100 and an H200 under known loads (tests/recordings): single additions and
small layers keep the engine busy 20 to 40 % of the time with under 2 % of the SMs; a copy at full speed shows in no
counter of kernels; matrices of ones meet "the power cap" at 60 % of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.levels import METRICS
from warpgauge.analyzer.detection.stillness import FULL_UTILIZATION, LEAST_PIPE, MOVED_SHARE
from warpgauge.core.catalog import training
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.bottlenecks.levels import Levels
    from warpgauge.analyzer.bottlenecks.step_shares import Shares
    from warpgauge.analyzer.detection.windows import Array, Mask

    Codes = NDArray[np.int64]

__all__ = ["HOLD", "ORDER", "RAISE", "Bar", "Setting", "classify", "code_of", "missing_for"]

ORDER: Final = (
    FindingKind.IDLE_ALLOCATED,
    FindingKind.THERMAL_LIMITED,
    FindingKind.INPUT_BOUND,
    FindingKind.NETWORK_BOUND,
    FindingKind.INTERCONNECT_BOUND,
    FindingKind.HOST_BOUND,
    FindingKind.POWER_LIMITED,
    FindingKind.MEMORY_CAPACITY_BOUND,
    FindingKind.MEMORY_BANDWIDTH_BOUND,
    FindingKind.COMPUTE_BOUND,
    FindingKind.LAUNCH_BOUND,
    FindingKind.MIXED,
    FindingKind.UNDETERMINED,
)
"""The classes; interconnect and host also have a rule on counters, which stands further down."""

DRAM_PEAK: Final = 0.8
PIPE_PEAK: Final = 0.93


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How much each rule asks for; all shares 0-1."""

    idle: float  # busy at most
    input_share: float  # of a step
    communication_share: float
    host_share: float  # of a step, outside of input, compute and communication
    capped: float  # of the time
    power: float  # of the limit: below it is not the limit that holds the clocks down
    at_limit: float  # power, of the limit: where nobody tells the highest clock
    at_limit_alone: float  # the same, where nobody tells either what holds the clocks down
    clock: float  # below, of the highest
    fill: float  # of the memory
    rising_fill: float  # of the memory, and rising
    growth: float  # of the memory within the window
    link: float  # of what the links carry
    pcie: float
    pcie_compute: float  # below
    copying: float  # of the time, and no kernel ran
    load: float  # below, of the roof of pipes and of memory
    bandwidth: float
    compute: float
    pipe: float
    launch_engine: float
    launch_compute: float  # below
    launch_fill: float  # below, of the SMs while a kernel runs: a device that often waits for requests is not this
    tiny_engine: float
    tiny_fill: float  # below, of the SMs while a kernel runs
    gap: float  # of the time: in the compute phase, and no kernel ran
    cpu: float  # of all CPUs of the node
    host_engine: float  # below


RAISE: Final = Bar(
    idle=0.01,
    input_share=0.10,
    communication_share=0.20,
    host_share=0.20,
    capped=0.50,
    power=0.80,
    at_limit=0.90,
    at_limit_alone=0.95,
    clock=0.90,
    fill=0.95,
    rising_fill=0.90,
    growth=0.01,
    link=0.50,
    pcie=0.50,
    pcie_compute=0.30,
    copying=0.50,
    load=0.40,
    bandwidth=0.50,
    compute=0.80,
    pipe=0.50,
    launch_engine=0.40,
    launch_compute=0.25,
    launch_fill=0.40,
    tiny_engine=0.10,
    tiny_fill=0.05,
    gap=0.25,
    cpu=0.90,
    host_engine=0.60,
)
"""What it takes to be of a class."""

HOLD: Final = Bar(
    idle=0.01,
    input_share=0.07,
    communication_share=0.15,
    host_share=0.15,
    capped=0.35,
    power=0.75,
    at_limit=0.85,
    at_limit_alone=0.92,
    clock=0.93,
    fill=0.94,
    rising_fill=0.88,
    growth=0.005,
    link=0.40,
    pcie=0.40,
    pcie_compute=0.36,
    copying=0.40,
    load=0.46,
    bandwidth=0.50,
    compute=0.80,
    pipe=0.50,
    launch_engine=0.35,
    launch_compute=0.30,
    launch_fill=0.45,
    tiny_engine=0.08,
    tiny_fill=0.08,
    gap=0.20,
    cpu=0.85,
    host_engine=0.65,
)
"""What keeps a finding of a class open. The rules without a finding have one threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What else a rule asks about; arrays that fit those of the levels."""

    is_hot: Mask  # heat holds its clocks down
    is_alone: Mask  # the only device of its job: it waits for no peer
    is_spread: Mask  # the job stands on several nodes
    cpu: Array  # share of the node's CPUs at work
    growth: Array  # of memory within the window, as a share of all


def code_of(kind: FindingKind) -> int:
    """The number of a class in what `classify` returns."""
    return ORDER.index(kind)


def classify(levels: Levels, shares: Shares, setting: Setting, bar: Bar) -> Codes:
    """Class of every element, as a place in `ORDER`. NaN makes every comparison false: a rule without signal is off."""
    with np.errstate(invalid="ignore"):
        rules = _rules(levels, shares, setting, bar)
        shape = np.broadcast_shapes(*(np.shape(applies) for _, applies in rules))
        codes = np.full(shape, code_of(FindingKind.UNDETERMINED), dtype=np.int64)
        for kind, applies in reversed(rules):
            np.copyto(codes, code_of(kind), where=applies)
    return codes


def _rules(levels: Levels, shares: Shares, setting: Setting, bar: Bar) -> tuple[tuple[FindingKind, Any], ...]:
    kind = FindingKind
    exchanges = shares.communication >= bar.communication_share
    link_is_full = levels.link >= bar.link
    return (
        (kind.IDLE_ALLOCATED, levels.busy <= bar.idle),
        (kind.THERMAL_LIMITED, setting.is_hot),
        (kind.INPUT_BOUND, shares.input >= bar.input_share),
        (kind.INTERCONNECT_BOUND, exchanges & (~setting.is_spread | link_is_full)),
        (kind.NETWORK_BOUND, exchanges),
        (kind.HOST_BOUND, shares.other >= bar.host_share),
        (kind.POWER_LIMITED, _is_capped(levels, bar)),
        (kind.MEMORY_CAPACITY_BOUND, _is_full(levels, setting, bar)),
        (kind.INTERCONNECT_BOUND, _is_transfer(levels, shares, bar)),
        (kind.MEMORY_BANDWIDTH_BOUND, _streams(levels, bar)),
        (kind.COMPUTE_BOUND, (levels.compute >= bar.compute) | (levels.pipe >= bar.pipe)),
        (kind.HOST_BOUND, _is_late_host(levels, shares, setting, bar)),
        (kind.LAUNCH_BOUND, _launches(levels, shares, setting, bar)),
        (kind.POWER_LIMITED, _is_at_limit(levels, bar)),
        (kind.MIXED, _is_known(levels, shares, setting, bar)),
    )


def _is_capped(levels: Levels, bar: Bar) -> Any:  # noqa: ANN401 - masks of any shape
    """The driver also blames the cap for limits of current, at which more power would not help.

    Where nobody tells the highest clock, and so what the cap costs, the power has to stand at the limit.
    """
    is_slow = (levels.clock < bar.clock) & ~(levels.power < bar.power)
    return (levels.capped >= bar.capped) & (is_slow | (np.isnan(levels.clock) & (levels.power >= bar.at_limit)))


def _is_at_limit(levels: Levels, bar: Bar) -> Any:  # noqa: ANN401
    """Without throttle reasons: at its limit for minutes, as a load is that the limit holds; and nothing else known."""
    is_untold = np.isnan(levels.capped) & ~(levels.clock >= bar.clock)
    return is_untold & (levels.power >= bar.at_limit_alone)


def _is_full(levels: Levels, setting: Setting, bar: Bar) -> Any:  # noqa: ANN401 - masks of any shape
    return (levels.fill >= bar.fill) | ((levels.fill >= bar.rising_fill) & (setting.growth >= bar.growth))


def _is_transfer(levels: Levels, shares: Shares, bar: Bar) -> Any:  # noqa: ANN401
    """Copies without kernels; a full slot with idle SMs; full links with idle pipes, where no phases tell who waits."""
    by_copies = levels.busy - levels.engine >= bar.copying
    by_slot = (levels.pcie >= bar.pcie) & (levels.compute < bar.pcie_compute)
    load = np.fmax(levels.pipe / PIPE_PEAK, levels.bandwidth / DRAM_PEAK)
    return by_copies | by_slot | ((levels.link >= bar.link) & (load < bar.load) & np.isnan(shares.communication))


def _streams(levels: Levels, bar: Bar) -> Any:  # noqa: ANN401
    return (levels.bandwidth >= bar.bandwidth) & (levels.bandwidth / DRAM_PEAK > levels.pipe / PIPE_PEAK)


def _is_late_host(levels: Levels, shares: Shares, setting: Setting, bar: Bar) -> Any:  # noqa: ANN401
    """The device stands still inside of its compute phase; without such phases, beside CPUs that are all busy."""
    by_phase = shares.computing - levels.engine >= bar.gap
    by_cpu = np.isnan(shares.computing) & (levels.engine < bar.host_engine) & (setting.cpu >= bar.cpu)
    return by_phase | by_cpu


def _launches(levels: Levels, shares: Shares, setting: Setting, bar: Bar) -> Any:  # noqa: ANN401
    """Busy with next to nothing, always, or often with even less than that.

    Of several devices only if phases tell that they do not wait for each other.
    """
    is_small = levels.compute < np.minimum(bar.launch_compute, bar.launch_fill * levels.engine)
    is_tiny = (levels.engine >= bar.tiny_engine) & (levels.compute < bar.tiny_fill * levels.engine)
    is_thin = (is_tiny | ((levels.engine >= bar.launch_engine) & is_small)) & ~_spins(levels, bar)
    return is_thin & (setting.is_alone | (shares.communication < bar.communication_share))


def _spins(levels: Levels, bar: Bar) -> Any:  # noqa: ANN401
    """A kernel never leaves the device, holds SMs and does nothing with them: it waits, as in a collective.

    Whose kernels are too small leaves the device between them, or at least calculates or moves a little.
    """
    is_held = (levels.engine >= FULL_UTILIZATION) & (levels.compute >= bar.tiny_fill * levels.engine)
    return is_held & (levels.pipe <= LEAST_PIPE) & (levels.bandwidth < MOVED_SHARE)


def _is_known(levels: Levels, shares: Shares, setting: Setting, bar: Bar) -> Any:  # noqa: ANN401
    """All that a class could have shown in was measured, so that none applying is an answer."""
    counters = np.isfinite(levels.engine) & np.isfinite(levels.compute)
    counters = counters & np.isfinite(levels.pipe) & np.isfinite(levels.bandwidth)
    is_thin = levels.compute < bar.launch_compute
    phases = np.isfinite(shares.communication) | (setting.is_alone & np.isfinite(shares.input))
    return counters & (~is_thin | phases)


def missing_for(levels: Levels, shares: Shares, at: int) -> tuple[str, ...]:
    """Names of the metrics that would tell the class of an undetermined device."""
    wanted = ("engine", "compute", "pipe", "bandwidth")
    names = [METRICS[name].name for name in wanted if np.isnan(getattr(levels, name)[at])]
    if np.isnan(shares.communication).all():
        clock = "" if np.isnan(shares.input).all() else '{clock="device"}'
        names.append(f"{training.PHASE_SECONDS.name}{clock}")
    return tuple(names)
