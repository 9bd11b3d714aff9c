"""Every fault below leads to its alert: fake driver or /proc -> real agent -> Prometheus -> Alertmanager -> webhook.

One run for all of them, each fault on a GPU or node of its own, with all durations of the generated rules divided by
SCALE. First nothing is wrong, and nobody may be told anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.alerts.faults import DEVICE_FAULTS, HOST_FAULTS, DeviceFault
from tests.alerts.hurry import write_site
from tests.alerts.ill_host import IllHost
from tests.alerts.sick_server import SickServers
from tests.fakes.nvml_script import set_faults
from tests.live_pages import serve
from tests.real_servers import (
    Webhook,
    get_json,
    open_webhook,
    prometheus_config,
    servers_in,
    start_alertmanager,
    start_prometheus,
    wait_until,
)
from warpgauge.alerts.site import Site
from warpgauge.core.config import Config
from warpgauge.core.exposition import Format
from warpgauge.core.retry import Backoff
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.link import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.real, pytest.mark.slow]

SCALE: Final = 30  # a minute is two seconds
TICK_SECONDS: Final = 1.0
SCRAPE: Final = "1s"
SILENT_SECONDS: Final = 30.0  # longer than the longest window and `for` of most, scaled
TOLD_SECONDS: Final = 90.0
CHILD: Final = Path(__file__).with_name("faulty_child.py")
HEALTHY: Final = ("set all utilization 95",)


@dataclass
class Node:
    """An agent in a thread of its own, with the page that Prometheus scrapes."""

    name: str
    collectors: tuple[str, ...]
    script: Path
    profiles: tuple[str, ...] = ()
    proc_root: Path = Path("/proc")
    serving_urls: tuple[str, ...] = ()
    address: str = ""
    is_down: bool = False
    agent: Agent | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def page(self) -> bytes:
        if self.agent is None or self.is_down:
            raise KeyError(self.name)  # a 503
        return self.agent.pages.body(Format.TEXT, is_compressed=False)

    async def live(self) -> None:
        config = Config()
        settings = replace(
            config.agent,
            fast_interval_seconds=TICK_SECONDS,
            normal_interval_seconds=TICK_SECONDS,
            slow_interval_seconds=TICK_SECONDS * 2,
            disabled_collectors=tuple(name for name in COLLECTORS if name not in self.collectors),
            proc_root=str(self.proc_root),
            serving_urls=self.serving_urls,
            kernel_log="",
        )
        program = Program(
            command=[sys.executable, str(CHILD), str(self.script), *self.profiles],
            environment=dict(os.environ),
            deadline_seconds=60.0,  # nothing hangs here: a busy machine must not look like it
            start_seconds=60.0,
            retries=Backoff(first_seconds=30.0, factor=2.0, max_seconds=60.0),
        )
        self.agent = Agent(replace(config, agent=settings), programs={"nvml": program})
        await self.agent.run()

    @contextlib.contextmanager
    def running(self) -> Iterator[Node]:
        main = self.loop.create_task(self.live())

        def run() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                self.loop.run_until_complete(main)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            with serve({"/metrics": self.page}) as self.address:
                yield self
        finally:
            self.loop.call_soon_threadsafe(main.cancel)
            thread.join()
            self.loop.close()

    def target(self) -> dict[str, Any]:
        return {"targets": [self.address], "labels": {"cluster": "test", "node": self.name}}


@dataclass
class Run:
    """What was told, by alert: the labels of each that fired."""

    webhook: Webhook
    prometheus: str
    told_while_healthy: list[Any] = field(default_factory=list)

    def told(self) -> dict[str, list[dict[str, str]]]:
        found: dict[str, list[dict[str, str]]] = {}
        for body in list(self.webhook.received):
            for alert in body["alerts"]:
                if alert["status"] == "firing":
                    found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found


def injected(fault: DeviceFault, gpu: int) -> list[str]:
    now = str(time.monotonic())
    return [line.replace("@", str(gpu)).replace("NOW", now) for line in fault.script]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Six nodes, sound for a while, then everything goes wrong at once."""
    folder = tmp_path_factory.mktemp("firing")
    with contextlib.ExitStack() as stack:
        webhook = stack.enter_context(open_webhook())
        servers = stack.enter_context(servers_in(folder / "servers"))
        ill_host = stack.enter_context(IllHost(folder / "proc"))
        gpus = _node(folder, "n1", profiles=(*(fault.profile for fault in DEVICE_FAULTS), "h100"))
        upgraded = _node(folder, "n3", profiles=("h100",))
        unloaded = _node(folder, "n4", profiles=("h100",))
        host = Node("n2", ("host",), folder / "none", proc_root=folder / "proc")
        leaving = Node("n5", ("host",), folder / "none")
        sick_servers = SickServers()
        urls = stack.enter_context(sick_servers.running())
        serving = Node("n6", ("serving",), folder / "none", serving_urls=urls)
        nodes = [stack.enter_context(node.running()) for node in (gpus, host, upgraded, unloaded, leaving, serving)]
        rules = write_site(folder / "site", Site(webhook_url=webhook.url), SCALE)
        alertmanager = start_alertmanager(servers, folder / "site/alertmanager/alertmanager.yml")
        _wait_for_data(nodes)
        job = {
            "job_name": "warpgauge-agent",
            "scrape_interval": SCRAPE,
            "scrape_timeout": SCRAPE,
            "static_configs": [node.target() for node in nodes],
        }
        prometheus = start_prometheus(servers, prometheus_config([job], rules, [alertmanager], SCRAPE))
        result = Run(webhook, prometheus)
        time.sleep(SILENT_SECONDS)
        result.told_while_healthy = list(webhook.received)
        set_faults(gpus.script, *HEALTHY, *_everything())
        set_faults(upgraded.script, *HEALTHY, "mismatch")
        set_faults(unloaded.script, *HEALTHY, "code 999")
        ill_host.is_ill = leaving.is_down = sick_servers.is_ill = True
        yield result


