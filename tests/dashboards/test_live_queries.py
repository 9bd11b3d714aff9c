"""Every query of every dashboard and every rule on real Prometheis, Debian's and the newest, that scrape one feed."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.alerts.test_other_site import TOML as ALERTS_TOML
from tests.dashboards.live_feed import BOARDS_NODE, OTHER_PLACE, POD, feed, is_elsewhere
from tests.dashboards.test_other_site import TOML
from tests.prometheus_releases import NEWEST, OLDEST, RELEASES, program
from tests.real_servers import get_json, prometheus_config, servers_in, start_prometheus
from warpgauge.alerts.generate import files as rule_files
from warpgauge.alerts.settings import site_of as alerts_site_of
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import load
from warpgauge.dashboards.dcgm import words
from warpgauge.dashboards.dcgm.instead import LEFT_OUT
from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS, files
from warpgauge.dashboards.settings import site_of
from warpgauge.dashboards.site import Site
from warpgauge.exporters.synthetic import FAULTS, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from warpgauge.core.config import Config
    from warpgauge.exporters.synthetic.gpu import Gpu

pytestmark = [pytest.mark.real, pytest.mark.slow]


def other_config(toml: str) -> Config:
    """The configuration of a site that differs in all it can."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(toml)
        file.flush()
        return load(Path(file.name), {}, {})


HERE, ELSEWHERE = "default site", "other site"
SITES = {HERE: Site(), ELSEWHERE: replace(site_of(other_config(TOML)), disabled=frozenset())}  # that is asked in full
RULES = {HERE: rule_files(), ELSEWHERE: rule_files(alerts_site_of(other_config(ALERTS_TOML).alerts))}
WRITTEN = {where: files(site) for where, site in SITES.items()}
DOCUMENTS = {
    where: {name: json.loads(texts[f"{name}.json"]) for name in (*DASHBOARDS, *DCGM_DASHBOARDS)}
    for where, texts in WRITTEN.items()
}
TARGETS = {
    where: {
        f"{name}/{panel['title']}/{panel['type']}/{target['refId']}": target["expr"]
        for name, document in documents.items()
        for panel in document["panels"]
        for target in panel.get("targets", ())
    }
    for where, documents in DOCUMENTS.items()
}
DEVICES = {HERE: 64, ELSEWHERE: 16}
INTERVAL = "2s"
SETTLED_SECONDS = 60.0
VARIABLES = {
    "$cluster": ".+", "$node": ".+", "$uuid": ".+", "$job_id": ".+", "$model": ".+", "$price": "0.15",
    "$__rate_interval": "40s", "$__range": "40s", "$zone": ".+", "$rack": ".+",
}  # fmt: skip

each_release = pytest.mark.parametrize("release", RELEASES)
each_site = pytest.mark.parametrize("where", SITES)
Started = Callable[[str, str], str]


def rules_in(folder: Path, where: str) -> list[Path]:
    """The generated rule files of a site, evaluated at each scrape."""
    folder.mkdir()
    for name, text in RULES[where].items():
        if "/" in name and name != "dcgm/dcgm.yml":
            continue
        document = yaml.safe_load(text)
        for group in document["groups"]:
            group["interval"] = INTERVAL
        (folder / name.rpartition("/")[2]).write_text(json.dumps(document))
    return sorted(folder.glob("*.yml"))


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """The model behind the pages: what is true."""
    return Fleet(42, FAULTS, start=SystemClock().now())


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Iterator[Started]:
    """Base URL of a release that watches a site; all read the same pages at the same time, so the wait is one."""
    folder = tmp_path_factory.mktemp("live")
    bases: dict[tuple[str, str], str] = {}
    with feed(fleet) as scraped, servers_in(folder / "servers") as servers:
        for where in SITES:
            own = [one for one in scraped if is_elsewhere(one) is (where == ELSEWHERE)]
            config = prometheus_config(own, rules_in(folder / where, where), alertmanagers=(), interval=INTERVAL)
            for release in RELEASES:
                with contextlib.suppress(pytest.skip.Exception):
                    bases[release, where] = start_prometheus(servers, config, program=program(release, "prometheus"))
        yield lambda release, where: bases.get((release, where)) or str(program(release, "prometheus"))  # it skips


