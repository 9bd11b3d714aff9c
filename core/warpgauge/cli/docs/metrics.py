"""Every metric of the catalog: what it is, how to read one value, how it is misread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.markdown import code, page_of
from warpgauge.cli.docs.notes import NOTES
from warpgauge.core.catalog import ALL, Family, Kind
from warpgauge.exporters.collectors.nvml_origins import origins

if TYPE_CHECKING:
    from warpgauge.cli.docs.notes import Note
    from warpgauge.core.catalog import Equivalent, Metric

__all__ = ["page"]

_INTRO: Final = """
Names follow the Prometheus conventions: base units, ratios from 0 to 1, `_total` on counters and only there. Every
device series carries `uuid` and `index`; everything else about a device stands on `accel_device_info`,
`accel_driver_info`, `accel_workload_info` and `accel_instance_info`, joined by `uuid`. While a GPU is partitioned
(MIG), what belongs to its instances is told per instance only, with `instance_id`, and not for the GPU as well: a sum
counts nothing twice ([how to read it](../howto/mig.md)). What a device cannot tell has no series: a missing value is
never 0.

Where NVIDIA's driver gives a value, the entry names the call, the field (`nvmlDeviceGetFieldValues`) or the GPM metric
(`nvmlGpmMetricsGet`) as nvml.h calls it, in the order in which they are tried.

Tiers say how often a metric is read: fast 1 s, normal 10 s, slow 60 s by default. Labels such as `cluster`, `node`
and `instance` come from the scrape.

The recorded H100 and H200 are real ones under known loads, driver 580.159, 2026-11-26; `warpgauge replay` reads their
recordings, which lie in tests/recordings. Device values that name no machine were computed by the simulated fleet
(8 nodes x 8 GPUs); host values were read on a virtual machine with 2 CPUs, kernel 6.
"""

_CALLS_SHOWN: Final = 6  # of one metric; ECC by location has some twenty

_FAMILIES: Final = {
    Family.DEVICE: ("Devices", "From the drivers, vendor-neutral, by `warpgauge agent`."),
    Family.HOST: ("Host", "From /proc and /sys, by `warpgauge agent`; meanings follow node_exporter."),
    Family.TRAINING: ("Training", "From the step timer, `from warpgauge.exporters.training import StepTimer`."),
    Family.SERVING: ("Serving", "From the metrics pages of vLLM, SGLang, Triton and TGI, by `warpgauge agent`."),
    Family.AGENT: ("The agent itself", "On the agent's own page."),
    Family.ANALYZER: ("The analyzer itself", "On the analyzer's page."),
}


def page() -> str:
    """The page of all families."""
    return page_of("Metrics", _INTRO, *(_family(family) for family in Family))


def _family(family: Family) -> str:
    title, text = _FAMILIES[family]
    entries = [_entry(metric, NOTES[metric]) for metric in ALL if metric.family is family]
    return "\n\n".join([f"## {title}", text, *entries])


def _entry(metric: Metric, note: Note) -> str:
    blocks = [
        f"### {metric.name}",
        metric.help,
        _facts(metric),
        *_origin(metric),
        f"*Reading it*: {note.reading.replace('NAME', metric.name)}",
        f"*Misread as*: {note.misreading.replace('NAME', metric.name)}",
    ]
    return "\n\n".join(blocks)


def _origin(metric: Metric) -> list[str]:
    """Which call gives it, for those that come from NVML."""
    calls = origins().get(metric, ())
    more = f" and {len(calls) - _CALLS_SHOWN} more of its kind" if len(calls) > _CALLS_SHOWN else ""
    return [f"*NVIDIA*: {', '.join(code(call) for call in calls[:_CALLS_SHOWN])}{more}."] if calls else []


def _facts(metric: Metric) -> str:
    unit = f", {metric.unit.value.replace('_', ' ')}" if metric.unit.value else ""
    tier = "asked for, never on a page" if metric.tier == "on_demand" else f"{metric.tier.value} tier"
    facts = [
        f"{metric.kind.value}{unit}; {tier}; {metric.stability.value}",
        f"labels {', '.join(code(label) for label in metric.labels)}" if metric.labels else "no labels",
        f"on a partitioned device per part, with {code(metric.every_label[-1])}" if metric.by_instance else "",
        f"states {', '.join(code(state) for state in metric.states)}" if metric.kind is Kind.STATE else "",
        f"buckets {', '.join(f'{bound:g}' for bound in metric.buckets)}" if metric.buckets else "",
        _equivalent("OpenTelemetry", metric.otel),
        _equivalent("DCGM", metric.dcgm),
    ]
    return "; ".join(fact for fact in facts if fact) + "."


def _equivalent(system: str, foreign: Equivalent | None) -> str:
    if foreign is None:
        return ""
    factor = "" if foreign.factor == 1 else f" x {foreign.factor:g}"
    return f"{system} `{foreign.name}`{factor}"
