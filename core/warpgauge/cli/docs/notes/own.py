"""Notes on the metrics about ourselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import own

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    own.AGENT_INFO: Note(
        "`count by (version) (NAME)` shows a half-done rollout of the agent.",
        "a sign of life: it stays on the page while a collector hangs.",
    ),
    own.COLLECTOR_UP: Note(
        '`NAME{collector="host"} 1`: the last reading of /proc succeeded.',
        "0 where a device type is absent or released: such a collector has no series.",
    ),
    own.COLLECTOR_LAST_SUCCESS: Note(
        '`time() - NAME{collector="nvml"}` was 0.9: the driver answered within the last second.',
        "the age of every device's values: one device can hang while the collector goes on with the others.",
    ),
    own.RELEASED_UNTIL: Note(
        "`NAME - time()` was 840: somebody released the devices of this node; in 14 minutes the agent takes them back.",
        "how long the devices have been away: a second order moves the end.",
    ),
    own.RESTART_NEEDED: Note(
        '`NAME{reason="library_mismatch"} 1`: the driver was upgraded under a running container; restart that.',
        "a reason to restart the agent's process: outside of a container that changes nothing.",
    ),
    own.KERNEL_LOG_READABLE: Note(
        "`NAME 0`: run the agent as root or with CAP_SYSLOG, or set kernel.dmesg_restrict=0.",
        "a fault: NVML delivers most XIDs by itself; SXIDs and some lost GPUs only the kernel log tells.",
    ),
    own.LOG_RECORDS: Note(
        "`NAME 3120`: 3120 kernel reports, lines of files and own events came into the queue since the agent started.",
        "delivered: what a receiver acknowledged is told by the queue of its sink.",
    ),
    own.LOG_RECORDS_DROPPED: Note(
        "`rate(NAME[5m]) 4`: the kernel or the agent itself logs more than the rate allows, or the disk takes nothing.",
        "lost lines of files: these wait in their files until the rate allows them.",
    ),
    own.GPM_MODE: Note(
        '`NAME{mode="auto_yielding"} 1`: DCGM runs on this machine and has the profiling counters for itself; read them'
        " there, or set agent.gpm to on.",
        "what each device does: a device without GPM has none in any mode.",
    ),
    own.PROCESSES_LEFT_OUT: Note(
        "`NAME 12`: twelve processes, those with least memory, have no series; raise agent.process_metrics_limit.",
        "processes that were missed: they are in the device's number of processes and in its used memory.",
    ),
    own.COLLECT_SECONDS: Note(
        "`histogram_quantile(0.99, sum by (le) (rate(NAME_bucket[10m])))` of 0.01: a reading takes 10 ms at most.",
        "time that a scrape waits: scrapes never wait for a reading.",
    ),
    own.COLLECT_ERRORS: Note(
        '`increase(NAME{reason="unsupported"}[1h])` grows steadily on a consumer GPU: it lacks some counters.',
        "an outage: one error costs the samples it names and nothing else.",
    ),
    own.CALL_SECONDS: Note(
        "`topk(3, rate(NAME_sum[5m]))` names the driver calls that cost most.",
        "CPU time: most of it is waiting for the driver.",
    ),
    own.CHILD_RESTARTS: Note(
        '`increase(NAME{reason="hung"}[1h])` of 1: a driver call hung and its process was replaced, once.',
        "a fault of the agent: restarting the child is how it survives a hung driver.",
    ),
    own.SCRAPES: Note(
        '`rate(NAME{format="openmetrics"}[1m])` of 0.1: one Prometheus with a 10 s interval.',
        "the number of Prometheus servers: two with 20 s look the same.",
    ),
    own.MISSED_TICKS: Note(
        '`increase(NAME{tier="fast"}[5m])` of 12: in five minutes twelve seconds have no new value.',
        "lost counters: a counter keeps counting in the driver, only its resolution suffers.",
    ),
    own.STEP_MESSAGES: Note(
        '`NAME{outcome="foreign_job"}` grows: some process reports steps of a job that is not its own; dropped.',
        "steps: a message can hold several.",
    ),
    own.QUEUE_RECORDS: Note(
        '`NAME{sink="remote_write"} 240`: at a push each 15 s the receiver has had nothing for an hour.',
        "samples: a batch is everything on the page at one moment.",
    ),
    own.QUEUE_BYTES: Note(
        "`deriv(NAME[1h]) > 0` for hours: it takes less than is pushed; at push.queue_max_bytes the oldest goes.",
        "the size of the file, which SQLite does not shrink when the queue empties.",
    ),
    own.QUEUE_MAX_BYTES: Note(
        "`NAME 1e9`, with 9e8 bytes in the queue: a tenth is left before the oldest batches are lost.",
        "room on the disk: that may be gone before.",
    ),
    own.QUEUE_OLDEST: Note(
        "`time() - NAME` of 3600: what the receiver has ends an hour ago.",
        "an outage where it is absent: then nothing waits.",
    ),
    own.QUEUE_ACKED: Note(
        "`rate(NAME[5m]) * 15` of 1: each push of the last minutes arrived; more than 1 drains what had waited.",
        "a promise that the receiver kept every sample: see the refused ones.",
    ),
    own.QUEUE_DROPPED: Note(
        "`increase(NAME[1d]) > 0` is the only loss there is: raise push.queue_max_bytes or mend the receiver.",
        "what a receiver refused: that is set aside or refused, with the reason.",
    ),
    own.QUEUE_RETRIES: Note(
        "`increase(NAME[10m])` of 10: the receiver was away or busy; what was tried still waits.",
        "a loss: a batch that is tried again is not gone.",
    ),
    own.QUEUE_DEAD_LETTERED: Note(
        "`increase(NAME[1h]) > 0`: the agent's log has the receiver's words, mostly samples that are too old for it.",
        "batches that will come again: nobody repeats them; they are kept while there is room.",
    ),
    own.QUEUE_REFUSED: Note(
        "`increase(NAME[1h]) > 0`: the receiver did not keep all points of what it took; the log has its words.",
        "batches: one request holds many points.",
    ),
    own.ANALYZER_INFO: Note(
        "`NAME` over time shows which version made the findings of that hour.",
        "the version of the agents; they may differ.",
    ),
    own.TARGET_UP: Note(
        '`NAME{source="prometheus"} 0`: the analyzer is blind; its findings are as old as its last tick.',
        "health of the node behind the target: only the query failed.",
    ),
    own.TICK_SECONDS: Note(
        "`rate(NAME_sum[10m]) / rate(NAME_count[10m])` of 0.02: a pass of all detectors takes 20 ms.",
        "delay of a finding: the interval between passes and the detectors' own windows come on top.",
    ),
    own.SERIES: Note(
        "`NAME 11000`: what the simulated fleet of 64 GPUs and its hosts bring.",
        "series in Prometheus: names that no detector uses are not kept.",
    ),
    own.SAMPLES_INGESTED: Note(
        '`rate(NAME{outcome="late"}[5m])` above 0: some source delivers values older than the window.',
        "an error when `foreign` grows: names that the catalog does not know are left aside by design.",
    ),
    own.LAST_TICK: Note(
        "`time() - NAME > 60`: the detectors have not run for a minute; no finding can appear or end.",
        "the age of the data: a tick can run on old samples; see the targets.",
    ),
    own.UNRESOLVED: Note(
        "`NAME 8`: eight devices whose labels name no node; they are judged, but under no node.",
        "lost devices: they answer, only their place is unknown.",
    ),
    own.FINDING_ACTIVE: Note(
        '`NAME{kind="straggler", severity="warning", simulated="true"} 1`: one straggler, simulated.',
        "a count of problems: one culprit is one series, its victims have none.",
    ),
    own.FINDINGS_MUTED: Note(
        '`NAME{by="silence"} 2`: two findings hold in what somebody silenced; `GET /api/v1/findings` shows them.',
        "problems that are gone: they are found as ever, only nobody is told.",
    ),
    own.INCIDENTS_OPEN: Note(
        '`NAME{severity="critical"} 0`: nothing critical is open.',
        "the number of findings: an incident joins those that share cause and place.",
    ),
    own.RECOMMENDATIONS: Note(
        '`NAME{state="proposed"} 3`: three pieces of advice wait for a person or a scheduler.',
        "actions taken: nothing acts on its own.",
    ),
    own.OUTBOX_WAITING: Note(
        '`NAME{sink="webhook"} 12` for ten minutes: the receiver does not take them; nothing is lost for a week.',
        "a backlog of problems: it is one of delivery.",
    ),
    own.OUTBOX_OLDEST: Note(
        "`time() - NAME > 3600`: disruptive advice expires after an hour, so the receiver gets it too late to act.",
        "the age of the oldest recommendation: delivered ones do not count.",
    ),
    own.OUTBOX_BYTES: Note(
        '`NAME{sink="webhook"}` of 6e6: some three thousand documents wait or are dead letters, a tenth of the room.',
        "a backlog alone: dead letters stay until their room is needed.",
    ),
    own.OUTBOX_MAX_BYTES: Note(
        "`NAME` of 6.7e7, with 6e7 bytes kept: a tenth is left before the oldest documents are lost.",
        "room on the disk: that may be gone before.",
    ),
    own.OUTBOX_DOCUMENTS: Note(
        '`increase(NAME{outcome="dead_lettered"}[1h])` above 0: the receiver answers 4xx; its log says why.',
        "recommendations: withdrawals and verifications are documents too, and an approval sends one again.",
    ),
    own.OUTBOX_FAILURES: Note(
        '`rate(NAME{sink="webhook"}[5m])` above 0: it answers 429 or 5xx, or nobody listens.',
        "lost documents: each of them is tried again.",
    ),
    own.ACTING_HELD: Note(
        "`NAME 1`: `warpgauge mode` says who paused it, or that another analyzer acts.",
        "mode observe: there advice is not even written, here what stands goes on standing.",
    ),
    own.VERDICTS: Note(
        '`NAME{kind="straggler", verdict="worse"} 2`: from here on stragglers lead to no disruptive advice.',
        "a counter: verdicts older than 30 days leave it.",
    ),
    own.HISTORY_WAITING: Note(
        "`NAME` of 24000 and less than that five minutes later: what came since the last file.",
        "a backlog: rows wait for history.flush_interval_seconds by design; only steady growth is trouble.",
    ),
    own.HISTORY_WRITTEN: Note(
        "`rate(NAME[1h])` of 80: so many samples a second are kept.",
        "what the analyzer takes in: closer samples than history.resolution_seconds are thinned out.",
    ),
    own.HISTORY_DROPPED: Note(
        '`increase(NAME{reason="queue"}[1h]) > 0`: the disk is full or too slow; the analyzer\'s log has its words.',
        "a loss when reason is age or size: those were removed because history.max_age_seconds or max_bytes say so.",
    ),
    own.HISTORY_BYTES: Note(
        "`NAME` against history.max_bytes: how soon the oldest hours will go.",
        "what is in memory: rows that wait are not in it.",
    ),
    own.HISTORY_OLDEST: Note(
        "`time() - NAME` of 86400: a day can be looked back.",
        "the age of the oldest sample: hours are removed as a whole.",
    ),
    own.HISTORY_LAST_WRITE: Note(
        "`time() - NAME > 1800`: nothing was written for half an hour, because nothing came or the disk fails.",
        "the newest sample's time: what came since waits in memory.",
    ),
}
