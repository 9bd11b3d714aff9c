"""What the metrics pages of vLLM, SGLang, Triton and TGI say in our words. Pure mapping."""

from __future__ import annotations

from collections import defaultdict
from math import inf, isfinite
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Metric, serving
from warpgauge.core.exposition import labels_of, parse
from warpgauge.core.inference_servers import FULLEST, SERVERS
from warpgauge.core.sample import Sample
from warpgauge.exporters.collectors.rebucket import Distribution, histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.core.exposition import Line
    from warpgauge.core.inference_servers import Server, Source
    from warpgauge.core.sample import Value

__all__ = ["MOST_MODELS", "to_samples"]

MOST_MODELS: Final = 64  # of one page that get series


def to_samples(text: str, endpoint: str) -> list[Sample]:
    """Samples of a page; empty where it is none of the servers that we know.

    Raises:
        InputError: `endpoint:line: what is wrong`.

    """
    lines: dict[str, list[Line]] = defaultdict(list)
    for line in parse(text, place=endpoint):
        lines[line.name].append(line)
    for server in SERVERS:
        if any(name.startswith(server.prefixes) for name in lines):
            return _samples(server, lines, endpoint)
    return []


def _samples(server: Server, lines: Mapping[str, list[Line]], endpoint: str) -> list[Sample]:
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


def _numbers(server: Server, source: Source, lines: Mapping[str, list[Line]]) -> dict[str, Value]:
    by_model: dict[str, list[float]] = defaultdict(list)
    for model, _, value in _of(server, source, lines.get(source.name, [])):
        if isfinite(value) and value >= 0:
            by_model[model].append(value)
    fold = max if source.metric in FULLEST else sum
    return {model: float(fold(values)) * source.scale for model, values in by_model.items()}


def _histograms(server: Server, source: Source, lines: Mapping[str, list[Line]]) -> dict[str, Value]:
    counts: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    sums: dict[str, float] = defaultdict(float)
    for model, labels, value in _of(server, source, lines.get(f"{source.name}_bucket", [])):
        counts[model][_bound(labels.get("le", ""))] += value
    for model, _, value in _of(server, source, lines.get(f"{source.name}_sum", [])):
        sums[model] += value
    made = {model: _distribution(buckets, sums[model]) for model, buckets in counts.items()}
    return {
        model: histogram([one], source.metric.buckets, source.scale) for model, one in made.items() if one is not None
    }


def _of(server: Server, source: Source, lines: list[Line]) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Model, labels and value of the lines that a source means."""
    for line in lines:
        labels = labels_of(line.labels)
        if server.counts(source, labels):
            yield server.model(labels), labels, line.value


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
