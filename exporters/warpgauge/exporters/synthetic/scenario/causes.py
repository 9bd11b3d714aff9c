"""The causes that a scenario can change: what each strikes, how its size is measured, what should be found.

A cause changes the model, never a signal; everything on the pages follows from the laws. `kind` is what a good
diagnosis calls it, `consequences` are kinds that are true of the same place as well while it lasts. From `least` on
the effect is large enough that it must be found: a tenth of a step at least (the smallest effect that is worth a
page: Greyhound, ATC'25), or an error rate that a vendor's guide calls one to act upon.
"""

from __future__ import annotations

from math import exp, pi, sin
from typing import TYPE_CHECKING, Final

from warpgauge.core.device import DeviceState
from warpgauge.core.finding import FindingKind
from warpgauge.exporters.synthetic.job import TrainingJob
from warpgauge.exporters.synthetic.scenario.cause import Cause, Strikes, Target
from warpgauge.exporters.synthetic.scenario.load import LOAD
from warpgauge.exporters.synthetic.scenario.wear import WEAR
from warpgauge.exporters.synthetic.sessions import Notebook, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.exporters.synthetic.gpu import Gpu

__all__ = ["CAUSES", "LEAST_SLOWDOWN", "NIGHT_SECONDS", "Cause", "Strikes", "Target"]

NIGHT_SECONDS: Final = 12 * 3600.0
"""A leak is worth a page if the memory is full before somebody looks at it anyway: from evening to morning."""

_GIB: Final = 1024.0**3
_COOLING_RAMP_SECONDS: Final = 90.0  # a pump or fan that fails takes a while
_HUNTING: Final = ((0.16, 43.0), (0.06, 17.0))  # its speed hunts: amplitude, period in seconds
_LOWEST_CEILING: Final = 0.2


def _slow_clock(target: Target, size: float | None, _seconds: float) -> None:
    """Firmware grants a clock at which kernels take `size` times as long as at the clock that the peers run at."""
    for gpu in target.gpus:
        if size is None:
            gpu.clock_ceiling = 1.0
            continue
        usual = target.baseline.setdefault("clock", _clock_of(target.peers))
        fixed = target.job.memory_bound if isinstance(target.job, TrainingJob) else 0.0
        at_usual = fixed + (1.0 - fixed) / usual
        gpu.clock_ceiling = max(_LOWEST_CEILING, (1.0 - fixed) / (size * at_usual - fixed))


def _clock_of(peers: Sequence[Gpu]) -> float:
    return sum(gpu.mean_clock_ratio for gpu in peers) / len(peers) if peers else 1.0


def _slow_kernels(target: Target, size: float | None, _seconds: float) -> None:
    for gpu in target.gpus:
        gpu.kernel_cost_ratio = 1.0 if size is None else size


def _cooling(target: Target, size: float | None, seconds: float) -> None:
    hunting = sum(high * sin(2.0 * pi * seconds / period) for high, period in _HUNTING)
    grown = (1.0 - exp(-seconds / _COOLING_RAMP_SECONDS)) * (1.0 + hunting)
    for gpu in target.gpus:
        gpu.cooling_ratio = 1.0 if size is None else 1.0 + (size - 1.0) * grown


def _clock_lost(target: Target) -> float:
    """A cooler that fails costs nothing until it is too hot: at little load, or in cold air, it never is."""
    usual = _clock_of(target.peers) if target.peers else 1.0
    return max(usual / gpu.mean_clock_ratio for gpu in target.gpus)


def _slow_loader(target: Target, size: float | None, _seconds: float) -> None:
    if isinstance(target.job, TrainingJob):
        target.job.batch_cost_ratio = 1.0 if size is None else target.job.batch_cost(size, _usual_step(target))


def _slow_network(target: Target, size: float | None, _seconds: float) -> None:
    if isinstance(target.job, TrainingJob):
        target.job.collective_ratio = 1.0 if size is None else target.job.collective_cost(size, _usual_step(target))


def _usual_step(target: Target) -> float:
    """Seconds of the job's steps as they were at the onset: at locked clocks they are longer than planned."""
    job = target.job
    usual = job.present_step_seconds if isinstance(job, TrainingJob) else 0.0
    return target.baseline.setdefault("step", usual)


