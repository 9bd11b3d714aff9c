"""The door as a web-config describes it, as clients meet it."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import bcrypt
import pytest

from tests.web.certificates import authority, issue
from tests.web.test_guard import bearer, obey, token_in
from tests.web.test_web_config import write
from warpgauge.core.config import WebConfig
from warpgauge.core.errors import ConfigError
from warpgauge.web import ListenAddress, TokenFile, admission_of, json_response, make_app, serve

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = ListenAddress("127.0.0.1", 0)
PASSWORD = "correct horse"  # noqa: S105 - of this test alone
HASHED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users:\n  alice: {HASHED}\n  bob: {HASHED}\n"


async def hello(_) -> object:
    return json_response({"hello": "you"})


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


@asynccontextmanager
async def door(
    folder: Path, text: str, *, operators=(), operator: TokenFile | None = None, tls=None, scheme="http", own_doors=None
):
    """A client of a server behind this web-config, whose path is `folder`/web-config.yml."""
    path = folder / "web-config.yml"
    write(path, text)
    app = make_app(ready=lambda: None, operator=operator, own_doors=own_doors)
    app.router.add_get("/hello", hello)
    app.router.add_post("/api/do", obey)
    app.router.add_post("/push", obey)
    admission = admission_of(WebConfig(config_file=str(path), operators=tuple(operators)))
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(app, LOCAL, on_listening=lambda _, number: port.set_result(number), stop=stop, admission=admission)
    )
    await asyncio.wait([port, serving], return_when=asyncio.FIRST_COMPLETED)
    connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True, force_close=True)
    try:
        async with aiohttp.ClientSession(f"{scheme}://127.0.0.1:{port.result()}", connector=connector) as client:
            yield client
    finally:
        stop.set()
        await serving


def ask(folder: Path, text: str, path: str = "/hello", *, method: str = "GET", headers=None, **rest):
    """Status, text and headers of one request."""

    async def once():
        async with door(folder, text, **rest) as client, client.request(method, path, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers

    return asyncio.run(once())


def test_a_user_with_the_right_password_comes_in(tmp_path):
    assert ask(tmp_path, USERS, headers=basic("alice"))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [None, basic("alice", "wrong"), basic("mallory"), {"Authorization": "Basic !"}, {"Authorization": "Bearer x"},
     basic("alice", "x" * 5000)],
)  # fmt: skip
def test_anybody_else_is_asked_for_a_password(tmp_path, headers):
    status, _, answered = ask(tmp_path, USERS, headers=headers)
    assert (status, answered["WWW-Authenticate"].startswith("Basic")) == (401, True)


def test_probes_need_a_password_too(tmp_path):
    assert ask(tmp_path, USERS, "/-/healthy")[0] == 401


def test_a_password_is_compared_once_and_then_remembered(tmp_path, monkeypatch):
    compared = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: compared.append(given) or real(*given))

    async def thrice():
        async with door(tmp_path, USERS) as client:
            for _ in range(3):
                async with client.get("/hello", headers=basic("alice")) as answer:
                    assert answer.status == 200

    asyncio.run(thrice())
    assert len(compared) == 1


def test_an_unknown_user_costs_a_comparison_too(tmp_path, monkeypatch):
    compared = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: compared.append(given) or real(*given))
    assert ask(tmp_path, USERS, headers=basic("mallory"))[0] == 401
    assert len(compared) == 1


def test_no_password_reaches_the_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    ask(tmp_path, USERS, headers=basic("alice", "hunter2-secret"))
    assert any("login refused" in record.message for record in caplog.records)
    shown = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "hunter2-secret" not in shown
    assert basic("alice", "hunter2-secret")["Authorization"] not in shown


def test_a_password_that_was_changed_in_the_file_opens_no_more(tmp_path):
    other = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()

    async def before_and_after():
        async with door(tmp_path, USERS) as client:
            statuses = []
            for hashed in (HASHED, other):
                write(tmp_path / "web-config.yml", f"basic_auth_users:\n  alice: {hashed}\n")
                async with client.get("/hello", headers=basic("alice")) as answer:
                    statuses.append(answer.status)
            return statuses

    assert asyncio.run(before_and_after()) == [200, 401]


def test_a_user_taken_from_the_file_is_out_at_once(tmp_path):
    async def before_and_after():
        async with door(tmp_path, USERS) as client:
            statuses = []
            for text in (USERS, f"basic_auth_users:\n  bob: {HASHED}\n", "basic_auth_user: {}\n"):
                write(tmp_path / "web-config.yml", text)
                async with client.get("/hello", headers=basic("alice")) as answer:
                    statuses.append(answer.status)
            return statuses

    assert asyncio.run(before_and_after()) == [200, 401, 500]


def test_only_operators_may_change_something(tmp_path):
    answers = {
        name: ask(tmp_path, USERS, "/api/do", method="POST", headers=basic(name), operators=("alice",))
        for name in ("alice", "bob")
    }
    assert answers["alice"][0] == 200
    assert answers["bob"][0] == 403
    assert "user bob may only read" in answers["bob"][1]


def test_the_operators_token_is_let_in_without_a_password(tmp_path):
    token = token_in(tmp_path)
    for method, path in (("GET", "/hello"), ("POST", "/api/do")):
        assert ask(tmp_path, USERS, path, method=method, headers=bearer(token), operator=token)[0] == 200


def test_an_operator_must_be_a_user_of_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"web\.operators names 'mallory'"):
        ask(tmp_path, USERS, operators=("mallory",))


def test_operators_without_a_file_are_a_mistake():
    with pytest.raises(ConfigError, match=r"there is no web\.config_file"):
        admission_of(WebConfig(operators=("alice",)))


@pytest.mark.parametrize(
    ("headers", "status"), [({"X-Token": "right"}, 200), (None, 401), (basic("bob"), 200), ({"X-Token": "x"}, 401)]
)
def test_a_door_with_a_token_of_its_own_takes_that_or_a_user(tmp_path, headers, status):
    doors = {"/push": lambda request: request.headers.get("X-Token") == "right"}
    assert ask(tmp_path, USERS, "/push", method="POST", headers=headers, own_doors=doors)[0] == status


def test_security_headers_are_the_sites(tmp_path):
    text = (
        "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=1\n    X-Frame-Options: sameorigin\n"
    )
    _, _, headers = ask(tmp_path, text)
    assert (headers["Strict-Transport-Security"], headers["X-Frame-Options"]) == ("max-age=1", "sameorigin")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_who_asks_too_often_is_told_so_before_the_password_is_looked_at(tmp_path):
    async def burst():
        async with door(tmp_path, USERS + "rate_limit:\n  interval: 1h\n  burst: 2\n") as client:
            statuses = []
            for headers in (basic("alice"), None, basic("alice")):
                async with client.get("/hello", headers=headers) as answer:
                    statuses.append(answer.status)
            return statuses

    assert asyncio.run(burst()) == [200, 401, 429]


class Tls:
    """Files of a server and of two clients that one authority vouches for, and a stranger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.ca_file = authority(folder)
        self.server = issue(self.ca, folder, "127.0.0.1")
        self.scraper = issue(self.ca, folder, "prometheus.example", file="scraper")
        self.other = issue(self.ca, folder, "other.example", file="other")
        self.stranger = issue(authority(folder, "strangers")[0], folder, "prometheus.example", file="stranger")

    def text(self, more: str = "") -> str:
        return f"tls_server_config:\n  cert_file: {self.server.cert.name}\n  key_file: {self.server.key.name}\n{more}"

    def client(self, party=None, trust: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(trust or self.ca_file))
        if party is not None:
            context.load_cert_chain(party.cert, party.key)
        return context

    def ask(self, more: str = "", party=None):
        """Status of a request, or the error that kept it from being one."""
        try:
            return ask(self.folder, self.text(more), tls=self.client(party), scheme="https")[0]
        except (aiohttp.ClientError, ConnectionError) as error:
            return type(error).__name__


