"""What a client that holds connections can and cannot take from others."""

from __future__ import annotations

import asyncio

import pytest

from tests.web.test_web_server import app_with, hello, running
from warpgauge.web import bounded, guard, make_app


async def opened(client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A raw connection to the server of this client."""
    return await asyncio.open_connection("127.0.0.1", client._base_url.port)


@pytest.fixture
def impatient(monkeypatch):
    real = bounded.Arrivals
    monkeypatch.setattr("warpgauge.web.serving.Arrivals", lambda: real(0.2))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("said", [b"", b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_a_connection_that_brings_no_whole_request_is_cut_off(said):
    async def linger():
        async with running(app_with()) as client:
            reader, writer = await opened(client)
            writer.write(said)
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return answer

    assert asyncio.run(linger()) == b""


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_asked_once_is_kept():
    async def keep():
        async with running(app_with()) as client:
            reader, writer = await opened(client)
            for _ in range(2):
                writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
                await reader.readuntil(b"ok\n")
                await asyncio.sleep(0.4)
            writer.close()

    asyncio.run(keep())


def test_one_connection_too_many_is_told_to_come_again(monkeypatch):
    monkeypatch.setattr(bounded, "MOST_CONNECTIONS", 2)

    async def crowd():
        async with running(app_with()) as client:
            held = [await opened(client) for _ in range(2)]
            await asyncio.sleep(0.1)
            reader, extra = await opened(client)
            answer = await asyncio.wait_for(reader.read(), 5)
            for _, writer in held:
                writer.close()
            extra.close()
            await asyncio.sleep(0.1)
            async with client.get("/-/healthy") as again:
                return answer.split(b"\r\n")[:2], again.status

    assert asyncio.run(crowd()) == ([b"HTTP/1.1 503 Service Unavailable", b"Retry-After: 5"], 200)


def test_a_body_that_comes_drop_by_drop_is_given_up(monkeypatch):
    monkeypatch.setattr(guard, "_WRITE_SECONDS", 0.2)

    async def read_all(request):
        await request.read()
        return await hello(request)

    async def drip():
        app = make_app(ready=lambda: None, own_doors={"/push": lambda _: True})
        app.router.add_post("/push", read_all)
        async with running(app) as client:
            reader, writer = await opened(client)
            writer.write(b"POST /push HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nx")
            status = await asyncio.wait_for(reader.readline(), 5)
            writer.close()
            return status

    assert asyncio.run(drip()) == b"HTTP/1.1 408 Request Timeout\r\n"
