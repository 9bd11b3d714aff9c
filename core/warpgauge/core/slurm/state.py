"""Nodes and jobs as `sinfo --json` and `squeue --json` of Slurm 22.05 give them (openapi v0.0.38), strictly checked.

JSON and not the text forms, because a job's name and comment are its owner's choice and may hold `Key=value` words.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from warpgauge.core.errors import InputError

__all__ = ["Allocation", "Asked", "SlurmJob", "SlurmNode", "parse_jobs", "parse_nodes"]

TESTED: Final = "22.05"
_MOST_GPUS: Final = 64  # of a node
_MOST_TEXT: Final = 1024
# gpu:a100:4(S:0-1) of a node, gpu:a100:2(IDX:0,2) of a job on one node; other resources (mps, shard) are no devices.
_GPUS: Final = re.compile(r"(?:^|,)gpu(?::(?P<model>[^:,()]+))??:(?P<count>\d{1,4})(?:\((?P<more>[^()]*)\))?(?=,|$)")
_ASKED: Final = re.compile(r"(?:^|,)gres[:/]gpu(?::(?P<model>[A-Za-z_][^:,()=]*))?(?:[:=](?P<count>\d{1,4}))?(?=,|$)")
_WORKING: Final = frozenset({"idle", "mixed", "allocated"})
# States beside the base state in which a node still takes work; with any other it does not.
_HARMLESS: Final = frozenset({"COMPLETING", "PLANNED", "CLOUD", "DYNAMIC_NORM"})
# States that come and go while nothing about the node's health changes.
_VOLATILE: Final = frozenset({"COMPLETING", "PLANNED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmNode:
    """A node. `model` is "" where it has none or several."""

    name: str
    cpus: int
    memory_mib: int
    gpu_count: int
    model: str
    state: str  # idle, mixed, allocated, down, ... in lower case
    flags: frozenset[str]  # DRAIN, MAINTENANCE, ... in upper case
    reason: str
    partitions: tuple[str, ...]
    features: frozenset[str]
    weight: int  # of nodes that will do, Slurm takes the lightest

    @property
    def is_drained(self) -> bool:
        """Whether somebody told it to take no more work."""
        return "DRAIN" in self.flags

    @property
    def why_not(self) -> str | None:
        """Why it takes no work now, None if it does."""
        if self.state in _WORKING and self.flags <= _HARMLESS:
            return None
        words = " ".join(
            [*([self.state] if self.state not in _WORKING else []), *sorted(map(str.lower, self.flags - _HARMLESS))]
        )
        return f"{words} ({self.reason})" if self.reason else words

    @property
    def digest(self) -> str:
        """Changes when the node was drained, resumed, lost or its reason rewritten; not with its load."""
        state = "up" if self.state in _WORKING else self.state
        parts = (self.name, state, *sorted(self.flags - _VOLATILE), self.reason)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What a job holds on one node."""

    node: str
    cpus: int
    memory_mib: int
    gpus: tuple[int, ...]  # device numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a job asks for on each of its nodes; None for what cannot be said per node."""

    nodes: int
    cpus: int
    memory_mib: int
    gpu_count: int | None
    model: str
    by_name: bool  # it wants or excludes nodes by name or feature


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJob:
    """A job. `restarts` tells the runs of one id apart."""

    id: int
    name: str
    user: str
    account: str
    partition: str
    state: str  # PENDING, RUNNING, ...
    reason: str  # why it is pending
    comment: str
    admin_comment: str  # of administrators, ours too; its owner cannot change it
    restarts: int
    start_time: int  # seconds since the epoch; of a pending job an estimate or 0
    is_requeueable: bool
    is_batch: bool
    is_part_of_another: bool  # one component of a heterogeneous job
    is_array_task: bool  # what is told to the first number of an array is told to all of its tasks
    required_nodes: str  # as Slurm writes lists of hosts
    excluded_nodes: str
    features: str  # that its nodes must have, as it was asked: a&b, a|b, ...
    tasks: str  # of a pending array those that still wait, as 3,5-9; else ""
    held: tuple[Allocation, ...]
    asked: Asked

    @property
    def tenant(self) -> str:
        """Who is charged: the account, else the user."""
        return self.account or self.user


