"""What the page about Prometheus has a reader copy does what the page says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from warpgauge.analyzer.dialects import DIALECTS
from warpgauge.analyzer.dialects.naming import DESCRIBING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "prometheus.md"


@pytest.fixture(scope="module")
def kept() -> re.Pattern[str]:
    """The names that the page's remote write lets through; Prometheus anchors regular expressions at both ends."""
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    (written,) = (block for block in blocks if "write_relabel_configs" in block)
    (rule,) = yaml.safe_load(written)["remote_write"][0]["write_relabel_configs"]
    assert (rule["action"], rule["source_labels"]) == ("keep", ["__name__"])
    return re.compile(f"(?:{rule['regex']})\\Z")


def test_remote_write_as_the_page_has_it_sends_all_that_the_analyzer_reads(kept):
    read = {name for dialect in DIALECTS for name in dialect.names} | DESCRIBING
    assert sorted(name for name in read if not kept.match(name)) == []


def test_remote_write_as_the_page_has_it_sends_nothing_of_strangers(kept):
    assert [
        name for name in ("go_goroutines", "prometheus_tsdb_head_series", "kube_pod_status_phase") if kept.match(name)
    ] == []
