"""Metrics about ourselves: the agent and the analyzer."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.metric import Family, Kind, Metric, Tier, Unit

_CALL_BUCKETS: Final = (1e-5, 1e-4, 1e-3, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


def _agent(  # noqa: PLR0913, PLR0917 - a row has that many columns
    name: str,
    kind: Kind,
    unit: Unit,
    text: str,
    labels: tuple[str, ...] = (),
    buckets: tuple[float, ...] = (),
    states: tuple[str, ...] = (),
) -> Metric:
    return Metric(
        name, kind, unit, text, labels=labels, family=Family.AGENT, tier=Tier.NORMAL, buckets=buckets, states=states
    )


def _analyzer(  # noqa: PLR0913, PLR0917 - a row has that many columns
    name: str,
    kind: Kind,
    unit: Unit,
    text: str,
    labels: tuple[str, ...] = (),
    buckets: tuple[float, ...] = (),
) -> Metric:
    return Metric(name, kind, unit, text, labels=labels, family=Family.ANALYZER, tier=Tier.NORMAL, buckets=buckets)


AGENT_INFO: Final = _agent(
    "warpgauge_agent_build_info", Kind.INFO, Unit.NONE, "Version of the agent.", ("version", "python_version")
)
COLLECTOR_UP: Final = _agent(
    "warpgauge_agent_collector_up",
    Kind.GAUGE,
    Unit.NONE,
    "1 if the collector's last reading succeeded, 0 if it failed; absent if its devices are not on this machine or "
    "were released.",
    ("collector",),
)
COLLECTOR_LAST_SUCCESS: Final = _agent(
    "warpgauge_agent_collector_last_success_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "When the collector last finished a reading.",
    ("collector",),
)
RELEASED_UNTIL: Final = _agent(
    "warpgauge_agent_released_until_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "When the agent takes released devices back by itself; absent unless they are released.",
)
RESTART_NEEDED: Final = _agent(
    "warpgauge_agent_restart_needed",
    Kind.GAUGE,
    Unit.NONE,
    "1 while the driver refuses in a way that ends only with a restart of the agent's container, or of the driver "
    "where there is no container; reason is library_mismatch or unknown; absent otherwise.",
    ("collector", "reason"),
)
KERNEL_LOG_READABLE: Final = _agent(
    "warpgauge_agent_kernel_log_readable",
    Kind.GAUGE,
    Unit.NONE,
    "1 if XIDs are also read from the kernel log, 0 if it may not be read; absent where no device needs it.",
)
LOG_RECORDS: Final = _agent(
    "warpgauge_agent_log_records_total",
    Kind.COUNTER,
    Unit.NONE,
    "Log records put into the queue of every log sink; absent where none is configured.",
)
LOG_RECORDS_DROPPED: Final = _agent(
    "warpgauge_agent_log_records_dropped_total",
    Kind.COUNTER,
    Unit.NONE,
    "Log records of the kernel or our own that were more than logs.max_records_per_second or could not be stored.",
)
GPM_MODE: Final = _agent(
    "warpgauge_agent_gpm_mode",
    Kind.STATE,
    Unit.NONE,
    "Whether the activity counters (GPM) are read, and why: on and off are settings, auto_reading found no DCGM on this"
    " machine, auto_yielding found one and leaves them to it; absent where no device needs it.",
    ("mode",),
    states=("on", "off", "auto_reading", "auto_yielding"),
)
PROCESSES_LEFT_OUT: Final = _agent(
    "warpgauge_agent_processes_left_out",
    Kind.GAUGE,
    Unit.NONE,
    "Compute processes of a device beyond agent.process_metrics_limit, which have no series.",
    ("uuid", "index"),
)
COLLECT_SECONDS: Final = _agent(
    "warpgauge_agent_collect_seconds",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Duration of one reading of a collector.",
    ("collector",),
    buckets=_CALL_BUCKETS,
)
COLLECT_ERRORS: Final = _agent(
    "warpgauge_agent_collect_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "Things a collector could not read, by reason.",
    ("collector", "reason"),
)
CALL_SECONDS: Final = _agent(
    "warpgauge_agent_driver_call_seconds",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Duration of driver calls, by function.",
    ("collector", "function"),
    buckets=_CALL_BUCKETS,
)
CHILD_RESTARTS: Final = _agent(
    "warpgauge_agent_child_restarts_total",
    Kind.COUNTER,
    Unit.NONE,
    "Times a collector's child process ended, by reason: hung, crashed, failed (the whole driver), lost (to let go of "
    "a device), returned (a device answers again), inventory (devices came or went).",
    ("collector", "reason"),
)
SCRAPES: Final = _agent(
    "warpgauge_agent_scrapes_total", Kind.COUNTER, Unit.NONE, "Pages served, by format.", ("format",)
)
MISSED_TICKS: Final = _agent(
    "warpgauge_agent_missed_ticks_total",
    Kind.COUNTER,
    Unit.NONE,
    "Readings that were due and did not happen in time.",
    ("collector", "tier"),
)
STEP_MESSAGES: Final = _agent(
    "warpgauge_agent_step_messages_total",
    Kind.COUNTER,
    Unit.NONE,
    "Messages from step timers by outcome: accepted, malformed, foreign_job or over_limit.",
    ("outcome",),
)
QUEUE_RECORDS: Final = _agent(
    "warpgauge_agent_queue_records",
    Kind.GAUGE,
    Unit.NONE,
    "Batches that a sink's receiver does not have yet.",
    ("sink",),
)
QUEUE_BYTES: Final = _agent(
    "warpgauge_agent_queue_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Size of what a sink keeps on disk: batches that wait and dead letters.",
    ("sink",),
)
QUEUE_MAX_BYTES: Final = _agent(
    "warpgauge_agent_queue_max_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "What a sink may keep on disk; beyond it the oldest batch is dropped and counted.",
    ("sink",),
)
QUEUE_OLDEST: Final = _agent(
    "warpgauge_agent_queue_oldest_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "When the oldest batch that waits for a sink was written; absent while none waits.",
    ("sink",),
)
QUEUE_ACKED: Final = _agent(
    "warpgauge_agent_queue_acked_total",
    Kind.COUNTER,
    Unit.NONE,
    "Batches that the sink's receiver acknowledged, over restarts.",
    ("sink",),
)
QUEUE_DROPPED: Final = _agent(
    "warpgauge_agent_queue_dropped_total",
    Kind.COUNTER,
    Unit.NONE,
    "Batches lost: too old, no room in the queue, or not to be stored.",
    ("sink",),
)
QUEUE_RETRIES: Final = _agent(
    "warpgauge_agent_queue_retries_total",
    Kind.COUNTER,
    Unit.NONE,
    "Attempts that the sink's receiver did not take for now, since the agent started; they are repeated.",
    ("sink",),
)
QUEUE_DEAD_LETTERED: Final = _agent(
    "warpgauge_agent_queue_dead_lettered_total",
    Kind.COUNTER,
    Unit.NONE,
    "Batches that the sink's receiver will never take, set aside in the queue, over restarts.",
    ("sink",),
)
QUEUE_REFUSED: Final = _agent(
    "warpgauge_agent_queue_refused_total",
    Kind.COUNTER,
    Unit.NONE,
    "Data points in acknowledged batches that the receiver said it did not keep, since the agent started.",
    ("sink",),
)

ANALYZER_INFO: Final = _analyzer(
    "warpgauge_analyzer_build_info", Kind.INFO, Unit.NONE, "Version of the analyzer.", ("version", "python_version")
)
TARGET_UP: Final = _analyzer(
    "warpgauge_analyzer_target_up",
    Kind.GAUGE,
    Unit.NONE,
    "1 if the source answered its last query, 0 if not.",
    ("source", "target"),
)
TICK_SECONDS: Final = _analyzer(
    "warpgauge_analyzer_tick_seconds",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Duration of one pass of all detectors.",
    buckets=_CALL_BUCKETS,
)
SERIES: Final = _analyzer("warpgauge_analyzer_series", Kind.GAUGE, Unit.NONE, "Series in the frame.")
SAMPLES_INGESTED: Final = _analyzer(
    "warpgauge_analyzer_samples_total",
    Kind.COUNTER,
    Unit.NONE,
    "Samples by what became of them: mapped (in the frame), unused (known, but no detector reads it), "
    "foreign (no dialect knows the name), late, blank (a marker for not available), duplicate (of an HA pair's other "
    "Prometheus), histogram (native) or refused (too many series).",
    ("outcome",),
)
LAST_TICK: Final = _analyzer(
    "warpgauge_analyzer_last_tick_timestamp_seconds", Kind.GAUGE, Unit.TIMESTAMP, "When the detectors last ran."
)
UNRESOLVED: Final = _analyzer(
    "warpgauge_analyzer_unresolved_devices",
    Kind.GAUGE,
    Unit.NONE,
    "Devices whose node could not be told from their labels.",
)
FINDING_ACTIVE: Final = _analyzer(
    "warpgauge_finding_active",
    Kind.GAUGE,
    Unit.NONE,
    "1 for each finding that holds now and is not muted.",
    ("kind", "severity", "cluster", "node", "uuid", "job_id", "simulated"),
)
FINDINGS_MUTED: Final = _analyzer(
    "warpgauge_findings_muted",
    Kind.GAUGE,
    Unit.NONE,
    "Findings that hold now and are not told, by what mutes them: silence, dismissal or breaker.",
    ("by",),
)
INCIDENTS_OPEN: Final = _analyzer(
    "warpgauge_incidents_open", Kind.GAUGE, Unit.NONE, "Incidents that hold now and are not muted.", ("severity",)
)
RECOMMENDATIONS: Final = _analyzer(
    "warpgauge_recommendations", Kind.GAUGE, Unit.NONE, "Recommendations by kind and state.", ("kind", "state")
)
OUTBOX_WAITING: Final = _analyzer(
    "warpgauge_outbox_waiting", Kind.GAUGE, Unit.NONE, "Documents that a sink was not given yet.", ("sink",)
)
OUTBOX_OLDEST: Final = _analyzer(
    "warpgauge_outbox_oldest_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "When the oldest document that a sink was not given yet was written; absent while none waits.",
    ("sink",),
)
OUTBOX_BYTES: Final = _analyzer(
    "warpgauge_outbox_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Size of what the analyzer keeps on disk for a sink: documents that wait and dead letters.",
    ("sink",),
)
OUTBOX_MAX_BYTES: Final = _analyzer(
    "warpgauge_outbox_max_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "What the analyzer may keep on disk for a sink; beyond it the oldest document is dropped and counted.",
    ("sink",),
)
OUTBOX_DOCUMENTS: Final = _analyzer(
    "warpgauge_outbox_documents_total",
    Kind.COUNTER,
    Unit.NONE,
    "What became of documents, over restarts: delivered, dead_lettered (the sink refused them for good) or dropped "
    "(too old, or no room).",
    ("sink", "outcome"),
)
OUTBOX_FAILURES: Final = _analyzer(
    "warpgauge_outbox_failures_total",
    Kind.COUNTER,
    Unit.NONE,
    "Deliveries that a sink did not take for now, since the analyzer started; they are tried again.",
    ("sink",),
)
ACTING_HELD: Final = _analyzer(
    "warpgauge_acting_held",
    Kind.GAUGE,
    Unit.NONE,
    "1 while nothing new is recommended and nobody may act: paused, or another analyzer has the lease; else 0.",
)
VERDICTS: Final = _analyzer(
    "warpgauge_verdicts_month",
    Kind.GAUGE,
    Unit.NONE,
    "Verdicts of the last 30 days on recommendations that were executed.",
    ("kind", "verdict"),
)
HISTORY_WAITING: Final = _analyzer(
    "warpgauge_history_waiting_rows", Kind.GAUGE, Unit.NONE, "Samples that are not in a file of the history yet."
)
HISTORY_WRITTEN: Final = _analyzer(
    "warpgauge_history_written_rows_total",
    Kind.COUNTER,
    Unit.NONE,
    "Samples written into files of the history, since the analyzer started; absent where there is none.",
)
HISTORY_DROPPED: Final = _analyzer(
    "warpgauge_history_dropped_rows_total",
    Kind.COUNTER,
    Unit.NONE,
    "Samples that are not or no longer in the history, since the analyzer started: age and size (removed as "
    "configured), queue (the disk did not keep up), series (too many), time (dated in the future) or fault (ours).",
    ("reason",),
)
HISTORY_BYTES: Final = _analyzer("warpgauge_history_bytes", Kind.GAUGE, Unit.BYTES, "Size of all files of the history.")
HISTORY_OLDEST: Final = _analyzer(
    "warpgauge_history_oldest_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "Begin of the oldest hour in the history; absent while it is empty.",
)
HISTORY_LAST_WRITE: Final = _analyzer(
    "warpgauge_history_last_write_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "When a file of the history was last written; absent before the first.",
)
