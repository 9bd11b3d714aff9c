"""Where inference servers tell our rows, on their own metrics pages: the names that the agent and the analyzer read.

Names: vLLM docs/usage/metrics.md, vllm/engine/metrics.py (V0) and vllm/v1/metrics/loggers.py (V1, where
`gpu_cache_usage_perc` became `kv_cache_usage_perc`); SGLang docs/references/production_metrics.md,
python/sglang/srt/metrics/collector.py and, for the labels, srt/managers/scheduler_metrics_mixin.py; Triton
docs/user_guide/metrics.md and TensorRT-LLM backend README; TGI docs/source/reference/metrics.md. A ratio called `_perc`
there is 0-1 already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Metric, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FULLEST", "SERVERS", "SGLANG", "TGI", "TRITON", "VLLM", "Server", "Source"]

FULLEST: Final = frozenset({serving.KV_CACHE})
"""Of several series of one model the largest counts; all others add up."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one of our rows is on a server's page: ours = theirs x `scale`."""

    metric: Metric
    name: str  # of a histogram without its suffix
    where: tuple[str, str] | None = None  # a label and its value
    scale: float = 1.0
    is_fallback: bool = False  # counts for models only of which no source before it speaks


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of server; sources in order of preference."""

    name: str  # the label `server` of our rows
    title: str
    prefixes: tuple[str, ...]
    sources: tuple[Source, ...]
    model_label: str = ""
    one_of: tuple[str, ...] = ()  # labels whose values but 0 repeat the same numbers

    def model(self, labels: Mapping[str, str]) -> str:
        """Model that a series is about, "" where the server tells none."""
        return labels.get(self.model_label, "")

    def counts(self, source: Source, labels: Mapping[str, str]) -> bool:
        """Whether a series of the source's name is what the source means."""
        if source.where is not None and labels.get(source.where[0]) != source.where[1]:
            return False
        return all(labels.get(label, "0") == "0" for label in self.one_of)


VLLM: Final = Server("vllm", "vLLM", ("vllm:",), (
    Source(serving.RUNNING, "vllm:num_requests_running"),
    Source(serving.WAITING, "vllm:num_requests_waiting"),
    Source(serving.KV_CACHE, "vllm:kv_cache_usage_perc"),
    Source(serving.KV_CACHE, "vllm:gpu_cache_usage_perc"),
    Source(serving.PREEMPTIONS, "vllm:num_preemptions_total"),
    Source(serving.PROMPT_TOKENS, "vllm:prompt_tokens_total"),
    Source(serving.GENERATED_TOKENS, "vllm:generation_tokens_total"),
    Source(serving.FIRST_TOKEN, "vllm:time_to_first_token_seconds"),
), model_label="model_name")  # fmt: skip

SGLANG: Final = Server("sglang", "SGLang", ("sglang:",), (
    Source(serving.RUNNING, "sglang:num_running_reqs"),
    Source(serving.WAITING, "sglang:num_queue_reqs"),
    Source(serving.KV_CACHE, "sglang:token_usage"),
    Source(serving.PROMPT_TOKENS, "sglang:prompt_tokens_total"),
    Source(serving.GENERATED_TOKENS, "sglang:generation_tokens_total"),
    Source(serving.FIRST_TOKEN, "sglang:time_to_first_token_seconds"),
), model_label="model_name", one_of=("tp_rank", "pp_rank"))  # fmt: skip

TGI: Final = Server("tgi", "TGI", ("tgi_",), (
    Source(serving.RUNNING, "tgi_batch_current_size"),
    Source(serving.WAITING, "tgi_queue_size"),
    Source(serving.PROMPT_TOKENS, "tgi_request_input_length_sum"),
    Source(serving.GENERATED_TOKENS, "tgi_request_generated_tokens_sum"),
))  # fmt: skip

TRITON: Final = Server("triton", "Triton", ("nv_inference_", "nv_trt_llm_"), (
    Source(serving.WAITING, "nv_trt_llm_request_metrics", ("request_type", "waiting")),
    Source(serving.WAITING, "nv_inference_pending_request_count", is_fallback=True),
    Source(serving.RUNNING, "nv_trt_llm_request_metrics", ("request_type", "active")),
    Source(serving.KV_CACHE, "nv_trt_llm_kv_cache_block_metrics", ("kv_cache_block_type", "fraction")),
    Source(serving.FIRST_TOKEN, "nv_inference_first_response_histogram_ms", scale=1e-3),
), model_label="model")  # fmt: skip

SERVERS: Final = (VLLM, SGLANG, TGI, TRITON)
