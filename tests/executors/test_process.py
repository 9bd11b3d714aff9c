"""An executor's process against the analyzer's own API: what it reads, what comes back, and what a pause does."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.detectors.test_desk import Site
from tests.detectors.test_recommend import finding
from tests.executors.executor_contract import advice
from warpgauge.analyzer.service.acting_routes import acting_document, add_acting_routes
from warpgauge.cli.main import main
from warpgauge.core.ack import Phase
from warpgauge.core.audit import verify
from warpgauge.core.clock import ManualClock
from warpgauge.core.lane import TryLaterError
from warpgauge.core.posting import HttpClient
from warpgauge.core.withdrawal import WithdrawalReason, withdrawal_of
from warpgauge.executors import FileExecutor
from warpgauge.executors.inbox import ApiAcks, ApiInbox, FileAcks, FileInbox
from warpgauge.executors.running import Process
from warpgauge.web import TokenFile, json_response, make_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from warpgauge.core.ack import NativeRef
    from warpgauge.executors import Order


@contextmanager
def serving(site: Site) -> Iterator[str]:
    """The analyzer's doors over a site, in a thread of their own."""
    token = TokenFile(lambda: site.folder)
    token.ensure()
    started, loop = threading.Event(), asyncio.new_event_loop()
    urls: list[str] = []

    async def start() -> web.AppRunner:
        app = make_app(ready=lambda: None, operator=token)
        add_acting_routes(app, site.advisor)

        async def acting(_: web.Request) -> web.Response:
            return json_response(acting_document(site.advisor))

        async def recommendations(_: web.Request) -> web.Response:
            return json_response({"recommendations": [one.to_event() for one in site.advisor.open]})

        app.router.add_get("/api/v1/acting", acting)
        app.router.add_get("/api/v1/recommendations", recommendations)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        started.set()
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(10)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "analyzer").mkdir()
    return Site(tmp_path / "analyzer")


class Pausing(FileExecutor):
    """Somebody pauses the analyzer while it carries out its first order."""

    def __init__(self, path: Path, site: Site) -> None:
        super().__init__(path)
        self._site = site

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        refs = super().execute(order)
        self._site.desk.pause("bob")
        return refs


@contextmanager
def executor(site: Site, url: str, folder: Path, core: FileExecutor | None = None) -> Iterator[Process]:
    client, token = HttpClient(), TokenFile(lambda: site.folder)
    inbox, acks = ApiInbox(url, client, token.read), ApiAcks(url, client, token.read, site.clock)
    (folder / "executor").mkdir(exist_ok=True)
    core = core or FileExecutor(folder / "orders.jsonl")
    process = Process(core, inbox, acks, folder / "executor", clock=site.clock, dry_run=False)
    try:
        yield process
    finally:
        process.close()


def orders(folder: Path) -> list[str]:
    path = folder / "orders.jsonl"
    return [json.loads(line)["do"] for line in path.read_text().splitlines()] if path.exists() else []


def test_from_finding_to_ack_and_back(site: Site, tmp_path: Path) -> None:
    (made,) = site.tick(finding()).fresh
    with serving(site) as url, executor(site, url, tmp_path) as process:
        process.step()
        assert orders(tmp_path) == []
        assert [ack.phase for ack in site.desk.book.acks(made.id)][-1:] == [Phase.DRY_RUN_OK]
        site.desk.approve(made, "ann")
        process.step()
        process.step()
    assert orders(tmp_path) == ["replace-straggler"]
    assert {ack.phase for ack in site.desk.book.acks(made.id)} >= {Phase.ACCEPTED, Phase.EXECUTING, Phase.EXECUTED}
    assert [one.recommendation.id for one in site.desk.book.unverified()] == [made.id]
    assert verify(tmp_path / "executor" / "audit.jsonl").lines == 5


def test_a_pause_stops_what_was_approved(site: Site, tmp_path: Path) -> None:
    (made,) = site.tick(finding()).fresh
    site.desk.approve(made, "ann")
    site.desk.pause("bob")
    with serving(site) as url, executor(site, url, tmp_path) as process:
        process.step()
        assert orders(tmp_path) == []
        site.desk.resume("bob")
        process.step()
    assert orders(tmp_path) == ["replace-straggler"]


