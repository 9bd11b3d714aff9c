"""Nodes, applications and queues as the ResourceManager's REST API of Hadoop 3 gives them, strictly checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from warpgauge.core.errors import InputError

__all__ = [
    "GPU",
    "MEMORY",
    "VCORES",
    "Resources",
    "YarnApp",
    "YarnAsk",
    "YarnContainer",
    "YarnNode",
    "YarnQueue",
    "parse_app",
    "parse_apps",
    "parse_attempt",
    "parse_containers",
    "parse_labels",
    "parse_nodes",
    "parse_queues",
]

GPU: Final = "yarn.io/gpu"
MEMORY: Final = "memory-mb"
VCORES: Final = "vcores"
_TESTED: Final = "3.5"
_MOST_TEXT: Final = 1024
_MOST_DEPTH: Final = 32  # of queues in queues
_AMOUNT: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]{0,252})=([0-9]{1,15})")
_UP: Final = frozenset({"NEW", "RUNNING"})


@dataclass(frozen=True, slots=True)
class Resources:
    """Amounts of resources by name: MiB of memory, virtual cores, GPUs and what else a cluster counts."""

    amounts: tuple[tuple[str, int], ...]  # by name

    def __getitem__(self, name: str) -> int:
        return dict(self.amounts).get(name, 0)

    def __str__(self) -> str:
        """As rmadmin and preconditions have it: memory-mb=4096,vcores=8,yarn.io/gpu=4."""
        return ",".join(f"{name}={amount}" for name, amount in self.amounts)

    @property
    def nothing(self) -> Resources:
        """None of each."""
        return Resources(tuple((name, 0) for name, _ in self.amounts))

    @property
    def is_plain(self) -> bool:
        """Whether memory and cores are all that there is."""
        return not any(amount for name, amount in self.amounts if name not in {MEMORY, VCORES})

    @classmethod
    def read(cls, text: str) -> Resources:
        """What `str` wrote; InputError for anything else."""
        found = [_AMOUNT.fullmatch(part) for part in text.split(",")]
        amounts = {match[1]: int(match[2]) for match in found if match}
        if len(amounts) != len(found):
            msg = f"{text[:80]!r} are no resources such as memory-mb=4096,vcores=8"
            raise InputError(msg)
        return cls(tuple(sorted(amounts.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class YarnNode:
    """A node. `id` is HOST:PORT, and a new one each time its NodeManager starts if the site lets it choose its port."""

    id: str
    host: str
    state: str  # RUNNING, DECOMMISSIONING, LOST, ...
    health: str  # what its health script said
    labels: tuple[str, ...]
    total: Resources

    @property
    def why_not(self) -> str | None:
        """Why it takes no work now, None if it does."""
        if self.state not in _UP:
            return f"{self.state.lower()} ({self.health})" if self.health else self.state.lower()
        return None if any(amount for _, amount in self.total.amounts) else "has no resources to hand out"

    @property
    def digest(self) -> str:
        """Changes when the node was lost, decommissioned, labeled or resized; not with its load."""
        parts = (self.id, self.state, *sorted(self.labels), str(self.total))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class YarnAsk:
    """Containers that an application waits for, alike."""

    count: int
    each: Resources
    label: str
    by_name: bool  # it wants them on a certain host or rack only


@dataclass(frozen=True, slots=True, kw_only=True)
class YarnApp:
    """An application."""

    id: str
    name: str
    user: str
    queue: str  # root.a.b
    state: str  # ACCEPTED, RUNNING, ...
    priority: int
    started: float  # seconds since the epoch
    tags: frozenset[str]
    asks: tuple[YarnAsk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class YarnContainer:
    """What an application holds on one node. YARN tells how many devices, not which."""

    id: str
    node: str  # the node's id
    state: str
    held: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class YarnQueue:
    """A queue that applications can be in."""

    path: str  # root.a.b
    state: str  # RUNNING or STOPPED, "" where the scheduler does not say

    def is_called(self, name: str) -> bool:
        """Whether `name` is its path, or the last part of it."""
        return name in {self.path, self.path.rpartition(".")[2]}


@dataclass(frozen=True, slots=True)
class _Row:
    """One object of an answer, with its place for errors."""

    fields: Mapping[str, Any]
    place: str

    def whole(self, name: str) -> int:
        """A whole number from 0 on, or below where YARN has handed out more than there is now."""
        value = self.fields.get(name)
        if type(value) is not int:
            self.refuse(f"{name} must be a whole number, got {str(value)[:80]!r}")
        return value

    def text(self, name: str) -> str:
        """A string, cut to a sane length, without what a terminal would obey; "" where there is none."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, str):
            self.refuse(f"{name} must be a string, got {str(value)[:80]!r}")
        return "".join(letter if letter.isprintable() else "?" for letter in (value or "")[:_MOST_TEXT])

    def row(self, name: str) -> _Row:
        """An object in this one; an empty one where there is none."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, Mapping):
            self.refuse(f"{name} must be an object, got {str(value)[:80]!r}")
        return _Row(value or {}, f"{self.place} {name}")

    def rows(self, name: str) -> list[_Row]:
        """A list of objects; a single one stands bare in some answers, and no list at all is an empty one."""
        value = self.fields.get(name) or []
        listed = [value] if isinstance(value, Mapping) else value
        if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
            self.refuse(f"{name} must be a list of objects, got {str(value)[:80]!r}")
        return [_Row(one, f"{self.place} {name}[{number}]") for number, one in enumerate(listed)]

    def refuse(self, what: str) -> NoReturn:
        """Raise the error for this object."""
        msg = f"{self.place}: {what}; read is what YARN {_TESTED} answers"
        raise InputError(msg)


def parse_nodes(document: object) -> tuple[YarnNode, ...]:
    """Nodes of `/nodes`, by host.

    Raises:
        InputError: it is not that.

    """
    rows = _top(document, "nodes").row("nodes").rows("node")
    return tuple(sorted(map(_node, rows), key=lambda node: (node.host, node.id)))


def parse_apps(document: object) -> tuple[YarnApp, ...]:
    """Applications of `/apps`, by id; errors as for `parse_nodes`."""
    return tuple(sorted(map(_app, _top(document, "apps").row("apps").rows("app")), key=lambda app: app.id))


def parse_app(document: object) -> YarnApp:
    """The application of `/apps/ID`; errors as for `parse_nodes`."""
    return _app(_top(document, "app").row("app"))


def parse_attempt(document: object) -> str:
    """The id of the last attempt of `/apps/ID/appattempts`, "" without one; errors as for `parse_nodes`."""
    rows = _top(document, "appattempts").row("appAttempts").rows("appAttempt")
    return max(rows, key=lambda row: row.whole("id")).text("appAttemptId") if rows else ""


def parse_containers(document: object) -> tuple[YarnContainer, ...]:
    """Containers of an attempt, by id; errors as for `parse_nodes`."""
    rows = _top(document, "containers").rows("container")
    return tuple(sorted(map(_container, rows), key=lambda container: container.id))


def parse_labels(document: object) -> frozenset[str]:
    """Names of `/get-node-labels`; errors as for `parse_nodes`."""
    return frozenset(row.text("name") for row in _top(document, "get-node-labels").rows("nodeLabelInfo"))


def parse_queues(document: object) -> tuple[YarnQueue, ...]:
    """The leaves among the queues of `/scheduler`, of either scheduler; errors as for `parse_nodes`."""
    info = _top(document, "scheduler").row("scheduler").row("schedulerInfo")
    root = info.row("rootQueue") if "rootQueue" in info.fields else info
    return tuple(sorted(_leaves(root, "", 0), key=lambda queue: queue.path))


def _top(document: object, place: str) -> _Row:
    if not isinstance(document, Mapping):
        msg = f"{place}: not a JSON object"
        raise InputError(msg)
    return _Row(document, place)


def _leaves(row: _Row, above: str, depth: int) -> list[YarnQueue]:
    name = row.text("queuePath") or row.text("queueName")
    path = name if "." in name or not above else f"{above}.{name}"
    below = [*row.row("queues").rows("queue"), *row.row("childQueues").rows("queue")]
    if depth >= _MOST_DEPTH:
        row.refuse(f"queues are nested deeper than {_MOST_DEPTH}")
    if not below:
        return [YarnQueue(path=path, state=row.text("state"))]
    return [leaf for one in below for leaf in _leaves(one, path, depth + 1)]


def _node(row: _Row) -> YarnNode:
    labels = row.fields.get("nodeLabels") or []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        row.refuse("nodeLabels must be a list of strings")
    return YarnNode(
        id=row.text("id"),
        host=row.text("nodeHostName"),
        state=row.text("state"),
        health=row.text("healthReport"),
        labels=tuple(sorted(filter(None, labels))),
        total=_resources(row.row("totalResource")),
    )


def _app(row: _Row) -> YarnApp:
    return YarnApp(
        id=row.text("id"),
        name=row.text("name"),
        user=row.text("user"),
        queue=row.text("queue"),
        state=row.text("state"),
        priority=row.whole("priority"),
        started=row.whole("startedTime") / 1000,
        tags=frozenset(filter(None, row.text("applicationTags").split(","))),
        asks=tuple(ask for one in row.rows("resourceRequests") if (ask := _ask(one)) is not None),
    )


def _ask(row: _Row) -> YarnAsk | None:
    """An ask for any host; those for a host or rack are the same containers once more, unless they insist on it."""
    anywhere = row.text("resourceName") == "*"
    insists = row.fields.get("relaxLocality") is False
    if row.whole("numContainers") <= 0 or not (anywhere or insists):
        return None
    return YarnAsk(
        count=row.whole("numContainers"),
        each=_resources(row.row("capability")),
        label=row.text("nodeLabelExpression"),
        by_name=insists,
    )


def _container(row: _Row) -> YarnContainer:
    rows = row.row("allocatedResources").rows("entry")
    amounts = {one.text("key"): one.whole("value") for one in rows}
    amounts = amounts or {MEMORY: row.whole("allocatedMB"), VCORES: row.whole("allocatedVCores")}
    return YarnContainer(
        id=row.text("containerId"),
        node=row.text("nodeId") or row.text("assignedNodeId"),
        state=row.text("containerState"),
        held=Resources(tuple(sorted(amounts.items()))),
    )


def _resources(row: _Row) -> Resources:
    """All amounts that a cluster counts; memory and cores alone where it tells no others."""
    rows = row.row("resourceInformations").rows("resourceInformation")
    amounts = {one.text("name"): one.whole("value") for one in rows}
    amounts = amounts or {MEMORY: row.whole("memory"), VCORES: row.whole("vCores")}
    return Resources(tuple(sorted(amounts.items())))
