"""Every query of every dashboard and every rule on real Prometheis, Debian's and the newest, that scrape one feed."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.dashboards.live_feed import feed
from tests.prometheus_releases import NEWEST, OLDEST, RELEASES, program
from tests.real_servers import get_json, prometheus_config, servers_in, start_prometheus
from warpgauge.alerts.generate import files as rule_files
from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS, files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]

DOCUMENTS = {name: json.loads(files()[f"{name}.json"]) for name in (*DASHBOARDS, *DCGM_DASHBOARDS)}
TARGETS = {
    f"{name}/{panel['title']}/{target['refId']}": target["expr"]
    for name, document in DOCUMENTS.items()
    for panel in document["panels"]
    for target in panel.get("targets", ())
}
DROP_DOWNS = sorted(
    {one["definition"] for it in DOCUMENTS.values() for one in it["templating"]["list"] if one["type"] == "query"}
)
MARKS = sorted({one["expr"] for it in DOCUMENTS.values() for one in it["annotations"]["list"] if "expr" in one})
DEVICES = 64
INTERVAL = "2s"
SETTLED_SECONDS = 60.0
VARIABLES = {
    "$cluster": ".+", "$node": ".+", "$uuid": ".+", "$job_id": ".+", "$model": ".+", "$price": "0.15",
    "$__rate_interval": "40s", "$__range": "40s",
}  # fmt: skip

each_release = pytest.mark.parametrize("release", RELEASES)


def rules_in(folder: Path) -> list[Path]:
    """The generated rule files, evaluated at each scrape."""
    written = [(folder / name, text) for name, text in rule_files().items() if "/" not in name]
    for path, text in [*written, (folder / "dcgm.yml", rule_files()["dcgm/dcgm.yml"])]:
        document = yaml.safe_load(text)
        for group in document["groups"]:
            group["interval"] = INTERVAL
        path.write_text(json.dumps(document))
    return sorted(folder.glob("*.yml"))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Base URL of a release by its name; both read the same pages at the same time, so the wait is one."""
    folder = tmp_path_factory.mktemp("live")
    bases: dict[str, str] = {}
    with feed() as scraped, servers_in(folder / "servers") as servers:
        config = prometheus_config(scraped, rules_in(folder), alertmanagers=(), interval=INTERVAL)
        for release in RELEASES:
            with contextlib.suppress(pytest.skip.Exception):
                bases[release] = start_prometheus(servers, config, program=program(release, "prometheus"))
        yield lambda release: bases.get(release) or str(program(release, "prometheus"))  # the latter skips


def filled(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def answer(base: str, expression: str) -> list[dict[str, Any]]:
    return get_json(f"{base}/api/v1/query?{urllib.parse.urlencode({'query': filled(expression)})}")["data"]["result"]


def values(base: str, definition: str) -> list[str]:
    """What a drop-down offers: Grafana asks for the label's values on the series."""
    series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", filled(definition)).groups()
    return get_json(f"{base}/api/v1/label/{label}/values?{urllib.parse.urlencode({'match[]': series})}")["data"]


def settled(found: Callable[[], list[str]]) -> list[str]:
    """What is still wrong after a while: one scrape is too few for a rate, and a late one leaves a moment's gap."""
    end = time.monotonic() + SETTLED_SECONDS
    while (wrong := found()) and time.monotonic() < end:
        time.sleep(0.2)
    return wrong


@each_release
def test_no_panel_is_empty_whatever_honor_labels_says(started: Callable[[str], str], release: str):
    base = started(release)
    least = {name: DEVICES if name.startswith("fleet/Devices/") else 1 for name in TARGETS}
    assert settled(lambda: [name for name in TARGETS if len(answer(base, TARGETS[name])) < least[name]]) == []
    assert {one["metric"]["node"] for one in answer(base, TARGETS["fleet/Open findings/A"])} == {"sim-node-3"}


@each_release
def test_no_drop_down_is_empty(started: Callable[[str], str], release: str):
    base = started(release)
    assert settled(lambda: [definition for definition in DROP_DOWNS if not values(base, definition)]) == []


@each_release
def test_every_rule_is_evaluated_and_what_fires_is_marked_on_the_graphs(started: Callable[[str], str], release: str):
    base = started(release)

    def wrong() -> list[str]:
        groups = get_json(f"{base}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        unwell = [
            f"{rule['name']}: {rule.get('lastError', rule['health'])}" for rule in rules if rule["health"] != "ok"
        ]
        return [*unwell, *(mark for mark in MARKS if not answer(base, mark))]

    assert settled(wrong) == []


def test_both_releases_answer_with_the_same_labels(started: Callable[[str], str]):
    """Prometheus 3 keeps other texts of `le`, leaves the left end of a range out and lets `.` match a line break."""
    oldest, newest = started(OLDEST), started(NEWEST)

    def labels(base: str, expression: str) -> set[frozenset[str]]:
        return {frozenset(one["metric"]) for one in answer(base, expression)}

    assert (
        settled(lambda: [name for name, expr in TARGETS.items() if labels(oldest, expr) != labels(newest, expr)]) == []
    )
