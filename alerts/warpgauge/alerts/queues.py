"""Rules about what we keep on disk until somebody takes it: the agent's push queues and the analyzer's outbox."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import NODE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import own
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, increase, select

__all__ = ["GROUP"]

SINK: Final = (*NODE, "sink")
OUTBOX: Final = ("cluster", "instance", "sink")
AHEAD_SECONDS: Final = 4 * 3600  # time for a person to do something before data are lost

_BYTES, _MOST = (aggregate("max", select(row), by=SINK) for row in (own.QUEUE_BYTES, own.QUEUE_MAX_BYTES))
_AHEAD: Final = aggregate("max", f"predict_linear({select(own.QUEUE_BYTES)}[1h], {AHEAD_SECONDS})", by=SINK)
_AGE: Final = f"time() - {aggregate('min', select(own.QUEUE_OLDEST), by=SINK)}"
_LOST: Final = " + ".join(
    aggregate("sum", increase(row, "15m"), by=SINK) for row in (own.QUEUE_DROPPED, own.QUEUE_DEAD_LETTERED)
)
_OUTBOX_AGE: Final = f"time() - {aggregate('min', select(own.OUTBOX_OLDEST), by=OUTBOX)}"
_ON_SINK: Final = f"on ({', '.join(SINK)})"

GROUP: Final = Group(
    name="queues",
    rules=(
        Rule(
            alert="PushQueueFilling",
            expr=f"{_AHEAD} > {_ON_SINK} {_MOST} and {_ON_SINK} {_BYTES} / {_ON_SINK} {_MOST} > $threshold",
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
            expr=f"{_AGE} > $threshold",
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
            expr=f"{_LOST} > $threshold",
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
            expr=f"{_OUTBOX_AGE} > $threshold",
            hold="5m",
            threshold=900.0,
            labels=OUTBOX,
            severity=Severity.WARNING,
            scope="fleet",
            dashboard="telemetry",
            summary="{{ $labels.sink }} gets no findings: the oldest waits {{ $value | humanizeDuration }}",
            description="""
                The analyzer {{ $labels.instance }} has not been able to give {{ $labels.sink }} a document for {{
                $value | humanizeDuration }}: recommendations do not arrive there. First look: the analyzer's log names
                the sink and its answer.
            """,
        ),
    ),
)
