"""The server as a client sees it: real sockets on 127.0.0.1, free ports."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.errors import AddressInUseError, ConfigError
from warpgauge.core.stop_signals import stop_signals
from warpgauge.web import EventStream, ListenAddress, TokenFile, install_stop_signals, json_response, make_app, serve
from warpgauge.web.application import ONLY_LOOPBACK_NAMES

LOCAL = ListenAddress("127.0.0.1", 0)


@asynccontextmanager
async def running(app: web.Application, address: ListenAddress = LOCAL):
    """The app on a free port, and a client that speaks to it."""
    stop = asyncio.Event()
    port = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(app, address, on_listening=lambda _, number: port.set_result(number), stop=stop))
    await asyncio.wait([port, server], return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        await server
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port.result()}") as client:
            yield client
    finally:
        stop.set()
        await server


def app_with(*routes: web.RouteDef, ready=lambda: None) -> web.Application:
    app = make_app(ready=ready)
    app.add_routes(routes)
    return app


def answer(path: str, app: web.Application | None = None, *, method: str = "GET", headers=None):
    """Status, text and headers of one request."""

    async def ask():
        async with running(app or app_with()) as client, client.request(method, path, headers=headers) as response:
            return response.status, await response.text(), response.headers

    return asyncio.run(ask())


async def hello(_: web.Request) -> web.Response:
    return json_response({"hello": "wörld"})


async def broken(_: web.Request) -> web.Response:
    msg = "a secret of ours"
    raise RuntimeError(msg)


async def forbidden(_: web.Request) -> web.Response:
    raise web.HTTPForbidden(text="you are only a viewer")


async def read_body(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9837", "127.0.0.1", 9837),
        (":9400", "", 9400),
        ("[::1]:9400", "::1", 9400),
        ("localhost:0", "localhost", 0),
        ("node-1.example.com:65535", "node-1.example.com", 65535),
    ],
)
def test_a_listen_address_is_read_as_in_prometheus(text, host, port):
    assert ListenAddress.parse(text) == ListenAddress(host, port)
    assert str(ListenAddress.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "9837", "localhost", "::1:9400", "a:b", ":65536", "http://a:1", "a :1", ":-1", ":\u0661"]
)
def test_anything_else_is_refused_with_the_form(text):
    with pytest.raises(ConfigError, match="must be HOST:PORT, :PORT or"):
        ListenAddress.parse(text)


@given(st.text(alphabet="[]:.0123456789abcdef%-") | st.text())
def test_any_address_is_read_or_refused(text):
    try:
        address = ListenAddress.parse(text)
    except ConfigError:
        return
    assert ListenAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), (":1", False),
     ("0.0.0.0:1", False), ("10.0.0.1:1", False), ("example.com:1", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(text, expected):
    assert ListenAddress.parse(text).is_loopback is expected


def test_a_living_server_is_healthy():
    assert answer("/-/healthy")[:2] == (200, "ok\n")


def test_a_server_that_is_ready_says_so():
    assert answer("/-/ready")[:2] == (200, "ok\n")


def test_a_server_that_is_not_ready_says_why():
    assert answer("/-/ready", app_with(ready=lambda: "first reading of nvml is due"))[:2] == (
        503, "first reading of nvml is due\n",
    )  # fmt: skip


def test_json_is_one_line_of_utf8():
    status, text, headers = answer("/api/v1/hello", app_with(web.get("/api/v1/hello", hello)))
    assert (status, text) == (200, '{"hello":"wörld"}\n')
    assert headers["Content-Type"] == "application/json; charset=utf-8"


def test_nan_is_refused_in_json():
    with pytest.raises(ValueError, match="JSON compliant"):
        json_response({"value": float("nan")})


@pytest.mark.parametrize("path", ["/-/healthy", "/absent", "/api/absent"])
def test_every_answer_carries_the_security_headers(path):
    headers = answer(path)[2]
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "warpgauge"


def test_errors_under_api_are_json():
    assert answer("/api/absent")[:2] == (404, '{"error":"Not Found"}\n')


def test_errors_elsewhere_are_text():
    assert answer("/absent")[:2] == (404, "Not Found\n")


def test_a_handlers_own_words_reach_the_client():
    assert answer("/api/no", app_with(web.get("/api/no", forbidden)))[:2] == (
        403,
        '{"error":"you are only a viewer"}\n',
    )


def test_a_fault_of_ours_tells_the_client_nothing_and_the_log_everything(caplog):
    status, text, _ = answer("/api/broken", app_with(web.get("/api/broken", broken)))
    assert (status, text) == (500, '{"error":"internal error, the log says more"}\n')
    assert "a secret of ours" in caplog.text


def test_a_fault_costs_one_request_only(caplog):
    async def ask():
        async with running(app_with(web.get("/broken", broken))) as client:
            return [(await client.get(path)).status for path in ("/broken", "/-/healthy")]

    assert asyncio.run(ask()) == [500, 200]
    assert "request failed" in caplog.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_reading_is_allowed_unless_a_route_says_otherwise(method):
    status, _, headers = answer("/-/healthy", method=method)
    assert status == 405
    assert headers["Allow"] == "GET,HEAD"


def test_head_is_answered_without_a_body():
    assert answer("/-/healthy", method="HEAD")[:2] == (200, "")


@pytest.mark.parametrize("host", ["localhost", "localhost:9838", "127.0.0.1:1", "[::1]:9838", "LOCALHOST"])
def test_names_of_this_machine_are_answered(host):
    assert answer("/-/healthy", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:9838", "127.0.0.1.evil.example", "[::2]:1", ""]
)
def test_a_rebound_host_name_is_refused_on_loopback(host):
    assert answer("/-/healthy", headers={"Host": host})[0] == 403


def test_any_host_name_is_answered_on_a_public_address():
    async def ask():
        async with running(app_with(), ListenAddress("0.0.0.0", 0)) as client:
            return (await client.get("/-/healthy", headers={"Host": "node7.example"})).status

    assert asyncio.run(ask()) == 200


def test_an_application_trusts_only_loopback_names_until_served_elsewhere():
    assert make_app(ready=lambda: None)[ONLY_LOOPBACK_NAMES] is True


def test_a_read_from_a_foreign_page_is_left_to_the_browser():
    assert answer("/-/healthy", headers={"Origin": "http://evil.example"})[0] == 200


def test_a_body_above_the_limit_is_refused(tmp_path):
    token = TokenFile(lambda: tmp_path)
    token.ensure()
    headers = {"Authorization": f"Bearer {token.read().decode()}"}

    async def ask():
        app = make_app(ready=lambda: None, operator=token)
        app.router.add_post("/api/do", read_body)
        async with running(app) as client:  # in chunks, so that its size is known only when it was read
            response = await client.post("/api/do", data=io.BytesIO(b"x" * (2 << 20)), headers=headers, chunked=True)
            return response.status

    assert asyncio.run(ask()) == 413


def test_a_taken_port_is_one_sentence_with_the_mend():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = ListenAddress(*other.getsockname())
        with pytest.raises(AddressInUseError) as caught:
            answer_at(address)
    assert str(caught.value) == (
        f"{address} is taken by another process; stop it or pass --web.listen-address=127.0.0.1:PORT"
    )


@pytest.mark.parametrize("host", ["203.0.113.1", "a..b"])
def test_an_address_of_another_machine_is_refused(host):
    with pytest.raises(ConfigError, match=f"cannot listen on {re.escape(host)}:0: .*no address of this machine"):
        answer_at(ListenAddress(host, 0))


def answer_at(address: ListenAddress) -> None:
    async def ask():
        async with running(app_with(), address):
            pass

    asyncio.run(ask())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_the_server(number: signal.Signals):
    async def live() -> bool:
        stop = asyncio.Event()
        install_stop_signals(asyncio.get_running_loop(), stop)
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 30)
        return stop.is_set()

    before = signal.signal(number, signal.SIG_DFL)  # whoever tests may have said nohup
    try:
        assert asyncio.run(live())
    finally:
        signal.signal(number, before)


def test_who_is_started_with_nohup_outlives_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


async def events_of(response: aiohttp.ClientResponse, count: int) -> list[bytes]:
    return [(await response.content.readuntil(b"\n\n")).rstrip() for _ in range(count)]


def stream_app(stream: EventStream) -> web.Application:
    app = app_with()
    stream.add_to(app, "/api/v1/stream")
    return app


def test_events_arrive_with_id_name_and_json():
    async def listen():
        stream = EventStream()
        async with running(stream_app(stream)) as client, client.get("/api/v1/stream") as response:
            await asyncio.sleep(0)
            stream.publish("tick", {"a": 1})
            stream.publish("live", ["ü"])
            return response.headers["Content-Type"], await events_of(response, 2)

    assert asyncio.run(listen()) == (
        "text/event-stream; charset=utf-8",
        [b'id: 1\nevent: tick\ndata: {"a":1}', 'id: 2\nevent: live\ndata: ["ü"]'.encode()],
    )


def test_who_connects_gets_the_newest_of_each_event():
    async def listen():
        stream = EventStream()
        for number in range(3):
            stream.publish("tick", number)
        async with running(stream_app(stream)) as client, client.get("/api/v1/stream") as response:
            return await events_of(response, 1)

    assert asyncio.run(listen()) == [b"id: 3\nevent: tick\ndata: 2"]


def test_a_silent_stream_sends_heartbeats():
    async def listen():
        stream = EventStream(heartbeat_seconds=0.01)
        async with running(stream_app(stream)) as client, client.get("/api/v1/stream") as response:
            return await events_of(response, 2)

    assert asyncio.run(listen()) == [b": still here"] * 2


def test_a_stream_too_many_is_refused():
    async def listen():
        path = "/api/v1/stream"
        async with (
            running(stream_app(EventStream(max_clients=1))) as client,
            client.get(path),
            client.get(path) as second,
        ):
            return second.status, second.headers["Retry-After"]

    assert asyncio.run(listen()) == (503, "30")


def test_a_client_that_goes_makes_room():
    async def listen():
        stream = EventStream(heartbeat_seconds=0.01, max_clients=1)
        async with running(stream_app(stream)) as client:
            async with client.get("/api/v1/stream"):
                pass
            async with asyncio.timeout(5):
                while stream.clients:  # noqa: ASYNC110 - the server notices at its next heartbeat
                    await asyncio.sleep(0.01)
            async with client.get("/api/v1/stream") as again:
                return again.status

    assert asyncio.run(listen()) == 200


def test_a_client_that_does_not_read_is_cut_off():
    async def listen():
        stream = EventStream()
        async with running(stream_app(stream)) as client, client.get("/api/v1/stream"):
            async with asyncio.timeout(10):
                while stream.clients:
                    stream.publish("live", "x" * 500_000)
                    await asyncio.sleep(0)
            return stream.clients

    assert asyncio.run(listen()) == 0


def test_open_streams_do_not_delay_the_stop():
    async def listen():
        stream = EventStream()
        stop = asyncio.Event()
        port = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(
            serve(stream_app(stream), LOCAL, on_listening=lambda _, number: port.set_result(number), stop=stop)
        )
        url = f"http://127.0.0.1:{await port}/api/v1/stream"
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            stop.set()
            async with asyncio.timeout(1):
                await server
            return await response.read()

    assert asyncio.run(listen()) == b""