def _uneven_data(target: Target, size: float | None, _seconds: float) -> None:
    if isinstance(target.job, TrainingJob):
        target.job.wandering_ratio = 1.0 if size is None else size


def _slow_stage(target: Target, size: float | None, _seconds: float) -> None:
    if isinstance(target.job, TrainingJob):
        for rank in target.ranks:
            usual = target.baseline.setdefault(str(rank), target.job.share_ratios[rank])
            target.job.share_ratios[rank] = usual * (1.0 if size is None else size)


def _abandoned(target: Target, size: float | None, _seconds: float) -> None:
    if isinstance(target.job, (Notebook, Server)):
        target.job.is_abandoned = size is not None


def _hang(target: Target, size: float | None, _seconds: float) -> None:
    if isinstance(target.job, TrainingJob):
        target.job.is_silent = size is not None


def _spin(target: Target, size: float | None, _seconds: float) -> None:
    for gpu in target.gpus:
        gpu.spin_ratio = size


def _brake(target: Target, size: float | None, seconds: float) -> None:
    for gpu in target.gpus:
        gpu.is_braked = size is not None and seconds % 60.0 < 60.0 * size


def _lanes(target: Target, size: float | None, _seconds: float) -> None:
    for gpu in target.gpus:
        gpu.pcie_lanes = gpu.board.pcie_width if size is None else round(size)


def _decay(target: Target, size: float | None, _seconds: float) -> None:
    for gpu in target.gpus:
        gpu.decay_errors_per_second = size or 0.0


def _broken_rows(target: Target, size: float | None, _seconds: float) -> None:
    for gpu in target.gpus:
        gpu.broken_rows = round(size or 0.0)


def _leak(target: Target, size: float | None, seconds: float) -> None:
    target.baseline["bytes per second"] = (size or 0.0) * _GIB / 3600.0
    for gpu in target.gpus:
        gpu.leaked_bytes = target.baseline["bytes per second"] * seconds


def _is_full_by_morning(target: Target) -> float:
    """1 where the leak fills the memory within a night on which nobody looks; what takes longer waits for the day."""
    left = min(gpu.memory_free_bytes for gpu in target.gpus)
    return float(left <= target.baseline["bytes per second"] * NIGHT_SECONDS)


def _bad_link(target: Target, size: float | None, _seconds: float) -> None:
    for gpu in target.gpus:
        gpu.link_errors_per_second = size or 0.0


def _xid(target: Target, size: float | None, _seconds: float) -> None:
    """One event at the onset; what it tells of stays."""
    for gpu in target.gpus:
        if size is not None and "told" not in target.baseline:
            gpu.xids[round(size)] = gpu.xids.get(round(size), 0) + 1
            target.baseline["told"] = 1.0


def _state(state: DeviceState) -> Callable[[Target, float | None, float], None]:
    """The device stops answering; a job that steps waits for it for ever."""

    def strike(target: Target, size: float | None, seconds: float) -> None:
        for gpu in target.gpus:
            gpu.state = DeviceState.OK if size is None else state
        _hang(target, size, seconds)

    return strike


def _cpu_hog(target: Target, size: float | None, _seconds: float) -> None:
    if target.host is not None:
        target.host.foreign_cores = (size or 0.0) * target.host.cpu_count


def _slow_host(target: Target, size: float | None, _seconds: float) -> None:
    if target.host is not None:
        target.host.slow_ratio = 1.0 if size is None else size


def _memory_hog(target: Target, size: float | None, _seconds: float) -> None:
    """A stranger takes all but `size` of the memory, whatever the jobs take."""
    host = target.host
    if host is None:
        return
    usual = target.baseline.setdefault("used", host.memory_used_bytes)
    host.foreign_bytes = 0.0 if size is None else max(0.0, (1.0 - size) * host.memory_total_bytes - usual)


def _silence(target: Target, size: float | None, _seconds: float) -> None:
    target.is_silent = size is not None


_SLOWDOWN: Final = (1.01, 5.0)
LEAST_SLOWDOWN: Final = 1.15  # a tenth of a step is the least that counts; sizes near it are told but not asked for
_RATE: Final = 0.03  # one error in half a minute

