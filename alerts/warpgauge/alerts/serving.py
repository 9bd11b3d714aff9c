"""Rules about inference servers: who does not answer, who lets people wait, and for what."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import NODE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import serving
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, over_time, rate, select

__all__ = ["GROUP"]

ENDPOINT: Final = (*NODE, "endpoint")
MODEL: Final = (*ENDPOINT, "model")
ON_MODEL: Final = f"on ({', '.join(MODEL)})"

_ALWAYS_WAITING: Final = aggregate("max", over_time("min", serving.WAITING, "5m"), by=MODEL)
_WAITING: Final = aggregate("max", over_time("avg", serving.WAITING, "5m"), by=MODEL)
_CACHE: Final = aggregate("max", over_time("avg", serving.KV_CACHE, "5m"), by=MODEL)
_PREEMPTED: Final = aggregate("sum", rate(serving.PREEMPTIONS, "10m"), by=MODEL)
_BUCKETS: Final = aggregate("sum", rate(serving.FIRST_TOKEN, "5m", "bucket"), by=(*MODEL, "le"))

GROUP: Final = Group(
    name="serving",
    rules=(
        Rule(
            alert="ServingDown",
            expr=f"{aggregate('max', select(serving.UP), by=ENDPOINT)} == 0",
            hold="2m",
            labels=ENDPOINT,
            severity=Severity.WARNING,
            scope="job",
            dashboard="serving",
            summary="The inference server {{ $labels.endpoint }} on {{ $labels.node }} does not answer",
            description="""
                The metrics page {{ $labels.endpoint }} of an inference server on {{ $labels.node }} has not been
                readable for $hold: the server is down, hangs, or shows something else there. First look: its own log,
                then `curl -s {{ $labels.endpoint }}` on the node.
            """,
        ),
        Rule(
            alert="ServingQueueStands",
            expr=f"{_ALWAYS_WAITING} > $threshold",
            hold="5m",
            threshold=0.0,
            labels=MODEL,
            severity=Severity.WARNING,
            scope="job",
            dashboard="serving",
            summary='{{ printf "%.0f" $value }} or more requests wait for {{ $labels.model }} on {{ $labels.node }}',
            description="""
                At no moment of the last 5 minutes fewer than {{ printf "%.0f" $value }} requests waited for model {{
                $labels.model }} on {{ $labels.node }}, and that for $hold: more come than are done. First look: whether
                its KV cache is full (then it is memory), then how many replicas take the load.
            """,
        ),
        Rule(
            alert="ServingCacheFull",
            expr=f"{_CACHE} > $threshold and {ON_MODEL} {_WAITING} >= 1",
            hold="5m",
            threshold=0.95,
            labels=MODEL,
            severity=Severity.WARNING,
            scope="job",
            dashboard="serving",
            summary="{{ $labels.model }} on {{ $labels.node }} has no room left for contexts",
            description="""
                The KV cache of model {{ $labels.model }} on {{ $labels.node }} was {{ $value | humanizePercentage }}
                full over the last 5 minutes while requests waited, for $hold: memory decides how many run at once.
                First look: the longest contexts, then the share of memory that the server may take.
            """,
        ),
        Rule(
            alert="ServingPreempts",
            expr=f"{_PREEMPTED} > $threshold",
            hold="10m",
            threshold=0.05,
            labels=MODEL,
            severity=Severity.INFO,
            scope="job",
            dashboard="serving",
            summary='{{ $labels.model }} on {{ $labels.node }} throws out {{ printf "%.2f" $value }} requests a second',
            description="""
                Model {{ $labels.model }} on {{ $labels.node }} has put {{ printf "%.2f" $value }} requests a second
                back into the queue for $hold because its KV cache was full; their work is done twice. First look: the
                number of sequences that it may run at once.
            """,
        ),
        Rule(
            alert="ServingSlowFirstToken",
            expr=f"histogram_quantile(0.95, {_BUCKETS}) > $threshold",
            hold="5m",
            threshold=10.0,
            labels=MODEL,
            severity=Severity.WARNING,
            scope="job",
            dashboard="serving",
            summary='One in twenty waits {{ printf "%.0f" $value }} s or longer for a word of {{ $labels.model }}',
            description="""
                For $hold one request in twenty to {{ $labels.model }} on {{ $labels.node }} has waited {{ printf "%.0f"
                $value }} s or longer for its first token, more than $threshold s. First look: the queue, then the
                length of prompts: a long one is read before its first token comes.
            """,
        ),
    ),
)
