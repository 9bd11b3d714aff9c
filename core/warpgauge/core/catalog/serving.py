"""Metrics of inference servers on the node, the same names whichever server it is."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.metric import Family, Kind, Metric, Unit

ENDPOINT: Final = ("server", "endpoint")
MODEL: Final = (*ENDPOINT, "model")

UP: Final = Metric(
    "serving_up",
    Kind.GAUGE,
    Unit.NONE,
    "1 if the server's metrics page could be read and understood, 0 if not; server is vllm, sglang, triton, tgi, or"
    " empty while nobody knows.",
    labels=ENDPOINT,
    family=Family.SERVING,
)
RUNNING: Final = Metric(
    "serving_requests_running",
    Kind.GAUGE,
    Unit.NONE,
    "Requests that the server works on now (TGI: the size of its current batch).",
    labels=MODEL,
    family=Family.SERVING,
)
WAITING: Final = Metric(
    "serving_requests_waiting",
    Kind.GAUGE,
    Unit.NONE,
    "Requests that were accepted and wait to be worked on.",
    labels=MODEL,
    family=Family.SERVING,
)
KV_CACHE: Final = Metric(
    "serving_kv_cache_used_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of the KV cache that is in use; of several engines behind one page the fullest.",
    labels=MODEL,
    family=Family.SERVING,
)
PREEMPTIONS: Final = Metric(
    "serving_preemptions_total",
    Kind.COUNTER,
    Unit.NONE,
    "Requests that were put back into the queue because the KV cache was full; their work is done again (vLLM).",
    labels=MODEL,
    family=Family.SERVING,
)
PROMPT_TOKENS: Final = Metric(
    "serving_prompt_tokens_total",
    Kind.COUNTER,
    Unit.NONE,
    "Tokens of prompts that were processed.",
    labels=MODEL,
    family=Family.SERVING,
)
GENERATED_TOKENS: Final = Metric(
    "serving_generated_tokens_total",
    Kind.COUNTER,
    Unit.NONE,
    "Tokens that were generated.",
    labels=MODEL,
    family=Family.SERVING,
)
FIRST_TOKEN: Final = Metric(
    "serving_time_to_first_token_seconds",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time from a request's arrival to its first token; the server's own buckets are counted at the next bound above.",
    labels=MODEL,
    family=Family.SERVING,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
