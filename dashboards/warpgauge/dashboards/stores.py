"""What is kept on disk: queues of what a receiver has not taken yet, and the analyzer's history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from warpgauge.core.catalog import findings_queue, own
from warpgauge.core.promql import aggregate, increase, rate, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Section
from warpgauge.dashboards.queries import HOST, WINDOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.promql import LabelValue

__all__ = ["history_section", "queues_section"]

_AGENT_SINK: Final = (*HOST, "sink")
_ANALYZER: Final = ("cluster", "instance")
_ANALYZER_SINK: Final = (*_ANALYZER, "sink")


def queues_section(here: Mapping[str, LabelValue]) -> Section:
    """What waits on disk for a receiver: of agents what they push, of the analyzer documents and findings."""
    pushed = aggregate("max", select(own.QUEUE_BYTES, **here), by=_AGENT_SINK)
    room = aggregate("max", select(own.QUEUE_MAX_BYTES, **here), by=_AGENT_SINK)
    told = _analyzers("max", select(own.OUTBOX_BYTES), select(findings_queue.BYTES))
    told_room = _analyzers("max", select(own.OUTBOX_MAX_BYTES), select(findings_queue.MAX_BYTES))
    waits = aggregate("min", select(own.QUEUE_OLDEST, **here), by=_AGENT_SINK)
    told_waits = _analyzers("min", select(own.OUTBOX_OLDEST), select(findings_queue.OLDEST))
    gone = [
        aggregate("sum", increase(row, WINDOW, **here), by=_AGENT_SINK)
        for row in (own.QUEUE_DROPPED, own.QUEUE_DEAD_LETTERED)
    ]
    records = aggregate("sum", increase(own.LOG_RECORDS_DROPPED, WINDOW, **here), by=HOST)
    documents = increase(own.OUTBOX_DOCUMENTS, WINDOW, outcome=("dead_lettered", "dropped"))
    findings = [increase(row, WINDOW) for row in (findings_queue.DROPPED, findings_queue.DEAD_LETTERED)]
    return Section(
        "Queues",
        (
            grafana.graph(
                own.QUEUE_BYTES,
                *_both(f"{pushed} / {room}", f"{told} / {told_room}"),
                title="Room taken on disk",
                note="At 100 % the oldest is lost. The analyzer's lines are its outbox and its findings for logs.",
                width=8,
                unit="percentunit",
            ),
            grafana.graph(
                own.QUEUE_OLDEST,
                *_both(f"time() - {waits}", f"time() - {told_waits}"),
                title="Longest wait for a receiver",
                note="No line where nothing waits.",
                width=8,
                unit="s",
            ),
            grafana.graph(
                own.QUEUE_DROPPED,
                *_both(" + ".join(gone), _analyzers("sum", documents, " + ".join(findings))),
                grafana.query(records, "{{node}} log records"),
                title="Lost or refused for good",
                note="Batches and log records of agents, documents and batches of findings of the analyzer.",
                width=8,
                unit="short",
            ),
            *_refusals(here),
        ),
    )


def _refusals(here: Mapping[str, LabelValue]) -> tuple[grafana.Panel, ...]:
    return (
        grafana.graph(
            own.QUEUE_RETRIES,
            *_both(
                aggregate("sum", rate(own.QUEUE_RETRIES, WINDOW, **here), by=_AGENT_SINK),
                _analyzers("sum", rate(own.OUTBOX_FAILURES, WINDOW), rate(findings_queue.RETRIES, WINDOW)),
            ),
            title="Attempts that a receiver did not take",
            note="They are repeated, so nothing is lost yet: look at the receiver while the wait still grows.",
        ),
        grafana.graph(
            own.QUEUE_REFUSED,
            grafana.query(
                aggregate("sum", rate(own.QUEUE_REFUSED, WINDOW, **here), by=_AGENT_SINK), "{{node}} {{sink}}"
            ),
            grafana.query(
                aggregate("sum", rate(findings_queue.REFUSED, WINDOW), by=_ANALYZER_SINK),
                "analyzer {{instance}} {{sink}}",
            ),
            title="Taken and thrown away by the receiver",
            note="Its own log says why: too old, too many series, a limit of the tenant.",
        ),
    )


def history_section() -> Section:
    """Whether the samples that a week's question will need are being kept."""
    return Section(
        "History of the analyzer",
        (
            grafana.graph(
                own.HISTORY_BYTES,
                grafana.query(aggregate("max", select(own.HISTORY_BYTES), by=_ANALYZER), "{{instance}}"),
                title="Size of the history",
                width=8,
            ),
            grafana.graph(
                own.HISTORY_OLDEST,
                grafana.query(
                    f"time() - {aggregate('min', select(own.HISTORY_OLDEST), by=_ANALYZER)}",
                    "{{instance}} reaches back",
                ),
                grafana.query(
                    f"time() - {aggregate('max', select(own.HISTORY_LAST_WRITE), by=_ANALYZER)}",
                    "{{instance}} last written",
                ),
                title="How far back it reaches, and how old its last file is",
                note="What asks for a week, such as `oversized`, needs eight days.",
                width=8,
                unit="s",
            ),
            grafana.graph(
                own.HISTORY_DROPPED,
                grafana.query(
                    aggregate("sum", rate(own.HISTORY_DROPPED, WINDOW), by=(*_ANALYZER, "reason")),
                    "{{instance}} {{reason}}",
                ),
                grafana.query(
                    aggregate("sum", rate(own.HISTORY_WRITTEN, WINDOW), by=_ANALYZER), "{{instance}} written"
                ),
                title="Samples written, and left out by reason",
                width=8,
            ),
        ),
    )


def _analyzers(operation: Literal["min", "max", "sum"], outbox: str, findings: str) -> str:
    """Over both kinds of the analyzer's queues, whose sinks have different names."""
    return aggregate(operation, f"{outbox} or {findings}", by=_ANALYZER_SINK)


def _both(agents: str, analyzers: str) -> tuple[grafana.Query, grafana.Query]:
    return grafana.query(agents, "{{node}} {{sink}}"), grafana.query(analyzers, "analyzer {{instance}} {{sink}}")
