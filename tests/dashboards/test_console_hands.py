"""The console under somebody's hands: what they hold stays while the page is drawn anew, and the keyboard does all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboards.fake_console import API, READ, console

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.real, pytest.mark.slow]

ERROR = "cannot reach http://n1:9837/metrics: Connection refused; is it running?"
FINDING: dict[str, Any] = {
    "kind": "straggler", "severity": "critical", "scope": {"cluster": "c", "node": "n1", "uuid": "GPU-1"},
    "since": READ - 600, "confidence": 0.9, "summary": "Rank 19 holds the job back.", "remedy": "Move it.",
    "evidence": [{"metric": "training_phase_seconds_total", "value": 1.5, "unit": "ratio"}],
}  # fmt: skip


def finding(number: int, **more: Any) -> dict[str, Any]:
    return {**FINDING, "id": f"f{number}", **more}


def device(index: int) -> dict[str, Any]:
    return {"cluster": "c", "node": "n1", "uuid": f"GPU-{index}", "index": str(index), "utilization_ratio": 0.5}


LIVE = {"time": READ + 42, "hosts": [], "devices": [device(index) for index in range(12)]}
STATUS = API["status"] | {"sources": [{"name": "agent", "target": "t", "up": True}], "checked": []}
TICK = {
    "time": READ, "status": STATUS, "recommendations": [],
    "findings": [finding(1), finding(2), finding(3, ended=READ - 60)],
}  # fmt: skip


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A narrow page that is drawn anew five times a second."""
    with console(events=[("tick", TICK), ("live", LIVE)], live=LIVE, findings=TICK) as url:
        shown = browser.new_page(viewport={"width": 400, "height": 800})
        shown.goto(url)
        shown.wait_for_selector("article.finding >> nth=1")
        shown.wait_for_selector("table.fleet")
        yield shown
        shown.close()


AGE = """() => { for (const id of ["findings", "fleet"]) document.getElementById(id).firstChild.dataset.old = "1"; }"""
IS_NEW = """() => ["findings", "fleet"].every((id) => !document.getElementById(id).firstChild.dataset.old)"""


def redraw(page: Any) -> None:
    """Wait until findings and fleet are drawn anew, twice."""
    for _ in range(2):
        page.evaluate(AGE)
        page.wait_for_function(IS_NEW)


def hold(page: Any, selector: str) -> None:
    """Focus at once: the driver itself waits for a moment in which nothing is drawn."""
    page.evaluate("(selector) => document.querySelector(selector).focus()", selector)


def test_what_somebody_holds_stays_while_the_page_is_drawn_anew(page: Any):
    page.evaluate("for (const one of document.querySelectorAll('#findings details')) one.open = true")
    page.evaluate("document.querySelector('#fleet .scroll').scrollLeft = 200")
    hold(page, "#findings article:nth-of-type(2) a")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#findings .remedy'))")
    redraw(page)

    assert page.evaluate("document.activeElement.getAttribute('href')") == "runbooks/straggler"
    assert page.evaluate("document.activeElement.closest('article').dataset.key") == "f2"
    assert page.evaluate("getSelection().toString()") == "Do: Move it."
    assert page.evaluate("document.querySelector('#fleet .scroll').scrollLeft") == 200
    assert page.locator("#findings details[open]").count() == 4  # three findings, and those that ended


def test_escape_closes_a_device_and_leads_back_to_where_it_stands(page: Any):
    hold(page, "#fleet [data-key='GPU-7']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#device h3:focus")
    page.keyboard.press("Escape")

    assert page.is_hidden("#device")
    assert page.evaluate("document.activeElement.dataset.key") == "GPU-7"
    assert "device=" not in page.url


def test_an_open_device_is_drawn_anew_and_says_of_when_its_numbers_are(browser: Any):
    asked = {"series": [{"values": [[READ - 60, 0.5], [READ, 0.25]]}]}
    with console(live=LIVE, series=asked) as url:
        shown = browser.new_page()
        shown.clock.install(time=READ)
        shown.goto(f"{url}#device=GPU-3")
        shown.wait_for_selector("#device canvas")
        before = shown.inner_text("#device figure:first-child figcaption")
        asked["series"][0]["values"].append([READ + 15, 0.75])
        shown.clock.fast_forward(16_000)
        shown.wait_for_function("document.querySelector('#device figcaption').textContent.includes('75 %')")
        shown.close()

    assert before.startswith("SMs active: 25 % at ")


def test_while_no_source_answers_nothing_is_said_to_be_well(browser: Any):
    down = STATUS | {"sources": [{"name": "agent", "target": "t", "up": False, "error": ERROR}], "checked": []}
    with console(status=down) as url:
        shown = browser.new_page()
        shown.goto(url)
        shown.wait_for_function("document.getElementById('about').textContent")
        headline, findings = shown.inner_text("#status"), shown.inner_text("#findings")
        shown.close()

    assert headline == f"No source answers: {ERROR}"
    assert findings == "No source answers, so nothing can be said about now."


def test_a_fleet_of_many_hosts_is_a_sentence_and_no_charts(browser: Any):
    """Four charts for each of a thousand hosts, drawn at each event, let nobody do anything on the page."""
    hosts = [
        {"cluster": "c", "node": f"n{number}", "simulated": False, "cpu_ratio": number / 1000} for number in range(1000)
    ]
    live = LIVE | {"hosts": hosts}
    with console(events=[("live", live)], live=live, findings=TICK) as url:
        shown = browser.new_page()
        shown.goto(url)
        shown.wait_for_selector("#host >> text=1000 hosts report")
        assert "most on n999 (100 %), n998 (100 %)" in shown.inner_text("#host")
        assert shown.locator("#host .chart").count() == 0
        shown.close()