@pytest.fixture
def tls(tmp_path):
    return Tls(tmp_path)


def test_https_is_spoken_where_a_certificate_is_configured(tls):
    assert tls.ask() == 200


def test_http_is_not_spoken_there(tls):
    with pytest.raises(aiohttp.ClientError):
        ask(tls.folder, tls.text())


WANTED = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"


def test_clients_without_a_trusted_certificate_do_not_get_through_the_handshake(tls):
    assert tls.ask(WANTED, tls.scraper) == 200
    assert isinstance(tls.ask(WANTED), str)
    assert isinstance(tls.ask(WANTED, tls.stranger), str)


def test_a_certificate_may_be_optional_but_never_untrusted(tls):
    optional = WANTED.replace("RequireAndVerify", "Verify").replace("ClientCert\n", "ClientCertIfGiven\n")
    assert tls.ask(optional) == 200
    assert tls.ask(optional, tls.scraper) == 200
    assert isinstance(tls.ask(optional, tls.stranger), str)


def test_of_trusted_clients_only_those_with_an_allowed_name_come_in(tls):
    named = WANTED + "  client_allowed_sans: [prometheus.example]\n"
    assert tls.ask(named, tls.scraper) == 200
    assert tls.ask(named, tls.other) == 403


def test_an_exchanged_certificate_is_shown_without_a_restart(tls):
    async def rotate():
        context = tls.client()
        async with door(tls.folder, tls.text(), tls=context, scheme="https") as client:
            async with client.get("/hello") as answer:
                assert answer.status == 200
            fresh, fresh_file = authority(tls.folder, "fresh")
            issue(fresh, tls.folder, "127.0.0.1")  # the same file names
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.get("/hello")
            context.load_verify_locations(fresh_file)
            async with client.get("/hello") as answer:
                return answer.status

    assert asyncio.run(rotate()) == 200
