"""Inference servers whose own pages a Prometheus scrapes: label sets as they come lead to the pod, node and verdict."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.analyzer.fleets import DCGM_IDLE, Fleet, dcgm, idle_device, kinds_of, monitored, pod_info
from tests.analyzer.prompb import message
from warpgauge.analyzer.dialects import map_series
from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.intake.written import WrittenSamples
from warpgauge.analyzer.sources.replicas import REPLICA_LABELS
from warpgauge.core.catalog import serving

NODE, IP = "gpu-node-1", "10.244.3.40"
POD = {"namespace": "llm", "pod": "qwen-7d9f8c6b5-x2x4q", "container": "vllm"}
MODEL = {"model_name": "Qwen/Qwen3-8B"}


def on_kubernetes(pod=POD, ip=IP) -> Fleet:
    fleet = Fleet()
    fleet.add("kube_pod_info", pod_info(pod, NODE, ip), 1)
    return fleet


def add_vllm(fleet, labels, *, waiting=12.0, running=24.0, cache=0.97, cache_name="vllm:kv_cache_usage_perc"):
    fleet.add("vllm:num_requests_waiting", labels, waiting)
    fleet.add("vllm:num_requests_running", labels, running)
    fleet.add(cache_name, labels, cache)


@pytest.mark.parametrize(
    ("labels", "cache_name"),
    [
        ({**MODEL, "engine": "0"}, "vllm:kv_cache_usage_perc"),
        ({**MODEL, "engine": "0"}, "vllm:gpu_cache_usage_perc"),
        (MODEL, "vllm:gpu_cache_usage_perc"),
    ],
    ids=["V1", "V1 before 0.10", "V0"],
)
def test_a_full_cache_of_vllm_is_found_in_its_pod_on_its_node(labels, cache_name):
    fleet = on_kubernetes()
    add_vllm(fleet, labels | monitored(POD, IP), cache_name=cache_name)

    (finding,) = fleet.report().findings
    assert (finding.kind.value, finding.scope.node) == ("kv_cache_bound", NODE)
    assert f"12 requests of vllm Qwen/Qwen3-8B in pod llm/{POD['pod']} wait for room" in finding.summary


def test_the_engines_behind_one_page_add_up_and_the_fullest_cache_counts():
    fleet = on_kubernetes()
    for engine, cache in (("0", 0.5), ("1", 0.95)):
        add_vllm(fleet, {**MODEL, "engine": engine} | monitored(POD, IP), waiting=5.0, running=20.0, cache=cache)

    (finding,) = fleet.report().findings
    assert "10 requests" in finding.summary
    assert "beside 40 that run" in finding.summary
    assert "95 % full" in finding.summary


def test_a_queue_with_room_in_the_cache_waits_for_its_turn():
    fleet = on_kubernetes()
    add_vllm(fleet, MODEL | monitored(POD, IP), cache=0.3)

    assert kinds_of(fleet.report()) == {"queue_bound"}


@pytest.mark.parametrize(("waiting", "cache"), [(0.0, 1.0), (1.0, 0.97)])
def test_a_server_that_keeps_up_is_nothing(waiting, cache):
    fleet = on_kubernetes()
    add_vllm(fleet, MODEL | monitored(POD, IP), waiting=waiting, cache=cache)

    report = fleet.report()
    assert report.findings == ()
    assert any(one.detector == "serving_bound" and one.entities == 1 for one in report.last.judged)


def test_pods_of_one_deployment_on_a_node_keep_their_queues_apart():
    fleet = on_kubernetes()
    for number, waiting in enumerate((0.0, 0.0, 30.0)):
        pod = {**POD, "pod": f"qwen-{number}"}
        fleet.add("kube_pod_info", pod_info(pod, NODE, f"10.244.3.5{number}"), 1)
        add_vllm(fleet, MODEL | monitored(pod, f"10.244.3.5{number}"), waiting=waiting, cache=0.2)

    (finding,) = fleet.report().findings
    assert "30 requests of vllm Qwen/Qwen3-8B in pod llm/qwen-2 wait" in finding.summary


def test_a_server_of_a_static_configuration_is_named_by_its_address():
    fleet = Fleet()
    add_vllm(fleet, {**MODEL, "instance": "gpu1.example:8000", "job": "vllm"})

    (finding,) = fleet.report().findings
    assert finding.scope.node == "gpu1.example"
    assert "12 requests of vllm Qwen/Qwen3-8B wait" in finding.summary


def test_the_ranks_of_one_sglang_engine_are_counted_once_and_two_engines_add_up():
    fleet = on_kubernetes()
    for tensor, pipeline, data in product("01", repeat=3):
        ranks = {"tp_rank": tensor, "pp_rank": pipeline, "dp_rank": data}
        labels = MODEL | monitored(POD, IP) | {"engine_type": "unified", **ranks}
        fleet.add("sglang:num_queue_reqs", labels, 6)
        fleet.add("sglang:num_running_reqs", labels, 12)
        fleet.add("sglang:token_usage", labels, 0.95)

    (finding,) = fleet.report().findings
    assert finding.kind.value == "kv_cache_bound"
    assert "12 requests of sglang" in finding.summary


def test_tgi_tells_no_model_and_no_cache():
    fleet = on_kubernetes()
    fleet.add("tgi_queue_size", monitored(POD, IP), 40)
    fleet.add("tgi_batch_current_size", monitored(POD, IP), 16)

    (finding,) = fleet.report().findings
    assert finding.kind.value == "queue_bound"
    assert f"40 requests of tgi in pod llm/{POD['pod']} wait" in finding.summary


def test_triton_counts_the_requests_of_its_engine_once():
    fleet = on_kubernetes()
    labels = {"model": "tensorrt_llm", "version": "1"} | monitored(POD, IP, "8002")
    fleet.add("nv_inference_pending_request_count", labels, 99)
    for kind, value in (("waiting", 12), ("active", 16), ("max", 512)):
        fleet.add("nv_trt_llm_request_metrics", {**labels, "request_type": kind}, value)
    for kind, value in (("fraction", 0.95), ("used", 2620)):
        fleet.add("nv_trt_llm_kv_cache_block_metrics", {**labels, "kv_cache_block_type": kind}, value)

    (finding,) = fleet.report().findings
    assert finding.kind.value == "kv_cache_bound"
    assert "12 requests of triton tensorrt_llm" in finding.summary


def test_a_servers_pod_that_goes_takes_no_node_with_it():
    """A node of which only servers tell is not missed when they are scaled down."""
    fleet = on_kubernetes()
    for name in ("vllm:num_requests_waiting", "vllm:num_requests_running"):
        fleet.add(name, MODEL | monitored(POD, IP), lambda seconds: np.where(seconds < 1800, 0.0, np.nan))
    idle_device(fleet, {"instance": "gpu-node-2:9400", **dcgm(0, host="gpu-node-2")}, DCGM_IDLE)

    assert "telemetry_gap" not in kinds_of(fleet.report())


def test_more_servers_than_a_metric_has_channels_are_all_judged():
    fleet = Fleet(interval=60.0)
    for number in range(100):
        labels = {"model_name": f"model-{number}", "instance": f"10.0.{number}.1:8000", "pod": f"p{number}"}
        fleet.add("vllm:num_requests_waiting", {**labels, "namespace": "llm", "node": f"n{number}"}, 0)

    (judged,) = [one for one in fleet.report().last.judged if one.detector == "serving_bound"]
    assert judged.entities == 100


def test_a_value_that_no_server_can_have_is_dropped():
    fleet = on_kubernetes()
    add_vllm(fleet, MODEL | monitored(POD, IP), waiting=-1.0, cache=-1.0)

    assert fleet.report().findings == ()


def test_remote_write_brings_engines_together_too():
    intake = Intake(Frame(step_seconds=10.0, window_seconds=600.0), NodeNames("local"))
    written = WrittenSamples(intake, REPLICA_LABELS)
    now_ms = 1_750_000_000_000
    series = [({"__name__": "kube_pod_info", **pod_info(POD, NODE, IP)}, [(now_ms, 1.0)])]
    for engine in ("0", "1"):
        labels = {"__name__": "vllm:num_requests_waiting", "engine": engine, **MODEL, **monitored(POD, IP)}
        series.append((labels, [(now_ms, 5.0)]))
    written.take(message(series), 0.0)
    written.flush(1e6)

    (server,) = intake.frame.servers.entities
    assert (server.node, server.endpoint, server.model) == (NODE, f"llm/{POD['pod']}", MODEL["model_name"])
    assert intake.frame.latest(serving.WAITING).tolist() == [10.0]


def test_what_only_a_whole_page_can_tell_is_not_read():
    assert map_series("nv_inference_pending_request_count", {"model": "m"}) == ()
