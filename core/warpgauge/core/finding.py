"""Findings and incidents: what is wrong, where, since when, with what evidence, and what to do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, get_args, get_origin, get_type_hints

from warpgauge.core.errors import InputError

__all__ = [
    "FINDING_SCHEMA",
    "INCIDENT_SCHEMA",
    "Evidence",
    "Finding",
    "FindingKind",
    "Impact",
    "Incident",
    "Level",
    "Mute",
    "MutedBy",
    "Scope",
    "Severity",
    "SharedPlace",
    "Whose",
    "finding_from_json",
    "incident_from_json",
    "stable_id",
]

FINDING_SCHEMA: Final = "warpgauge.finding/v1"
INCIDENT_SCHEMA: Final = "warpgauge.incident/v1"


class Severity(StrEnum):
    """How soon a person should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 2 for critical, for sorting."""
        return _SEVERITY_RANKS[self]


_SEVERITY_RANKS: Final = {severity: rank for rank, severity in enumerate(Severity)}


class FindingKind(StrEnum):
    """Every kind a finding can have; kinds are added, never renamed."""

    IDLE_ALLOCATED = "idle_allocated"
    INPUT_BOUND = "input_bound"
    HOST_BOUND = "host_bound"
    LAUNCH_BOUND = "launch_bound"
    COMPUTE_BOUND = "compute_bound"
    MEMORY_BANDWIDTH_BOUND = "memory_bandwidth_bound"
    MEMORY_CAPACITY_BOUND = "memory_capacity_bound"
    INTERCONNECT_BOUND = "interconnect_bound"
    NETWORK_BOUND = "network_bound"
    POWER_LIMITED = "power_limited"
    THERMAL_LIMITED = "thermal_limited"
    KV_CACHE_BOUND = "kv_cache_bound"
    QUEUE_BOUND = "queue_bound"
    MIXED = "mixed"
    UNDETERMINED = "undetermined"
    STRAGGLER = "straggler"
    WORKLOAD_IMBALANCE = "workload_imbalance"
    NOISY_NEIGHBOR = "noisy_neighbor"
    LEVEL_SHIFT = "level_shift"
    SPIKE = "spike"
    DRIFT = "drift"
    HANG = "hang"
    MEMORY_LEAK = "memory_leak"
    MEMORY_PRESSURE = "memory_pressure"
    HOST_SATURATED = "host_saturated"
    TELEMETRY_GAP = "telemetry_gap"
    DEVICE_LOST = "device_lost"
    DEVICE_HUNG = "device_hung"
    XID = "xid"
    ECC_DEGRADATION = "ecc_degradation"
    ROW_REMAP = "row_remap"
    LINK_ERRORS = "link_errors"
    PCIE_DOWNTRAINED = "pcie_downtrained"
    HARDWARE_THROTTLE = "hardware_throttle"
    OVERSIZED = "oversized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where. What is unknown is None here and absent in JSON."""

    cluster: str | None = None
    node: str | None = None
    uuid: str | None = None
    instance_id: str | None = None
    job_id: str | None = None
    rank: int | None = None
    stage: int | None = None

    def words(self) -> str:
        """The place as a person says it: `job llama-7b, node-3, GPU-1f2e (rank 12)`."""
        parts = [f"job {self.job_id}" if self.job_id else None, self.node, self.uuid]
        place = ", ".join(part for part in parts if part) or self.cluster or "unknown place"
        return place if self.rank is None else f"{place} (rank {self.rank})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """The job that a number is of, where it is not the finding's own: another one, or one of those on its node."""

    job_id: str
    scheduler: str | None = None  # kubernetes, slurm, yarn, docker; absent if nobody told
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One number that supports a finding; `value` over the last `window_seconds`, seen `samples` times."""

    metric: str
    value: float
    unit: str
    baseline: float | None = None  # what peers or the past show
    threshold: float | None = None  # what the rule asks for
    window_seconds: float | None = None
    samples: int | None = None
    whose: Whose | None = None  # the job that it is of: who disturbs, not who is disturbed


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What it costs; only what was computed from evidence, by the method named."""

    lost_device_seconds: float | None = None
    slowdown_ratio: float | None = None  # 1.0 = no slowdown, 1.4 = steps take 1.4 times as long
    method: str | None = None


