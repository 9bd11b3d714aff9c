"""Where the API server is, who we are there, and what is made of answers that are none.

The server here is a double, for faults alone that a real one cannot be made to show: silence, 5xx, nonsense. What a
real one does is in test_live_cluster.py and tests/executors/test_kubernetes.py.
"""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tests.executors.executor_contract import Bench
from tests.kubernetes.made import node
from tests.kubernetes.orders import now, on_node
from warpgauge.core.ack import Phase
from warpgauge.core.config import KubernetesConfig
from warpgauge.core.errors import ConfigError
from warpgauge.core.kubernetes import Kubernetes, KubernetesError, connect
from warpgauge.core.recommendation import RecommendationKind
from warpgauge.executors.kubernetes import KubernetesExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Reply = tuple[int, bytes]


@pytest.fixture
def double() -> Iterator[Callable[[Callable[[str, str], Reply]], Kubernetes]]:
    """`double(reply)`: an API whose server answers each method and path with a status and a body."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(reply: Callable[[str, str], Reply]) -> Kubernetes:
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = reply(self.command, self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PATCH = do_POST = answer  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        settings = KubernetesConfig(server=f"http://127.0.0.1:{server.server_port}", timeout_seconds=0.5)
        return Kubernetes(connect(settings, {}))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("reply", "said", "may_pass"),
    [
        ((500, b'{"message": "etcdserver: request timed out"}'), "HTTP 500, etcdserver: request timed out", True),
        ((503, b"no backend"), "HTTP 503, no backend", True),
        ((429, b'{"message": "too many requests"}'), "HTTP 429", True),
        ((403, b'{"message": "nodes is forbidden"}'), "HTTP 403, nodes is forbidden", False),
        ((301, b""), "HTTP 301", False),
        ((200, b"<html>"), "not a JSON object; is this an API server", True),
        ((200, b"[" * 100_000), "not a JSON object; is this an API server", True),
        ((200, as_json({"items": 7})), "the list has no items", True),
    ],
)
def test_an_answer_that_is_none_says_so(double: Any, reply: Reply, said: str, *, may_pass: bool):
    with pytest.raises(KubernetesError, match=said) as raised:
        double(lambda _method, _path: reply).items("/api/v1/nodes")
    assert raised.value.may_pass is may_pass


def test_a_list_is_read_page_by_page_and_anew_when_its_snapshot_is_gone(double: Any):
    asked = []

    def reply(_method: str, path: str) -> Reply:
        asked.append(path)
        if "continue=two" in path and len(asked) == 2:
            return 410, b'{"reason": "Expired"}'
        page = (
            {"items": [{"n": 2}]} if "continue=two" in path else {"items": [{"n": 1}], "metadata": {"continue": "two"}}
        )
        return 200, as_json(page)

    assert double(reply).items("/api/v1/pods") == [{"n": 1}, {"n": 2}]
    assert ["continue=two" in path for path in asked] == [False, True, False, True]


def test_a_list_without_end_is_given_up(double: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("warpgauge.core.kubernetes.api._MOST_PAGES", 3)
    endless = as_json({"items": [], "metadata": {"continue": "more"}})
    with pytest.raises(KubernetesError, match="more than 3 pages"):
        double(lambda _method, _path: (200, endless)).items("/api/v1/pods")


def test_a_change_that_nobody_answers_is_tried_again_and_found_done(double: Any, tmp_path: Path):
    """The server cordons and falls silent: the next attempt sees it done."""
    state = node()
    silent = threading.Event()

    def reply(method: str, path: str) -> Reply:
        if method == "PATCH" and "dryRun" not in path:
            state["spec"] = {"unschedulable": True}
            state["metadata"]["annotations"] = {"warpgauge.internal/cordoned-by": order.id}
            silent.wait(1.0)
        return 200, as_json(state)

    order = now(on_node(RecommendationKind.CORDON))
    bench = Bench(KubernetesExecutor(double(reply)), tmp_path)
    bench.clock.advance(order.created - bench.clock.now() + 1)
    bench.worker.take(order)
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.FAILED, "kubernetesUnreachable")
    silent.set()
    bench.clock.advance(60)
    bench.worker.resume()
    assert bench.phases()[-1] is Phase.EXECUTED
    bench.journal.close()


@pytest.mark.parametrize("status", [500, 401, 403, 422])
def test_each_refusal_has_its_code_and_only_what_may_pass_is_tried_again(double: Any, tmp_path: Path, status: int):
    def reply(method: str, _path: str) -> Reply:
        return (200, as_json(node())) if method == "GET" else (status, b'{"message": "no"}')

    order = now(on_node(RecommendationKind.CORDON))
    bench = Bench(KubernetesExecutor(double(reply)), tmp_path)
    bench.clock.advance(order.created - bench.clock.now() + 1)
    bench.worker.take(order)
    reasons = {
        500: "kubernetesUnreachable",
        401: "kubernetesUnauthorized",
        403: "kubernetesForbidden",
        422: "kubernetesRefused",
    }
    assert bench.acks[-1].reason == reasons[status]
    bench.clock.advance(60)
    bench.worker.resume()
    assert (len(bench.acks) > 3) == (status in {500, 401})
    bench.journal.close()


def test_a_pod_finds_the_server_and_its_token_by_itself(tmp_path: Path):
    (tmp_path / "token").write_text("first\n")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    connection = connect(KubernetesConfig(), environ, service_account=tmp_path)
    assert connection.url == "https://[fd00::1]:6443"
    assert connection.headers() == {"Authorization": "Bearer first"}
    (tmp_path / "token").write_text("second")
    assert connection.headers() == {"Authorization": "Bearer second"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "no API server: set kubernetes.server"),
        ({"server": "http://api.test.invalid", "token_file": "t"}, "would get the token unencrypted"),
        ({"server": "https://api.test.invalid", "ca_file": "/nowhere"}, "cannot use /nowhere"),
    ],
)
def test_a_connection_that_cannot_be_is_an_error_at_the_start(settings: dict[str, str], said: str):
    with pytest.raises(ConfigError, match=said):
        connect(KubernetesConfig(**settings), {})