def filled(expression: str, **chosen: str) -> str:
    for name, value in {**VARIABLES, **{f"${one}": value for one, value in chosen.items()}}.items():
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


@each_site
@each_release
def test_no_panel_is_empty_whatever_honor_labels_says(started: Started, release: str, where: str):
    base, targets = started(release, where), TARGETS[where]
    least = {name: DEVICES[where] if name.startswith("fleet/Devices/") else 1 for name in targets}
    assert settled(lambda: [name for name in targets if len(answer(base, targets[name])) < least[name]]) == []
    assert {one["metric"]["node"] for one in answer(base, targets["fleet/Open findings/table/A"])} == {"sim-node-3"}
    assert {one["metric"]["pod"] for one in answer(base, targets["dcgm-node/Pods on the devices/table/A"])} == {POD}


def compared() -> list[tuple[str, str]]:
    """Queries of ours and the same over DCGM's series, without windows: both pages tell of the boards as they are."""
    found = []
    for name in DCGM_DASHBOARDS:
        panels = DASHBOARDS[name.removeprefix("dcgm-")]().panels
        for panel in (one for one in panels if one.title not in LEFT_OUT):
            for one in getattr(panel, "targets", ()):
                told = words.expression(one.expr, one.legend)
                if told and not re.search(r"\[|exported_pod", one.expr + told):
                    found.append((one.expr, told))
    return found


def by_labels(found: list[dict[str, Any]]) -> dict[frozenset[str], float]:
    """Values by what stands in the labels, whose names differ."""
    return {frozenset(one["metric"].values()): float(one["value"][1]) for one in found}


def test_a_dcgm_variant_says_of_a_board_what_our_own_dashboard_says(started: Started):
    base = started(OLDEST, HERE)
    pairs = compared()
    assert len(pairs) > 25

    def differ() -> list[str]:
        wrong = []
        for ours, theirs in pairs:
            here, there = (by_labels(answer(base, one, node=BOARDS_NODE)) for one in (ours, theirs))
            if not there or not there.keys() <= here.keys() or there != pytest.approx(narrowed(here, there), rel=1e-6):
                wrong.append(f"{theirs}: {there}, ours {here}")
        return wrong

    assert settled(differ) == []


TOLD_OF_EACH: dict[str, tuple[Callable[[Gpu], float], dict[str, float]]] = {
    "fleet/Devices/table/C": (lambda gpu: gpu.engine_active_ratio, {"abs": 0.1}),
    "fleet/Devices/table/D": (lambda gpu: gpu.sm_active_ratio, {"abs": 0.1}),
    "fleet/Devices/table/E": (
        lambda gpu: gpu.memory_used_bytes / (gpu.memory_used_bytes + gpu.memory_free_bytes),
        {"abs": 0.02},
    ),
    "fleet/Devices/table/F": (lambda gpu: gpu.core_celsius, {"abs": 3.0}),
    "fleet/Devices/table/G": (lambda gpu: gpu.power_watts, {"rel": 0.15}),
    "node/Memory used/timeseries/A": (lambda gpu: gpu.memory_used_bytes, {"rel": 0.02}),
    "node/Power/timeseries/A": (lambda gpu: gpu.power_watts, {"rel": 0.15}),
    "node/Boards/table/C": (lambda gpu: gpu.sm_hertz, {"rel": 0.1}),
    "device/Power and its limit/timeseries/B": (lambda gpu: gpu.board.power_limit_watts, {"rel": 1e-6}),
    "device/PCIe lanes and generation/timeseries/A": (lambda gpu: gpu.pcie_lanes, {"rel": 1e-6}),
}
"""What a panel shows of each device, in base units, and how far that may have moved since the scrape."""
TOLD_OF_ALL: dict[str, tuple[Callable[[Fleet], float], dict[str, float]]] = {
    "fleet/Devices known/stat/A": (lambda fleet: len(gpus(fleet)), {"abs": 0.0}),
    "fleet/Power now/stat/A": (lambda fleet: sum(gpu.power_watts for gpu in gpus(fleet)), {"rel": 0.05}),
    "fleet/Mean utilization/stat/A": (
        lambda fleet: sum(gpu.engine_active_ratio for gpu in gpus(fleet)) / len(gpus(fleet)),
        {"abs": 0.05},
    ),
    "energy/Cost per year/stat/A": (
        lambda fleet: sum(gpu.power_watts for gpu in gpus(fleet)) * 24 * 365 / 1000 * float(VARIABLES["$price"]),
        {"rel": 0.05},
    ),
}
SIMULATED_NODES = "sim-node-.+"