CAUSES: Final[dict[str, Cause]] = {
    "slow_clock": Cause(
        kind=FindingKind.STRAGGLER, strikes=Strikes.DEVICE, sizes=_SLOWDOWN, usual=1.5, least=LEAST_SLOWDOWN,
        slows=True,
        measure="compute time of the rank, relative to its peers; firmware grants a low clock and says nothing",
        strike=_slow_clock, needs=("training",),
    ),
    "slow_kernels": Cause(
        kind=FindingKind.STRAGGLER, strikes=Strikes.DEVICE, sizes=_SLOWDOWN, usual=1.5, least=LEAST_SLOWDOWN,
        slows=True,
        measure="compute time of the rank, relative to its peers; its clock is as theirs",
        strike=_slow_kernels, needs=("training",),
    ),
    "uneven_data": Cause(
        kind=FindingKind.WORKLOAD_IMBALANCE, strikes=Strikes.JOB, sizes=_SLOWDOWN, usual=1.5, least=LEAST_SLOWDOWN,
        slows=True,
        measure="compute time of one rank, another one at every step, relative to the others",
        strike=_uneven_data, needs=("training",),
    ),
    "slow_stage": Cause(
        kind=FindingKind.WORKLOAD_IMBALANCE, strikes=Strikes.STAGE, sizes=_SLOWDOWN, usual=1.5, least=LEAST_SLOWDOWN,
        slows=True, measure="compute time of the stage's ranks, relative to what the plan gives them",
        strike=_slow_stage, needs=("training",),
    ),
    "slow_network": Cause(
        kind=FindingKind.NETWORK_BOUND, strikes=Strikes.JOB, sizes=_SLOWDOWN, usual=1.5, least=LEAST_SLOWDOWN,
        slows=True,
        measure="time of a step, relative to one before, that its collectives take longer",
        strike=_slow_network, needs=("training",), consequences=(FindingKind.INTERCONNECT_BOUND,),
    ),
    "slow_loader": Cause(
        kind=FindingKind.INPUT_BOUND, strikes=Strikes.JOB, sizes=_SLOWDOWN, usual=1.5, least=LEAST_SLOWDOWN,
        slows=True,
        measure="time that preparing a batch takes, relative to an undisturbed step",
        strike=_slow_loader, needs=("training",), consequences=(FindingKind.HOST_SATURATED,),
    ),
    "failing_cooler": Cause(
        kind=FindingKind.THERMAL_LIMITED, strikes=Strikes.DEVICE, sizes=(1.1, 5.0), usual=2.8, least=1.1,
        measure="thermal resistance of the cooler, relative to a sound one",
        strike=_cooling, felt=_clock_lost, least_felt=LEAST_SLOWDOWN,
        asked=f"where it computes {LEAST_SLOWDOWN:g} times as long as its peers",
        consequences=(FindingKind.STRAGGLER, FindingKind.HARDWARE_THROTTLE),
    ),
    "abandoned": Cause(
        kind=FindingKind.IDLE_ALLOCATED, strikes=Strikes.JOB, sizes=(1.0, 1.0), usual=1.0, least=1.0,
        measure="1: nobody uses it any more, its processes stay",
        strike=_abandoned, needs=("notebook", "serving"),
    ),
    "silent_collective": Cause(
        kind=FindingKind.HANG, strikes=Strikes.JOB, sizes=(1.0, 1.0), usual=1.0, least=1.0,
        measure="1: a rank never joins the collective, all others wait",
        strike=_hang, needs=("training",),
    ),
    "stuck_kernel": Cause(
        kind=FindingKind.HANG, strikes=Strikes.DEVICE, sizes=(0.0, 0.3), usual=0.02, least=0.04,
        measure="power of a kernel that never ends, relative to full load", is_larger_worse=False,
        strike=_spin, consequences=(FindingKind.LAUNCH_BOUND,),
    ),
    "power_brake": Cause(
        kind=FindingKind.HARDWARE_THROTTLE, strikes=Strikes.DEVICE, sizes=(0.02, 1.0), usual=0.5, least=0.2,
        measure="share of time in which the server's power supply asks for less",
        strike=_brake, consequences=(FindingKind.STRAGGLER,),
    ),
    "pcie_contact": Cause(
        kind=FindingKind.PCIE_DOWNTRAINED, strikes=Strikes.DEVICE, sizes=(1.0, 8.0), usual=8.0, least=8.0,
        measure="PCIe lanes that still make contact", is_larger_worse=False, strike=_lanes,
    ),
    "decaying_memory": Cause(
        kind=FindingKind.ECC_DEGRADATION, strikes=Strikes.DEVICE, sizes=(1e-4, 10.0), usual=0.1, least=_RATE,
        measure="corrected memory errors per second of a cell that decays", strike=_decay,
    ),
    "broken_row": Cause(
        kind=FindingKind.ROW_REMAP, strikes=Strikes.DEVICE, sizes=(1.0, 8.0), usual=1.0, least=1.0,
        measure="memory rows that broke for good", strike=_broken_rows,
        consequences=(FindingKind.ECC_DEGRADATION,),
    ),
    "memory_leak": Cause(
        kind=FindingKind.MEMORY_LEAK, strikes=Strikes.DEVICE, sizes=(0.1, 64.0), usual=6.0, least=5.0,
        measure="GiB per hour that the application keeps",
        strike=_leak, felt=_is_full_by_morning, least_felt=0.5,
        asked=f"where it fills the memory within {NIGHT_SECONDS / 3600:g} h",
        consequences=(FindingKind.MEMORY_CAPACITY_BOUND,),
    ),
    "bad_link": Cause(
        kind=FindingKind.LINK_ERRORS, strikes=Strikes.DEVICE, sizes=(1e-4, 100.0), usual=0.2, least=_RATE,
        measure="CRC errors per second on one NVLink", strike=_bad_link,
    ),
    "xid": Cause(
        kind=FindingKind.XID, strikes=Strikes.DEVICE, sizes=(1.0, 200.0), usual=95.0, least=1.0,
        measure="number of the XID that the driver tells once", strike=_xid,
    ),
    "fallen_off_the_bus": Cause(
        kind=FindingKind.DEVICE_LOST, strikes=Strikes.DEVICE, sizes=(1.0, 1.0), usual=1.0, least=1.0,
        measure="1: the driver finds it no more", strike=_state(DeviceState.LOST),
        consequences=(FindingKind.HANG, FindingKind.TELEMETRY_GAP),
    ),
    "driver_hang": Cause(
        kind=FindingKind.DEVICE_HUNG, strikes=Strikes.DEVICE, sizes=(1.0, 1.0), usual=1.0, least=1.0,
        measure="1: calls to its driver never return", strike=_state(DeviceState.HUNG),
        consequences=(FindingKind.HANG, FindingKind.TELEMETRY_GAP),
    ),
    "cpu_hog": Cause(
        kind=FindingKind.HOST_SATURATED, strikes=Strikes.NODE, sizes=(0.05, 5.0), usual=1.3, least=1.0,
        measure="CPUs that strangers want, relative to those of the machine", strike=_cpu_hog,
        consequences=(
            FindingKind.NOISY_NEIGHBOR, FindingKind.STRAGGLER, FindingKind.INPUT_BOUND, FindingKind.HOST_BOUND,
        ),
    ),
    "slow_host": Cause(
        kind=FindingKind.STRAGGLER, strikes=Strikes.NODE, sizes=_SLOWDOWN, usual=1.5, least=LEAST_SLOWDOWN,
        slows=True,
        measure="time that kernels take to be launched and done, relative to other machines; its CPUs are not full",
        strike=_slow_host,
    ),
    "memory_hog": Cause(
        kind=FindingKind.MEMORY_PRESSURE, strikes=Strikes.NODE, sizes=(0.005, 0.5), usual=0.02, least=0.04,
        measure="share of the memory that strangers leave", is_larger_worse=False, strike=_memory_hog,
    ),
    "silent_node": Cause(
        kind=FindingKind.TELEMETRY_GAP, strikes=Strikes.NODE, sizes=(1.0, 1.0), usual=1.0, least=1.0,
        measure="1: nothing is heard of the machine", strike=_silence,
    ),
    "silent_device": Cause(
        kind=FindingKind.TELEMETRY_GAP, strikes=Strikes.DEVICE, sizes=(1.0, 1.0), usual=1.0, least=1.0,
        measure="1: the device vanished from its machine's page", strike=_silence,
    ),
    **LOAD,
    **WEAR,
}  # fmt: skip
