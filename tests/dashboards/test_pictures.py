"""Every dashboard drawn with Grafana's own components from what a real Prometheus answers, and no panel is empty.

`make screenshots` builds the page (tools/panels, npm), runs this file and keeps the pictures; else it is skipped.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboards.live_feed import OwnPage, scrape, with_pod
from tests.exporters.test_dcgm_view import Page as DcgmPage
from tests.fakes.nvml_profiles import H100
from tests.live_pages import serve
from tests.real_servers import get_json, prometheus_config, servers_in, start_prometheus, wait_until
from warpgauge.core.clock import ManualClock, SystemClock
from warpgauge.core.exposition import Format
from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS, files
from warpgauge.exporters.synthetic import CLUSTER, FAULTS, Fleet, SimulatedPages

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / ".cache/panels/dist/index.html"
KEPT_IN = os.environ.get("WARPGAUGE_PICTURES", "")
MOST_BYTES = 300_000
NODES = 4
INTERVAL = "2s"
PAST_SECONDS = 1800
STEP_SECONDS = 15
VARIABLES = {
    "$cluster": ".+", "$job_id": ".+", "$model": ".+", "$price": "0.15", "$__rate_interval": "150s", "$__range": "30m",
}  # fmt: skip
DRAWN = (*DASHBOARDS, "dcgm-fleet", "dcgm-device")  # of the others over DCGM's series the panels are the same
BOARDS_SECONDS = 30  # how much there is of the boards that DCGM's page tells of, which nothing happens to
DRAWN_NODE, INDEX = "sim-node-1", "3"  # of the device that is drawn
OWN = "own:9838"
ONE_NODE = {"node", "device", "interconnect", "host"}  # where a person would have chosen one
NODE_OF = dict.fromkeys(ONE_NODE, DRAWN_NODE)

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not (KEPT_IN and PAGE.exists()), reason="it takes minutes and npm: make screenshots"),
]


def with_target(text: bytes, node: str, instance: str) -> bytes:
    """A page's lines as Prometheus stores them: with the target's labels, where the line has none of its own."""
    target = {"cluster": CLUSTER, "node": node, "instance": instance, "job": instance.partition(":")[0]}
    labels = [f'{name}="{value}"'.encode() for name, value in target.items()]
    lines = text.splitlines()
    return b"\n".join(line if line.startswith(b"#") else _labeled(line, labels) for line in lines) + b"\n"


def _labeled(line: bytes, labels: list[bytes]) -> bytes:
    name, brace, rest = line.partition(b"{")
    if brace:
        own = b"," + rest
        lacking = [one for one in labels if b"," + one.partition(b"=")[0] + b"=" not in own]
        return name + b"{" + b",".join([*lacking, rest])
    name, _, rest = line.partition(b" ")
    return name + b"{" + b",".join(labels) + b"} " + rest


def drawn_device(model: Fleet) -> tuple[str, str]:
    """Its uuid and index."""
    return model.nodes[model.node_names.index(DRAWN_NODE)].gpus[int(INDEX)].uuid, INDEX


def past_of_own(now: float, device: tuple[str, str]) -> bytes:
    """What the simulated fleet lacks, over the time that is drawn, as OpenMetrics lines with timestamps."""
    clock = ManualClock(now - PAST_SECONDS)
    own, lines = OwnPage(clock, device), list[bytes]()
    while clock.now() < now:
        clock.advance(STEP_SECONDS)
        told = (line for line in own().splitlines() if not line.startswith(b"#"))
        lines += [b"%s %.3f" % (line, clock.now()) for line in told]
    return b"\n".join([*lines, b"# EOF"])


@pytest.fixture(scope="module")
def fleet() -> tuple[SimulatedPages, Fleet, SystemClock]:
    clock = SystemClock()
    model = Fleet(42, FAULTS, start=clock.now())
    pages = SimulatedPages(model, clock)
    pages.prepare()
    return pages, model, clock


@pytest.fixture(scope="module")
def prometheus(
    fleet: tuple[SimulatedPages, Fleet, SystemClock], promtool: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A Prometheus that holds the hour before and scrapes what comes."""
    pages, model, clock = fleet
    nodes = list(model.node_names[:NODES])
    folder = tmp_path_factory.mktemp("pictures")
    data = folder / "past"
    pasts = {f"{node}:9837": (node, b"".join(pages.backfill(node))) for node in nodes}
    pasts[OWN] = DRAWN_NODE, past_of_own(clock.now(), drawn_device(model))
    for instance, (node, told) in pasts.items():
        text = folder / "past.om"
        text.write_bytes(with_target(told, node, instance))
        subprocess.run(
            [promtool, "tsdb", "create-blocks-from", "openmetrics", text, data], check=True, capture_output=True
        )
        text.unlink()
    boards = DcgmPage(H100, H100)
    own = OwnPage(clock, drawn_device(model))
    served = {f"/{node}": lambda node=node: pages.metrics(node, Format.TEXT) for node in nodes}
    with (
        serve({**served, "/own": own, "/dcgm": lambda: with_pod(boards.text()).encode()}) as address,
        servers_in(folder / "servers") as servers,
    ):
        targets = [
            scrape(node, address, f"/{node}", honor=True, cluster=CLUSTER, node=node, instance=f"{node}:9837")
            for node in nodes
        ]
        targets.append(scrape("own", address, "/own", honor=True, cluster=CLUSTER, node=DRAWN_NODE, instance=OWN))
        for target in targets:  # the labels that the past has, and no more: else each series is there twice for a while
            for name in ("namespace", "pod", "container"):
                del target["static_configs"][0]["labels"][name]
        targets.append(scrape("dcgm", address, "/dcgm", honor=True, cluster=CLUSTER, container="dcgm-exporter"))
        base = start_prometheus(servers, prometheus_config(targets, (), (), INTERVAL), data=data)
        wait_until(lambda: len(answers(base, "count_over_time(up[1m]) > 10")) > NODES, what="ten scrapes", seconds=90)
        yield base