def gpus(fleet: Fleet) -> list[Gpu]:
    return [gpu for node in fleet.nodes for gpu in node.gpus]


@each_release
def test_panels_show_what_is_true_of_the_simulated_fleet(started: Started, release: str, fleet: Fleet):
    base, targets = started(release, HERE), TARGETS[HERE]

    def wrong() -> list[str]:
        """A device that changes between two scrapes is wrong for a moment, so all are asked for until none is."""
        found = []
        for name, (truth, within) in TOLD_OF_EACH.items():
            shown = {
                one["metric"]["uuid"]: float(one["value"][1])
                for one in answer(base, targets[name], node=SIMULATED_NODES)
            }
            true = {gpu.uuid: truth(gpu) for gpu in gpus(fleet)}
            found += [
                f"{name}: {uuid} {shown.get(uuid)}"
                for uuid in true
                if shown.get(uuid) != pytest.approx(true[uuid], **within)
            ]
        for name, (truth, within) in TOLD_OF_ALL.items():
            shown = [float(one["value"][1]) for one in answer(base, targets[name], node=SIMULATED_NODES)]
            if shown != [pytest.approx(truth(fleet), **within)]:
                found.append(f"{name}: {shown}, true {truth(fleet)}")
        return found

    assert settled(wrong) == []


def narrowed(values: dict[frozenset[str], float], to: Iterable[frozenset[str]]) -> dict[frozenset[str], float]:
    """Those that the other has too: DCGM tells of fewer clocks and engines."""
    return {labels: values[labels] for labels in to}


@each_release
def test_a_site_with_other_labels_shows_them(started: Started, release: str):
    base, targets = started(release, ELSEWHERE), TARGETS[ELSEWHERE]
    tables = [expr for name, expr in targets.items() if name.startswith("fleet/Devices/")]
    places = {one["metric"]["k8s_cluster"] for expr in tables for one in answer(base, expr)}
    assert places == {OTHER_PLACE["k8s_cluster"]}


@each_site
@each_release
def test_no_drop_down_is_empty(started: Started, release: str, where: str):
    base = started(release, where)
    boxes = [one for it in DOCUMENTS[where].values() for one in it["templating"]["list"] if one["type"] == "query"]
    definitions = sorted({one["definition"] for one in boxes})
    assert settled(lambda: [definition for definition in definitions if not values(base, definition)]) == []


@each_site
@each_release
def test_every_rule_is_evaluated_and_what_fires_is_marked_on_the_graphs(started: Started, release: str, where: str):
    base = started(release, where)
    marks = {one["expr"] for it in DOCUMENTS[where].values() for one in it["annotations"]["list"] if "expr" in one}

    def wrong() -> list[str]:
        groups = get_json(f"{base}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        unwell = [
            f"{rule['name']}: {rule.get('lastError', rule['health'])}" for rule in rules if rule["health"] != "ok"
        ]
        return [*unwell, *(mark for mark in sorted(marks) if not answer(base, mark))]

    assert settled(wrong) == []


@each_site
def test_both_releases_answer_with_the_same_labels(started: Started, where: str):
    """Prometheus 3 keeps other texts of `le`, leaves the left end of a range out and lets `.` match a line break."""
    oldest, newest = started(OLDEST, where), started(NEWEST, where)

    def labels(base: str, expression: str) -> set[frozenset[str]]:
        return {frozenset(one["metric"]) for one in answer(base, expression)}

    def differ() -> list[str]:
        return [name for name, expr in TARGETS[where].items() if labels(oldest, expr) != labels(newest, expr)]

    assert settled(differ) == []
