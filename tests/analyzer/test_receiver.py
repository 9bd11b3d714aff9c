"""POST /api/v1/write: who may write, what is refused and how, and that nobody can fill the memory."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from tests.analyzer.prompb import message
from warpgauge.analyzer.service import receiver
from warpgauge.analyzer.service.receiver import PATH, RemoteWriteReceiver
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import AnalyzerConfig
from warpgauge.core.errors import ConfigError, InputError
from warpgauge.web import make_app

if TYPE_CHECKING:
    from pathlib import Path

cramjam = pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[remote-write]'")

T0 = 1_750_000_000_000
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
TOKEN = "a-token-of-some-length"  # noqa: S105 - of this test


def packed(content: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(content))


BODY = packed(message([({"__name__": "up"}, [(T0, 1.0)])]))


class Inbox:
    """What was written; `pause` holds requests back."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.pause: asyncio.Event | None = None
        self.error: str | None = None

    async def write(self, body: bytes) -> int:
        self.messages.append(body)
        if self.pause is not None:
            await self.pause.wait()
        if self.error:
            raise InputError(self.error)
        return 1


async def post(inbox: Inbox, body: bytes = BODY, times: int = 1, *, token_file: Path | None = None, **headers: str):
    """Answers of so many requests at once: status, text, headers."""
    config = AnalyzerConfig(remote_write=True, remote_write_token_file=str(token_file or ""))
    door = RemoteWriteReceiver(config, inbox.write, ManualClock(1_750_000_000.0))
    app = make_app(ready=lambda: None, own_doors={PATH: door.knows})
    app.router.add_post(PATH, door.handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"

    async def one(client: aiohttp.ClientSession) -> tuple[int, str, Any]:
        async with client.post(url, data=io.BytesIO(body), headers=HEADERS | headers) as response:
            return response.status, await response.text(), response.headers

    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            waiting = [asyncio.create_task(one(client)) for _ in range(times)]
            if inbox.pause is not None:
                while sum(task.done() for task in waiting) + len(inbox.messages) < times:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                inbox.pause.set()
            return await asyncio.gather(*waiting), door.statuses()[0]
    finally:
        await runner.cleanup()


def answer(inbox: Inbox | None = None, body: bytes = BODY, **more: Any) -> tuple[int, str, Any]:
    ((found,), _) = asyncio.run(post(inbox or Inbox(), body, **more))
    return found


def test_a_message_is_taken_and_answered_without_content():
    inbox = Inbox()
    status, text, _ = answer(inbox)

    assert (status, text) == (204, "")
    assert inbox.messages == [message([({"__name__": "up"}, [(T0, 1.0)])])]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
        {"X-Prometheus-Remote-Write-Version": "2.0.0"},
        {"Content-Encoding": "lz4"},
        {"Content-Type": "application/json"},
    ],
)
def test_another_version_or_encoding_is_415_so_that_the_sender_falls_back(headers: dict[str, str]):
    status, text, _ = answer(**headers)

    assert status == 415
    assert "error" in text


def test_the_first_version_may_be_named_in_full():
    assert answer(**{"Content-Type": "application/x-protobuf;proto=prometheus.WriteRequest"})[0] == 204


def test_a_foreign_web_page_cannot_make_a_browser_write():
    inbox = Inbox()

    assert answer(inbox, Origin="http://evil.example")[0] == 403
    assert inbox.messages == []


def test_a_malformed_message_is_400_with_the_reason():
    inbox = Inbox()
    inbox.error = "malformed write request at byte 7: a series has no __name__"
    status, text, _ = answer(inbox)

    assert status == 400
    assert "a series has no __name__" in text


def test_what_is_no_snappy_is_400():
    assert answer(body=b"\x05nonsense")[0] == 400


def test_a_body_larger_than_the_limit_is_413():
    assert answer(body=bytes(receiver.MOST_BODY_BYTES + 1))[0] == 413


def test_a_message_that_unpacks_to_more_than_the_limit_is_400_and_never_unpacked():
    bomb = packed(bytes(receiver.MOST_MESSAGE_BYTES + 1))
    status, text, _ = answer(body=bomb)

    assert len(bomb) < receiver.MOST_BODY_BYTES
    assert status == 400
    assert "decompressed" in text


def test_more_requests_than_can_be_held_are_told_to_come_again():
    async def crowd():
        inbox = Inbox()
        inbox.pause = asyncio.Event()
        return await post(inbox, times=receiver.MOST_AT_ONCE + 5)

    answers, _ = asyncio.run(crowd())
    refused = [headers["Retry-After"] for status, _, headers in answers if status == 503]
    assert refused == [str(receiver.RETRY_SECONDS)] * 5
    assert sum(status == 204 for status, _, _ in answers) == receiver.MOST_AT_ONCE


def test_only_who_shows_the_token_may_write(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")

    assert answer(token_file=file, Authorization=f"Bearer {TOKEN}")[0] == 204
    assert answer(token_file=file, Authorization="Bearer another-token-of-length")[0] == 401
    assert answer(token_file=file)[0] == 401


def test_a_page_of_another_site_cannot_make_a_browser_write():
    assert answer(Origin="https://evil.example")[0] == 403


def test_an_address_that_others_reach_needs_a_token():
    config = AnalyzerConfig(remote_write=True, listen_address="0.0.0.0:9838")
    with pytest.raises(ConfigError, match=r"set analyzer\.remote_write_token_file, or listen on 127\.0\.0\.1 only"):
        RemoteWriteReceiver(config, Inbox().write, ManualClock(0.0))


@pytest.mark.parametrize("text", ["", "short", "two words of a token"])
def test_a_token_that_is_easily_guessed_is_refused_at_the_start(tmp_path: Path, text: str):
    file = tmp_path / "token"
    file.write_text(text)
    config = replace(AnalyzerConfig(), remote_write=True, remote_write_token_file=str(file))
    with pytest.raises(ConfigError, match="must hold one token of at least 16 characters"):
        RemoteWriteReceiver(config, Inbox().write, ManualClock(0.0))


def test_the_status_tells_the_last_fault_until_a_good_message_comes():
    inbox = Inbox()
    _, good = asyncio.run(post(inbox))
    inbox.error = "malformed"
    _, bad = asyncio.run(post(inbox))

    assert (good.up, good.last_success, good.error) == (True, 1_750_000_000.0, None)
    assert (bad.up, bad.error) == (False, "malformed")
