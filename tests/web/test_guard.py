"""Who may change something: Host, Origin and the operator's token, on loopback too."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import platform
from typing import TYPE_CHECKING

import pytest

from tests.web.test_web_server import running
from warpgauge.core.errors import StorageError
from warpgauge.web import ListenAddress, TokenFile, json_response, make_app

if TYPE_CHECKING:
    from aiohttp import web

ANY = ListenAddress("0.0.0.0", 0)
FOREIGN = {"Origin": "http://evil.example"}


async def obey(request: web.Request) -> web.Response:
    return json_response({"obeyed": len(await request.read())})


def token_in(folder):
    token = TokenFile(lambda: folder)
    token.ensure()
    return token


def bearer(token):
    return {"Authorization": f"Bearer {token.read().decode()}"}


def order(operator, headers=None, *, path="/api/do", address=None, data=None):
    """Status, text and headers of one order."""

    async def ask():
        app = make_app(ready=lambda: None, operator=operator)
        app.router.add_post("/api/do", obey)
        async with (
            running(app, *([address] if address else [])) as client,
            client.post(path, headers=headers, data=data) as answer,
        ):
            return answer.status, await answer.text(), answer.headers

    return asyncio.run(ask())


def test_a_token_is_made_at_the_first_start_for_us_alone(tmp_path):
    token = token_in(tmp_path)
    assert token.path == tmp_path / "operator.token"
    assert token.path.stat().st_mode & 0o777 == 0o600
    assert len(token.read()) >= 43  # 32 random bytes


def test_a_second_start_keeps_the_token(tmp_path):
    assert token_in(tmp_path).read() == token_in(tmp_path).read()


def test_two_folders_have_two_tokens(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert token_in(tmp_path / "a").read() != token_in(tmp_path / "b").read()


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o660, 0o601, 0o777])
def test_a_token_that_others_have_rights_on_is_refused_with_the_mend(tmp_path, mode):
    token = token_in(tmp_path)
    token.path.chmod(mode)
    for use in (token.read, token.ensure):
        with pytest.raises(StorageError, match=rf"\(mode 0{mode:o}\); chmod 600 {token.path}, or"):
            use()


def test_a_token_of_another_user_is_refused_with_the_mend(tmp_path, monkeypatch):
    token = token_in(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)  # the file stays ours; only root could give it away
    with pytest.raises(StorageError, match=rf"belongs to user {os.getuid()}; chown 4711 {token.path}"):
        token.read()


def test_a_link_is_no_token_file(tmp_path):
    (tmp_path / "elsewhere").write_text("x" * 43)
    (tmp_path / "elsewhere").chmod(0o600)
    (tmp_path / "operator.token").symlink_to("elsewhere")
    with pytest.raises(StorageError, match="symbolic link; delete it and restart"):
        TokenFile(lambda: tmp_path).read()


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo])
def test_what_is_no_file_is_refused_and_keeps_nobody_waiting(tmp_path, make):
    make(tmp_path / "operator.token")
    with pytest.raises(StorageError, match=r"cannot use the token file .*operator\.token"):
        TokenFile(lambda: tmp_path).read()


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"x" * 2000, b"a b" * 20, b"\xff" * 43])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path, content):
    path = tmp_path / "operator.token"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StorageError, match=r"holds no token of 32 or more letters and digits; delete it") as refusal:
        TokenFile(lambda: tmp_path).read()
    assert "short" not in str(refusal.value).replace(str(path), "")


def test_with_the_token_an_order_is_obeyed(tmp_path):
    token = token_in(tmp_path)
    assert order(token, bearer(token))[:2] == (200, '{"obeyed":0}\n')


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic {token}"},
        {"Authorization": "Bearer {token}x"},
        {"Authorization": "{token}"},
        {"Cookie": "token={token}"},
    ],
)
def test_without_the_token_an_order_is_refused_and_told_where_it_is(tmp_path, headers):
    token = token_in(tmp_path)
    secret = token.read().decode()
    status, text, answered = order(token, {name: value.format(token=secret) for name, value in headers.items()})
    assert status == 401
    assert answered["WWW-Authenticate"] == 'Bearer realm="warpgauge"'
    assert str(token.path) in text
    assert "Authorization: Bearer TOKEN" in text
    assert secret not in text


def test_a_token_in_the_query_is_no_token(tmp_path):
    token = token_in(tmp_path)
    assert order(token, path=f"/api/do?token={token.read().decode()}")[0] == 401


def test_a_token_that_cannot_be_trusted_opens_nothing_and_the_mend_is_told(tmp_path):
    token = token_in(tmp_path)
    headers = bearer(token)
    token.path.chmod(0o644)
    status, text, _ = order(token, headers)
    assert status == 403
    assert f"chmod 600 {token.path}" in text


def test_a_mended_or_exchanged_token_needs_no_restart(tmp_path):
    token = token_in(tmp_path)
    old = bearer(token)
    token.path.unlink()
    assert order(token, old)[0] == 403
    token.ensure()
    assert order(token, old)[0] == 401
    assert order(token, bearer(token))[0] == 200


def test_without_a_data_directory_no_order_is_taken_and_it_says_why():
    def nowhere():
        msg = "cannot use the data directory /nowhere: Read-only file system"
        raise StorageError(msg)

    status, text, _ = order(TokenFile(nowhere), {"Authorization": "Bearer x"})
    assert (status, "Read-only file system" in text) == (403, True)


def test_an_application_without_a_token_file_takes_no_orders(tmp_path):
    assert order(None, bearer(token_in(tmp_path)))[:2] == (403, '{"error":"nothing can be changed here"}\n')


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example", "http://127.0.0.1:1", ""]
)
def test_another_origin_is_refused_even_with_the_token(tmp_path, origin):
    token = token_in(tmp_path)
    assert order(token, bearer(token) | {"Origin": origin})[0] == 403


def test_our_own_origin_is_none_other(tmp_path):
    token = token_in(tmp_path)
    headers = {"Host": "localhost:7", "Origin": "http://localhost:7"}
    assert order(token, bearer(token) | headers)[0] == 200
    assert order(token, headers)[0] == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:9837", "localhost.evil.example"])
@pytest.mark.parametrize("address", [None, ANY], ids=["loopback", "network"])
def test_a_name_that_dns_may_point_here_is_refused_even_with_the_token(tmp_path, host, address):
    token = token_in(tmp_path)
    assert order(token, bearer(token) | {"Host": host}, address=address)[0] == 403


@pytest.mark.parametrize("host", ["10.1.2.3:9837", "[fe80::1]:9837", "localhost", f"{platform.node()}:9837"])
def test_on_the_network_addresses_and_our_own_name_are_answered(tmp_path, host):
    token = token_in(tmp_path)
    assert order(token, bearer(token) | {"Host": host}, address=ANY)[0] == 200
    assert order(token, {"Host": host}, address=ANY)[0] == 401


@pytest.mark.parametrize(("path", "status"), [("/-/healthy", 405), ("/absent", 404)])
@pytest.mark.parametrize("has_token", [True, False])
def test_what_takes_no_orders_says_so_to_everybody(tmp_path, path, status, has_token):
    token = token_in(tmp_path)
    assert order(token, bearer(token) if has_token else {}, path=path)[0] == status


def test_a_body_above_the_limit_is_refused_unread_and_only_to_the_operator(tmp_path):
    token = token_in(tmp_path)
    assert order(token, bearer(token), data=io.BytesIO(b"x" * ((1 << 20) + 1)))[0] == 413
    assert order(token, data=io.BytesIO(b"x" * ((1 << 20) + 1)))[0] == 401
    assert order(token, bearer(token), data=b"x" * 1000)[:2] == (200, '{"obeyed":1000}\n')


def test_the_token_is_in_no_log_and_no_answer(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    token = token_in(tmp_path)
    secret = token.read().decode()
    answers = [
        order(token, bearer(token)),
        order(token, {"Authorization": f"Bearer {secret}x"}),
        order(token, bearer(token) | FOREIGN),
        order(token, bearer(token), path="/absent"),
    ]
    headers = bearer(token)
    token.path.chmod(0o644)
    answers.append(order(token, headers))
    assert [answer[0] for answer in answers] == [200, 401, 403, 404, 403]
    assert "order refused" in caplog.text
    logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert secret not in logged
    assert all(secret not in text for _, text, _ in answers)


def test_a_request_that_is_no_http_does_not_bring_its_token_into_the_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    token = token_in(tmp_path)
    secret = token.read().decode()

    async def ask():
        app = make_app(ready=lambda: None, operator=token)
        async with running(app) as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
            head = f"POST /api/do HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\0\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.read()
            writer.close()
            return answer

    assert b" 400 " in asyncio.run(ask()).partition(b"\r\n")[0]
    assert secret not in caplog.text
