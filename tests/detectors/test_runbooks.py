"""Every finding leads to a page: the link in a recommendation must not end in nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from warpgauge.analyzer.bottlenecks.bound import GAINFUL
from warpgauge.core.finding import FindingKind

RUNBOOKS = Path(__file__).parents[2] / "alerts" / "runbooks"
RAISED = (
    FindingKind.STRAGGLER,
    FindingKind.THERMAL_LIMITED,
    FindingKind.IDLE_ALLOCATED,
    FindingKind.INPUT_BOUND,
    *GAINFUL,
    FindingKind.HOST_SATURATED,
    FindingKind.MEMORY_PRESSURE,
    FindingKind.DEVICE_LOST,
    FindingKind.DEVICE_HUNG,
    FindingKind.TELEMETRY_GAP,
)
SECTIONS = ("## Meaning", "## First look", "## Mend", "## When to silence", "## How it was tested")


@pytest.mark.parametrize("kind", RAISED)
def test_a_kind_that_a_detector_raises_has_a_runbook_with_every_section(kind: FindingKind):
    page = (RUNBOOKS / f"{kind}.md").read_text(encoding="utf-8")

    assert page.startswith(f"# {kind}\n")
    assert [section for section in SECTIONS if section not in page] == []
