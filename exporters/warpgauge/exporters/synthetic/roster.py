"""The jobs of the simulated fleet as rows: what each asks of devices and hosts. No number here knows a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from warpgauge.exporters.synthetic.gpu import Kernel

__all__ = [
    "BLOCK_NODES",
    "NOTEBOOK",
    "QUEUE",
    "SERVING",
    "TRAINING",
    "Loader",
    "Owner",
    "Queued",
    "Session",
    "Training",
]

_GB: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose job it is and which scheduler placed it; `namespace` is empty outside Kubernetes."""

    job_id: str
    user: str
    scheduler: str
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Input pipeline of one rank; `fill` is the share of an undisturbed step its workers need for the next batch."""

    workers: int
    fill: float
    batch_bytes: float
    is_local: bool  # reads the node's own disk; else the network


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A job whose ranks step in lockstep. Seconds are of one step at the highest clock."""

    owner: Owner
    nodes: int
    compute_seconds: float
    communication_seconds: float  # what computing does not hide
    other_seconds: float
    loader: Loader
    kernel: Kernel
    memory_ratio: float  # of the device memory a workload can take
    host_bytes: float  # per rank
    link_bytes: float  # per step over NVLink
    network_bytes: float  # per step from device to network card over PCIe (GPUDirect)
    checkpoint_steps: int
    checkpoint_seconds: float
    checkpoint_bytes: float  # per rank
    stages: int = 1  # of the pipeline; ranks are spread over them in order
    evaluation_steps: int = 0  # between two evaluations, in which no step ends; 0: none
    evaluation_seconds: float = 0.0
    reports_steps: bool = True  # through the step timer

    @property
    def step_seconds(self) -> float:
        """An undisturbed step."""
        return self.compute_seconds + self.communication_seconds + self.other_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A job without steps: a person at a notebook, or a model that answers requests."""

    owner: Owner
    node_ratio: float  # share of a node's devices
    kernel: Kernel
    memory_ratio: float
    host_bytes: float  # per device


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A job that waits for room on one node; it shows in no telemetry, only where somebody plans for it."""

    owner: Owner
    node_ratio: float  # share of a node's devices


TRAINING: Final = (
    Training(
        owner=Owner(job_id="llm-pretrain-70b", user="amara", scheduler="slurm"),
        nodes=3,
        compute_seconds=3.1,
        communication_seconds=0.36,
        other_seconds=0.04,
        loader=Loader(workers=2, fill=0.35, batch_bytes=4e6, is_local=False),
        kernel=Kernel(sm=0.88, tensor=0.47, dram=0.42, occupancy=0.24, power=1.0, memory_bound=0.2),
        memory_ratio=0.87,
        host_bytes=38 * _GB,
        link_bytes=260 * _GB,
        network_bytes=22 * _GB,
        checkpoint_steps=170,
        checkpoint_seconds=11.0,
        checkpoint_bytes=8 * _GB,
    ),
    Training(
        owner=Owner(job_id="llm-finetune-13b", user="jonas", scheduler="slurm"),
        nodes=2,
        compute_seconds=1.42,
        communication_seconds=0.15,
        other_seconds=0.02,
        loader=Loader(workers=2, fill=0.45, batch_bytes=6e6, is_local=False),
        kernel=Kernel(sm=0.84, tensor=0.4, dram=0.46, occupancy=0.26, power=0.93, memory_bound=0.24),
        memory_ratio=0.79,
        host_bytes=30 * _GB,
        link_bytes=84 * _GB,
        network_bytes=9 * _GB,
        checkpoint_steps=330,
        checkpoint_seconds=7.0,
        checkpoint_bytes=5 * _GB,
    ),
    Training(
        owner=Owner(job_id="vision-train", user="mei", scheduler="kubernetes", namespace="perception"),
        nodes=1,
        compute_seconds=0.36,
        communication_seconds=0.036,
        other_seconds=0.005,
        loader=Loader(workers=4, fill=0.65, batch_bytes=28e6, is_local=True),
        kernel=Kernel(sm=0.8, tensor=0.3, dram=0.5, occupancy=0.38, power=0.8, memory_bound=0.3),
        memory_ratio=0.61,
        host_bytes=26 * _GB,
        link_bytes=1.2 * _GB,
        network_bytes=0.0,
        checkpoint_steps=1100,
        checkpoint_seconds=3.0,
        checkpoint_bytes=0.4 * _GB,
    ),
)

NOTEBOOK: Final = Session(
    owner=Owner(job_id="notebook-lucia", user="lucia", scheduler="kubernetes", namespace="research"),
    node_ratio=0.5,
    kernel=Kernel(sm=0.62, tensor=0.18, dram=0.4, occupancy=0.3, power=0.62, memory_bound=0.35),
    memory_ratio=0.34,
    host_bytes=12 * _GB,
)

SERVING: Final = Session(
    owner=Owner(job_id="chat-serving", user="svc-chat", scheduler="kubernetes", namespace="serving"),
    node_ratio=0.5,
    kernel=Kernel(sm=0.66, tensor=0.16, dram=0.68, occupancy=0.2, power=0.66, memory_bound=0.7),
    memory_ratio=0.88,
    host_bytes=22 * _GB,
)

QUEUE: Final = (
    Queued(owner=Owner(job_id="llm-align-30b", user="jonas", scheduler="slurm"), node_ratio=1.0),
    Queued(
        owner=Owner(job_id="rerank-train", user="mei", scheduler="kubernetes", namespace="perception"), node_ratio=1.0
    ),
)

BLOCK_NODES: Final = 8
"""Nodes that the rows above take: 3 + 2 + 1 in full, half of one by the notebook and half of one by the server.

So eight devices are free and no whole node: what waits for one has to wait until the notebook moves to the server.
"""
