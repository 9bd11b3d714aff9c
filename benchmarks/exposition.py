"""Cost of rendering and parsing a page of 8 devices x 150 series, against prometheus_client in the same run.

Figures are medians of rounds in which both sides take turns, so that a busy machine slows both; the ratio is the
figure to trust. `--short` makes fewer rounds, `--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import deque
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from warpgauge.core.catalog import ALL, Kind, device
from warpgauge.core.exposition import FamilyRenderer, Format, page, parse
from warpgauge.core.sample import Sample
from warpgauge.core.table import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEVICES = 8
SERIES_PER_DEVICE = 150
RENDER_BUDGET_MICROSECONDS = 0.5
PARSE_BUDGET_MICROSECONDS = 1.0


def samples(round_number: int) -> list[Sample]:
    """A page's worth of gauges with real names and labels; values change from round to round."""
    rows = [metric for metric in ALL if metric.kind is Kind.GAUGE and metric.labels[:2] == device.DEVICE]
    return [
        Sample(
            metric, (f"GPU-{uuid:036d}", str(uuid), *(f"{part}" for _ in metric.labels[2:])), 1.37 * part + round_number
        )
        for metric in rows
        for uuid in range(DEVICES)
        for part in range(SERIES_PER_DEVICE // len(rows) + 1 if len(metric.labels) > len(device.DEVICE) else 1)
    ]


class Source:
    """The same samples as prometheus_client's collector; building its objects is not timed, as ours is not."""

    def __init__(self) -> None:
        self.families: list[GaugeMetricFamily] = []

    def load(self, page_samples: list[Sample]) -> None:
        """Build the families of one page."""
        families: dict[str, GaugeMetricFamily] = {}
        for sample in page_samples:
            row = sample.metric
            family = families.setdefault(row.name, GaugeMetricFamily(row.name, row.help, labels=row.labels))
            family.add_metric(sample.labels, float(str(sample.value)))
        self.families = list(families.values())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What prometheus_client asks for."""
        return iter(self.families)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def drain(lines: Iterator[object]) -> None:
    deque(lines, maxlen=0)


def measure(rounds: int) -> list[dict[str, object]]:
    source, renderer = Source(), FamilyRenderer()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(source)
    seconds: dict[str, list[tuple[float, float]]] = {"render": [], "parse text": [], "parse OpenMetrics": []}
    count = 0
    for number in range(rounds):
        now = samples(number)
        count = len(now)
        source.load(now)
        ours = timed(lambda now=now: page([renderer.render(now)], Format.TEXT))
        seconds["render"].append((ours, timed(lambda: generate_latest(registry))))
        text, om = (page([renderer.render(now)], fmt).decode() for fmt in Format)
        for name, content, openmetrics in (("parse text", text, False), ("parse OpenMetrics", om, True)):
            peer = parse_openmetrics if openmetrics else parse_text
            ours = timed(lambda c=content, o=openmetrics: drain(parse(c, place="page", openmetrics=o)))
            seconds[name].append((ours, timed(lambda c=content, p=peer: drain(p(c)))))
    return [figure for name, pairs in seconds.items() for figure in figures(name, pairs[1:], count)]


def figures(name: str, pairs: list[tuple[float, float]], count: int) -> list[dict[str, object]]:
    """Microseconds a sample, and how many times as long prometheus_client takes."""
    ours, peers = (statistics.median(column) / count * 1e6 for column in zip(*pairs, strict=True))
    budget = RENDER_BUDGET_MICROSECONDS if name == "render" else PARSE_BUDGET_MICROSECONDS
    return [
        {
            "name": f"exposition {name}",
            "value": round(ours, 3),
            "unit": "us/sample",
            "peer": f"prometheus_client {peers:.2f}",
            "budget": f"<= {budget}",
            "ok": ours <= budget,
        },
        {
            "name": f"exposition {name} speedup",
            "value": round(peers / ours, 1),
            "unit": "x",
            "peer": "prometheus_client 1.0",
            "budget": ">= 5",
            "ok": peers / ours >= 5,  # noqa: PLR2004 - the budget in the line above
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    rows = measure(20 if arguments.short else 200)
    if arguments.json:
        print("\n".join(json.dumps(row) for row in rows))
    else:
        print(table([key.upper() for key in rows[0]], [list(row.values()) for row in rows], numeric={"VALUE"}))


if __name__ == "__main__":
    main()
