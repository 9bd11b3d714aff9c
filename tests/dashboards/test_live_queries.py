"""Every query of every dashboard and every rule on real Prometheis, Debian's and the newest, that scrape one feed."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.alerts.test_other_site import TOML as ALERTS_TOML
from tests.dashboards.live_feed import BOARDS_NODE, OTHER_PLACE, feed
from tests.dashboards.test_other_site import TOML
from tests.prometheus_releases import NEWEST, OLDEST, RELEASES, program
from tests.real_servers import get_json, prometheus_config, servers_in, start_prometheus
from warpgauge.alerts.generate import files as rule_files
from warpgauge.alerts.settings import site_of as alerts_site_of
from warpgauge.core.config import load
from warpgauge.dashboards.dcgm import words
from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS, files
from warpgauge.dashboards.settings import site_of
from warpgauge.dashboards.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warpgauge.core.config import Config

pytestmark = [pytest.mark.real, pytest.mark.slow]


def other_config(toml: str) -> Config:
    """The configuration of a site that differs in all it can."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(toml)
        file.flush()
        return load(Path(file.name), {}, {})


OTHER = replace(site_of(other_config(TOML)), disabled=frozenset())  # that is asked in full
DOCUMENTS = {
    f"{where}{name}": json.loads(files(site)[f"{name}.json"])
    for where, site in (("", Site()), ("other site: ", OTHER))
    for name in (*DASHBOARDS, *DCGM_DASHBOARDS)
}
TARGETS = {
    f"{name}/{panel['title']}/{panel['type']}/{target['refId']}": target["expr"]
    for name, document in DOCUMENTS.items()
    for panel in document["panels"]
    for target in panel.get("targets", ())
}
DROP_DOWNS = sorted(
    {one["definition"] for it in DOCUMENTS.values() for one in it["templating"]["list"] if one["type"] == "query"}
)
MARKS = sorted({one["expr"] for it in DOCUMENTS.values() for one in it["annotations"]["list"] if "expr" in one})
DEVICES = 64
OTHER_DEVICES = 16  # of two nodes
INTERVAL = "2s"
SETTLED_SECONDS = 60.0
VARIABLES = {
    "$cluster": ".+", "$node": ".+", "$uuid": ".+", "$job_id": ".+", "$model": ".+", "$price": "0.15",
    "$__rate_interval": "40s", "$__range": "40s", "$zone": ".+", "$rack": ".+",
}  # fmt: skip

each_release = pytest.mark.parametrize("release", RELEASES)


def rules_in(folder: Path) -> list[Path]:
    """The generated rule files of both sites, evaluated at each scrape."""
    for where, site in (("", None), ("other-", alerts_site_of(other_config(ALERTS_TOML).alerts))):
        for name, text in rule_files(site).items():
            if "/" in name and name != "dcgm/dcgm.yml":
                continue
            document = yaml.safe_load(text)
            for group in document["groups"]:
                group["interval"] = INTERVAL
            (folder / f"{where}{name.rpartition('/')[2]}").write_text(json.dumps(document))
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


def filled(expression: str, **chosen: str) -> str:
    for name, value in {**{f"${one}": value for one, value in chosen.items()}, **VARIABLES}.items():
        expression = expression.replace(name, value)
    return expression


def answer(base: str, expression: str, **chosen: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": filled(expression, **chosen)})
    return get_json(f"{base}/api/v1/query?{query}")["data"]["result"]


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
    assert {one["metric"]["node"] for one in answer(base, TARGETS["fleet/Open findings/table/A"])} == {"sim-node-3"}
    assert {one["metric"]["pod"] for one in answer(base, TARGETS["dcgm-node/Pods on the devices/table/A"])} == {
        "train-0"
    }


def compared() -> list[tuple[str, str]]:
    """Queries of ours and the same over DCGM's series, without windows: both pages tell of the boards as they are."""
    found = []
    for name in DCGM_DASHBOARDS:
        for panel in DASHBOARDS[name.removeprefix("dcgm-")]().panels:
            for one in getattr(panel, "targets", ()):
                told = words.expression(one.expr, one.legend)
                if told and not {"[", "exported_pod"} & set(re.findall(r"\[|exported_pod", told)):
                    found.append((one.expr, told))
    return found


def by_labels(found: list[dict[str, Any]]) -> dict[frozenset[str], float]:
    """Values by what stands in the labels, whose names differ."""
    return {frozenset(one["metric"].values()): float(one["value"][1]) for one in found}


def test_a_dcgm_variant_says_of_a_board_what_our_own_dashboard_says(started: Callable[[str], str]):
    base = started(OLDEST)
    pairs = compared()
    assert len(pairs) > 25

    def differ() -> list[str]:
        wrong = []
        for ours, theirs in pairs:
            here, there = (by_labels(answer(base, one, node=BOARDS_NODE)) for one in (ours, theirs))
            if not there or there != {labels: pytest.approx(here.get(labels), rel=1e-6) for labels in there}:
                wrong.append(theirs)
        return wrong

    assert settled(differ) == []


@each_release
def test_a_site_with_other_labels_sees_its_own_devices_and_no_others(started: Callable[[str], str], release: str):
    base = started(release)
    (known,) = answer(base, TARGETS["other site: fleet/Devices known/stat/A"])
    assert float(known["value"][1]) == OTHER_DEVICES
    tables = [expr for name, expr in TARGETS.items() if name.startswith("other site: fleet/Devices/")]
    places = {one["metric"]["k8s_cluster"] for expr in tables for one in answer(base, expr)}
    assert places == {OTHER_PLACE["k8s_cluster"]}


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
