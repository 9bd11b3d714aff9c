"""The classes that device counters tell: limits of power, heat and memory, links, and the shape of the load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.levels import METRICS
from warpgauge.analyzer.bottlenecks.reason import Reason
from warpgauge.analyzer.bottlenecks.rules import HOLD, RAISE
from warpgauge.analyzer.bottlenecks.step_reasons import cpu_evidence
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.wording import gibibytes, percent, span
from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from warpgauge.analyzer.bottlenecks.classes import Verdict
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.finding import Evidence

__all__ = ["capacity", "compute", "idle", "late_host", "launches", "level_evidence", "power", "streams", "thermal",
           "transfer"]  # fmt: skip

WINDOW_SECONDS: Final = 300.0
FILL_TO: Final = 0.9  # of the memory: how far a batch may grow
_SLOW_SECONDS: Final = 300.0


def level_evidence(verdict: Verdict, **thresholds: float | None) -> tuple[Evidence, ...]:
    """A row per level that is measured, with what its rule asks for."""
    rows = []
    for name, threshold in thresholds.items():
        value = verdict.level(name)
        if not np.isnan(value):
            rows.append(
                measured(METRICS[name], value, unit="ratio", threshold=threshold, window_seconds=WINDOW_SECONDS)
            )
    return tuple(rows)


def _latest(frame: Frame, verdict: Verdict, metric: object, *extra: str) -> float:
    """Median over the devices of the class, NaN if unknown."""
    rows = [verdict.rows[at] for at in verdict.members] if verdict.rows else []
    if not rows:
        return float("nan")
    values = frame.latest(metric, *extra, seconds=_SLOW_SECONDS, rows=rows)  # type: ignore[arg-type]
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def idle(verdict: Verdict) -> Reason:
    """Nothing runs."""
    return Reason(
        what=f"runs nothing: its devices work {percent(verdict.level('busy'))} of the time",
        remedy="Ask its owner whether it is stuck, waiting or forgotten; after half an hour it becomes a finding.",
        evidence=level_evidence(verdict, busy=RAISE.idle),
        margins=(1 - verdict.level("busy") / RAISE.idle,),
    )


def thermal(verdict: Verdict) -> Reason:
    """Most of its devices are too hot; each of them is a finding of its own."""
    return Reason(
        what=f"runs on devices that heat slows down to {percent(verdict.level('clock'))} of their highest clock",
        remedy="Check the cooling of the node: if most devices of a job are hot, it is the inlet air.",
        evidence=level_evidence(verdict, clock=RAISE.clock),
        margins=((1 - verdict.level("clock")) / (1 - RAISE.clock) - 1,),
    )


def power(frame: Frame, verdict: Verdict) -> Reason:
    """The power cap holds the clocks down; how far, and even whether, is not told everywhere."""
    clock, capped = verdict.level("clock"), verdict.level("capped")
    enforced, default = (_latest(frame, verdict, device.POWER_LIMIT, limit) for limit in ("enforced", "default"))
    limits = () if np.isnan(enforced) else (measured(device.POWER_LIMIT, enforced, baseline=_known(default)),)
    bar = RAISE.at_limit_alone if np.isnan(capped) else RAISE.at_limit if np.isnan(clock) else RAISE.power
    is_seen = not np.isnan(clock) and not np.isnan(capped)
    margins = (capped / RAISE.capped - 1, (1 - clock) / (1 - RAISE.clock) - 1)
    drawn = verdict.level("power")
    return Reason(
        what=_capped(clock, capped, enforced) if is_seen else _at_limit(drawn, clock, capped, enforced),
        remedy=_power_remedy(enforced, default),
        evidence=(*level_evidence(verdict, capped=RAISE.capped, clock=RAISE.clock, power=bar), *limits),
        margins=tuple(0.0 if np.isnan(margin) else margin for margin in margins),  # what is not told makes nobody surer
        slowdown=1 / clock if clock > 0 else None,
        method="clock against the highest: no more than this" if clock > 0 else None,
    )


def _capped(clock: float, capped: float, enforced: float) -> str:
    limit = "" if np.isnan(enforced) else f", at a limit of {enforced:.0f} W per device"
    return f"is held to {percent(clock)} of the highest clock by the power cap, {percent(capped)} of the time{limit}"


def _at_limit(power: float, clock: float, capped: float, enforced: float) -> str:
    limit = "" if np.isnan(enforced) else f" of {enforced:.0f} W per device"
    draws = f"draws {percent(power)} of its power limit{limit}"
    if not np.isnan(capped):
        return (
            f"{draws}, which holds its clocks down {percent(capped)} of the time; by how much is not known where nobody"
            " tells the highest clock"
        )
    slow = "" if np.isnan(clock) else f" at {percent(clock)} of the highest clock"
    return f"{draws}{slow}; what holds its clocks down nobody tells, so the limit is likely and not sure"


def _power_remedy(enforced: float, default: float) -> str:
    if enforced < default:
        return (
            f"Somebody set {enforced:.0f} W where the board's own limit is {default:.0f} W. If that is not meant, undo"
            f" it with nvidia-smi -pl {default:.0f}: each device may then draw, and heat by, that much."
        )
    return "Nothing: the device works as hard as its power limit allows, which is normal under full load."


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def capacity(frame: Frame, verdict: Verdict) -> Reason:
    """The memory is full, or will be soon."""
    fill, used = verdict.level("fill"), _latest(frame, verdict, device.MEMORY_USED)
    growth = float(np.max(verdict.setting.growth[verdict.members]))
    free = used / fill - used if fill > 0 else float("nan")
    is_rising = growth >= RAISE.growth
    when = f" and grows by {percent(growth)} in {span(WINDOW_SECONDS)}" if is_rising else ""
    return Reason(
        what=f"fills {percent(fill)} of the device memory{when}: {gibibytes(free)} per device are left",
        remedy=_memory_remedy(fill, growth, is_rising=is_rising),
        evidence=level_evidence(verdict, fill=RAISE.rising_fill if is_rising else RAISE.fill),
        margins=((fill - RAISE.rising_fill) / (1 - RAISE.rising_fill),),
    )


def _memory_remedy(fill: float, growth: float, *, is_rising: bool) -> str:
    smaller = "halve the micro-batch and accumulate twice as many, or recompute activations (checkpointing)"
    if not is_rising:
        return f"If the framework took it in advance, nothing. If not, a larger batch does not fit: {smaller}."
    left = span((1 - fill) / growth * WINDOW_SECONDS)
    return (
        f"At this rate it is full in {left}. Save a checkpoint now; look for tensors that are kept from step to step"
        f" (losses that are summed without .item(), growing caches); else {smaller}."
    )


def transfer(frame: Frame, verdict: Verdict) -> Reason:
    """A link is full while the device has little to do."""
    pcie, link = verdict.level("pcie"), verdict.level("link")
    if not np.isnan(link) and (np.isnan(pcie) or pcie < link):
        return Reason(
            what=f"fills its NVLinks to {percent(link)} while the pipes are {percent(verdict.level('pipe'))} busy",
            remedy="Exchange less: larger buckets, gradients in 16 bits, tensor parallelism over fewer devices.",
            evidence=level_evidence(verdict, link=RAISE.link, pipe=None, bandwidth=None),
            margins=(link / RAISE.link - 1,),
        )
    sm = verdict.level("compute")
    if not (pcie >= HOLD.pcie and sm < HOLD.pcie_compute):
        return _copies(frame, verdict, pcie)
    return Reason(
        what=f"fills its PCIe slots to {percent(pcie)} while {percent(sm)} of the SMs work",
        remedy=_slot_remedy(frame, verdict),
        evidence=level_evidence(verdict, pcie=RAISE.pcie, compute=RAISE.pcie_compute),
        margins=(pcie / RAISE.pcie - 1, 1 - sm / RAISE.pcie_compute),
    )


def _copies(frame: Frame, verdict: Verdict, pcie: float) -> Reason:
    copying = verdict.level("busy") - verdict.level("engine")
    slot = "" if np.isnan(pcie) else f", at {percent(pcie)} of what its PCIe slots carry"
    return Reason(
        what=f"copies {percent(copying)} of the time while no kernel runs{slot}",
        remedy=_slot_remedy(frame, verdict),
        evidence=level_evidence(verdict, busy=None, engine=None, pcie=None),
        margins=(copying / RAISE.copying - 1,),
    )


def _slot_remedy(frame: Frame, verdict: Verdict) -> str:
    now = [_latest(frame, verdict, metric) for metric in (device.PCIE_LINK_GENERATION, device.PCIE_LINK_WIDTH)]
    best = [_latest(frame, verdict, metric) for metric in (device.PCIE_LINK_GENERATION_MAX, device.PCIE_LINK_WIDTH_MAX)]
    if any(have < could for have, could in zip(now, best, strict=True)):
        return (
            f"The slot runs at generation {now[0]:.0f} with {now[1]:.0f} lanes where generation {best[0]:.0f} with"
            f" {best[1]:.0f} is possible: seat the board anew and look at riser and BIOS."
        )
    return (
        "Keep on the device what is copied at every step (weights, offloaded optimizer state, whole data sets), copy in"
        " 16 or 8 bits, and overlap copies with non_blocking=True from pinned memory."
    )


def late_host(verdict: Verdict) -> Reason:
    """Kernels come too late from the host."""
    engine, cpu = verdict.level("engine"), float(np.fmax.reduce(verdict.setting.cpu))
    computing = verdict.share("computing")
    gap = computing - engine
    by_phase = not np.isnan(computing)
    what = (
        f"stands still {percent(gap)} of the time inside of its compute phase: the host launches too late"
        if by_phase
        else f"works {percent(engine)} of the time while the CPUs of its node are {percent(cpu)} busy"
    )
    first = "Take synchronizing calls (.item(), .cpu(), printing) out of the step and capture it with CUDA graphs"
    full = f"; the CPUs are {percent(cpu)} busy, so give the job more of them or move its neighbors"
    return Reason(
        what=what,
        remedy=first + (full if cpu >= RAISE.cpu else "") + ".",
        evidence=(*level_evidence(verdict, engine=None if by_phase else RAISE.host_engine), *cpu_evidence(cpu)),
        margins=(gap / RAISE.gap - 1,) if by_phase else (1 - engine / RAISE.host_engine,),
        slowdown=1 / (1 - min(gap, 0.99)) if by_phase else None,
        method="time without the gaps between kernels" if by_phase else None,
    )


def launches(verdict: Verdict) -> Reason:
    """Always busy with next to nothing."""
    engine, sm, fill = verdict.level("engine"), verdict.level("compute"), verdict.level("fill")
    times = FILL_TO / fill if fill > 0 else float("nan")
    fills = sm / engine if engine > 0 else float("nan")
    is_tiny = engine < RAISE.launch_engine and fills < HOLD.tiny_fill
    margins = (
        (engine / RAISE.tiny_engine - 1, 1 - fills / RAISE.tiny_fill)
        if is_tiny
        else (engine / RAISE.launch_engine - 1, 1 - sm / RAISE.launch_compute)
    )
    batch = f" The memory is {percent(fill)} full, so the batch may grow up to {times:.1f}-fold." if times > 1 else ""
    return Reason(
        what=f"runs kernels {percent(engine)} of the time that occupy {percent(sm)} of the SMs: they are too small",
        remedy='Launch fewer and larger kernels: torch.compile(mode="reduce-overhead") or CUDA graphs, fused'
        f" optimizers, a larger batch.{batch}",
        evidence=level_evidence(
            verdict,
            engine=RAISE.tiny_engine if is_tiny else RAISE.launch_engine,
            compute=RAISE.tiny_fill * engine if is_tiny else RAISE.launch_compute,
            pipe=None,
        ),
        margins=margins,
    )


def streams(verdict: Verdict) -> Reason:
    """The memory is the roof."""
    bandwidth = verdict.level("bandwidth")
    return Reason(
        what=f"moves data through device memory {percent(bandwidth)} of the cycles (80 to 90 % is the most) and uses"
        f" its pipes {percent(verdict.level('pipe'))}",
        remedy="The device is well used. More speed needs fewer bytes: fused kernels, a smaller number format, larger"
        " batches where weights are read per request.",
        evidence=level_evidence(verdict, bandwidth=RAISE.bandwidth, pipe=None, compute=None),
        margins=(bandwidth / RAISE.bandwidth - 1,),
    )


def compute(verdict: Verdict) -> Reason:
    """The SMs are the roof."""
    sm, pipe = verdict.level("compute"), verdict.level("pipe")
    tensor = "" if np.isnan(pipe) else f" and the busiest pipe works {percent(pipe)} of the cycles"
    return Reason(
        what=f"keeps {percent(sm)} of the SMs at work{tensor}",
        remedy="The device is well used. More speed needs cheaper arithmetic: tensor cores with bf16 or fp8, fused"
        " kernels, a smaller model.",
        evidence=level_evidence(verdict, compute=RAISE.compute, pipe=RAISE.pipe, bandwidth=None),
        margins=(np.fmax(sm / RAISE.compute, pipe / RAISE.pipe) - 1,),
    )
