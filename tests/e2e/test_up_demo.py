"""`make up` on a machine without an accelerator: the simulated fleet's four faults, each named and nothing else."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.pace import pace
from tests.real_servers import answers, get_json, wait_until
from tests.running import Up, up

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow]

ARTIFACTS = Path(__file__).parents[2] / ".cache" / "artifacts"
SECONDS = 180.0  # a quarter of a minute where nothing else runs


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("demo"), "--demo", "always") as running:
        wait_until(lambda: len(serious(running)) >= 4, what="the four faults are found", seconds=SECONDS)
        yield running


def serious(running: Up) -> list[dict[str, Any]]:
    return [
        finding
        for finding in running.findings()
        if finding["scope"].get("cluster") == "demo" and finding["severity"] != "info"
    ]


def current(page: dict[str, Any]) -> dict[str, Any] | None:
    return page if page["state"] == "current" else None


def place(kind: str, scope: dict[str, Any]) -> tuple[str, str | None, str | None]:
    """What both the truth and a finding say: faults of a whole job name the job, others the device."""
    is_of_job = kind in {"input_bound", "idle_allocated"}
    return kind, scope.get("job_id"), None if is_of_job else scope.get("uuid")


def test_the_findings_are_the_faults_of_the_model_and_nothing_else(demo: Up):
    truth = get_json(f"{demo.agent}/sim/truth")

    expected = {place(fault["kind"], fault["scope"]) for fault in truth["faults"]}

    assert {place(finding["kind"], finding["scope"]) for finding in serious(demo)} == expected
    assert len(expected) == 4


def test_each_finding_says_since_when_with_evidence_and_a_remedy(demo: Up):
    starts = {fault["kind"]: fault["start"] for fault in get_json(f"{demo.agent}/sim/truth")["faults"]}

    for finding in serious(demo):
        assert finding["simulated"] is True
        assert finding["evidence"]
        assert len(finding["remedy"]) > 20
        assert abs(finding["since"] - starts[finding["kind"]]) < 600, finding["kind"]


def test_the_plain_page_holds_nothing_simulated(demo: Up):
    page = urllib.request.urlopen(f"{demo.agent}/metrics").read().decode()

    assert "sim-node" not in page
    assert 'simulated="true"' not in page
    assert "host_cpu_seconds_total" in page


def test_every_output_marks_what_is_simulated(demo: Up):
    recommendations = demo.api("recommendations")["recommendations"]
    live = demo.api("live")

    assert recommendations
    for document in recommendations:
        assert document["data"]["simulated"] is True
    assert all(device["simulated"] for device in live["devices"] if device["cluster"] == "demo")
    assert not [host for host in live["hosts"] if host["cluster"] != "demo" and host["simulated"]]
    page = wait_until(lambda: current(demo.api("plan")), what="the simulated pool is planned")
    assert (page["simulated"], page["plan"]["simulated"]) == (True, True)
    assert all(one["simulated"] for one in page["advice"])


@pytest.mark.real
def test_the_console_names_the_four_faults_in_a_real_browser(demo: Up, browser):
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": 1360, "height": 1500})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))

    page.goto(f"{demo.console}/")
    page.wait_for_selector("article.finding >> nth=3", timeout=20_000 * pace())
    page.wait_for_selector("table.fleet button.cell.flagged", timeout=20_000 * pace())
    page.wait_for_timeout(3000)  # a few live values for the charts
    page.screenshot(path=str(ARTIFACTS / "console.png"), full_page=True)
    shown = page.inner_text("#findings")
    planned = page.inner_text("#plan-section")
    page.click("table.fleet button.cell.flagged")
    page.wait_for_selector("#device .charts canvas", timeout=20_000 * pace())
    page.screenshot(path=str(ARTIFACTS / "console-device.png"), full_page=True)
    charts = page.inner_text("#device")
    context.close()

    assert problems == []
    utilization = re.search(r"Utilization \(any kernel running\): ([\d.]+) %", charts)
    assert utilization
    assert float(utilization[1]) > 50  # of the compute engine; the decoder does nothing
    for kind in ("straggler", "thermal limited", "idle allocated", "input bound"):
        assert kind in shown
    assert "simulated" in shown
    assert "simulated" in planned
    assert re.search(r"job notebook-lucia: sim-node-\d GPU 0-3 → sim-node-\d GPU 4-7", planned)
    assert "Then run: rerank-train." in planned


def test_a_fault_left_out_and_a_seed_reach_the_model_through_the_flags(tmp_path: Path):
    """What is then found without each of the four: tests/detectors/test_demo_fleet.py, without the processes."""
    faults = ["thermal_limited", "idle_allocated", "input_bound"]

    with up(tmp_path, "--demo", "always", "--demo-seed", "7", "--demo-faults", ",".join(faults)) as running:
        url = f"{running.agent}/sim/truth"
        wait_until(lambda: answers(url), what="the model stands", seconds=60)
        truth = get_json(url)

    assert truth["seed"] == 7
    assert sorted(fault["kind"] for fault in truth["faults"]) == sorted(faults)