def test_a_pause_while_one_order_is_carried_out_stops_the_next(site: Site, tmp_path: Path) -> None:
    for made in site.tick(finding(number=1, job="a"), finding(number=2, job="b")).fresh:
        site.desk.approve(made, "ann")
    core = Pausing(tmp_path / "orders.jsonl", site)
    with serving(site) as url, executor(site, url, tmp_path, core) as process:
        process.step()
        process.step()
        assert orders(tmp_path) == ["replace-straggler"]
        site.desk.resume("bob")
        process.step()
    assert orders(tmp_path) == ["replace-straggler"] * 2


def test_after_the_verb_pause_nothing_is_done_over_restarts_and_it_is_audited(site: Site, tmp_path: Path) -> None:
    (made,) = site.tick(finding()).fresh
    flags = [f"--token-file={site.folder / 'operator.token'}"]
    with serving(site) as url, executor(site, url, tmp_path) as process:
        process.step()
        assert main(["pause", f"--analyzer={url}", *flags], {}) == 0
        site.desk.approve(made, "ann")
        process.step()
    site.restart()
    with serving(site) as url, executor(site, url, tmp_path) as process:
        process.step()
        assert orders(tmp_path) == []
        assert site.audited()[:2] == ["ack", "ack"]
        assert "pause" in site.audited()
        assert main(["resume", f"--analyzer={url}", *flags], {}) == 0
        process.step()
    assert orders(tmp_path) == ["replace-straggler"]


def test_what_was_withdrawn_is_not_followed(site: Site, tmp_path: Path) -> None:
    (made,) = site.tick(finding()).fresh
    with serving(site) as url, executor(site, url, tmp_path) as process:
        process.step()
        site.tick()
        process.step()
    assert orders(tmp_path) == []
    assert Phase.WITHDRAWN in {ack.phase for ack in site.desk.book.acks(made.id)}


def test_while_the_analyzer_is_away_nothing_is_done_and_acks_wait(site: Site, tmp_path: Path) -> None:
    (made,) = site.tick(finding()).fresh
    with serving(site) as url, executor(site, url, tmp_path) as process:
        process.step()
    site.desk.approve(made, "ann")
    with executor(site, url, tmp_path) as process:
        process.step()
        assert orders(tmp_path) == []


def test_acks_of_an_unknown_recommendation_are_set_aside(site: Site) -> None:
    from tests.core.documents import ack  # noqa: PLC0415

    with serving(site) as url:
        sender = ApiAcks(url, HttpClient(), TokenFile(lambda: site.folder).read, site.clock)
        with pytest.raises(Exception, match="HTTP 404"):
            sender.deliver([json.dumps(ack().to_event()).encode()])


def test_without_the_token_no_order_is_taken(site: Site) -> None:
    with serving(site) as url, pytest.raises(TryLaterError, match="HTTP 401"):
        ApiAcks(url, HttpClient(), lambda: b"x" * 40, site.clock).deliver([b'{"data":{"recommendationId":"1"}}'])


