"""Every fault below leads to its alert: fake driver or /proc -> real agent -> Prometheus -> Alertmanager -> webhook.

One run for all of them, each fault on a GPU or node of its own, with all durations of the generated rules divided by
SCALE. First nothing is wrong, and nobody may be told anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import pytest

from tests.alerts.faults import DEVICE_FAULTS, HOST_FAULTS, DeviceFault
from tests.alerts.firing_node import Node, child
from tests.alerts.hurry import write_site
from tests.alerts.ill_analyzer import start_ill_analyzer
from tests.alerts.ill_host import IllHost
from tests.alerts.mixed_faults import Mixed
from tests.alerts.sick_server import SickServers
from tests.fakes.nvml_script import set_faults
from tests.real_servers import (
    Webhook,
    free_port,
    get_json,
    open_webhook,
    prometheus_config,
    servers_in,
    start_alertmanager,
    start_prometheus,
    wait_until,
)
from warpgauge.alerts.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.real, pytest.mark.slow]

SCALE: Final = 30  # a minute is two seconds
SCRAPE: Final = "1s"
SILENT_SECONDS: Final = 30.0  # longer than the longest window and `for` of most, scaled
TOLD_SECONDS: Final = 90.0
SWITCH_ERROR: Final = (
    b"3,1,1,-;nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 12028, Non-fatal, Link 44 egress non-posted PRIV error\n"
)
SITE: Final = Site(  # one fleet of ours is of two nodes, and who idles or is away for a moment has other hold times
    thresholds={"FleetOverheating": 2.0}, holds={"DeviceIdleAllocated": "1m", "DeviceLost": "5m"}
)
CHILD: Final = Path(__file__).with_name("faulty_child.py")
HEALTHY: Final = ("set all utilization 95",)


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
    """Nodes of every kind, sound for a while, then everything goes wrong at once."""
    folder = tmp_path_factory.mktemp("firing")
    with contextlib.ExitStack() as stack:
        webhook = stack.enter_context(open_webhook())
        servers = stack.enter_context(servers_in(folder / "servers"))
        ill_host = stack.enter_context(IllHost(folder / "proc"))
        kernel_log = stack.enter_context(_kernel_log(folder / "kmsg"))
        gpus = _gpu_node(folder, "n1", (*(fault.profile for fault in DEVICE_FAULTS), "h100"), folder / "kmsg")
        upgraded, unloaded = _gpu_node(folder, "n3", ("h100",)), _gpu_node(folder, "n4", ("h100",))
        host = Node("n2", ("host",), "host_load1", settings={"proc_root": str(folder / "proc")})
        leaving = Node("n5", ("host",), "host_load1")
        sick_servers = SickServers()
        urls = stack.enter_context(sick_servers.running())
        serving = Node("n6", ("serving",), "serving_up{", settings={"serving_urls": urls})
        mixed = Mixed(folder / "mixed", stack)
        nodes = [
            stack.enter_context(node.running())
            for node in (gpus, host, upgraded, unloaded, leaving, serving, *mixed.sound)
        ]
        mixed.begin()
        rules = write_site(folder / "site", replace(SITE, webhook_url=webhook.url), SCALE)
        alertmanager = start_alertmanager(servers, folder / "site/alertmanager/alertmanager.yml")
        _wait_for_data(nodes)
        known = Known(folder / "targets.json")
        known.add(*nodes)
        prometheus = start_prometheus(servers, prometheus_config([known.job], rules, [alertmanager], SCRAPE))
        result = Run(webhook, prometheus)
        time.sleep(SILENT_SECONDS)
        result.told_while_healthy = list(webhook.received)
        set_faults(gpus.script, *HEALTHY, *_everything())
        set_faults(upgraded.script, *HEALTHY, "mismatch")
        set_faults(unloaded.script, *HEALTHY, "code 999")
        ill_host.is_ill = leaving.is_down = sick_servers.is_ill = True
        mixed.fall_ill()
        kernel_log.write(SWITCH_ERROR)
        late = [stack.enter_context(node.running()) for node in mixed.late]
        analyzer = start_ill_analyzer(servers, folder / "analyzer", mixed.deaf.server_port)
        # One that watches analyzers only: of agents it knows nothing at all.
        start_prometheus(servers, prometheus_config([_analyzers(analyzer)], rules, [alertmanager], SCRAPE))
        _wait_for_data(late)
        known.add(*late)
        yield result


@dataclass
class Known:
    """The targets that Prometheus knows, in a file that it watches."""

    path: Path
    targets: list[dict[str, Any]] = field(default_factory=list)

    def add(self, *nodes: Node) -> None:
        self.targets += [node.target() for node in nodes]
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.targets))
        new.replace(self.path)

    @property
    def job(self) -> dict[str, Any]:
        return {
            "job_name": "warpgauge-agent",
            "scrape_interval": SCRAPE,
            "scrape_timeout": SCRAPE,
            "file_sd_configs": [{"files": [str(self.path)], "refresh_interval": "1s"}],
        }


def _analyzers(base: str) -> dict[str, Any]:
    """The one at `base`, and one that is gone."""
    targets = [base.removeprefix("http://"), f"127.0.0.1:{free_port()}"]
    return {"job_name": "warpgauge-analyzer", "static_configs": [{"targets": targets, "labels": {"cluster": "test"}}]}


@contextlib.contextmanager
def _kernel_log(path: Path) -> Iterator[IO[bytes]]:
    """A pipe in place of /dev/kmsg; our own end stays open, so that it never comes to an end."""
    os.mkfifo(path)
    with open(os.open(path, os.O_RDWR | os.O_NONBLOCK), "wb", buffering=0) as log:  # noqa: PTH123 - a descriptor
        yield log


def _gpu_node(folder: Path, name: str, profiles: tuple[str, ...], kernel_log: Path | None = None) -> Node:
    script = folder / f"{name}.script"
    set_faults(script, *HEALTHY)
    return Node(
        name,
        ("nvml",),
        "accel_power_watts{",
        script=script,
        programs={"nvml": child(CHILD, script, *profiles)},
        settings={"kernel_log": str(kernel_log or "")},
    )


def _everything() -> list[str]:
    return [line for gpu, fault in enumerate(DEVICE_FAULTS) for line in injected(fault, gpu)]


def _wait_for_data(nodes: list[Node]) -> None:
    for node in nodes:
        wait_until(lambda node=node: node.reads, what=f"{node.name} reads")


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
