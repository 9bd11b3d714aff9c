"""What the rows of the frame's tables are: devices, nodes, ranks of jobs, inference servers; and the jobs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DeviceEntity", "Entity", "Job", "JobKey", "NodeEntity", "RankEntity", "ServerEntity"]

JobKey = tuple[str, str]
"""(cluster, job_id)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEntity:
    """A row of `frame.devices`. What no info series told yet is the empty string."""

    cluster: str
    node: str
    uuid: str
    instance_id: str = ""  # MIG instance; "" for a whole device
    index: int = -1  # -1 when unknown
    vendor: str = ""
    kind: str = ""
    model: str = ""
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntity:
    """A row of `frame.nodes`."""

    cluster: str
    node: str
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RankEntity:
    """A row of `frame.ranks`; `uuid` is the device that the workload info gives to this rank."""

    cluster: str
    job_id: str
    rank: int  # -1 when the label was empty
    stage: int | None = None
    node: str = ""
    uuid: str | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEntity:
    """A row of `frame.servers`: one model that an inference server serves."""

    cluster: str
    node: str
    server: str  # vllm, sglang, tgi or triton
    endpoint: str  # its metrics page: an address, or the pod as namespace/name
    model: str = ""  # "" where the server names none
    simulated: bool = False


Entity = DeviceEntity | NodeEntity | RankEntity | ServerEntity


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A workload that holds devices or reports steps now; `ranks` and `devices` are rows of the frame's tables."""

    cluster: str
    job_id: str
    scheduler: str = "none"
    user: str = ""
    ranks: tuple[int, ...] = ()  # in the order of their rank numbers
    devices: tuple[int, ...] = ()