def test_the_verbs_give_orders(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (made,) = site.tick(finding()).fresh
    with serving(site) as url:
        flags = [f"--analyzer={url}", f"--token-file={site.folder / 'operator.token'}"]
        assert main(["mode", "auto", *flags], {}) == 0
        assert "approve -> auto: no open recommendations change\nnothing was changed" in capsys.readouterr().out
        assert main(["pause", *flags], {}) == 0
        assert site.advisor.hold is not None
        assert main(["mode", *flags], {}) == 0
        assert "mode approve, held: paused by" in capsys.readouterr().out
        assert main(["resume", *flags], {}) == 0
        assert site.advisor.hold is None
        assert main(["approve", made.id, *flags], {}) == 0
        assert site.advisor.open[0].may_be_followed
        assert main(["reject", made.id, *flags], {}) == 0
        assert site.advisor.open == ()
        assert main(["approve", "nonsense", *flags], {}) == 2
        assert "the analyzer refused: no recommendation nonsense stands" in capsys.readouterr().err
        assert main(["mode", "observe", "--apply", *flags], {}) == 0
        assert site.desk.mode == "observe"
    assert main(["pause", *flags], {}) == 2
    assert "no answer from the analyzer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/pause", {}, 400),
        ("/api/v1/pause", [], 400),
        ("/api/v1/mode", {"by": "ann", "mode": "yolo"}, 400),
        ("/api/v1/recommendations/x/ack", {"specversion": "1.0"}, 400),
        ("/api/v1/recommendations/x/approve", {"by": "ann"}, 404),
    ],
)
def test_a_malformed_order_is_refused_with_its_reason(site: Site, path: str, body: Any, status: int) -> None:
    with serving(site) as url:
        token = TokenFile(lambda: site.folder).read().decode()
        headers = {"Authorization": f"Bearer {token}"}
        answer = HttpClient().request("POST", f"{url}{path}", body=json.dumps(body).encode(), headers=headers)
    assert answer.status == status
    assert json.loads(answer.body)["error"]


def test_a_file_of_recommendations_is_followed_line_by_line(tmp_path: Path) -> None:
    path, folder = tmp_path / "in.jsonl", tmp_path / "state"
    folder.mkdir()
    core, clock = FileExecutor(tmp_path / "orders.jsonl"), ManualClock(advice().created + 20)
    process = Process(core, FileInbox(path), FileAcks(folder / "acks.jsonl"), folder, clock=clock, dry_run=False)
    process.step()
    path.write_text("garbage\n" + json.dumps(advice().to_event()) + "\n" + json.dumps(advice().to_event())[:50])
    process.step()
    assert orders(tmp_path) == ["cordon"]
    path.write_text(path.read_text() + json.dumps(advice().to_event())[50:] + "\n")
    process.step()
    process.close()
    assert orders(tmp_path) == ["cordon"]
    phases = [json.loads(line)["data"]["phase"] for line in (folder / "acks.jsonl").read_text().splitlines()]
    assert phases == ["received", "accepted", "dryRunOk", "executing", "executed"]


def test_a_file_that_was_replaced_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    inbox = FileInbox(path)
    path.write_text(json.dumps(advice().to_event()) + "\n")
    assert len(inbox.read().recommendations) == 1
    gone = withdrawal_of(advice(), WithdrawalReason.FINDING_ENDED, advice().created)
    path.unlink()
    path.write_text(json.dumps(gone.to_event()) + "\n")
    mail = inbox.read()
    assert [one.recommendation_id for one in mail.withdrawals] == [advice().id]


def test_a_line_that_is_no_recommendation_is_named_and_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(f"{{}}\n{json.dumps(advice().to_event())}\nnonsense\n")
    mail = FileInbox(path).read()
    assert len(mail.recommendations) == 1
    assert [one.split(": ")[0] for one in mail.malformed] == [f"{path}:1", f"{path}:3"]
    assert "not JSON" in mail.malformed[1]


def test_the_verb_follows_a_file_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.jsonl"
    far = {"expires_at": 4e9, "created": 1.0, "not_before": 1.0}
    path.write_text(json.dumps(advice(**far).to_event()) + "\n")
    command = ["executor", "--core=stdout", "--once", f"--from-file={path}", f"--state-directory={tmp_path / 'state'}"]
    assert main(command, {}) == 0
    assert main(command, {}) == 0
    assert capsys.readouterr().out.count("cordon device GPU-1 in prod") == 1


def test_one_round_without_an_analyzer_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "operator.token").write_text("t" * 43)
    (tmp_path / "operator.token").chmod(0o600)
    ends = ["--analyzer=http://127.0.0.1:9", f"--token-file={tmp_path / 'operator.token'}"]
    assert main(["executor", "--core=stdout", "--once", *ends, f"--state-directory={tmp_path / 'state'}"], {}) == 2
