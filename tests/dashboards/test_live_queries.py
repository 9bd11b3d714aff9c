"""Every query of every dashboard on a real Prometheus that scrapes the simulated fleet and a page of our own metrics.

Half of the nodes are scraped with honor_labels, half without, and all targets carry Kubernetes' labels, which clash.
"""

from __future__ import annotations

import json
import urllib.parse
from typing import TYPE_CHECKING, Any

import pytest

from tests.live_pages import serve
from tests.real_servers import get_json, wait_until
from warpgauge.alerts.groups import GROUPS
from warpgauge.core.catalog import ALL, Family, Kind, Metric, Unit, device, own
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.exposition import FamilyRenderer, Format, page
from warpgauge.core.sample import Histogram, Sample
from warpgauge.dashboards.generate import DASHBOARDS, files
from warpgauge.exporters.synthetic import CLUSTER, FAULTS, Fleet, SimulatedPages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.real, pytest.mark.slow]

FILES = files()
TARGETS = [
    (f"{name}/{panel['title']}/{target['refId']}", target["expr"])
    for name in DASHBOARDS
    for panel in json.loads(FILES[f"{name}.json"])["panels"]
    for target in panel.get("targets", ())
]
NODES = 8
VARIABLES = {
    "$cluster": ".+", "$node": ".+", "$uuid": ".+", "$job_id": ".+", "$price": "0.15",
    "$__rate_interval": "10s", "$__range": "10s",
}  # fmt: skip


class OwnPage:
    """What no simulated node has: everything that the agent and the analyzer say of themselves, and an XID."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readings = 0

    def __call__(self) -> bytes:
        self._readings += 1
        told = [
            Sample(own.FINDING_ACTIVE, ("straggler", severity, CLUSTER, "sim-node-3", "GPU-x", "job-1", "true"), 1.0)
            for severity in ("critical", "warning", "info")
        ]
        rest = [row for row in ALL if row.family in {Family.AGENT, Family.ANALYZER} and row != own.FINDING_ACTIVE]
        xid = ("GPU-x", "0", "79")
        samples = [
            *told,
            *(sample for row in rest for sample in self._samples(row)),
            Sample(device.XID_EVENTS, xid, float(self._readings)),
            Sample(device.XID_LAST, xid, self._clock.now()),
        ]
        return page([FamilyRenderer().render(samples)], Format.TEXT)

    def _samples(self, row: Metric) -> Iterator[Sample]:
        """One series of a row, or one for each state, rising where it is a counter."""
        if row.kind is Kind.STATE:
            others = tuple("a" for _ in row.labels[:-1])
            yield from (Sample(row, (*others, state), float(state == row.states[0])) for state in row.states)
            return
        labels = tuple("a" for _ in row.labels)
        if row.kind is Kind.HISTOGRAM:
            counts = (self._readings,) * (len(row.buckets) + 1)
            yield Sample(row, labels, Histogram(counts, 1e-6 * self._readings))
        elif row.unit is Unit.TIMESTAMP:
            yield Sample(row, labels, self._clock.now())
        else:
            yield Sample(row, labels, float(self._readings) if row.kind is Kind.COUNTER else 1.0)


def scrape(job: str, address: str, path: str, *, honor: bool, **labels: str) -> dict[str, Any]:
    labels = {"namespace": "monitoring", "pod": "agent-x", "container": "agent", **labels}
    return {
        "job_name": job,
        "honor_labels": honor,
        "metrics_path": path,
        "static_configs": [{"targets": [address], "labels": labels}],
    }


@pytest.fixture
def prometheus(prometheus_server: Callable[..., str]) -> Iterator[str]:
    clock = SystemClock()
    fleet = Fleet(42, FAULTS, start=clock.now())
    simulated = SimulatedPages(fleet, clock)
    simulated.prepare()
    pages = {f"/{node}": lambda node=node: simulated.metrics(node, Format.TEXT) for node in fleet.node_names}
    with serve({**pages, "/own": OwnPage(clock)}) as address:
        nodes = [
            scrape(f"{node}/warpgauge-agent", address, f"/{node}", honor=number % 2 == 0, cluster=CLUSTER, node=node)
            for number, node in enumerate(fleet.node_names)
        ]
        own_pages = [
            scrape(f"own-{honor}", address, "/own", honor=honor, cluster="monitoring", node="monitor")
            for honor in (True, False)
        ]
        yield prometheus_server([*nodes, *own_pages])


def answer(base: str, expression: str) -> list[dict[str, Any]]:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return get_json(f"{base}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")["data"]["result"]


def test_no_panel_is_empty_and_no_rule_fails_whatever_honor_labels_says(prometheus: str):
    needs_two_scrapes = next(expression for name, expression in TARGETS if name.startswith("host/Network sent"))
    wait_until(lambda: len(answer(prometheus, needs_two_scrapes)) >= NODES, what="each node was scraped twice")
    assert [name for name, expression in TARGETS if not answer(prometheus, expression)] == []
    for rule in (rule for group in GROUPS for rule in group.rules):
        expression = rule.expr.replace("$threshold", f"{getattr(rule, 'threshold', 0) or 0:g}")
        answer(prometheus, expression.replace("5m]", "10s]"))  # an HTTP error, such as many-to-many, ends the test
    expressions = dict(TARGETS)
    assert answer(prometheus, expressions["fleet/Devices/A"])
    assert {one["metric"]["node"] for one in answer(prometheus, expressions["fleet/Open findings/A"])} == {"sim-node-3"}
    table = [expression for name, expression in TARGETS if name.startswith("fleet/Devices/")]
    assert [len(answer(prometheus, expression)) for expression in table] == [64] * len(table)
