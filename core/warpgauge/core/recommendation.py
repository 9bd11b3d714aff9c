"""Recommendations: what to do about a finding, as a CloudEvents 1.0 document that a scheduling core can read.

The document is advice. It says what must be checked before anyone acts, when it expires and how to undo it; whoever
reads it must reject a `kind` it does not know and may ignore fields it does not know.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from typing import Any, Final

from warpgauge.core.document import JSON_NAME, Instant, from_document, rfc3339, to_document
from warpgauge.core.errors import InputError
from warpgauge.core.finding import Evidence, FindingKind, Severity, stable_id

__all__ = [
    "CONTENT_TYPE",
    "RECOMMENDATION_DATASCHEMA",
    "RECOMMENDATION_TYPE",
    "Approval",
    "Cause",
    "ExpectedGain",
    "Precondition",
    "Producer",
    "Recommendation",
    "RecommendationKind",
    "Reversible",
    "Target",
    "TargetType",
    "Text",
    "idempotency_key",
    "recommendation_from_event",
    "recommendation_id",
    "recommendation_schema",
]

CONTENT_TYPE: Final = "application/cloudevents+json"
RECOMMENDATION_TYPE: Final = "warpgauge.recommendation.v1"
RECOMMENDATION_DATASCHEMA: Final = "urn:warpgauge:schema:recommendation:v1"
SOURCE: Final = "/warpgauge/analyzer"
_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, RECOMMENDATION_DATASCHEMA)


class RecommendationKind(StrEnum):
    """What is advised. Kinds are added, never renamed; a reader rejects one that it does not know."""

    FIX_INPUT_PIPELINE = "fix-input-pipeline"
    TUNE_COMMUNICATION = "tune-communication"
    TUNE_BATCH_SIZE = "tune-batch-size"
    RAISE_POWER_LIMIT = "raise-power-limit"
    CHECK_COOLING = "check-cooling"
    INSPECT_HARDWARE = "inspect-hardware"
    AVOID_NODE = "avoid-node"
    CORDON = "cordon"
    UNCORDON = "uncordon"
    DRAIN = "drain"
    MIGRATE = "migrate"
    REPACK = "repack"
    REPLACE_STRAGGLER = "replace-straggler"
    COLOCATE = "colocate"
    SEPARATE = "separate"
    RESIZE_REQUEST = "resize-request"
    MIG_REPROFILE = "mig-reprofile"
    SHRINK_JOB = "shrink-job"
    GROW_JOB = "grow-job"
    REBALANCE_QUEUE = "rebalance-queue"
    RECLAIM_IDLE = "reclaim-idle"
    RESET_DEVICE = "reset-device"
    REBOOT_NODE = "reboot-node"

    @property
    def is_disruptive(self) -> bool:
        """Whether following it takes something away from running work."""
        return self not in _HARMLESS


_HARMLESS: Final = frozenset(
    {
        RecommendationKind.FIX_INPUT_PIPELINE,
        RecommendationKind.TUNE_COMMUNICATION,
        RecommendationKind.TUNE_BATCH_SIZE,
        RecommendationKind.RAISE_POWER_LIMIT,
        RecommendationKind.CHECK_COOLING,
        RecommendationKind.INSPECT_HARDWARE,
        RecommendationKind.AVOID_NODE,
        RecommendationKind.UNCORDON,
    }
)


class TargetType(StrEnum):
    """What sort of thing a recommendation is about."""

    NODE = "node"
    DEVICE = "device"
    WORKLOAD = "workload"


class Reversible(StrEnum):
    """Whether following the recommendation can be undone."""

    YES = "yes"
    NO = "no"
    PARTLY = "partly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """Who wrote the document."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to act on; `name` is its name in its platform, a device's name is its UUID."""

    cluster: str
    type: TargetType
    name: str
    platform: str | None = None  # kubernetes, slurm, yarn, docker; absent when nothing told us
    node: str | None = None
    gpu_uuid: str | None = None
    mig_instance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The finding it rests on."""

    finding_kind: FindingKind = field(metadata={JSON_NAME: "class"})
    detector: str
    severity: Severity
    finding_id: str
    incident_id: str | None = None
    first_seen: Instant
    last_seen: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedGain:
    """What following it would win over `horizon_seconds`, were the condition to go on; only if it was computed."""

    metric: str
    unit: str
    p50: float
    method: str
    horizon_seconds: float
    p10: float | None = None
    p90: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """Something to check again right before acting; `expected` is what must still hold."""

    check: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Whether a person must agree first."""

    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The words for people."""

    summary: str
    detail: str
    runbook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One piece of advice with its evidence, limits and way back. Times are seconds since the epoch."""

    id: str
    idempotency_key: str
    schema_version: str = "1"
    producer: Producer
    kind: RecommendationKind
    mode: str  # observe: only to be seen; propose: a person or an executor may follow it
    target: tuple[Target, ...]
    cause: Cause
    evidence: tuple[Evidence, ...]
    confidence: float  # 0-1
    reversible: Reversible
    undo: str | None = None
    preconditions: tuple[Precondition, ...]
    created: Instant
    not_before: Instant
    expires_at: Instant
    conflict_group: str
    approval: Approval
    text: Text
    expected_gain: ExpectedGain | None = None
    simulated: bool = False  # derived from simulated data: nothing may act on it

    def to_event(self) -> dict[str, Any]:
        """The recommendation as a CloudEvents 1.0 JSON object in structured mode."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": SOURCE,
            "type": RECOMMENDATION_TYPE,
            "subject": self.target[0].name,
            "time": rfc3339(self.created),
            "datacontenttype": "application/json",
            "dataschema": RECOMMENDATION_DATASCHEMA,
            "data": to_document(self),
        }


def idempotency_key(kind: RecommendationKind, targets: tuple[Target, ...], cause: str, window_start: float) -> str:
    """The same for the same advice on the same things for the same cause, after any number of restarts."""
    places = sorted(f"{target.cluster}/{target.type}/{target.name}" for target in targets)
    return stable_id(kind, *places, cause, int(window_start))


def recommendation_id(key: str) -> str:
    """The document's id: a name-based UUID of its idempotency key, so that sending it again is sending the same."""
    return str(uuid.uuid5(_IDS, key))