def answers(
    base: str, expr: str, span: tuple[float, float] | None = None, at: float | None = None
) -> list[dict[str, Any]]:
    """What Prometheus says, at a time or over a span."""
    parameters: dict[str, Any] = {"query": expr}
    if span is not None:
        parameters |= {"start": span[0], "end": span[1], "step": min(STEP_SECONDS, (span[1] - span[0]) / 15)}
    elif at is not None:
        parameters["time"] = at  # one for all queries of a panel, as in Grafana: rows are joined on it
    path = "query" if span is None else "query_range"
    return get_json(f"{base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout_seconds=60)["data"]["result"]


def asked(base: str, panel: dict[str, Any], node: str, uuid: str, span: tuple[float, float]) -> dict[str, Any]:
    found = {}
    for target in panel.get("targets", ()):
        expr = target["expr"].replace("$node", node)
        for name, value in {"$uuid": uuid, **VARIABLES}.items():
            expr = expr.replace(name, value)
        found[target["refId"]] = answers(base, expr, None if target["instant"] else span, at=span[1])
    return found


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """The built page at an address: a browser loads no modules from a file."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def drawn(page: Any, given: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Draw a dashboard; the titles of all its panels, and of those that show nothing or failed."""
    page.evaluate("given => window.drawDashboard(given)", given)
    page.wait_for_selector("#board")
    page.wait_for_timeout(1500)

    def titles(kind: str) -> list[str]:
        return page.evaluate(f"[...document.querySelectorAll('[data-{kind}]')].map(one => one.dataset.{kind})")

    return titles("panel"), [*titles("empty"), *titles("error")]


def keep(page: Any, name: str) -> None:
    """Write the picture where `make screenshots` wants it."""
    picture = Path(KEPT_IN, f"{name}.jpeg")
    picture.parent.mkdir(parents=True, exist_ok=True)
    if os.environ.get("WARPGAUGE_PICTURES_PNG"):
        page.locator("#board").screenshot(path=picture.with_suffix(".png"))
    for quality in (70, 50, 35, 25, 15):
        page.locator("#board").screenshot(path=picture, type="jpeg", quality=quality)
        if picture.stat().st_size <= MOST_BYTES:
            return
    pytest.fail(f"{picture} is larger than {MOST_BYTES} bytes")


@pytest.mark.parametrize("name", DRAWN)
def test_no_panel_is_empty(prometheus: str, browser: Any, name: str):
    span = (time.time() - (BOARDS_SECONDS if name in DCGM_DASHBOARDS else PAST_SECONDS), time.time())
    one_device = answers(prometheus, f'accel_device_up{{node="{DRAWN_NODE}",index="{INDEX}"}}')[0]["metric"]["uuid"]
    dashboard = json.loads(files()[f"{name}.json"])
    node, uuid = NODE_OF.get(name, ".+"), one_device if name == "device" else ".+"
    told = {panel["id"]: asked(prometheus, panel, node, uuid, span) for panel in dashboard["panels"]}
    with serve_folder(PAGE.parent) as base:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{base}/index.html")
        page.wait_for_function("window.drawDashboard !== undefined")
        given = {"dashboard": dashboard, "answers": told, "range": {"from": span[0], "to": span[1]}}
        titles, empty = drawn(page, given)
        keep(page, name)
        page.close()
    assert len(titles) == sum(panel["type"] != "row" for panel in dashboard["panels"])
    assert empty == []