def parse_nodes(data: bytes) -> tuple[SlurmNode, ...]:
    """Nodes of `sinfo --json`, by name.

    Raises:
        InputError: it is not that, or Slurm says in it that it failed.

    """
    rows = [_node(row) for row in _rows(data, "nodes", "sinfo --json")]
    return tuple(sorted(rows, key=lambda node: node.name))


def parse_jobs(data: bytes) -> tuple[SlurmJob, ...]:
    """Jobs of `squeue --json`, by id; errors as for `parse_nodes`."""
    rows = [_job(row) for row in _rows(data, "jobs", "squeue --json")]
    return tuple(sorted(rows, key=lambda job: job.id))


@dataclass(frozen=True, slots=True)
class _Row:
    """One object of an answer, with its place for errors."""

    fields: Mapping[str, Any]
    place: str

    def whole(self, name: str) -> int:
        """A whole number from 0 on."""
        value = self.fields.get(name)
        if type(value) is not int or value < 0:
            self.refuse(f"{name} must be a whole number from 0 on, got {str(value)[:80]!r}")
        return value

    def whole_or_none(self, name: str) -> int | None:
        """As `whole`; None where Slurm says null, its word for "not set"."""
        return None if self.fields.get(name) is None else self.whole(name)

    def text(self, name: str) -> str:
        """A string, cut to a sane length, without what a terminal would obey; "" for null."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, str):
            self.refuse(f"{name} must be a string, got {str(value)[:80]!r}")
        return "".join(letter if letter.isprintable() else "?" for letter in (value or "")[:_MOST_TEXT])

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.refuse(f"{name} must be a list of strings, got {str(value)[:80]!r}")
        return tuple(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.fields.get(name)
        if type(value) is not bool:
            self.refuse(f"{name} must be true or false, got {str(value)[:80]!r}")
        return value

    def refuse(self, what: str) -> NoReturn:
        """Raise the error for this object."""
        msg = f"{self.place}: {what}; read is what Slurm {TESTED} prints"
        raise InputError(msg)


def _rows(data: bytes, name: str, place: str) -> list[_Row]:
    try:
        document = json.loads(data)
    except ValueError as error:
        msg = f"{place}: not JSON: {error}"
        raise InputError(msg) from error
    if not isinstance(document, Mapping):
        msg = f"{place}: not a JSON object"
        raise InputError(msg)
    if errors := document.get("errors"):
        msg = f"{place}: Slurm reports {str(errors)[:200]}"
        raise InputError(msg)
    rows = document.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        msg = f"{place}: has no list {name!r}"
        raise InputError(msg)
    return [_Row(row, f"{place} {name}[{number}]") for number, row in enumerate(rows)]


def _node(row: _Row) -> SlurmNode:
    found = list(_GPUS.finditer(row.text("gres")))
    models = {match["model"] or "" for match in found}
    count = sum(int(match["count"]) for match in found)
    if count > _MOST_GPUS:
        row.refuse(f"gres has {count} GPUs, more than {_MOST_GPUS}")
    return SlurmNode(
        name=row.text("name"),
        cpus=row.whole("cpus"),
        memory_mib=row.whole("real_memory"),
        gpu_count=count,
        model=models.pop() if len(models) == 1 else "",
        state=row.text("state").lower(),
        flags=frozenset(flag.upper() for flag in row.texts("state_flags")),
        reason=row.text("reason"),
        partitions=row.texts("partitions"),
        features=frozenset(filter(None, row.text("active_features").split(","))),
        weight=row.whole("weight"),
    )


def _job(row: _Row) -> SlurmJob:
    return SlurmJob(
        id=row.whole("job_id"),
        name=row.text("name"),
        user=row.text("user_name"),
        account=row.text("account"),
        partition=row.text("partition"),
        state=row.text("job_state"),
        reason=row.text("state_reason"),
        comment=row.text("comment"),
        admin_comment=row.text("admin_comment"),
        restarts=row.whole("restart_cnt"),
        start_time=row.whole("start_time"),
        is_requeueable=row.flag("requeue"),
        is_batch=row.flag("batch_flag"),
        is_part_of_another=row.whole("het_job_id") != 0,
        is_array_task=row.whole("array_job_id") != 0,
        required_nodes=row.text("required_nodes"),
        excluded_nodes=row.text("excluded_nodes"),
        features=row.text("features"),
        tasks=row.text("array_task_string"),
        held=_held(row) if row.text("job_state") in {"RUNNING", "SUSPENDED", "COMPLETING"} else (),
        asked=_asked(row),
    )


def _held(row: _Row) -> tuple[Allocation, ...]:
    """What a job holds now; the devices stand in the order of its nodes, or nowhere."""
    resources = row.fields.get("job_resources")
    if resources is None:
        return ()  # it is just starting or ending
    listed = resources.get("allocated_nodes") if isinstance(resources, Mapping) else None
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        row.refuse("job_resources has no list of allocated_nodes")
    nodes = [_Row(one, f"{row.place} allocated_nodes") for one in listed]
    devices = row.texts("gres_detail") or ("",) * len(nodes)
    if len(devices) != len(nodes):
        row.refuse(f"gres_detail speaks of {len(devices)} nodes, job_resources of {len(nodes)}")
    cores = [_cores(node) for node in nodes]
    cpus = row.whole("cpus")  # of all nodes; each has them by its cores, as a core is allocated with all its threads
    return tuple(
        Allocation(
            node=node.text("nodename"),
            cpus=-(-cpus * here // sum(cores)) if sum(cores) else -(-cpus // len(nodes)),
            memory_mib=node.whole("memory_allocated"),
            gpus=_indices(text, row),
        )
        for node, text, here in zip(nodes, devices, cores, strict=True)
    )


def _cores(node: _Row) -> int:
    """Cores that a job holds on a node; `cpus_used` counts only those that a step uses now."""
    sockets = node.fields.get("sockets", {})
    try:
        return sum(len(socket["cores"]) for socket in sockets.values())
    except (AttributeError, KeyError, TypeError):
        node.refuse(f"sockets must hold cores, got {str(sockets)[:80]!r}")


def _indices(text: str, row: _Row) -> tuple[int, ...]:
    """Device numbers of `gpu:a100:3(IDX:0,2-3)`."""
    gpus: set[int] = set()
    for match in _GPUS.finditer(text):
        if int(match["count"]) == 0:
            continue
        for part in (match["more"] or "").removeprefix("IDX:").split(","):
            first, _, last = part.partition("-")
            if not (first.isdecimal() and (last or first).isdecimal() and int(last or first) < _MOST_GPUS):
                row.refuse(f"gres_detail names no devices: {text[:80]!r}")
            gpus.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(gpus))


def _asked(row: _Row) -> Asked:
    nodes = max(1, row.whole("node_count"))
    cpus = -(-(row.whole_or_none("cpus") or 0) // nodes)  # null once it has ended
    per_node, per_cpu = row.whole_or_none("memory_per_node"), row.whole_or_none("memory_per_cpu")
    count, model = _gpus_asked(row, nodes)
    return Asked(
        nodes=nodes,
        cpus=cpus,
        memory_mib=per_node if per_node is not None else (per_cpu or 0) * cpus,
        gpu_count=count,
        model=model,
        by_name=any(row.text(name) for name in ("required_nodes", "excluded_nodes", "features")),
    )


def _gpus_asked(row: _Row, nodes: int) -> tuple[int | None, str]:
    """GPUs on each node, None if the job does not say how many of one node it wants; and their model."""
    if match := _ASKED.search(row.text("tres_per_node")):
        return int(match["count"] or 1), match["model"] or ""
    if match := _ASKED.search(row.text("tres_per_job")):
        total = int(match["count"] or 1)
        return (total // nodes if total % nodes == 0 else None), match["model"] or ""
    if match := _ASKED.search(row.text("tres_per_task")):
        tasks = row.whole_or_none("tasks") or nodes
        total = int(match["count"] or 1) * tasks
        return (total // nodes if total % nodes == 0 else None), match["model"] or ""
    return (None if _ASKED.search(row.text("tres_per_socket")) else 0), ""
