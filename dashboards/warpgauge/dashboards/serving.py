"""Inference servers: who waits, how full the KV cache is, how soon the first token comes, how many tokens flow.

It has no variant over dcgm-exporter's metrics: DCGM watches devices and knows nothing of requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import host, serving
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, increase, rate, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.queries import WINDOW
from warpgauge.dashboards.shared import NODE_LINK

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NAME", "dashboard"]

NAME: Final = "serving"

HERE: Final = grafana.chosen("cluster", "node")
CHOSEN: Final = grafana.chosen("cluster", "node", "model")
ENDPOINT: Final = ("cluster", "node", "endpoint")
MODEL: Final = (*ENDPOINT, "model")
LEGEND: Final = "{{node}} {{model}}"
FULL: Final = Levels(warning=0.9, critical=0.97)  # from 0.9 on no long prompt fits, at 1 vLLM preempts
SLOW: Final = Levels(warning=2.0, critical=10.0)  # a person who waits for an answer gives up at about ten seconds


def dashboard() -> grafana.Dashboard:
    """Build the dashboard of inference servers."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Serving",
        description="Requests that run and wait, KV cache, time to the first token and tokens of inference servers.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", host.HOST_INFO, title="Cluster"),
            grafana.values_of("node", host.HOST_INFO, title="Node", within=("cluster",)),
            grafana.values_of("model", serving.RUNNING, title="Model", within=("cluster", "node")),
        ],
        panels=grafana.flow([_now(), _models(), _queue(), _first_token(), _tokens()]),
    )


def _quantile(share: float, *by: str) -> str:
    buckets = aggregate("sum", rate(serving.FIRST_TOKEN, WINDOW, "bucket", **CHOSEN), by=(*by, "le"))
    return f"histogram_quantile({share}, {buckets})"


def _up() -> str:
    return aggregate("max", select(serving.UP, **HERE), by=ENDPOINT)


def _newest(row: Metric) -> str:
    """One value per model of a server, whatever else its series carry."""
    return aggregate("max", select(row, **CHOSEN), by=MODEL)


def _per_second(row: Metric, *by: str) -> str:
    return aggregate("sum", rate(row, WINDOW, **CHOSEN), by=by)


def _now() -> Section:
    return Section(
        "Now",
        (
            grafana.stat(serving.UP, f"sum({_up()})", title="Servers that answer"),
            grafana.stat(
                serving.UP,
                f"sum({_up()} == bool 0)",
                title="Servers that do not",
                levels=Levels(critical=1),
            ),
            grafana.stat(serving.RUNNING, f"sum({_newest(serving.RUNNING)})", title="Requests running"),
            grafana.stat(
                serving.WAITING,
                f"sum({_newest(serving.WAITING)})",
                title="Requests waiting",
                note="A short burst is no fault; a queue that stands is.",
            ),
            grafana.stat(
                serving.KV_CACHE, f"max({select(serving.KV_CACHE, **CHOSEN)})", title="Fullest KV cache", levels=FULL
            ),
            grafana.stat(
                serving.FIRST_TOKEN,
                _quantile(0.95),
                title="First token, 95 %",
                note="Of the last minutes, over all chosen models.",
                levels=SLOW,
            ),
        ),
    )


def _models() -> Section:
    return Section(
        "Models",
        (
            grafana.table(
                "Models",
                (
                    Column(title="Running", expr=_newest(serving.RUNNING), metric=serving.RUNNING),
                    Column(title="Waiting", expr=_newest(serving.WAITING), metric=serving.WAITING),
                    Column(title="KV cache", expr=_newest(serving.KV_CACHE), metric=serving.KV_CACHE, levels=FULL),
                    Column(
                        title="First token, 95 %", expr=_quantile(0.95, *MODEL), metric=serving.FIRST_TOKEN, levels=SLOW
                    ),
                    Column(
                        title="Tokens/s",
                        expr=_per_second(serving.GENERATED_TOKENS, *MODEL),
                        metric=serving.GENERATED_TOKENS,
                        unit="short",
                    ),
                ),
                keys={
                    "cluster": "Cluster",
                    "node": "Node",
                    "endpoint": "Endpoint",
                    "model": "Model",
                },
                description="One row per model of each server; an empty cell means that the server does not tell it, "
                "or that no request came.",
                links={"Node": NODE_LINK},
                height=7,
            ),
        ),
    )


def _queue() -> Section:
    return Section(
        "Queue and cache",
        (
            grafana.graph(
                serving.RUNNING,
                grafana.query(_newest(serving.RUNNING), LEGEND),
                title="Requests running",
                note="A line that stays level under load is the server's own limit, or its cache.",
            ),
            grafana.graph(
                serving.WAITING,
                grafana.query(_newest(serving.WAITING), LEGEND),
                title="Requests waiting",
            ),
            grafana.graph(
                serving.KV_CACHE,
                grafana.query(_newest(serving.KV_CACHE), LEGEND),
                title="KV cache in use",
                note="Full while requests wait: memory for contexts decides. Room in it: the work does.",
            ),
            grafana.graph(
                serving.PREEMPTIONS,
                grafana.query(
                    aggregate("sum", increase(serving.PREEMPTIONS, WINDOW, **CHOSEN), by=MODEL), LEGEND
                ),
                title="Preemptions",
                unit="short",
            ),
        ),
    )  # fmt: skip


def _first_token() -> Section:
    shares = (("half", 0.5), ("95 %", 0.95), ("99 %", 0.99))
    return Section(
        "Time to the first token",
        (
            grafana.graph(
                serving.FIRST_TOKEN,
                *(grafana.query(_quantile(share, "model"), f"{{{{model}}}} {word}") for word, share in shares),
                title="Time to the first token",
                note="From buckets: read it as the right size, not to the millisecond.",
                height=10,
            ),
            grafana.heatmap(
                serving.FIRST_TOKEN,
                aggregate("sum", rate(serving.FIRST_TOKEN, WINDOW, "bucket", **CHOSEN), by=("le",)),
                title="Requests by time to the first token",
                note="Color is requests per second.",
                height=10,
            ),
        ),
    )


def _tokens() -> Section:
    generated = _per_second(serving.GENERATED_TOKENS, "model")
    running = f"sum by (model) ({_newest(serving.RUNNING)})"
    return Section(
        "Tokens",
        (
            grafana.graph(
                serving.GENERATED_TOKENS,
                grafana.query(generated, "{{model}}"),
                title="Tokens generated per second",
                unit="short",
                width=8,
            ),
            grafana.graph(
                serving.PROMPT_TOKENS,
                grafana.query(_per_second(serving.PROMPT_TOKENS, "model"), "{{model}}"),
                title="Tokens of prompts per second",
                unit="short",
                width=8,
            ),
            grafana.graph(
                serving.GENERATED_TOKENS,
                grafana.query(f"{generated} / ({running} > 0)", "{{model}}"),
                title="Tokens per second of one request",
                note="What one reader sees: all tokens divided by the requests that run; a gap while none does.",
                unit="short",
                width=8,
            ),
        ),
    )
