"""Recommendations: what to do about a finding, as a CloudEvents 1.0 document that a scheduling core can read.

The document is advice. It says what must be checked before anyone acts, when it expires and how to undo it; whoever
reads it must reject a `kind` it does not know and may ignore fields it does not know.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.document import JSON_NAME, Instant
from warpgauge.core.event import CONTENT_TYPE, data_of, event_of, malformed, schema
from warpgauge.core.finding import Evidence, FindingKind, Severity, stable_id

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONTENT_TYPE",
    "RECOMMENDATION_DATASCHEMA",
    "RECOMMENDATION_TYPE",
    "Approval",
    "Cause",
    "Disruption",
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

_NAME: Final = "recommendation"
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
    UNDO = "undo"  # what was done on the recommendation that `undoes` names

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
        RecommendationKind.UNDO,
    }
)


class TargetType(StrEnum):
    """What sort of thing a recommendation is about."""

    NODE = "node"
    DEVICE = "device"
    WORKLOAD = "workload"
    QUEUE = "queue"


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
    uid: str | None = None  # the platform's own, where a name can be given again
    resource_version: str | None = None  # of what was seen, or a digest of it
    rack: str | None = None


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
    """Whether a person must agree first, and who did."""

    required: bool
    policy: str | None = None  # the mode that decided
    by: str | None = None
    at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disruption:
    """What following it takes from running work, as far as it is known; absent is unknown, never none."""

    jobs_affected: tuple[str, ...] | None = None
    gang: bool | None = None  # all ranks of the job go or none
    device_seconds_lost: float | None = None  # since the last checkpoint
    restart_seconds: float | None = None
    checkpoint_age_seconds: float | None = None


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
    mode: str  # observe: only to be seen; propose: for people; approve: followed once approved; auto: followed
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
    disruption: Disruption | None = None
    helps: tuple[Target, ...] | None = None  # whose work is to go better, where not the target's own: what is verified
    undoes: str | None = None  # of kind undo: the id of the recommendation whose doing is to be taken back
    supersedes: tuple[str, ...] | None = None  # ids of recommendations that this one stands for now
    depends_on: tuple[str, ...] | None = None  # ids of recommendations that must be executed before

    @property
    def may_be_followed(self) -> bool:
        """Mode auto acts unless an approval is required; approve acts once approved; the others never do."""
        is_approved = self.approval.by is not None
        if self.mode == "auto":
            return is_approved or not self.approval.required
        return self.mode == "approve" and is_approved

    def to_event(self) -> dict[str, Any]:
        """The recommendation as a CloudEvents 1.0 JSON object in structured mode."""
        return event_of(_NAME, self, source=SOURCE, subject=self.target[0].name, time=self.created)


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
    recommendation = data_of(event, _NAME, Recommendation)
    wrong = {
        "data.target is empty": not recommendation.target,
        "data.confidence is outside 0-1": not 0 <= recommendation.confidence <= 1,
        "it expires before it begins": recommendation.expires_at <= recommendation.not_before,
        "data.undoes is missing": recommendation.kind is RecommendationKind.UNDO and not recommendation.undoes,
    }
    for words, holds in wrong.items():
        if holds:
            raise malformed(_NAME, event, words)
    return recommendation


def recommendation_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the whole event, as it is shipped in the package."""
    return schema(_NAME)
