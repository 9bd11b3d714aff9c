"""Signed webhooks against a server of the test, checked with the package that receivers use."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.detectors.test_outbox import document
from warpgauge.analyzer.recommend import Outbox
from warpgauge.analyzer.recommend.webhook import Secrets, WebhookSink
from warpgauge.core.client_tls import client_context
from warpgauge.core.clock import ManualClock, SystemClock
from warpgauge.core.errors import ConfigError
from warpgauge.core.lane import RefusedError, TryLaterError
from warpgauge.core.recommendation import Approval
from warpgauge.core.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD, NEW = ("whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
EVENT = document().to_event()
BODY = json.dumps(EVENT, ensure_ascii=False).encode()


class Receiver:
    """An HTTP server that answers with the statuses it is told, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = [(200, {})]
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    def answer(self, *statuses: int, **headers: str) -> None:
        self.answers = [(status, headers) for status in statuses]

    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, body in self.requests]


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status, headers = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # a handshake that fails is the client's to report
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    receiver.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def secrets_file(folder: Path, *words: str, mode: int = 0o600) -> Secrets:
    path = folder / "webhook.secret"
    path.write_text("\n".join(words))
    path.chmod(mode)
    return Secrets(file=str(path))


def sink(url: str, folder: Path, *, clock: Any = None, keys: tuple[str, ...] = (NEW,)) -> WebhookSink:
    return WebhookSink("webhook", url, secrets_file(folder, *keys), clock=clock or SystemClock())


def test_a_receiver_with_the_key_can_check_it(tmp_path: Path) -> None:
    with receiving() as receiver:
        sink(receiver.url, tmp_path).deliver([BODY])
    headers, body = receiver.requests[0]
    assert Webhook(NEW).verify(body, headers) == EVENT
    assert headers["webhook-id"] == EVENT["id"]
    assert headers["content-type"] == "application/cloudevents+json"
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body.replace(b"prod", b"test"), headers)


def test_a_proxy_of_the_environment_sees_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        sink(receiver.url, tmp_path).deliver([BODY])
    assert (len(proxy.requests), len(receiver.requests)) == (0, 1)


def test_while_keys_are_exchanged_both_sign(tmp_path: Path) -> None:
    with receiving() as receiver:
        sink(receiver.url, tmp_path, keys=(NEW, OLD)).deliver([BODY])
    headers, body = receiver.requests[0]
    assert Webhook(NEW).verify(body, headers) == Webhook(OLD).verify(body, headers) == EVENT


def test_a_key_that_is_exchanged_signs_the_next_delivery(tmp_path: Path) -> None:
    with receiving() as receiver:
        one = sink(receiver.url, tmp_path, keys=(OLD,))
        one.deliver([BODY])
        secrets_file(tmp_path, NEW)
        one.deliver([BODY])
    headers, body = receiver.requests[1]
    assert Webhook(NEW).verify(body, headers) == EVENT


def test_the_signature_is_as_old_as_the_sending(tmp_path: Path) -> None:
    clock = ManualClock(time.time() - 600)
    with receiving() as receiver:
        sink(receiver.url, tmp_path, clock=clock).deliver([BODY])
    headers, body = receiver.requests[0]
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(NEW).verify(body, headers)


def test_an_approval_is_another_message_of_the_same_document(tmp_path: Path) -> None:
    approved = document().to_event()
    approved["data"]["approval"] = {"required": True, "by": "ann", "at": "2025-06-15T15:06:40.250Z"}
    with receiving() as receiver:
        sink(receiver.url, tmp_path).deliver([BODY])
        sink(receiver.url, tmp_path).deliver([json.dumps(approved).encode()])
    first, second = (headers["webhook-id"] for headers, _ in receiver.requests)
    assert (first, second) == (EVENT["id"], f"{EVENT['id']}.approved")


