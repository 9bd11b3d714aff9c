"""What a scenario says: the fleet, its jobs, what goes wrong and when, and how its telemetry is troubled.

Every key of a scenario file is a field here. Times are seconds after the scenario's start; sizes are what the cause
says they are. Nothing here knows of a detector.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from warpgauge.exporters.synthetic.gpu import BOARDS
from warpgauge.exporters.synthetic.scenario.keys import key

__all__ = ["SCENARIO_SCHEMA", "FaultPlan", "FleetPlan", "JobPlan", "KernelPlan", "Scenario", "TroublePlan"]

SCENARIO_SCHEMA: Final = "warpgauge.scenario/v1"
_DAY: Final = 86_400.0
_START: Final = 1_750_000_000.0
_TERABYTE: Final = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """The machines."""

    nodes: int = key(default=4, kind="int", low=1, high=256, help="Machines, named sim-node-0 and on.")
    devices_per_node: int = key(default=8, kind="int", low=1, high=16, help="Devices in each machine.")
    racks: int = key(default=1, kind="int", low=1, high=64, help="Racks; machines stand in them in order, evenly.")
    board: str = key(
        default="h100", kind="str", choices=tuple(BOARDS), help="Model of all devices, unless `boards` says more."
    )
    boards: list[str] = key(default=(), kind="list", help="Model of the devices of each machine in order.")
    inlet_celsius: float = key(
        default=24.0, kind="float", unit="degrees", low=10, high=45, help="Air that the machines take in."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPlan:
    """What counters read while the kernels of a job run."""

    sm: float = key(default=0.84, kind="float", low=0, high=1, help="SMs with a resident warp.")
    tensor: float = key(default=0.4, kind="float", low=0, high=1, help="Tensor pipe active.")
    dram: float = key(default=0.46, kind="float", low=0, high=1, help="Memory cycles that move data.")
    occupancy: float = key(default=0.26, kind="float", low=0, high=1, help="Resident warps of what fits.")
    power: float = key(default=0.93, kind="float", low=0, high=1.2, help="Dynamic power relative to the board's.")
    memory_bound: float = key(
        default=0.24, kind="float", low=0, high=0.95, help="Kernel time that does not follow the SM clock."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """A job. Keys below `compute_seconds` are for kind "training"."""

    id: str = key(kind="str", help="Its name, as the scheduler calls it.")
    kind: str = key(default="training", kind="str", choices=("training", "notebook", "serving"), help="How it works.")
    nodes: list[int] = key(default=(), kind="list", help="Machines of which it takes all devices, in rank order.")
    devices: list[str] = key(default=(), kind="list", help='Devices "NODE:INDEX" or "NODE:FIRST-LAST", in rank order.')
    start_seconds: float = key(default=0.0, kind="float", unit="seconds", low=0, high=_DAY, help="When it starts.")
    end_seconds: float = key(default=_DAY, kind="float", unit="seconds", low=0, high=_DAY, help="When it ends.")
    user: str = key(default="sim", kind="str", help="Whose it is.")
    scheduler: str = key(default="slurm", kind="str", choices=("slurm", "kubernetes"), help="What placed it.")
    namespace: str = key(default="research", kind="str", help="Namespace, for kubernetes.")
    kernel: dict[str, Any] = key(default=None, kind="table", help="What counters read while it computes.")
    memory_ratio: float = key(default=0.79, kind="float", low=0.01, high=1, help="Device memory it takes.")
    host_bytes: float = key(
        default=30e9, kind="float", unit="bytes", low=0, high=_TERABYTE, help="Host memory per device."
    )
    locked_clock_ratio: float = key(
        default=1.0, kind="float", low=0.25, high=1, help="Highest SM clock an administrator allows its devices."
    )
    scale: list[list[float]] = key(
        default=(),
        kind="list",
        help="Autoscaling of a server: [seconds, devices] pairs; from then on so many are in use.",
    )
    compute_seconds: float = key(
        default=1.42, kind="float", unit="seconds", low=0.01, high=60, help="Of a step, per rank."
    )
    communication_seconds: float = key(
        default=0.15, kind="float", unit="seconds", low=0, high=60, help="Of a step, not hidden."
    )
    other_seconds: float = key(
        default=0.02, kind="float", unit="seconds", low=0, high=10, help="Of a step, on the host."
    )
    stages: int = key(
        default=1, kind="int", low=1, high=64, help="Pipeline stages; ranks are spread over them in order."
    )
    stage_ratios: list[float] = key(default=(), kind="list", help="Work of each stage relative to the even share.")
    loader_workers: int = key(default=2, kind="int", low=1, high=64, help="Processes that prepare batches, per rank.")
    loader_fill: float = key(
        default=0.45, kind="float", low=0, high=1, help="Part of a step they need for the next batch."
    )
    batch_bytes: float = key(
        default=6e6, kind="float", unit="bytes", low=0, high=1e11, help="Size of a batch, per rank."
    )
    loader_is_local: bool = key(default=False, kind="bool", help="Whether batches come from the machine's own disk.")
    link_bytes: float = key(
        default=84e9, kind="float", unit="bytes", low=0, high=_TERABYTE, help="Over NVLink per step."
    )
    network_bytes: float = key(
        default=9e9, kind="float", unit="bytes", low=0, high=_TERABYTE, help="To the network per step."
    )
    checkpoint_steps: int = key(default=330, kind="int", low=1, high=10_000_000, help="Steps between two checkpoints.")
    checkpoint_seconds: float = key(
        default=7.0, kind="float", unit="seconds", low=0, high=3600, help="Length of a checkpoint."
    )
    checkpoint_bytes: float = key(
        default=5e9, kind="float", unit="bytes", low=0, high=_TERABYTE, help="Of it, per rank."
    )
    evaluation_steps: int = key(
        default=0, kind="int", low=0, high=10_000_000, help="Steps between two evaluations; 0: none."
    )
    evaluation_seconds: float = key(default=60.0, kind="float", unit="seconds", low=1, high=7200, help="Length of one.")
    reports_steps: bool = key(default=True, kind="bool", help="Whether its step timer reports steps and phases.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """One cause that changes: which, where, since when and by how much. The kind of finding follows from the cause."""

    cause: str = key(kind="str", help="What changes; the table of causes has all.")
    job: str = key(default="", kind="str", help="Job it strikes, where the cause strikes jobs or ranks.")
    rank: int = key(default=-1, kind="int", low=0, high=4095, help="Rank of that job.")
    stage: int = key(default=-1, kind="int", low=0, high=63, help="Pipeline stage of that job.")
    node: int = key(default=-1, kind="int", low=0, high=255, help="Machine, where the cause strikes machines.")
    device: str = key(default="", kind="str", help='Device "NODE:INDEX", where no rank is named.')
    start_seconds: float = key(kind="float", unit="seconds", low=0, high=_DAY, help="Its onset.")
    duration_seconds: float = key(
        default=0.0, kind="float", unit="seconds", low=0, high=_DAY, help="How long it lasts; 0: to the end."
    )
    size: float = key(
        default=0.0, kind="float", help="How large, in the measure of the cause; the cause's usual one if absent."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TroublePlan:
    """Something wrong with the telemetry and not with the fleet: it must lead to no finding."""

    kind: str = key(
        kind="str", choices=("missing_scrapes", "clock_skew", "exporter_restart"), help="What happens to the samples."
    )
    node: int = key(default=-1, kind="int", low=0, high=255, help="Machine whose samples it happens to; all if absent.")
    start_seconds: float = key(default=0.0, kind="float", unit="seconds", low=0, high=_DAY, help="Since when.")
    duration_seconds: float = key(
        default=0.0,
        kind="float",
        unit="seconds",
        low=0,
        high=_DAY,
        help="How long; 0: to the end. A restart has no length.",
    )
    share: float = key(default=0.05, kind="float", low=0, high=1, help="Of the scrapes that are missing.")
    skew_seconds: float = key(
        default=0.0, kind="float", unit="seconds", low=-30, high=30, help="What the clock is ahead."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All of it; the same scenario gives the same samples on any machine."""

    schema: str = key(kind="str", choices=(SCENARIO_SCHEMA,), help="Version of this language.")
    name: str = key(default="scenario", kind="str", help="What it shows; also the cluster's name.")
    seed: int = key(default=42, kind="int", low=0, high=2**31, help="Of all noise.")
    start: float = key(
        default=_START, kind="float", unit="seconds since the epoch", low=1e9, high=4e9, help="Time of second 0."
    )
    duration_seconds: float = key(
        default=3600.0, kind="float", unit="seconds", low=60, high=_DAY, help="How long it goes on."
    )
    scrape_seconds: float = key(
        default=10.0, kind="float", unit="seconds", low=1, high=300, help="Between two scrapes."
    )
    fleet: FleetPlan = field(default_factory=FleetPlan)
    jobs: tuple[JobPlan, ...] = ()
    faults: tuple[FaultPlan, ...] = ()
    troubles: tuple[TroublePlan, ...] = ()
