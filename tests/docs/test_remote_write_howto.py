"""What the guide lets a Prometheus send is all that some dialect reads."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from warpgauge.analyzer.dialects import DIALECTS
from warpgauge.analyzer.dialects.naming import DESCRIBING

GUIDE = Path(__file__).parents[2] / "docs/howto/prometheus.md"


def test_the_guides_regular_expression_keeps_every_name_that_is_read():
    block = re.search(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (rule,) = yaml.safe_load(block[1])["remote_write"][0]["write_relabel_configs"]
    read = DESCRIBING.union(*(dialect.names for dialect in DIALECTS))
    assert [name for name in sorted(read) if not re.fullmatch(rule["regex"], name)] == []