class MutedBy(StrEnum):
    """What keeps a finding from being recommended upon and notified; it is computed and shown all the same."""

    SILENCE = "silence"  # a person said so, for a scope and a time
    DISMISSAL = "dismissal"  # a person said that as much of this cause is nothing there
    BREAKER = "breaker"  # most of the fleet looks bad at once: one finding says that instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """Why a finding is muted; `id` names the silence, the dismissal or the finding that stands for it."""

    by: MutedBy
    id: str
    reason: str
    until: float | None = None  # None where no time is set


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition with one culprit. Times are seconds since the epoch."""

    id: str
    kind: FindingKind
    severity: Severity
    scope: Scope
    since: float  # when the condition began
    confirmed: float  # when it was raised
    confidence: float  # 0-1
    evidence: tuple[Evidence, ...]
    summary: str
    remedy: str
    impact: Impact | None = None
    ended: float | None = None
    simulated: bool = False
    muted: Mute | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object; unknown fields are absent."""
        return {"type": "finding", "schema": FINDING_SCHEMA, **_plain(self)}


class Level(StrEnum):
    """What several nodes share, from narrow to wide."""

    SWITCH = "switch"
    RAIL = "rail"
    RACK = "rack"
    POWER_DOMAIN = "power_domain"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPlace:
    """A place above nodes that the findings of an incident have in common."""

    level: Level
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Findings that share cause and place; `root_cause` is a finding's id or None for an honest "unattributed".

    `findings` are all that belonged to it, also those that ended while others still hold. `muted` where each that
    holds is.
    """

    id: str
    severity: Severity
    since: float
    findings: tuple[str, ...]
    summary: str
    scope: Scope
    root_cause: str | None = None
    place: SharedPlace | None = None
    ended: float | None = None
    simulated: bool = False
    muted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The incident as a JSON object; unknown fields are absent."""
        return {"type": "incident", "schema": INCIDENT_SCHEMA, **_plain(self)}


def stable_id(*parts: object) -> str:
    """A short id that is the same for the same parts in any process: 16 hex digits of SHA-256."""
    text = "\x1f".join("" if part is None else str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:  # noqa: ANN401 - walks any of the dataclasses above
    if hasattr(value, "__dataclass_fields__"):
        pairs = ((item.name, getattr(value, item.name)) for item in fields(value))
        return {name: _plain(inner) for name, inner in pairs if inner is not None}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def finding_from_json(document: dict[str, Any]) -> Finding:
    """Read what `to_json` wrote; unknown fields are ignored.

    Raises:
        InputError: a required field is missing or a value has the wrong form.

    """
    finding: Finding = _read(Finding, "finding", FINDING_SCHEMA, document)
    return finding


def incident_from_json(document: dict[str, Any]) -> Incident:
    """Read what `to_json` of an incident wrote; as `finding_from_json`."""
    incident: Incident = _read(Incident, "incident", INCIDENT_SCHEMA, document)
    return incident


def _read(cls: Any, what: str, schema: str, document: dict[str, Any]) -> Any:  # noqa: ANN401 - one of the two
    if document.get("schema") != schema:
        msg = f"not a {what}: schema is {document.get('schema')!r}, expected {schema!r}"
        raise InputError(msg)
    try:
        return _build(cls, document)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{what} {document.get('id', '?')!r} is malformed: {error}"
        raise InputError(msg) from error


def _build(cls: Any, document: Any) -> Any:  # noqa: ANN401 - the mirror of _plain
    if not isinstance(document, dict):
        msg = f"expected an object, got {document!r}"
        raise TypeError(msg)
    hints = get_type_hints(cls)
    known = {item.name for item in fields(cls)}
    values = {name: _typed(hints[name], raw) for name, raw in document.items() if name in known}
    return cls(**values)


def _typed(hint: Any, raw: Any) -> Any:  # noqa: ANN401 - the mirror of _plain
    """`raw` as the field's type; the fields above are X, X | None or tuple[X, ...], nothing else."""
    if get_origin(hint) is tuple:
        if not isinstance(raw, list):
            msg = f"expected a list, got {raw!r}"
            raise TypeError(msg)
        return tuple(_typed(get_args(hint)[0], item) for item in raw)
    wanted = next(option for option in (get_args(hint) or (hint,)) if option is not type(None))
    if hasattr(wanted, "__dataclass_fields__"):
        return _build(wanted, raw)
    if issubclass(wanted, StrEnum):
        return wanted(raw)
    if wanted is float and type(raw) is int:  # JSON writes 2.0 as 2; a bool is no number
        return float(raw)
    if type(raw) is not wanted:
        msg = f"expected {wanted.__name__}, got {raw!r}"
        raise TypeError(msg)
    return raw