def recommendation_from_event(event: Mapping[str, Any]) -> Recommendation:
    """Read what `to_event` wrote.

    Raises:
        InputError: it is another type of event, its kind is unknown, or a field is missing or malformed.

    """
    if not isinstance(event, Mapping) or event.get("specversion") != "1.0":
        msg = "not a CloudEvents 1.0 document: specversion must be '1.0'"
        raise InputError(msg)
    if event.get("type") != RECOMMENDATION_TYPE:
        msg = f"not a recommendation: type is {event.get('type')!r}, expected {RECOMMENDATION_TYPE!r}"
        raise InputError(msg)
    try:
        recommendation = from_document(Recommendation, event.get("data"), "data")
    except ValueError as error:
        msg = f"recommendation {event.get('id')!r} is malformed: {error}"
        raise InputError(msg) from error
    return _consistent(recommendation, event)


def _consistent(recommendation: Recommendation, event: Mapping[str, Any]) -> Recommendation:
    wrong = {
        "id differs from data.id": event.get("id") != recommendation.id,
        "data.target is empty": not recommendation.target,
        "data.confidence is outside 0-1": not 0 <= recommendation.confidence <= 1,
        "it expires before it begins": recommendation.expires_at <= recommendation.not_before,
    }
    for words, holds in wrong.items():
        if holds:
            msg = f"recommendation {event.get('id')!r} is malformed: {words}"
            raise InputError(msg)
    return recommendation


def recommendation_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the whole event, as it is shipped in the package."""
    path = resources.files("warpgauge.core") / "schemas" / "recommendation.v1.schema.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
