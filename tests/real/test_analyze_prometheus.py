"""`warpgauge analyze` on a real Prometheus that scrapes a real node_exporter."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import quote

import pytest

from tests.real_servers import get_json, wait_until
from warpgauge.cli.main import main

pytestmark = [pytest.mark.real, pytest.mark.slow]

LEAST_SAMPLES = 5


def samples(url: str) -> int:
    """Scrapes of the node_exporter that the Prometheus has stored."""
    answer = get_json(f"{url}/api/v1/query?query={quote('count_over_time(node_load1[5m])')}")
    rows = answer["data"]["result"]
    return int(rows[0]["value"][1]) if rows else 0


def analyze(*args: str, capsys) -> tuple[int, list[dict[str, Any]], str]:
    code = main(["analyze", "--json", *args], environ={})
    captured = capsys.readouterr()
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


@pytest.fixture
def prometheus(prometheus_server, node_exporter_url: str) -> str:
    url = prometheus_server([f"{node_exporter_url}/metrics"], interval="1s")
    wait_until(lambda: samples(url) >= LEAST_SAMPLES, what=f"{LEAST_SAMPLES} scrapes are stored", seconds=60)
    return url


def test_this_machine_is_judged_from_what_node_exporter_delivered(prometheus: str, capsys):
    code, documents, err = analyze(prometheus, "--since", "5m", capsys=capsys)

    summary = documents[-1]
    assert code in {0, 1}
    assert "reading" in err
    assert "queries" in err
    assert (summary["type"], summary["nodes"], summary["devices"]) == ("summary", 1, 0)
    assert summary["samples"]["mapped"] > 100 * LEAST_SAMPLES / 10
    checked = {item["detector"] for item in summary["checked"]} | {item["detector"] for item in summary["not_judged"]}
    assert {"host_saturated", "memory_pressure"} <= checked
    assert {one["scope"]["node"] for one in documents if one["type"] == "finding"} <= {socket.gethostname()}


def test_a_selector_is_the_servers_to_judge(prometheus: str, capsys):
    nothing, documents, _ = analyze(prometheus, "--match", '{job="no-such-job"}', capsys=capsys)
    malformed, _, ours = analyze(prometheus, "--match", "{not a selector}", capsys=capsys)
    refused, _, theirs = analyze(prometheus, "--match", '{job=~"("}', capsys=capsys)

    assert (nothing, documents[-1]["nodes"]) == (0, 0)
    assert (malformed, refused) == (2, 2)
    assert "must be a selector in braces" in ours
    assert "parse error" in theirs  # an expression that only the server can read


def test_a_page_is_scraped_for_a_while(node_exporter_url: str, capsys):
    code, documents, err = analyze("--for", "5s", f"{node_exporter_url}/metrics", capsys=capsys)

    assert code in {0, 1}
    assert "scraping" in err
    assert documents[-1]["nodes"] == 1


def test_a_step_asks_for_thinned_out_values(prometheus: str, capsys):
    _, raw, _ = analyze(prometheus, "--since", "5m", capsys=capsys)
    _, thin, _ = analyze(prometheus, "--since", "5m", "--step", "30s", capsys=capsys)

    assert thin[-1]["samples"]["mapped"] < raw[-1]["samples"]["mapped"]
    assert thin[-1]["nodes"] == 1
