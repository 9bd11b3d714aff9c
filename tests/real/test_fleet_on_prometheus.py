"""An hour of a Kubernetes fleet's dcgm-exporter in a real Prometheus: the verdict through its API, at each interval.

The hour is written as OpenMetrics and made into blocks by promtool, so that nobody waits for it. VictoriaMetrics, which
answers the same API, takes it through its import.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.analyzer.fleets import (
    DCGM_IDLE,
    EXPORTER_POD,
    OPERATOR_TARGET,
    SECONDS,
    START,
    WORKLOAD,
    Fleet,
    dcgm,
    honored,
    idle_device,
    monitored,
    pod_info,
    renamed,
)
from tests.analyzer.test_pod_jobs import loaded_fleet
from tests.real_servers import fetched
from warpgauge.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.real_servers import Servers

pytestmark = [pytest.mark.real, pytest.mark.slow]

TARGET = OPERATOR_TARGET | EXPORTER_POD


def openmetrics(fleet: Fleet) -> str:
    """The fleet's samples with their times; the name alone tells a family, as promtool asks for."""
    parts = []
    for batch in fleet.batches():
        parts.append(f"# TYPE {batch.points[0].name} unknown\n")
        for series in batch.points:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(series.labels.items()))
            pairs = zip(series.times_ms.tolist(), series.values.tolist(), strict=True)
            parts += [f"{series.name}{{{labels}}} {value} {time_ms / 1000:.3f}\n" for time_ms, value in pairs]
    return "".join([*parts, "# EOF\n"])


def fleet_of(rule: Callable[[Mapping[str, str], Mapping[str, str]], dict[str, str]], interval: float) -> Fleet:
    """A held and a free device; two Prometheus of an HA pair saw the held one."""
    fleet = Fleet(interval=interval)
    fleet.add("kube_pod_info", pod_info(EXPORTER_POD, "gpu-node-1", "10.244.3.17"), 1)
    for replica in ("prometheus-k8s-0", "prometheus-k8s-1"):
        labels = rule(dcgm(0, **WORKLOAD), TARGET) | {"prometheus_replica": replica}
        idle_device(fleet, labels, DCGM_IDLE)
    idle_device(fleet, rule(dcgm(1), TARGET), DCGM_IDLE)
    return fleet


def prometheus_with(fleet: Fleet, servers: Servers, folder: Path) -> str:
    program, promtool = fetched("prometheus"), fetched("promtool")
    text = folder / "hour.om"
    text.write_text(openmetrics(fleet))

    def command(port: int, home: Path) -> list[str | Path]:
        blocks = [promtool, "tsdb", "create-blocks-from", "openmetrics", text, home / "data"]
        subprocess.run(blocks, check=True, capture_output=True)
        (home / "prometheus.yml").write_text("{}")
        return [
            program, f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y",
        ]  # fmt: skip

    return servers.start("prometheus", command, ready="/-/ready")


def victoria_metrics_with(fleet: Fleet, servers: Servers) -> str:
    program = fetched("victoria-metrics")
    url = servers.start(
        "victoria-metrics",
        lambda port, home: [
            program, f"-storageDataPath={home / 'data'}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y",
        ],
        ready="/health",
    )  # fmt: skip
    lines = (line for line in openmetrics(fleet).splitlines() if not line.startswith("#"))
    split = (line.rpartition(" ") for line in lines)
    body = "".join(f"{series} {round(float(seconds) * 1000)}\n" for series, _, seconds in split).encode()
    urllib.request.urlopen(f"{url}/api/v1/import/prometheus", data=body, timeout=10).close()
    urllib.request.urlopen(f"{url}/internal/force_flush", timeout=10).close()  # what was imported can be queried
    return url


def analyze(url: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    hour = ["--start", f"{START:.0f}", "--end", f"{START + SECONDS:.0f}"]
    code = main(["analyze", "--json", *hour, url], environ={})
    captured = capsys.readouterr()
    assert code == 1, captured.err
    return [json.loads(line) for line in captured.out.splitlines()]


@pytest.mark.parametrize(
    ("rule", "interval"),
    [(honored, 15.0), (renamed, 30.0), (renamed, 60.0)],
    ids=["honorLabels-true-15s", "honorLabels-false-30s", "honorLabels-false-60s"],
)
def test_the_idle_pod_is_named_through_the_api(rule, interval: float, servers: Servers, tmp_path: Path, capsys):
    check(analyze(prometheus_with(fleet_of(rule, interval), servers, tmp_path), capsys))


def test_victoria_metrics_gives_the_same(servers: Servers, capsys):
    check(analyze(victoria_metrics_with(fleet_of(renamed, 15.0), servers), capsys))


def test_a_servers_queue_is_told_by_its_pod_through_the_api(servers: Servers, tmp_path: Path, capsys):
    pod, address = {"namespace": "llm", "pod": "qwen-7d9f8c6b5-x2x4q", "container": "vllm"}, "10.244.3.40"
    fleet = Fleet()
    fleet.add("kube_pod_info", pod_info(pod, "gpu-node-1", address), 1)
    for engine in ("0", "1"):
        labels = {"model_name": "Qwen/Qwen3-8B", "engine": engine} | monitored(pod, address)
        for name, value in (("num_requests_waiting", 6), ("num_requests_running", 12), ("kv_cache_usage_perc", 0.97)):
            fleet.add(f"vllm:{name}", labels, value)

    documents = analyze(prometheus_with(fleet, servers, tmp_path), capsys)

    (finding,) = [one for one in documents if one["type"] == "finding"]
    assert (finding["kind"], finding["scope"]["node"]) == ("kv_cache_bound", "gpu-node-1")
    assert "12 requests of vllm Qwen/Qwen3-8B in pod llm/qwen-7d9f8c6b5-x2x4q wait" in finding["summary"]
    assert "beside 24 that run" in finding["summary"]


def test_the_pods_of_one_run_are_compared_through_the_api(servers: Servers, tmp_path: Path, capsys):
    documents = analyze(prometheus_with(loaded_fleet(("PyTorchJob", "train")), servers, tmp_path), capsys)

    (finding,) = [one for one in documents if one["type"] == "finding"]
    assert (finding["kind"], finding["scope"]["job_id"], finding["scope"]["node"]) == (
        "straggler",
        "ml/train",
        "node-3",
    )


def check(documents: list[dict[str, Any]]) -> None:
    findings = [one for one in documents if one["type"] == "finding"]
    assert [(one["kind"], one["scope"]["node"], one["scope"]["job_id"]) for one in findings] == [
        ("idle_allocated", "gpu-node-1", "ml/train-0")
    ]
    assert documents[-1]["devices"] == 2
    assert documents[-1]["unresolved_devices"] == 0
