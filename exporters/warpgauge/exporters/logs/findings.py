"""What the analyzer finds, as log records for the same sinks as the agent's, over queues of its own.

A record tells that a finding was raised, that its severity changed, or that it ended. Told again after a
restart it has the same id. What is simulated or muted is not told.
"""

from __future__ import annotations

import json
import logging
import platform
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import findings_queue as rows
from warpgauge.core.errors import StorageError
from warpgauge.core.sample import Sample
from warpgauge.exporters.log_record import LogRecord
from warpgauge.exporters.logs.shipping import log_sinks
from warpgauge.exporters.push.queues import delivery_of, queue_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import Config
    from warpgauge.core.finding import Finding
    from warpgauge.exporters.push.worker import Delivery, DeliveryStats

__all__ = ["FindingRecords", "Shipping", "shipped_findings"]

_LOG: Final = logging.getLogger(__name__)
_FOLDER: Final = "findings"
_MOST_IN_A_BATCH: Final = 500
_MOST_EVIDENCE_CHARACTERS: Final = 8192

Attributes = dict[str, str | int | float | bool]


@contextmanager
def shipped_findings(config: Config, environ: Mapping[str, str], clock: Clock) -> Iterator[Shipping | None]:
    """What findings are told to; None where no sink for logs is configured.

    Raises:
        ConfigError: a setting is unfit, or the library of an extra is missing.
        StorageError: a queue cannot be opened.

    """
    sinks = log_sinks(config, environ, clock) if config.logs.findings else []
    if not sinks:
        yield None
        return
    folder = queue_folder(config, environ) / _FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        msg = f"cannot make {folder}: {error.strerror or error}"
        raise StorageError(msg) from error
    shipping = Shipping([delivery_of(sink, folder, config.push, clock) for sink in sinks], clock)
    try:
        yield shipping
    finally:
        shipping.close()


class Shipping:
    """Deliveries at work."""

    def __init__(self, deliveries: Sequence[Delivery[Sequence[LogRecord]]], clock: Clock) -> None:
        self._deliveries = deliveries
        self._records = FindingRecords(node=platform.node(), now=clock.now)
        self._troubles: dict[str, str] = {}
        for delivery in deliveries:
            delivery.start()

    def hear(self, findings: Sequence[Finding]) -> None:
        """Take the findings that hold or ended lately, each time. For the event loop: it waits for no disk."""
        news = self._records.news(findings)
        for delivery in self._deliveries:
            for first in range(0, len(news), _MOST_IN_A_BATCH):
                delivery.offer(news[first : first + _MOST_IN_A_BATCH])
            self._tell(delivery.sink.name, delivery.trouble)

    def samples(self) -> Iterator[Sample]:
        """How each queue does; one that cannot be read has nothing to say. Waits for the disk."""
        for delivery in self._deliveries:
            with suppress(StorageError):
                yield from _samples(delivery.sink.name, delivery.stats())

    def close(self) -> None:
        """End the deliveries; what was not sent waits in the queues for the next start."""
        for delivery in self._deliveries:
            delivery.close()

    def _tell(self, sink: str, trouble: str) -> None:
        """Once per change between well and not."""
        before, self._troubles[sink] = self._troubles.get(sink, ""), trouble
        if trouble and not before:
            _LOG.warning("sink does not take findings", extra={"sink": sink, "why": trouble})
        elif before and not trouble:
            _LOG.info("sink takes findings again", extra={"sink": sink})


def _samples(sink: str, stats: DeliveryStats) -> Iterator[Sample]:
    numbers = {
        rows.RECORDS: stats.records,
        rows.BYTES: stats.bytes,
        rows.MAX_BYTES: stats.max_bytes,
        rows.OLDEST: stats.oldest_timestamp,
        rows.ACKED: stats.acked,
        rows.DROPPED: stats.dropped,
        rows.RETRIES: stats.retries,
        rows.DEAD_LETTERED: stats.dead_lettered,
        rows.REFUSED: stats.refused,
    }
    return (Sample(row, (sink,), float(number)) for row, number in numbers.items() if number is not None)


class FindingRecords:
    """Turns what holds into what is new."""

    def __init__(self, *, node: str, now: Callable[[], float]) -> None:
        """`node` is this machine, for findings that are about no node."""
        self._node = node
        self._now = now
        self._told: dict[str, str] = {}  # id -> severity it was told with, or that it ended

    def news(self, findings: Iterable[Finding]) -> list[LogRecord]:
        """One record for each that was raised, changed its severity or ended since; of one id the last counts."""
        before, self._told = self._told, {}
        found = []
        for finding in {one.id: one for one in findings}.values():  # that holds again wins over that ended
            state = "ended" if finding.ended is not None else finding.severity.value
            if finding.simulated or finding.muted is not None:
                continue
            self._told[finding.id] = state
            if before.get(finding.id) != state:
                found.append(self._record(finding, state, is_known=finding.id in before))
        return found

    def _record(self, finding: Finding, state: str, *, is_known: bool) -> LogRecord:
        scope = finding.scope
        time = finding.ended if finding.ended is not None else self._now() if is_known else finding.confirmed
        return LogRecord(
            id=f"{finding.id}-{state}",
            time=time,
            source="analyzer",
            kind="finding",
            severity=finding.severity,
            message=finding.summary,
            node=scope.node or self._node,
            uuid=scope.uuid or "",
            job_id=scope.job_id or "",
            attributes=_attributes(finding),
        )


def _attributes(finding: Finding) -> Attributes:
    scope, impact = finding.scope, finding.impact
    evidence = json.dumps(finding.to_json()["evidence"], separators=(",", ":"))
    told = {
        "finding_id": finding.id,
        "finding_kind": finding.kind.value,
        "state": "ended" if finding.ended is not None else "raised",
        "confidence": finding.confidence,
        "since": finding.since,
        "confirmed": finding.confirmed,
        "ended": finding.ended,
        "cluster": scope.cluster,
        "instance_id": scope.instance_id,
        "rank": scope.rank,
        "stage": scope.stage,
        "lost_device_seconds": impact.lost_device_seconds if impact else None,
        "slowdown_ratio": impact.slowdown_ratio if impact else None,
        "remedy": finding.remedy,
        "evidence": evidence if len(evidence) <= _MOST_EVIDENCE_CHARACTERS else None,
    }
    return {name: value for name, value in told.items() if value is not None}