@pytest.mark.parametrize("status", [200, 202, 204, 409])
def test_what_the_receiver_has_is_delivered(status: int, tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer(status)
        sink(receiver.url, tmp_path).deliver([BODY])


@pytest.mark.parametrize("status", [301, 307, 408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_later(status: int, tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer(status, Location="http://127.0.0.1:1/elsewhere")
        with pytest.raises(TryLaterError, match=f"HTTP {status}"):
            sink(receiver.url, tmp_path).deliver([BODY])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_what_never_will_be_taken_is_refused(status: int, tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer(status)
        with pytest.raises(RefusedError, match=f"HTTP {status}"):
            sink(receiver.url, tmp_path).deliver([BODY])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120.0), ("999999", 3600.0), ("Sun, 15 Jun 2025 15:07:10 GMT", 30.0), ("soon", None), ("", None)],
)
def test_the_wait_that_is_asked_for_is_read(text: str, seconds: float | None, tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer(503, Retry_After=text)
        with pytest.raises(TryLaterError) as caught:
            sink(receiver.url, tmp_path, clock=ManualClock(1_750_000_000.0)).deliver([BODY])
    assert caught.value.seconds == seconds


def test_nobody_listening_is_tried_later(tmp_path: Path) -> None:
    with receiving() as receiver:
        url = receiver.url
    with pytest.raises(TryLaterError, match="refused"):
        sink(url, tmp_path).deliver([BODY])


def test_a_receiver_that_is_down_for_an_hour_gets_everything_in_order_per_group(tmp_path: Path) -> None:
    clock = ManualClock()
    with receiving() as receiver:
        receiver.answer(503)
        outbox = Outbox(
            tmp_path, [sink(receiver.url, tmp_path, clock=clock)], clock, backoff=Backoff(max_seconds=300, jitter=0.5)
        )
        sent = []
        for minute in range(60):
            event = document().to_event()
            event["id"] = f"{minute:02}"
            event["data"]["conflictGroup"] = f"group {minute % 3}"
            outbox.put([event])
            sent.append(event)
            outbox.deliver()
            clock.advance(60)
        tried = len(receiver.requests)
        receiver.answer(200)
        receiver.requests.clear()
        for _ in range(6):
            outbox.deliver()
            clock.advance(60)
        assert outbox.waiting() == 0
        outbox.close()
    for group in range(3):
        wanted = [event["id"] for event in sent if event["data"]["conflictGroup"] == f"group {group}"]
        assert [name for name in receiver.ids() if int(name) % 3 == group] == wanted
    assert len(receiver.ids()) == 60
    assert tried < 3 * 25  # a wait that grows to five minutes, with half of it random, for each group


def test_a_document_that_is_refused_is_set_aside_and_counted_and_holds_up_nothing(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer(422, 200)
        outbox = Outbox(tmp_path, [sink(receiver.url, tmp_path)])
        second = document(2).to_event()
        outbox.put([EVENT, second])
        assert "refused it: HTTP 422" in outbox.deliver()[0]
        stats, attempts, failures = outbox.stats()["webhook"]
        outbox.close()
    assert receiver.ids() == [EVENT["id"], second["id"]]
    assert (stats.records, stats.acked, stats.dead_lettered, attempts, failures) == (0, 1, 1, 2, 0)


def test_a_wait_that_is_asked_for_is_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    with receiving() as receiver:
        receiver.answer(429, 200, Retry_After="120")
        outbox = Outbox(tmp_path, [sink(receiver.url, tmp_path, clock=clock)], clock)
        outbox.put([EVENT])
        outbox.deliver()
        clock.advance(119)
        outbox.deliver()
        assert len(receiver.requests) == 1
        clock.advance(1)
        outbox.deliver()
        outbox.close()
    assert len(receiver.requests) == 2


def test_what_needs_an_approval_goes_to_who_may_act_only_with_one(tmp_path: Path) -> None:
    with receiving() as receiver:
        outbox = Outbox(tmp_path, [sink(receiver.url, tmp_path)])
        asked = document().to_event()
        asked["data"] |= {"mode": "approve", "approval": {"required": True}}
        outbox.put([asked])
        assert outbox.waiting() == 0
        asked["data"]["approval"] |= {"by": "ann"}
        outbox.put([asked])
        outbox.deliver()
        outbox.close()
    assert len(receiver.requests) == 1
    assert Approval(required=True, by="ann").by == json.loads(receiver.requests[0][1])["data"]["approval"]["by"]


@pytest.mark.parametrize(
    ("words", "mode", "why"),
    [
        ((NEW,), 0o644, "chmod 600"),
        ((), 0o600, "it holds 0"),
        ((NEW,) * 5, 0o600, "it holds 5"),
        (("whsec_c2hvcnQ=",), 0o600, "secret 1 of .* is no base64 of 24 or more bytes"),
        ((NEW, "hunter2!"), 0o600, "secret 2 of"),
    ],
)
def test_secrets_that_cannot_be_used_are_refused_without_being_told(
    words: tuple[str, ...], mode: int, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        secrets_file(tmp_path, *words, mode=mode).keys()
    assert not any(word in str(caught.value) for word in words)


def test_a_secret_may_come_from_the_environment() -> None:
    assert len(Secrets(variable="HOOK").keys({"HOOK": f"{NEW} {OLD}"})) == 2
    with pytest.raises(ConfigError, match="environment variable HOOK must hold"):
        Secrets(variable="HOOK").keys({})


def test_a_secrets_file_that_breaks_later_waits_and_loses_nothing(tmp_path: Path) -> None:
    with receiving() as receiver:
        one = sink(receiver.url, tmp_path)
        (tmp_path / "webhook.secret").unlink()
        with pytest.raises(TryLaterError, match="cannot read the webhook secrets"):
            one.deliver([BODY])
    assert receiver.requests == []


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, tuple[str, str]]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl: sudo apt install openssl")
    return {name: certificate(tmp_path, name) for name in ("server", "client", "stranger")}


def certificate(folder: Path, name: str) -> tuple[str, str]:
    paths = (str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -addext"
    more = ["subjectAltName=IP:127.0.0.1", "-subj", f"/CN={name}", "-out", paths[0], "-keyout", paths[1]]
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    return paths


@pytest.mark.parametrize(("shown", "is_taken"), [("client", True), ("stranger", False), ("", False)])
def test_a_receiver_that_asks_for_a_certificate_gets_ours(
    shown: str, *, is_taken: bool, certificates: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates["server"])
    context.load_verify_locations(certificates["client"][0])
    context.verify_mode = ssl.CERT_REQUIRED
    ours = client_context(certificates["server"][0], *certificates.get(shown, ("", "")))
    with receiving(context) as receiver:
        one = WebhookSink("webhook", receiver.url, secrets_file(tmp_path, NEW), clock=SystemClock(), context=ours)
        with nullcontext() if is_taken else pytest.raises(TryLaterError):
            one.deliver([BODY])
    assert len(receiver.requests) == is_taken


def test_a_receiver_with_a_certificate_of_nobody_known_gets_nothing(
    certificates: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates["server"])
    with receiving(context) as receiver, pytest.raises(TryLaterError, match="certificate"):
        sink(receiver.url, tmp_path).deliver([BODY])
    assert receiver.requests == []
