"""The console in a real browser: what is wrong comes first, what is simulated or muted is not called wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboards.fake_console import API, READ, console
from tests.real_servers import open_browser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Texts = Callable[[str], list[str]]

pytestmark = [pytest.mark.real, pytest.mark.slow]

GIB = 2**30


def finding(kind: str, severity: str, uuid: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": kind, "kind": kind, "severity": severity, "scope": {"cluster": "c", "node": "n1", "uuid": uuid},
        "since": READ - 600, "confidence": 0.9, "summary": f"about {kind}", "remedy": "look", "simulated": False,
        "evidence": [{"metric": "accel_power_watts", "value": 12.0, "unit": "watts"}], **more,
    }  # fmt: skip


def device(index: int, **more: Any) -> dict[str, Any]:
    return {"cluster": "c", "node": "n1", "uuid": f"GPU-{index}", "index": str(index), "simulated": False, **more}


SOURCE = {"name": "agent", "target": "http://n1/metrics", "up": True, "last_success": READ}
CHECKED = [{"detector": "xid", "what": "devices", "entities": 2, "window_seconds": 600}]
DOCUMENTS: dict[str, dict[str, Any]] = {
    "status": {**API["status"], "sources": [SOURCE], "checked": CHECKED, "nodes": 1, "devices": 3},
    "findings": {
        "findings": [
            finding("drift", "info"),
            finding("straggler", "critical", muted={"by": "silence", "id": "1", "reason": "known"}),
            finding("hang", "critical", simulated=True),
            finding("pcie_downgraded", "warning", "GPU-2"),
            finding("xid", "critical", "GPU-1"),
        ]
    },
    "live": {
        "time": READ + 42,
        "hosts": [{"node": "n1", "simulated": False, "cpu_ratio": 0.5, "memory_used_bytes": 3 * GIB,
                   "memory_total_bytes": 4 * GIB, "network_receive_bytes_per_second": 2048.0}],
        "devices": [device(0, compute_active_ratio=0.25), device(1, compute_active_ratio=0.99),
                    device(2, state="lost"), device(3, state="released")],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def texts(chromium: Path) -> Iterator[Texts]:
    """What a selector shows on the page of a fleet with two things wrong that need a look, and three others."""
    with open_browser(chromium) as browser, console(**DOCUMENTS) as url:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("#findings article")
        page.wait_for_selector("#fleet button")
        yield lambda selector: [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def test_the_first_line_counts_what_is_real_and_heard_and_names_the_worst(texts: Texts):
    assert texts("#status") == ["2 findings need a look. First: xid on n1. In the simulated fleet: 1 finding."]


def test_findings_stand_by_severity_and_the_muted_last(texts: Texts):
    assert texts("#findings h3") == ["hang", "xid", "pcie downgraded", "drift", "straggler"]


def test_muted_findings_are_counted_apart(texts: Texts):
    assert texts("#findings-count") == ["4 + 1 muted"]


def test_a_simulated_finding_says_so(texts: Texts):
    assert texts("#findings article:has(.badge.simulated) h3") == ["hang"]


def test_what_a_machine_does_not_tell_is_not_reported_and_never_zero(texts: Texts):
    assert texts("#host .value") == ["50 %", "3.0 GiB", "not reported", "2.0 KiB/s"]


def test_bytes_are_counted_in_powers_of_two(texts: Texts):
    assert texts("#host .detail")[1:] == [
        "of 4.0 GiB (75 %)",
        "read not reported · written not reported",
        "in 2.0 KiB/s · out not reported",
    ]


def test_a_lost_device_is_marked_and_a_released_one_is_no_fault(texts: Texts):
    assert texts("#fleet button") == ["25 %", "✖ 99 %", "✖ lost", "○ released"]
    assert texts("#fleet button.critical") == ["✖ 99 %", "✖ lost"]
