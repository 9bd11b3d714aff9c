"""The service from an agent's page to its API, with a page that a test writes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, web

from tests.analyzer.http_stub import answer, serving
from tests.analyzer.prompb import message
from warpgauge.analyzer.detection import Candidate, Detection
from warpgauge.analyzer.recommend import FileSink, Outbox
from warpgauge.analyzer.service.acting_routes import POSTS
from warpgauge.analyzer.service.advisor import RECOMMENDATIONS_FILE, Advisor
from warpgauge.analyzer.service.api import make_api
from warpgauge.analyzer.service.documents import findings_list
from warpgauge.analyzer.service.openapi import ORDERS, PATHS
from warpgauge.analyzer.service.own_metrics import acting_samples
from warpgauge.analyzer.service.running import run_service
from warpgauge.analyzer.service.service import Service
from warpgauge.analyzer.sources.agent import read_page
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.core.catalog import findings_queue, host, own
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import Config
from warpgauge.core.config.sections import AnalyzerConfig
from warpgauge.core.errors import AddressInUseError, ConfigError
from warpgauge.core.exposition import parse
from warpgauge.core.finding import FindingKind, Scope, Severity, finding_from_json
from warpgauge.core.sample import Sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CPUS = 2


class Machine:
    """A page of a machine whose CPUs are as busy as it is told."""

    def __init__(self, *, simulated: bool = False) -> None:
        self.busy = 0.0
        self.scrapes = 0
        self.simulated = simulated
        self.asked_for_processes = 0

    def routes(self):
        return {"/metrics": self.metrics, "/api/v1/processes": self.processes}

    async def metrics(self, _: web.Request) -> web.Response:
        self.scrapes += 1
        lines = [
            'host_info{nodename="box",sysname="Linux"} 1',
            f"{host.CPU_COUNT.name} {CPUS}",
            "host_memory_total_bytes 1000",
            "host_memory_available_bytes 250",
            'accel_device_state{uuid="GPU-1",index="0",state="ok"} 1',
            'accel_device_state{uuid="GPU-1",index="0",state="lost"} 0',
            'accel_power_watts{uuid="GPU-1",index="0"} 321',
            f'accel_device_info{{uuid="GPU-1",index="0",model="H100",simulated="{str(self.simulated).lower()}"}} 1',
        ]
        return web.Response(text="".join(f"{line}\n" for line in lines))

    async def processes(self, request: web.Request) -> web.Response:
        self.asked_for_processes += 1
        assert request.query["top"] == "100"
        hog = {"pid": 7, "command": "hog", "cpu_ratio": 0.99, "memory_bytes": 1, "user": "me"}
        return web.json_response({"processes": [hog]})


def config(*targets: str, **settings: Any) -> Config:
    quick = {"interval_seconds": 0.05, "agent_scrape_interval_seconds": 0.02}
    return replace(Config(), analyzer=replace(AnalyzerConfig(), targets=targets, **(quick | settings)))


@asynccontextmanager
async def service(
    machine: Machine, folder: Path, planner: Any = None, **settings: Any
) -> AsyncIterator[tuple[str, ClientSession]]:
    """A running service that reads the machine; gives its base URL and a session."""
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with serving(machine.routes()) as target, ClientSession() as session:
        task = asyncio.create_task(
            run_service(
                config(f"{target}/metrics", listen_address="127.0.0.1:0", data_directory=str(folder), **settings),
                stop=stop,
                static_dir=settings.pop("static_dir", None),
                runbooks_dir=folder / "runbooks",
                on_listening=lambda host, port: listening.set_result(f"http://{host}:{port}"),
                planner=planner,
            )
        )
        try:
            url = await asyncio.wait_for(asyncio.shield(listening), 5)
            await until_ready(session, url)
            yield url, session
        finally:
            stop.set()
            await task


async def until_ready(session: ClientSession, url: str) -> None:
    async with asyncio.timeout(10):
        while True:
            async with session.get(f"{url}/-/ready") as ready:
                if ready.status == 200:
                    return
            await asyncio.sleep(0.02)


async def get(session: ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        assert response.status == 200, (url, await response.text())
        return await response.json()


def ask(folder: Path, *paths: str, machine: Machine | None = None) -> list[Any]:
    async def run() -> list[Any]:
        async with service(machine or Machine(), folder) as (url, session):
            return [await get(session, f"{url}{path}") for path in paths]

    return asyncio.run(run())


def test_a_page_becomes_status_live_values_and_devices(tmp_path: Path):
    status, live, devices = ask(tmp_path, "/api/v1/status", "/api/v1/live", "/api/v1/devices")

    assert (status["nodes"], status["devices"], status["simulated_targets"]) == (1, 1, 0)
    assert [source["up"] for source in status["sources"]] == [True]
    assert status["checked"]
    (seen,) = live["hosts"]
    assert (seen["node"], seen["cpu_count"], seen["memory_used_bytes"]) == ("box", CPUS, 750.0)
    assert "cpu_ratio" not in seen
    assert live["devices"][0] | {"power_watts": 321.0, "state": "ok", "model": "H100"} == live["devices"][0]
    assert devices["devices"][0]["uuid"] == "GPU-1"


def test_what_the_page_says_is_simulated_is_said_to_be(tmp_path: Path):
    status, live = ask(tmp_path, "/api/v1/status", "/api/v1/live", machine=Machine(simulated=True))

    assert status["simulated_targets"] == 1
    assert live["hosts"][0]["simulated"] is True
    assert live["devices"][0]["simulated"] is True


def test_lists_are_objects_with_their_name(tmp_path: Path):
    names = ("findings", "incidents", "recommendations")

    documents = ask(tmp_path, *(f"/api/v1/{name}" for name in names))

    assert [list(document) for document in documents] == [[name] for name in names]
    for finding in documents[0]["findings"]:
        finding_from_json(finding)


def test_every_described_path_answers_and_every_route_is_described(tmp_path: Path):
    async def run() -> None:
        async with service(Machine(), tmp_path) as (url, session):
            document = await get(session, f"{url}/api/v1/openapi.json")
            for path in (path for path, operations in document["paths"].items() if "get" in operations):
                query = "?metric=host_load1" if path.endswith("series") else ""
                known = path.replace("{cluster}", Config().analyzer.cluster)
                if not path.endswith("stream"):
                    assert isinstance(await get(session, f"{url}{known}{query}"), dict)
        assert set(document["paths"]) == {*PATHS, *(path for path, _ in ORDERS), *POSTS}
        assert document["openapi"].startswith("3.")

    asyncio.run(run())


def test_a_scheduler_is_told_the_load_of_its_own_cluster_only(tmp_path: Path):
    async def run() -> Any:
        async with service(Machine(), tmp_path) as (url, session):
            async with session.get(f"{url}/api/v1/load/elsewhere/watcher") as refused:
                assert (refused.status, "elsewhere" in await refused.text()) == (404, True)
            return await get(session, f"{url}/api/v1/load/{Config().analyzer.cluster}/watcher")

    (entries,) = [node["metrics"] for node in asyncio.run(run())["data"]["NodeMetricsMap"].values()]
    assert {(one["type"], one["operator"]): one["value"] for one in entries} == {
        ("Memory", "STD"): 0.0,
        ("Memory", "AVG"): 75.0,
    }


def test_the_stream_sends_a_tick_and_live_values(tmp_path: Path):
    async def run() -> dict[str, Any]:
        seen: dict[str, Any] = {}
        async with service(Machine(), tmp_path) as (url, session), session.get(f"{url}/api/v1/stream") as stream:
            event = ""
            async for raw in stream.content:
                line = raw.decode().strip()
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    seen[event] = json.loads(line.removeprefix("data: "))
                if len(seen) == 2:
                    return seen
        return seen

    seen = asyncio.run(run())

    assert set(seen["tick"]) == {"time", "status", "findings", "incidents", "recommendations"}
    assert seen["live"]["hosts"][0]["node"] == "box"


def test_a_wrong_parameter_is_a_json_error(tmp_path: Path):
    async def run() -> None:
        async with service(Machine(), tmp_path) as (url, session):
            async with session.get(f"{url}/api/v1/series?metric=nonsense") as response:
                assert response.status == 400
                assert "nonsense" in (await response.json())["error"]
            async with session.get(f"{url}/api/v1/nowhere") as response:
                assert response.status == 404
                assert "error" in await response.json()

    asyncio.run(run())


def test_its_own_metrics_are_well_formed_and_tell_of_targets(tmp_path: Path):
    async def run() -> str:
        async with service(Machine(), tmp_path) as (url, session), session.get(f"{url}/metrics") as response:
            return await response.text()

    lines = {(line.name, line.labels): line.value for line in parse(asyncio.run(run()), place="metrics")}

    assert [value for (name, _), value in lines.items() if name == "warpgauge_analyzer_target_up"] == [1.0]
    assert lines[("warpgauge_analyzer_tick_seconds_count", "")] >= 1
    assert lines[("warpgauge_analyzer_samples_total", 'outcome="mapped"')] > 0


def test_what_waits_in_the_outbox_has_a_size_and_the_room_it_may_take(tmp_path: Path):
    asked = advisor(tmp_path)
    asked.outbox.put([{"id": "1", "data": {"recommendationId": "r"}}])

    sizes = {
        one.metric: one.value for one in acting_samples(asked) if one.metric in {own.OUTBOX_BYTES, own.OUTBOX_MAX_BYTES}
    }
    asked.close()

    assert sizes == {own.OUTBOX_BYTES: len('{"id":"1","data":{"recommendationId":"r"}}'), own.OUTBOX_MAX_BYTES: 2**26}


def test_before_the_first_tick_it_is_not_ready(tmp_path: Path):
    async def run() -> None:
        async with new_session() as session:
            waiting = Service(config(), session, advisor(tmp_path))
            assert waiting.not_ready() == "the first tick is not done yet"
            await waiting.tick()
            assert waiting.not_ready() is None
            waiting.close()

    asyncio.run(run())


def advisor(folder: Path) -> Advisor:
    clock = SystemClock()
    return Advisor(Outbox(folder, [FileSink(folder / RECOMMENDATIONS_FILE)], clock), mode="propose", clock=clock)


def test_runbooks_are_served_by_name_and_nothing_else(tmp_path: Path):
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "HostDown.md").write_text("# Host down\n")
    (tmp_path / "secret.md").write_text("secret")

    async def run() -> None:
        async with service(Machine(), tmp_path) as (url, session):
            async with session.get(f"{url}/runbooks/HostDown") as response:
                assert (response.status, await response.text()) == (200, "# Host down\n")
                assert response.headers["Content-Type"].startswith("text/plain")
            for name in ("Nothing", "..%2Fsecret", "%2e%2e/secret", ".hidden"):
                async with session.get(f"{url}/runbooks/{name}") as response:
                    assert response.status == 404, name

    asyncio.run(run())


def test_without_a_console_the_first_page_says_where_to_look(tmp_path: Path):
    async def run() -> str:
        async with service(Machine(), tmp_path) as (url, session), session.get(url) as response:
            return await response.text()

    assert "/api/v1/status" in asyncio.run(run())


def test_a_taken_port_is_one_error_and_leaves_nothing_running(tmp_path: Path):
    async def run() -> None:
        async with serving({"/": answer("")}) as url:
            taken = config(listen_address=url.removeprefix("http://"), data_directory=str(tmp_path))
            with pytest.raises(AddressInUseError, match="is taken by another process"):
                await run_service(
                    taken, stop=asyncio.Event(), static_dir=None, runbooks_dir=None, on_listening=lambda *_: None
                )

    asyncio.run(run())


def test_a_console_is_served_from_its_folder(tmp_path: Path):
    (tmp_path / "console").mkdir()
    (tmp_path / "console" / "index.html").write_text("<html>console</html>")
    (tmp_path / "console" / "main.js").write_text("1")

    async def run() -> list[tuple[int, str]]:
        found = []
        stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            run_service(
                config(listen_address="127.0.0.1:0", data_directory=str(tmp_path)),
                stop=stop,
                static_dir=tmp_path / "console",
                runbooks_dir=None,
                on_listening=lambda host, port: listening.set_result(f"http://{host}:{port}"),
            )
        )
        url = await listening
        async with ClientSession() as session:
            for path in ("/", "/assets/main.js", "/assets/../outbox-file.sqlite"):
                async with session.get(f"{url}{path}") as response:
                    found.append((response.status, await response.text()))
        stop.set()
        await task
        return found

    index, script, outside = asyncio.run(run())
    assert index == (200, "<html>console</html>")
    assert script == (200, "1")
    assert outside[0] == 404


class Full:
    """A detector that finds every node full and wants to know by whom."""

    name = "full"

    def detect(self, frame) -> Detection:
        return Detection(candidates=tuple(self._candidate(frame.now, node) for node in frame.nodes.entities))

    def _candidate(self, now: float, node) -> Candidate:
        return Candidate(
            kind=FindingKind.HOST_SATURATED,
            scope=Scope(cluster=node.cluster, node=node.node),
            severity=Severity.WARNING,
            since=now,
            confidence=1.0,
            evidence=(),
            summary="full",
            remedy="wait",
            simulated=node.simulated,
            needs_processes=True,
        )

    def explain(self, candidate: Candidate, processes) -> Candidate:
        return replace(candidate, summary=f"full of {processes[0].command}")


class Listening:
    """Remembers summaries, and says that three batches wait."""

    def __init__(self) -> None:
        self.heard: list[list[str]] = []

    def hear(self, findings) -> None:
        self.heard.append([one.summary for one in findings])

    def samples(self) -> list[Sample]:
        return [Sample(findings_queue.RECORDS, ("otlp_logs",), 3.0)]


async def judged(folder: Path, routes, **options: Any) -> Service:
    """A service that scraped the machine once and ticked twice."""
    async with serving(routes) as url, new_session() as session:
        running = Service(config(), session, advisor(folder), detectors=[Full()], **options)
        await running.watch.take(await read_page(session, f"{url}/metrics", 10.0, SystemClock()))
        for _ in range(2):
            await running.tick()
        running.close()
    return running


def test_a_finding_about_a_host_names_its_processes_from_the_first_tick(tmp_path: Path):
    machine = Machine()

    running = asyncio.run(judged(tmp_path, machine.routes()))

    assert [finding.summary for finding in running.result.findings] == ["full of hog"]
    assert machine.asked_for_processes == 2


def test_who_listens_hears_all_findings_at_every_tick(tmp_path: Path):
    listener = Listening()

    asyncio.run(judged(tmp_path, Machine().routes(), listener=listener))

    assert listener.heard == [["full of hog"]] * 2


def test_what_the_listener_says_of_itself_stands_on_the_page(tmp_path: Path):
    async def run() -> str:
        running = await judged(tmp_path, Machine().routes(), listener=Listening())
        api = make_api(running, static_dir=None, runbooks_dir=None)
        async with serving(api) as url, ClientSession() as session, session.get(f"{url}/metrics") as response:
            return await response.text()

    assert 'warpgauge_analyzer_queue_records{sink="otlp_logs"} 3.0' in asyncio.run(run()).splitlines()


@pytest.mark.parametrize(
    "processes",
    [
        answer("no", status=404),
        answer("[]", content_type="application/json"),
        answer('{"processes": [{"pid": "x"}]}', content_type="application/json"),
        answer('{"processes": [{"pid": 1, "command": "a", "cpu_ratio": 1, "memory_bytes": 1, "workload": "x"}]}'),
        answer('{"processes": [{"pid": 1, "command": "a", "cpu_ratio": NaN, "memory_bytes": 1}]}'),
    ],
)
def test_an_agent_that_cannot_name_processes_costs_only_the_names(tmp_path: Path, processes):
    machine = Machine()

    running = asyncio.run(judged(tmp_path, machine.routes() | {"/api/v1/processes": processes}))

    assert [finding.summary for finding in running.result.findings] == ["full"]


def test_findings_and_advice_about_a_simulated_node_say_so(tmp_path: Path):
    machine = Machine(simulated=True)

    running = asyncio.run(judged(tmp_path, machine.routes()))

    assert [finding["simulated"] for finding in findings_list(running.result)] == [True]
    assert all(document["data"]["simulated"] for document in running.recommendations())
    stored = (tmp_path / RECOMMENDATIONS_FILE).read_text().splitlines() if running.recommendations() else []
    assert all(json.loads(line)["data"]["simulated"] for line in stored)


def test_what_a_running_service_finds_reaches_its_alertmanager_by_the_name_of_its_rule(tmp_path: Path):
    posted: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()

    async def alertmanager(request: web.Request) -> web.Response:
        if request.method == "POST":
            posted.put_nowait(await request.json())
        return web.json_response([])

    async def run() -> list[dict[str, Any]]:
        async with (
            serving(Machine().routes()) as url,
            serving({"/api/v2/alerts": alertmanager}) as target,
            new_session() as session,
        ):
            running = Service(config(alertmanagers=(target,)), session, advisor(tmp_path), detectors=[Full()])
            await running.watch.take(await read_page(session, f"{url}/metrics", 10.0, SystemClock()))
            loops = asyncio.create_task(running.run())
            try:
                return await asyncio.wait_for(posted.get(), 10)
            finally:
                loops.cancel()
                await asyncio.gather(loops, return_exceptions=True)
                running.close()

    told = {alert["labels"]["alertname"]: alert["labels"] for alert in asyncio.run(run())}

    assert told["HostCpuSaturated"].items() >= {"node": "box", "scope": "node", "source": "analyzer"}.items()


def test_a_detector_that_fails_costs_neither_the_tick_nor_the_service(tmp_path: Path, caplog):
    class Broken:
        name = "broken"

        def detect(self, _frame) -> Detection:
            message = "a fault of ours"
            raise ZeroDivisionError(message)

    async def run() -> None:
        async with new_session() as session:
            running = Service(config(), session, advisor(tmp_path), detectors=[Broken()])
            loops = asyncio.create_task(running.run())
            async with asyncio.timeout(5):
                while caplog.text.count("detector failed") < 2:  # noqa: ASYNC110 - a test has no event to wait for
                    await asyncio.sleep(0.01)
            assert not loops.done()
            assert running.result is not None
            assert [one.detector for one in running.result.not_judged] == ["broken"]
            loops.cancel()
            with suppress(asyncio.CancelledError):
                await loops
            running.close()

    asyncio.run(run())


def test_what_is_written_goes_in_only_where_that_is_asked_for(tmp_path: Path):
    cramjam = pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[remote-write]'")
    body = bytes(cramjam.snappy.compress_raw(message([({"__name__": "node_load1"}, [(1_750_000_000_000, 1.0)])])))
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}

    async def run(**settings: Any) -> tuple[int, list[str], bool]:
        async with service(Machine(), tmp_path, **settings) as (url, session):
            async with session.post(f"{url}/api/v1/write", data=body, headers=headers) as response:
                status = response.status
            sources = (await get(session, f"{url}/api/v1/status"))["sources"]
            described = (await get(session, f"{url}/api/v1/openapi.json"))["paths"]
            return status, [source["name"] for source in sources], "/api/v1/write" in described

    assert asyncio.run(run(remote_write=True)) == (204, ["agent", "remote_write"], True)
    assert asyncio.run(run()) == (404, ["agent"], False)


def test_a_file_of_secrets_that_is_not_there_ends_the_start(tmp_path: Path):
    settings = {"prometheus_url": "http://127.0.0.1:9", "prometheus_bearer_token_file": str(tmp_path / "gone")}

    async def start() -> None:
        async with new_session() as session:
            Service(config(**settings), session, advisor(tmp_path))

    with pytest.raises(ConfigError, match=r"cannot read .*gone"):
        asyncio.run(start())
