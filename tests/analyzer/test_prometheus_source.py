"""The Prometheus API: what is asked, what comes back, and each way in which a server is not what it should be."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analyzer.http_stub import answer, serving
from warpgauge.analyzer.sources.access import Access, tls_context
from warpgauge.analyzer.sources.fetch import Answer, json_of, new_session
from warpgauge.analyzer.sources.poll import PrometheusPoll
from warpgauge.analyzer.sources.prometheus import Budget, Prometheus, Span
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import ConfigError, SourceError

JSON = "application/json"
END = 1_750_003_600.0
HOUR = Span(start=END - 3600, end=END)


class FakePrometheus:
    """Answers counts and selectors from what it was given, and notes what it was asked."""

    def __init__(self, series: dict[str, list[tuple[dict[str, str], list[tuple[float, float]]]]]) -> None:
        self.series = series
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []

    def routes(self):
        return {"/api/v1/query": self.query, "/api/v1/query_range": self.query}

    def reads(self) -> list[str]:
        """Queries that were not for a count."""
        return [query["query"] for _, query, _ in self.asked if not query["query"].startswith("count by")]

    async def query(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, dict(request.query), dict(request.headers)))
        asked = request.query["query"]
        if asked.startswith("count by"):
            rows = [
                {"metric": {"__name__": name}, "value": [END, str(len(members))]}
                for name, members in self.series.items()
            ]
            return web.json_response(success("vector", rows))
        name = asked.split('"')[1]
        rows = [
            {"metric": {"__name__": name, **labels}, "values": [[time, str(value)] for time, value in samples]}
            for labels, samples in self.series.get(name, [])
        ]
        return web.json_response(success("matrix", rows))


def success(kind: str, rows: list[Any], **extra: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": rows}, **extra}


def load(*values: float) -> list[tuple[float, float]]:
    return [(END - 15.0 * (len(values) - k), value) for k, value in enumerate(values)]


FAKE = {
    "node_load1": [({"instance": "a:1"}, load(1.0, 2.0, 3.0))],
    "node_uname_info": [({"instance": "a:1", "nodename": "node-a"}, load(1.0))],
}


async def read(routes, span: Span = HOUR, **access: Any):
    async with serving(routes) as url, new_session() as session:
        server = Prometheus(session, Access(url=url, **access))
        budget = await server.budget(span)
        return budget, [ranges async for ranges in server.read(span, budget)]


def test_raw_samples_come_with_their_own_times():
    _, batches = asyncio.run(read(FakePrometheus(FAKE).routes()))

    points = batches[-1].points[0]
    assert points.name == "node_load1"
    assert points.labels == {"instance": "a:1"}
    assert points.values.tolist() == [1.0, 2.0, 3.0]
    assert points.times_ms.tolist() == [round((END - 15 * k) * 1000) for k in (3, 2, 1)]
    assert batches[-1].interval_seconds == 15.0


def test_what_names_the_nodes_is_read_first():
    budget, batches = asyncio.run(read(FakePrometheus(FAKE).routes()))

    assert list(budget.series) == ["node_uname_info", "node_load1"]
    assert [ranges.points[0].name for ranges in batches] == ["node_uname_info", "node_load1"]


def test_the_budget_is_known_before_anything_is_read():
    budget, _ = asyncio.run(read(FakePrometheus(FAKE).routes()))

    assert budget == Budget(series={"node_uname_info": 1, "node_load1": 1}, queries=2, samples=2 * 240)
    assert budget.words() == "reading 2 metrics with 2 series: 2 queries, about 480 samples"


def test_metrics_that_the_server_does_not_have_cost_no_query():
    fake = FakePrometheus(FAKE)
    asyncio.run(read(fake.routes()))

    assert len(fake.reads()) == 2


def test_a_large_metric_is_read_in_pieces_that_join_without_overlap():
    fake = FakePrometheus({"node_load1": [({"instance": f"{n}:1"}, load(1.0)) for n in range(10_000)]})
    budget, _ = asyncio.run(read(fake.routes()))

    pieces = [
        (query["query"].rpartition("[")[2], float(query["time"]))
        for _, query, _ in fake.asked
        if query["query"] in fake.reads()
    ]
    assert budget.queries == len(pieces) == 3
    assert [time for _, time in pieces] == [END - 2400, END - 1200, END]
    assert {length for length, _ in pieces} == {"1200000ms]"}


def test_a_step_asks_for_a_range_query():
    fake = FakePrometheus(FAKE)
    asyncio.run(read(fake.routes(), Span(start=END - 3600, end=END, step_seconds=60.0)))

    path, query, _ = fake.asked[-1]
    assert path == "/api/v1/query_range"
    assert (query["step"], query["query"]) == ("60", '{__name__="node_load1"}')


def test_a_selector_narrows_every_query():
    fake = FakePrometheus(FAKE)
    asyncio.run(read(fake.routes(), Span(start=END - 60, end=END, match='{cluster="a",}')))

    assert all('cluster="a"}' in query["query"] for _, query, _ in fake.asked)


@pytest.mark.parametrize(
    "match", ['cluster="a"', "{cluster=a}", '{cluster="a}', '{cluster="a",,}', '{cluster="a"} or up']
)
def test_what_is_no_selector_in_braces_is_refused(match):
    with pytest.raises(ConfigError, match="--match"):
        _ = Span(start=0, end=1, match=match).matchers


@pytest.mark.parametrize(
    ("match", "matchers"), [('{ a = "x}" , }', 'a = "x}"'), ("{a=~'x',b!=`y`}", "a=~'x',b!=`y`"), ("{}", "")]
)
def test_a_selector_is_written_as_promql_has_it(match, matchers):
    assert Span(start=0, end=1, match=match).matchers == matchers


def test_headers_go_with_every_request():
    fake = FakePrometheus(FAKE)
    asyncio.run(read(fake.routes(), headers=lambda: {"Authorization": "Bearer secret", "X-Scope-OrgID": "team"}))

    assert {headers["Authorization"] for _, _, headers in fake.asked} == {"Bearer secret"}
    assert {headers["X-Scope-OrgID"] for _, _, headers in fake.asked} == {"team"}


def test_credentials_in_the_url_are_refused_without_repeating_them():
    with pytest.raises(ConfigError) as refused:
        Access(url="http://me:secret@127.0.0.1:9090")

    assert "secret" not in str(refused.value)
    assert "--bearer-token-file" in str(refused.value)


def test_a_certificate_file_that_is_none_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")

    with pytest.raises(ConfigError, match=r"ca\.pem"):
        tls_context(tmp_path / "ca.pem")
    with pytest.raises(ConfigError, match=r"missing\.pem as certificate authority: No such file"):
        tls_context(tmp_path / "missing.pem")


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (answer("denied", status=401), "wants credentials"),
        (answer("denied", status=403), "forbids it"),
        (answer("not found", status=404), "is not there"),
        (answer("<html>Grafana</html>", content_type="text/html"), "does not answer with JSON"),
        (answer('{"hello": 1}', content_type=JSON), "is not a Prometheus"),
        (answer("[]", content_type=JSON), "is not a Prometheus"),
        (answer('{"status": "error", "error": "bad label"}', content_type=JSON, status=400), "bad label"),
        (
            answer(json.dumps(success("vector", [], warnings=["store down"])), content_type=JSON),
            "in part",
        ),
        (answer(json.dumps(success("scalar", [])), content_type=JSON), "another form"),
        (answer(json.dumps(success("vector", [{"metric": {}}])), content_type=JSON), "another form"),
        (answer("", status=302, Location="/login"), "redirects"),
    ],
)
def test_a_server_that_is_no_prometheus_ends_in_one_sentence(handler, message: str):
    with pytest.raises(SourceError, match=message) as failed:
        asyncio.run(read({"/api/v1/query": handler}))

    assert "http://127.0.0.1:" in str(failed.value)


def test_a_server_that_is_not_there_is_named():
    async def ask() -> None:
        async with new_session() as session:
            await Prometheus(session, Access(url="http://127.0.0.1:9")).budget(HOUR)

    with pytest.raises(SourceError, match=r"cannot reach http://127\.0\.0\.1:9/api/v1/query: Connection refused"):
        asyncio.run(ask())


def test_special_values_are_read_as_they_are():
    samples = [(END - 30, float("nan")), (END - 15, float("inf"))]
    _, batches = asyncio.run(read(FakePrometheus({"node_load1": [({"instance": "a"}, samples)]}).routes()))

    assert np.isnan(batches[0].points[0].values[0])
    assert np.isinf(batches[0].points[0].values[1])


def test_a_poll_reads_the_window_first_and_then_what_is_new():
    async def run() -> list[tuple[str, str]]:
        fake = FakePrometheus(FAKE)
        clock = ManualClock(END)
        taken = []

        async def deliver(ranges) -> None:
            taken.append(ranges)
            clock.advance(5)

        async with serving(fake.routes()) as url, new_session() as session:
            poll = PrometheusPoll(
                session, deliver, access=Access(url=url), interval_seconds=0.01, window_seconds=3600, clock=clock
            )  # fmt: skip
            task = asyncio.create_task(poll.run())
            async with asyncio.timeout(5):
                while len(taken) < 4:  # noqa: ASYNC110 - a test has no event to wait for
                    await asyncio.sleep(0.005)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert poll.statuses()[0].up
        lengths = [(path, query["query"].rpartition("[")[2]) for path, query, _ in fake.asked]
        return [length for _, length in lengths if not length.endswith(")")]

    lengths = [length for length in asyncio.run(run()) if length.endswith("ms]")]

    assert lengths[:4] == ["3600000ms]", "3600000ms]", "70000ms]", "70000ms]"]


def test_a_poll_of_a_dead_server_says_so_and_goes_on():
    async def run():
        async with new_session() as session:
            poll = PrometheusPoll(
                session, None, access=Access(url="http://127.0.0.1:9"), interval_seconds=0.01, window_seconds=60,
                clock=ManualClock(END),
            )  # fmt: skip
            task = asyncio.create_task(poll.run())
            async with asyncio.timeout(5):
                while not poll.is_settled:  # noqa: ASYNC110 - a test has no event to wait for
                    await asyncio.sleep(0.005)
            assert not task.done()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            return poll.statuses()[0]

    status = asyncio.run(run())

    assert not status.up
    assert "Connection refused" in status.error


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_source_error(body: bytes):
    with suppress(SourceError):
        json_of(Answer("application/json", body), "http://x")


rows = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metric", "value", "values", "__name__"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=30, deadline=None)
@given(st.lists(rows, max_size=3), st.sampled_from(["vector", "matrix"]))
def test_any_result_is_read_or_refused(result, kind: str):
    body = json.dumps(success(kind, result))

    with suppress(SourceError):
        asyncio.run(read({"/api/v1/query": answer(body, content_type=JSON)}))


def test_no_question_is_longer_than_a_proxy_takes():
    fake = FakePrometheus(FAKE)
    asyncio.run(read(fake.routes()))

    assert max(len(quote(query["query"])) for _, query, _ in fake.asked) < 6000


def test_a_reading_too_short_to_tell_keeps_the_interval_of_the_one_before():
    async def ask() -> list[float]:
        slow = {"node_load1": [({"instance": "a:9100"}, [(END - 60 * n, 1.0) for n in range(10, -1, -1)])]}
        fake = FakePrometheus(slow)
        async with serving(fake.routes()) as url, new_session() as session:
            server, told = Prometheus(session, Access(url=url)), []
            for _ in range(2):
                budget = await server.budget(HOUR)
                told += [ranges.interval_seconds async for ranges in server.read(HOUR, budget)]
                fake.series = {"node_load1": [({"instance": "a:9100"}, [(END, 1.0)])]}
            return told

    assert asyncio.run(ask()) == [60.0, 60.0]
