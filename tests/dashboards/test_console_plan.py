"""The console's plan in a real browser: hostile names stay text, an old plan is said to be old."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.planning.pools import node, pod
from tests.planning.test_plan_document import HOSTILE, document, scattered
from warpgauge.analyzer.service.plan_page import page_without_core
from warpgauge.cli.folders import console_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.real, pytest.mark.slow]

READ = 1_750_000_000.0
API = {
    "status": {
        "time": READ, "cluster": "c", "version": "0", "sources": [], "checked": [], "not_judged": [],
        "simulated_targets": 0, "nodes": 0, "devices": 0, "series": 0,
    },
    "findings": {"findings": []},
    "recommendations": {"recommendations": []},
    "live": {"time": READ + 42, "hosts": [], "devices": []},
}  # fmt: skip


class _Console(SimpleHTTPRequestHandler):
    """The console's files and documents in place of the API, without the headers that would stop a script as well."""

    def __init__(self, *args: Any, documents: dict[str, Any], **kwargs: Any) -> None:
        self.documents = documents
        super().__init__(*args, directory=console_folder(), **kwargs)

    def do_GET(self) -> None:
        document = self.documents.get(self.path.removeprefix("/api/v1/"))
        if document is None:
            self.path = self.path.removeprefix("/assets")
            super().do_GET()
            return
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def console(page: dict[str, Any]) -> Iterator[str]:
    handler = partial(_Console, documents={**API, "plan": page})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def hostile() -> dict[str, Any]:
    bad = f"{HOSTILE}</td><script>document.title='gotcha'</script>"
    made = document(
        [node("n0"), node(f"n1{bad}")],
        [(pod(bad), ("n0", (0,))), (pod("41"), (f"n1{bad}", (0,)))],
        [pod("w" * 500, 8, cores=64, tenant=bad)],
    )
    return {
        "state": "stale", "core": "slurm", "simulated": False, "interval_seconds": 60.0, "read": READ,
        "age_seconds": 1.0, "took_seconds": 0.61, "advice": [], "plan": made,
        "says": f"As Slurm was 9 min ago. It could not be read since: {bad}.", "mend": f"Try {bad}.",
    }  # fmt: skip


def test_hostile_names_are_text_and_an_old_plan_is_said_to_be_old(browser: Any):
    with console(hostile()) as url:
        shown = browser.new_page(viewport={"width": 900, "height": 900})
        shown.goto(url)
        shown.wait_for_selector("#plan-section", state="visible")
        text, title = shown.inner_text("#plan-section"), shown.title()
        made = shown.evaluate("document.querySelectorAll('#plan-section img, #plan-section script').length")
        too_wide = shown.evaluate("document.documentElement.scrollWidth - innerWidth")
        shown.close()

    assert (title, made, too_wide) == ("warpgauge", 0, 0)
    assert "<script>document.title='gotcha'</script>" in text
    assert "▲ old As Slurm was 9 min ago." in text
    assert "(1 s ago), read and planned in 610 ms" in text


def test_without_a_core_the_page_says_nothing_of_a_plan(browser: Any):
    with console(page_without_core()) as url:
        shown = browser.new_page()
        shown.goto(url)
        shown.wait_for_function("document.getElementById('about').textContent")
        is_hidden = shown.is_hidden("#plan-section")
        shown.close()

    assert is_hidden


def test_a_plan_says_what_moves_where_on_the_page(browser: Any):
    made = document([node("n0"), node("n1")], scattered("41", "42"), [pod("43", 8, cores=64)])
    with console(hostile() | {"plan": made, "state": "current"}) as url:
        shown = browser.new_page()
        shown.goto(url)
        shown.wait_for_selector("#plan-section", state="visible")
        text = shown.inner_text("#plan-section")
        shown.close()

    for words in (
        "job 41: n0 GPU 0 → n1 GPU 1",
        "Gain: frees 1 whole node of 8 GPUs",
        "Then run: 43.",
        "Cost: 120 GPU-seconds of work",
        "Undo: the same moves backwards",
    ):
        assert words in text
