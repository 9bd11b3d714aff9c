"""What the metrics pages of vLLM, SGLang, Triton and TGI say in our words. Pure mapping.

Names: vLLM docs/usage/metrics.md and vllm/v1/metrics/loggers.py (`gpu_cache_usage_perc` became `kv_cache_usage_perc`);
SGLang docs/references/production_metrics.md; Triton docs/user_guide/metrics.md and TensorRT-LLM backend README; TGI
docs/source/reference/metrics.md. A ratio called `_perc` there is 0-1 already.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Metric, serving
from warpgauge.core.exposition import labels_of, parse
from warpgauge.core.sample import Sample
from warpgauge.exporters.collectors.rebucket import Distribution, histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from warpgauge.core.exposition import Line
    from warpgauge.core.sample import Value

__all__ = ["MOST_MODELS", "to_samples"]

MOST_MODELS: Final = 64  # of one page that get series


@dataclass(frozen=True, slots=True)
class _Source:
    """Where one of our rows is on a server's page; several lines of one model fold by `fold`."""

    metric: Metric
    names: tuple[str, ...]  # the first that is there
    fold: Callable[[Iterable[float]], float] = sum
    where: tuple[str, str] | None = None  # a label and its value
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class _Server:
    name: str
    prefixes: tuple[str, ...]
    model_labels: tuple[str, ...]
    sources: tuple[_Source, ...]
    one_of: str = ""  # a label whose values but 0 repeat the same numbers


_SERVERS: Final = (
    _Server("vllm", ("vllm:",), ("model_name",), (
        _Source(serving.RUNNING, ("vllm:num_requests_running",)),
        _Source(serving.WAITING, ("vllm:num_requests_waiting",)),
        _Source(serving.KV_CACHE, ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"), max),
        _Source(serving.PREEMPTIONS, ("vllm:num_preemptions_total",)),
        _Source(serving.PROMPT_TOKENS, ("vllm:prompt_tokens_total",)),
        _Source(serving.GENERATED_TOKENS, ("vllm:generation_tokens_total",)),
        _Source(serving.FIRST_TOKEN, ("vllm:time_to_first_token_seconds",)),
    )),
    _Server("sglang", ("sglang:",), ("model_name",), (
        _Source(serving.RUNNING, ("sglang:num_running_reqs",)),
        _Source(serving.WAITING, ("sglang:num_queue_reqs",)),
        _Source(serving.KV_CACHE, ("sglang:token_usage",), max),
        _Source(serving.PROMPT_TOKENS, ("sglang:prompt_tokens_total",)),
        _Source(serving.GENERATED_TOKENS, ("sglang:generation_tokens_total",)),
        _Source(serving.FIRST_TOKEN, ("sglang:time_to_first_token_seconds",)),
    ), one_of="tp_rank"),
    _Server("tgi", ("tgi_",), (), (
        _Source(serving.RUNNING, ("tgi_batch_current_size",)),
        _Source(serving.WAITING, ("tgi_queue_size",)),
        _Source(serving.PROMPT_TOKENS, ("tgi_request_input_length_sum",)),
        _Source(serving.GENERATED_TOKENS, ("tgi_request_generated_tokens_sum",)),
    )),
    _Server("triton", ("nv_inference_", "nv_trt_llm_"), ("model",), (
        _Source(serving.WAITING, ("nv_trt_llm_request_metrics",), where=("request_type", "waiting")),
        _Source(serving.WAITING, ("nv_inference_pending_request_count",)),
        _Source(serving.RUNNING, ("nv_trt_llm_request_metrics",), where=("request_type", "active")),
        _Source(serving.KV_CACHE, ("nv_trt_llm_kv_cache_block_metrics",), max, ("kv_cache_block_type", "fraction")),
        _Source(serving.FIRST_TOKEN, ("nv_inference_first_response_histogram_ms",), scale=1e-3),
    )),
)  # fmt: skip


def to_samples(text: str, endpoint: str) -> list[Sample]:
    """Samples of a page; empty where it is none of the servers that we know.

    Raises:
        InputError: `endpoint:line: what is wrong`.

    """
    lines: dict[str, list[Line]] = defaultdict(list)
    for line in parse(text, place=endpoint):
        lines[line.name].append(line)
    for server in _SERVERS:
        if any(name.startswith(server.prefixes) for name in lines):
            return _samples(server, lines, endpoint)
    return []


def _samples(server: _Server, lines: Mapping[str, list[Line]], endpoint: str) -> list[Sample]:
    found: dict[tuple[Metric, str], Value] = {}
    for source in server.sources:
        read = _histograms if source.metric is serving.FIRST_TOKEN else _numbers
        for model, value in read(server, source, lines).items():
            found.setdefault((source.metric, model), value)
    models = sorted({model for _, model in found})[:MOST_MODELS]
    return [
        Sample(serving.UP, (server.name, endpoint), 1.0),
        *(
            Sample(metric, (server.name, endpoint, model), value)
            for (metric, model), value in found.items()
            if model in models
        ),
    ]


def _numbers(server: _Server, source: _Source, lines: Mapping[str, list[Line]]) -> dict[str, Value]:
    by_model: dict[str, list[float]] = defaultdict(list)
    name = next((name for name in source.names if name in lines), "")
    for line in lines.get(name, ()):
        model = _model(server, source, labels_of(line.labels))
        if model is not None and isfinite(line.value) and line.value >= 0:
            by_model[model].append(line.value)
    return {model: float(source.fold(values)) * source.scale for model, values in by_model.items()}


def _histograms(server: _Server, source: _Source, lines: Mapping[str, list[Line]]) -> dict[str, Value]:
    name = next((name for name in source.names if f"{name}_bucket" in lines), "")
    counts: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    sums: dict[str, float] = defaultdict(float)
    for line in lines.get(f"{name}_bucket", ()):
        labels = labels_of(line.labels)
        model = _model(server, source, labels)
        if model is not None:
            counts[model][_bound(labels.get("le", ""))] += line.value
    for line in lines.get(f"{name}_sum", ()):
        model = _model(server, source, labels_of(line.labels))
        if model is not None:
            sums[model] += line.value
    made = {model: _distribution(buckets, sums[model]) for model, buckets in counts.items()}
    return {
        model: histogram([one], source.metric.buckets, source.scale) for model, one in made.items() if one is not None
    }


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return inf


def _distribution(cumulative: Mapping[float, float], total: float) -> Distribution | None:
    """From cumulative counts per bound; None where they fall or say nothing."""
    bounds = sorted(bound for bound in cumulative if isfinite(bound))
    running = [cumulative[bound] for bound in [*bounds, inf] if bound in cumulative]
    if len(running) != len(bounds) + 1 or not all(map(isfinite, [*running, total])) or running != sorted(running):
        return None
    counts = [int(high - low) for low, high in zip([0.0, *running[:-1]], running, strict=True)]
    return Distribution(tuple(counts), tuple(bounds), total)


def _model(server: _Server, source: _Source, labels: Mapping[str, str]) -> str | None:
    """Model that a line is about, "" where the server tells none; None for lines to leave out."""
    if source.where is not None and labels.get(source.where[0]) != source.where[1]:
        return None
    if server.one_of and labels.get(server.one_of, "0") != "0":
        return None
    return next((labels[name] for name in server.model_labels if name in labels), "")
