"""Pages of inference servers in our words, and servers that hang, lie or go away."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.exporters.collector_contract import holds
from warpgauge.core.catalog import Tier, serving
from warpgauge.core.errors import InputError
from warpgauge.exporters.collectors.serving import ServingCollector, fetch, listening_ports
from warpgauge.exporters.collectors.serving_pages import MOST_MODELS, to_samples

PAGES = Path(__file__).parents[1] / "fixtures/serving"
URL = "http://127.0.0.1:8000/metrics"


def read(name):
    samples = to_samples((PAGES / name).read_text(), URL)
    return {(sample.metric, sample.labels[2:]): sample.value for sample in samples}


def test_vllm_engines_are_added_up_and_the_fullest_cache_counts():
    model, values = ("Qwen/Qwen3-8B",), read("vllm-0.11.txt")
    assert values[serving.UP, ()] == 1.0
    assert values[serving.RUNNING, model] == 44.0
    assert values[serving.WAITING, model] == 12.0
    assert values[serving.KV_CACHE, model] == 0.9734
    assert values[serving.PREEMPTIONS, model] == 4.0
    assert values[serving.PROMPT_TOKENS, model] == 1.5e6
    assert values[serving.GENERATED_TOKENS, model] == 5e5
    made = values[serving.FIRST_TOKEN, model]
    counted = dict(zip((*serving.FIRST_TOKEN.buckets, "inf"), made.counts, strict=True))
    assert (counted[0.01], counted[0.025], counted[0.05], counted[0.1], counted["inf"]) == (0, 2, 10, 50, 100)
    assert made.sum == 33.5


def test_older_vllm_calls_the_cache_gpu_cache():
    page = 'vllm:gpu_cache_usage_perc{model_name="m"} 0.5\n'
    assert to_samples(page, URL)[1].value == 0.5


def test_the_ranks_of_one_sglang_engine_are_counted_once():
    model, values = ("meta-llama/Llama-3.1-8B-Instruct",), read("sglang-0.4.txt")
    assert (values[serving.RUNNING, model], values[serving.WAITING, model]) == (162.0, 2826.0)
    assert values[serving.KV_CACHE, model] == 0.28
    assert values[serving.FIRST_TOKEN, model].counts[-1] == 80


def test_the_stages_of_one_sglang_engine_are_counted_once_and_engines_add_up():
    lines = (
        f'sglang:num_queue_reqs{{model_name="m",tp_rank="0",pp_rank="{stage}",dp_rank="{engine}"}} 5\n'
        for stage in (0, 1)
        for engine in (0, 1)
    )
    assert to_samples("".join(lines), URL)[1].value == 10.0


def test_tgi_tells_tokens_as_sums_of_its_histograms():
    values = read("tgi-3.txt")
    assert (values[serving.RUNNING, ("",)], values[serving.WAITING, ("",)]) == (8.0, 4.0)
    assert (values[serving.PROMPT_TOKENS, ("",)], values[serving.GENERATED_TOKENS, ("",)]) == (12000.0, 4800.0)


def test_triton_prefers_what_its_engine_says_and_turns_milliseconds_into_seconds():
    values = read("triton-24.txt")
    assert values[serving.WAITING, ("tensorrt_llm",)] == 3.0
    assert values[serving.WAITING, ("ensemble",)] == 2.0
    assert values[serving.RUNNING, ("tensorrt_llm",)] == 16.0
    assert values[serving.KV_CACHE, ("tensorrt_llm",)] == 0.42
    made = values[serving.FIRST_TOKEN, ("tensorrt_llm",)]
    counted = dict(zip((*serving.FIRST_TOKEN.buckets, "inf"), made.counts, strict=True))
    assert (counted[0.1], counted[0.5], counted[2.5], counted["inf"], made.sum) == (1, 5, 8, 10, 7.0)


def test_a_page_of_somebody_else_is_none_of_ours():
    assert to_samples("node_load1 0.5\n", URL) == []


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1"])
def test_a_value_that_makes_no_sense_has_no_series(value):
    found = to_samples(f'vllm:num_requests_waiting{{model_name="m"}} {value}\n', URL)
    assert [sample.metric for sample in found] == [serving.UP]


def test_a_histogram_whose_counts_fall_has_no_series():
    page = "".join(
        f'vllm:time_to_first_token_seconds_bucket{{model_name="m",le="{le}"}} {count}\n'
        for le, count in (("0.1", 5), ("1", 3), ("+Inf", 9))
    )
    assert [sample.metric for sample in to_samples(page, URL)] == [serving.UP]


def test_a_page_cannot_make_series_without_end():
    page = "".join(f'vllm:num_requests_waiting{{model_name="m{n}"}} 1\n' for n in range(1000))
    assert len(to_samples(page, URL)) == MOST_MODELS + 1


def test_a_broken_page_is_told_with_its_line():
    with pytest.raises(InputError, match="metrics:2: "):
        to_samples("vllm:num_requests_waiting 1\nvllm:broken{\n", URL)


# ---- the collector


def collector(*urls, get=lambda _: (PAGES / "vllm-0.11.txt").read_text(), **more):
    return ServingCollector(urls=urls, get=get, **more)


def test_it_keeps_every_collectors_promises():
    holds(collector(URL))


def test_it_is_not_there_unless_asked_for():
    assert "serving_urls" in (collector().check() or "")


def outcome(got):
    def get(_):
        if isinstance(got, Exception):
            raise got
        return got

    samples, errors = collector(URL, get=get).read(Tier.NORMAL)
    return [(sample.metric, sample.value) for sample in samples], [error.reason for error in errors]


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        (ConnectionRefusedError("refused"), "unreachable"),
        (TimeoutError("timed out"), "timeout"),
        (HTTPError(URL, 404, "Not Found", None, None), "unreachable"),
        ("vllm:broken{\n", "malformed"),
        ("node_load1 1\n", "unknown_server"),
    ],
)
def test_a_server_that_cannot_be_read_is_down_and_its_series_are_gone(got, reason):
    assert outcome(got) == ([(serving.UP, 0.0)], [reason])


@pytest.mark.slow
def test_a_server_that_hangs_costs_its_own_series_and_one_thread():
    release = threading.Event()

    def get(url):
        if "1:1" in url:
            release.wait()
        return (PAGES / "tgi-3.txt").read_text()

    both = collector("http://127.0.0.1:1/metrics", URL, get=get)
    for _ in range(2):
        samples, errors = both.read(Tier.NORMAL)
        assert {sample.labels[1] for sample in samples if sample.metric is serving.WAITING} == {URL}
        assert [error.reason for error in errors] == ["timeout"]
    assert sum(thread.name == "serving http://127.0.0.1:1/metrics" for thread in threading.enumerate()) == 1
    release.set()


def listening(proc, *ports):
    (proc / "net").mkdir(parents=True, exist_ok=True)
    lines = ["  sl  local_address rem_address   st"]
    lines += [f"   {n}: 0100007F:{port:04X} 00000000:0000 0A" for n, port in enumerate(ports)]
    lines.append("   9: 0100007F:22B8 0100007F:1F40 01")  # a connection, not a listener
    (proc / "net/tcp").write_text("\n".join(lines) + "\n")


def test_discovery_asks_the_usual_ports_that_somebody_listens_on(tmp_path):
    listening(tmp_path, 8000, 22)
    assert listening_ports(tmp_path) == {8000, 22}
    asked = []

    def get(url):
        asked.append(url)
        return "node_load1 1\n"

    found = collector(get=get, discovers=True, proc_root=tmp_path)
    found.read(Tier.SLOW)
    assert found.read(Tier.NORMAL) == ([], [])  # somebody else's page is nobody's loss
    assert asked == [URL]
    listening(tmp_path)
    found.read(Tier.SLOW)
    assert found.read(Tier.NORMAL) == ([], [])
    assert asked == [URL]


class _Redirecting(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302 if self.path == "/metrics" else 200)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"tgi_queue_size 1\n")

    def log_message(self, *_):
        pass


def test_a_page_is_fetched_without_following_redirects():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert fetch(f"{address}/page") == "tgi_queue_size 1\n"
        with pytest.raises(HTTPError):
            fetch(f"{address}/metrics")
        server.shutdown()
