"""The executor's answer: how far a recommendation has come, phase by phase."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from warpgauge.core.document import Instant  # noqa: TC001 - read at run time, by get_type_hints
from warpgauge.core.event import data_of, event_of, malformed
from warpgauge.core.recommendation import Producer  # noqa: TC001 - as above

__all__ = ["Ack", "NativeRef", "Phase", "ack_from_event", "ack_id"]

_NAME: Final = "ack"
_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:warpgauge:schema:ack:v1")
_NEED_A_REASON: Final = frozenset({"rejected", "failed"})


class Phase(StrEnum):
    """How far an executor has come. Phases are added, never renamed."""

    RECEIVED = "received"
    REJECTED = "rejected"  # nothing was done, and nothing will be: `reason` says why
    ACCEPTED = "accepted"  # every precondition holds
    DRY_RUN_OK = "dryRunOk"  # the core was asked, and would do it
    EXECUTING = "executing"  # from here on something may have changed
    EXECUTED = "executed"
    FAILED = "failed"  # `reason` says why, `detail` what is left
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it within one attempt."""
        return self not in {Phase.RECEIVED, Phase.ACCEPTED, Phase.DRY_RUN_OK, Phase.EXECUTING}


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeRef:
    """Something of the core's own that was changed or made, by the name and version that the core gave it."""

    kind: str  # node, job, eviction, reservation, application, ...
    name: str
    uid: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """One step of one attempt of one executor."""

    id: str
    schema_version: str = "1"
    recommendation_id: str
    idempotency_key: str  # of the recommendation
    executor: Producer
    attempt: int  # from 1
    phase: Phase
    reason: str | None = None  # a code in camelCase: preconditionFailed, pdbRefused, ...
    detail: str | None = None  # for people; of dryRunOk what would be done
    native_refs: tuple[NativeRef, ...] = ()
    at: Instant

    def to_event(self) -> dict[str, Any]:
        """The ack as a CloudEvents 1.0 JSON object in structured mode."""
        return event_of(
            _NAME,
            self,
            source=f"/warpgauge/executor/{self.executor.name}",
            subject=self.recommendation_id,
            time=self.at,
        )


def ack_id(recommendation_id: str, executor: str, attempt: int, phase: Phase) -> str:
    """The same for the same step, so that an ack sent twice is one."""
    return str(uuid.uuid5(_IDS, f"{recommendation_id}/{executor}/{attempt}/{phase}"))


def ack_from_event(event: object) -> Ack:
    """Read what `to_event` wrote.

    Raises:
        InputError: it is another type of event, its phase is unknown, or a field is missing or malformed.

    """
    ack = data_of(event, _NAME, Ack)
    wrong = {
        "data.attempt is below 1": ack.attempt < 1,
        f"data.reason is missing for phase {ack.phase}": ack.phase in _NEED_A_REASON and not ack.reason,
    }
    for words, holds in wrong.items():
        if holds:
            raise malformed(_NAME, event, words)
    return ack
