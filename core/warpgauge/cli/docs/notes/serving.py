"""Notes on the metrics of inference servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import serving

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    serving.UP: Note(
        '`NAME{server="vllm"} 1`: its page was read within the last ten seconds.',
        "health of the model: it says that the page could be read, not that requests succeed.",
    ),
    serving.RUNNING: Note(
        '`NAME{model="m"} 24`: the engine works on a batch of 24 requests.',
        "load: a batch at its limit and an idle queue can both be right.",
    ),
    serving.WAITING: Note(
        "`NAME 40` for minutes: requests come faster than they are done.",
        "an error by itself: short bursts wait and are gone again.",
    ),
    serving.KV_CACHE: Note(
        "`NAME 0.97` while requests wait: memory for the context decides how many run at once.",
        "memory of the device: the server takes that once, at start; this is how full its own part is.",
    ),
    serving.PREEMPTIONS: Note(
        "`rate(NAME[5m])` of 0.5: every two seconds a request is thrown out of the cache and begins again.",
        "failures: the requests are answered, later and at twice the cost.",
    ),
    serving.PROMPT_TOKENS: Note(
        "`rate(NAME[1m])` of 8000: prompts come at 8000 tokens a second.",
        "work done by the device: tokens found in a prefix cache may count as well.",
    ),
    serving.GENERATED_TOKENS: Note(
        "`rate(NAME[1m])` of 1200: the server writes 1200 tokens a second over all requests.",
        "what one user sees: that is this divided by the requests that run.",
    ),
    serving.FIRST_TOKEN: Note(
        "`histogram_quantile(0.9, rate(NAME_bucket[5m]))` of 2.5: nine of ten requests wait at most 2.5 s.",
        "the time of the whole answer: it ends with the first token, and holds the time in the queue.",
    ),
}