def _node(folder: Path, name: str, *, profiles: tuple[str, ...]) -> Node:
    script = folder / f"{name}.script"
    set_faults(script, *HEALTHY)
    return Node(name, ("nvml",), script, profiles)


def _everything() -> list[str]:
    return [line for gpu, fault in enumerate(DEVICE_FAULTS) for line in injected(fault, gpu)]


def _wait_for_data(nodes: list[Node]) -> None:
    for node in nodes:
        wanted = {"nvml": b"accel_power_watts{", "host": b"host_load1", "serving": b"serving_up{"}[node.collectors[0]]
        wait_until(lambda node=node, wanted=wanted: node.agent and wanted in node.page(), what=f"{node.name} reads")


def test_a_sound_fleet_is_not_mentioned(run: Run):
    told = [alert["labels"] for body in run.told_while_healthy for alert in body["alerts"]]
    assert sorted({(labels["alertname"], labels.get("node"), labels.get("index")) for labels in told}) == []


@pytest.mark.parametrize(("gpu", "fault"), list(enumerate(DEVICE_FAULTS)), ids=lambda one: getattr(one, "alert", "n1"))
def test_a_fault_of_a_device_reaches_the_webhook(run: Run, gpu: int, fault: DeviceFault):
    wait_until(
        lambda: any(labels.get("index") == str(gpu) for labels in run.told().get(fault.alert, ())),
        what=f"somebody hears of {fault.alert} on n1/gpu{gpu}; firing: {_firing(run)}",
        seconds=TOLD_SECONDS,
    )


@pytest.mark.parametrize("alert", HOST_FAULTS)
def test_a_fault_of_a_node_or_the_fleet_reaches_the_webhook(run: Run, alert: str):
    wait_until(
        lambda: run.told().get(alert),
        what=f"somebody hears of {alert}; firing: {_firing(run)}",
        seconds=TOLD_SECONDS,
    )


def test_no_device_is_blamed_for_what_another_one_has(run: Run):
    expected = {fault.alert: str(gpu) for gpu, fault in enumerate(DEVICE_FAULTS)}
    blamed = {
        (name, labels["index"])
        for name, told in run.told().items()
        for labels in told
        if name in expected and labels.get("node") == "n1" and labels["index"] != expected[name]
    }
    assert blamed == set()


def _firing(run: Run) -> str:
    try:
        found = get_json(f"{run.prometheus}/api/v1/alerts")["data"]["alerts"]
    except OSError as error:
        return str(error)
    return json.dumps(sorted({(one["labels"]["alertname"], one["state"]) for one in found}))
