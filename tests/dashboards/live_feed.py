"""Pages for a real Prometheus to scrape: the simulated fleet, and what no simulated node has."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.dashboards.uncommon_rows import uncommon
from tests.exporters.test_dcgm_view import Page as DcgmPage
from tests.fakes.nvml_profiles import H100
from tests.live_pages import serve
from warpgauge.core.catalog import ALL, Family, Kind, Metric, Unit, device, own
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.exposition import FamilyRenderer, Format, page
from warpgauge.core.sample import Histogram, Sample
from warpgauge.exporters.synthetic import CLUSTER, FAULTS, Fleet, SimulatedPages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORDS = {
    "action": "cap_power",
    "collector": "nvml",
    "function": "nvmlDeviceGetFieldValues",
    "kind": "straggler",
    "outcome": "accepted",
    "reason": "not_supported",
    "severity": "warning",
    "sink": "remote_write",
    "source": "prometheus",
    "state": "open",
    "target": "prometheus:9090",
    "verdict": "improved",
    "version": "0.9.0",
}
"""Of labels with any text: one that an agent or analyzer would say, for those who look at the pictures."""

BOARDS_NODE = "node-7"
POD = "train-0"
OTHER_PLACE = {"k8s_cluster": "eu", "env": "prod", "region": "eu-1", "zone": "a", "rack": "r1"}

__all__ = ["BOARDS_NODE", "OTHER_PLACE", "POD", "OwnPage", "feed", "is_elsewhere", "scrape", "with_pod"]


class OwnPage:
    """What no simulated node has: what the agent and the analyzer say of themselves, an XID, uncommon hardware.

    `device` is uuid and index of the one that has it.
    """

    def __init__(self, clock: Clock, device: tuple[str, str] = ("GPU-x", "0")) -> None:
        self._clock = clock
        self._device = device
        self._start = clock.now()
        self._readings = 0

    def __call__(self) -> bytes:
        self._readings += 1
        told = [
            Sample(own.FINDING_ACTIVE, ("straggler", severity, CLUSTER, "sim-node-3", "GPU-x", "job-1", "true"), 1.0)
            for severity in ("critical", "warning", "info")
        ]
        rest = [row for row in ALL if row.family in {Family.AGENT, Family.ANALYZER} and row != own.FINDING_ACTIVE]
        xid = (*self._device, "79")
        samples = [
            *told,
            *(sample for row in rest for sample in self._samples(row)),
            *uncommon(self._clock.now() - self._start, *self._device),
            Sample(device.XID_EVENTS, xid, float(self._readings)),
            Sample(device.XID_LAST, xid, self._clock.now()),
        ]
        return page([FamilyRenderer().render(samples)], Format.TEXT)

    def _samples(self, row: Metric) -> Iterator[Sample]:
        """One series of a row, or one for each state, rising where it is a counter."""
        if row.kind is Kind.STATE:
            others = tuple(WORDS.get(label, label) for label in row.labels[:-1])
            yield from (Sample(row, (*others, state), float(state == row.states[0])) for state in row.states)
            return
        labels = tuple(WORDS.get(label, label) for label in row.labels)
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


@contextlib.contextmanager
def feed(fleet: Fleet | None = None) -> Iterator[list[dict[str, Any]]]:
    """Scrape configurations of the whole fleet, of our own page and of DCGM's; any number of servers may read them.

    Half of the nodes are scraped with honor_labels, half without; all targets carry Kubernetes' labels, which clash.
    The boards of BOARDS_NODE are told twice, by our page and by DCGM's. A part is there once more as OTHER_PLACE.
    """
    clock = SystemClock()
    fleet = fleet or Fleet(42, FAULTS, start=clock.now())
    simulated = SimulatedPages(fleet, clock)
    simulated.prepare()
    dcgm = DcgmPage(H100, H100)
    dcgm.readings.happened(dcgm.devices[1], "xid", 79, source="nvml")
    pages = {f"/{node}": lambda node=node: simulated.metrics(node, Format.TEXT) for node in fleet.node_names}
    pages["/boards"] = lambda: page(dcgm.readings.families(), Format.TEXT)
    pages["/dcgm"] = lambda: with_pod(dcgm.text()).encode()
    with serve({**pages, "/own": OwnPage(clock)}) as address:
        nodes = [
            scrape(f"{node}/warpgauge-agent", address, f"/{node}", honor=number % 2 == 0, cluster=CLUSTER, node=node)
            for number, node in enumerate(fleet.node_names)
        ]
        own_pages = [
            scrape(f"own-{honor}", address, "/own", honor=honor, cluster="monitoring", node="monitor")
            for honor in (True, False)
        ]
        exporters = [
            scrape(f"dcgm-{honor}", address, "/dcgm", honor=honor, cluster=CLUSTER, container="nvidia-dcgm-exporter")
            for honor in (True, False)
        ]
        told_twice = scrape("boards/warpgauge-agent", address, "/boards", honor=True, cluster=CLUSTER, node=BOARDS_NODE)
        yield [*nodes, *own_pages, *exporters, told_twice, *_elsewhere(address, fleet.node_names[:2])]


def _elsewhere(address: str, nodes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Two nodes of the fleet, our own page and DCGM's at a site whose targets have other labels."""
    for honor, node in enumerate(nodes):
        yield scrape(f"other/{node}/warpgauge-agent", address, f"/{node}", honor=bool(honor), node=node, **OTHER_PLACE)
    yield scrape("other/own", address, "/own", honor=False, node="monitor", **OTHER_PLACE)
    yield scrape("other/dcgm", address, "/dcgm", honor=True, container="nvidia-dcgm-exporter", **OTHER_PLACE)


def is_elsewhere(scraped: dict[str, Any]) -> bool:
    """Whether a scrape configuration is of the other site."""
    return scraped["static_configs"][0]["labels"].items() >= OTHER_PLACE.items()


def with_pod(text: str) -> str:
    """DCGM's page with a pod on the first GPU, as the exporter writes one in Kubernetes."""
    return text.replace('{gpu="0",', f'{{gpu="0",namespace="lab",pod="{POD}",container="main",')
