"""Rules about what we keep on disk until somebody takes it: the agent's push queues, the analyzer's outbox and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.alerts.places import NODE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import findings_queue, own
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, increase, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog import Metric

__all__ = ["GROUP"]

SINK: Final = (*NODE, "sink")
OUTBOX: Final = ("cluster", "instance", "sink")
AHEAD_SECONDS: Final = 4 * 3600  # time for a person to do something before data are lost

_REFUSED: Final = ("dead_lettered", "dropped")
_FINDINGS_LOST: Final = (findings_queue.DROPPED, findings_queue.DEAD_LETTERED)


def _filling(size: Sequence[Metric], most: Sequence[Metric], place: Sequence[str]) -> str:
    """Queues that will be full by then, of those that are not nearly empty; `or` joins rows of different sinks."""
    on = f"on ({', '.join(place)})"
    ahead = _any([f"predict_linear({select(row)}[1h], {AHEAD_SECONDS})" for row in size])
    now, room = _any([select(row) for row in size]), _any([select(row) for row in most])
    ahead, now, room = (aggregate("max", one, by=place) for one in (ahead, now, room))
    return f"{ahead} > {on} {room} and {on} {now} / {on} {room} > $threshold"


def _age(oldest: Sequence[Metric], place: Sequence[str]) -> str:
    return f"time() - {aggregate('min', _any([select(row) for row in oldest]), by=place)} > $threshold"


def _any(expressions: Sequence[str]) -> str:
    return " or ".join(expressions)


def _lost(rows: Sequence[Metric], place: Sequence[str]) -> str:
    return " + ".join(aggregate("sum", increase(row, "15m"), by=place) for row in rows)


_DOCUMENTS_LOST: Final = aggregate("sum", increase(own.OUTBOX_DOCUMENTS, "15m", outcome=_REFUSED), by=OUTBOX)

GROUP: Final = Group(
    name="queues",
    rules=(
        Rule(
            alert="PushQueueFilling",
            expr=_filling((own.QUEUE_BYTES,), (own.QUEUE_MAX_BYTES,), SINK),
            hold="10m",
            threshold=0.1,
            labels=SINK,
            severity=Severity.WARNING,
            scope="node",
            dashboard="telemetry",
            summary="The queue of {{ $labels.sink }} on {{ $labels.node }} will be full within four hours",
            description="""
                At the pace of the last hour the agent's queue for {{ $labels.sink }} on {{ $labels.node }} reaches its
                limit within 4 hours, and more than $threshold% of it is taken; then the oldest batches are lost. First
                look: whether the receiver answers, `warpgauge doctor` on the node asks it.
            """,
        ),
        Rule(
            alert="PushStalled",
            expr=_age((own.QUEUE_OLDEST,), SINK),
            hold="5m",
            threshold=900.0,
            labels=SINK,
            severity=Severity.WARNING,
            scope="node",
            dashboard="telemetry",
            summary="{{ $labels.sink }} has nothing of {{ $labels.node }} since {{ $value | humanizeDuration }}",
            description="""
                What the agent on {{ $labels.node }} pushes to {{ $labels.sink }} has waited for {{ $value |
                humanizeDuration }}; it is kept on disk and sent once the receiver takes it. First look: the agent's log
                (sink does not take all) gives the receiver's own words.
            """,
        ),
        Rule(
            alert="PushLosesBatches",
            expr=f"{_lost((own.QUEUE_DROPPED, own.QUEUE_DEAD_LETTERED), SINK)} > $threshold",
            threshold=0.0,
            labels=SINK,
            severity=Severity.WARNING,
            scope="node",
            dashboard="telemetry",
            summary='The agent on {{ $labels.node }} lost {{ printf "%.0f" $value }} batches for {{ $labels.sink }}',
            description="""
                In 15 minutes {{ printf "%.0f" $value }} batches of the agent on {{ $labels.node }} for {{ $labels.sink
                }} were dropped (too old, no room) or refused for good. First look: warpgauge_agent_queue_dropped_total
                against warpgauge_agent_queue_dead_lettered_total, and the agent's log.
            """,
        ),
        Rule(
            alert="OutboxStalled",
            expr=_age((own.OUTBOX_OLDEST, findings_queue.OLDEST), OUTBOX),
            hold="5m",
            threshold=900.0,
            labels=OUTBOX,
            severity=Severity.WARNING,
            scope="fleet",
            dashboard="telemetry",
            summary="{{ $labels.sink }} gets no findings: the oldest waits {{ $value | humanizeDuration }}",
            description="""
                The analyzer {{ $labels.instance }} has not been able to give {{ $labels.sink }} a document for {{
                $value | humanizeDuration }}: recommendations, or findings as log records, do not arrive there. First
                look: the analyzer's log names the sink and its answer.
            """,
        ),
        Rule(
            alert="OutboxFilling",
            expr=_filling(
                (own.OUTBOX_BYTES, findings_queue.BYTES), (own.OUTBOX_MAX_BYTES, findings_queue.MAX_BYTES), OUTBOX
            ),
            hold="10m",
            threshold=0.1,
            labels=OUTBOX,
            severity=Severity.WARNING,
            scope="fleet",
            dashboard="telemetry",
            summary="What the analyzer keeps for {{ $labels.sink }} will be full within four hours",
            description="""
                At the pace of the last hour the queue of the analyzer {{ $labels.instance }} for {{ $labels.sink }}
                reaches its limit within 4 hours, and more than $threshold% of it is taken; then the oldest documents
                are lost. First look: whether {{ $labels.sink }} answers; the analyzer's log has its words.
            """,
        ),
        Rule(
            alert="OutboxLosesDocuments",
            expr=f"({_DOCUMENTS_LOST} or {_lost(_FINDINGS_LOST, OUTBOX)}) > $threshold",
            threshold=0.0,
            labels=OUTBOX,
            severity=Severity.WARNING,
            scope="fleet",
            dashboard="telemetry",
            summary='The analyzer lost {{ printf "%.0f" $value }} documents for {{ $labels.sink }}',
            description="""
                In 15 minutes {{ printf "%.0f" $value }} documents of the analyzer {{ $labels.instance }} for {{
                $labels.sink }} were dropped (too old, no room) or refused for good: recommendations or findings that
                it never gets. First look: warpgauge_outbox_documents_total by outcome, and the analyzer's log.
            """,
        ),
    ),
)
