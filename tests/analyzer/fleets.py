"""Label sets as fleets really have them, and the samples that a Prometheus would give for them.

Sources: dcgm-exporter's templates (internal/pkg/rendermetrics), its Helm chart and Kubernetes transformation, README
and issues 151 (time slicing), 577 (MIG); the GPU operator's ServiceMonitor; kube-state-metrics' kube_pod_info;
kube-prometheus-stack's target labels; nvidia_gpu_exporter's captured pages; the exporter's metricslist.md for AMD;
all-smi's src/api/metrics/gpu.rs; the Prometheus operator's PodMonitor for inference servers. Prometheus' honor_labels:
prometheus.io/docs, scrape_config.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.dialects.naming import DESCRIBING
from warpgauge.analyzer.replay import Replay
from warpgauge.analyzer.sources import Points, Ranges, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.analyzer.replay import Report

    Curve = float | Callable[[np.ndarray], np.ndarray]

START = 1_750_000_000.0
SECONDS = 3600.0
UUIDS = tuple(f"GPU-{number:08x}-1111-2222-3333-444444444444" for number in range(8))


@dataclass
class Fleet:
    """Series by name: their labels and how their value goes."""

    interval: float = 15.0
    series: dict[str, list[tuple[dict[str, str], Curve]]] = field(default_factory=dict)

    def add(self, name: str, labels: Mapping[str, str], value: Curve) -> None:
        self.series.setdefault(name, []).append((dict(labels), value))

    def batches(self) -> list[Ranges]:
        """One batch per name, those that tell nodes' names first, as the Prometheus source reads them."""
        target = Target(name="http://prometheus:9090")
        ordered = sorted(self.series, key=lambda name: (name not in DESCRIBING, name))
        return [Ranges(target=target, points=self._points(name), interval_seconds=self.interval) for name in ordered]

    def report(self, cluster: str = "local") -> Report:
        """What `warpgauge analyze` would say."""
        replay = Replay(window_seconds=SECONDS, cluster=cluster, detectors=DETECTORS)
        for batch in self.batches():
            replay.add(batch)
        return replay.report()

    def _points(self, name: str) -> list[Points]:
        found = []
        for number, (labels, value) in enumerate(self.series[name]):
            phase = number * 0.37 % self.interval  # targets are not scraped at the same moment
            times = np.arange(START + phase, START + SECONDS, self.interval)
            values = value(times - START) if callable(value) else np.full(len(times), float(value))
            times_ms = np.rint(times * 1000).astype(np.int64)
            found.append(Points(name=name, labels=labels, times_ms=times_ms, values=values))
        return found


def dcgm(gpu: int = 0, host: str = "gpu-node-1", **more: str) -> dict[str, str]:
    """What dcgm-exporter itself writes on a device's series."""
    return {
        "gpu": str(gpu),
        "UUID": UUIDS[gpu],
        "pci_bus_id": f"00000000:{gpu + 1:02X}:00.0",
        "device": f"nvidia{gpu}",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": host,
        "DCGM_FI_DRIVER_VERSION": "570.86.15",
        **more,
    }


EXPORTER_POD = {"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-7mqjg", "container": "nvidia-dcgm-exporter"}
OPERATOR_TARGET = {
    "job": "nvidia-dcgm-exporter",
    "service": "nvidia-dcgm-exporter",
    "endpoint": "gpu-metrics",
    "instance": "10.244.3.17:9400",
}
"""Target labels by the GPU operator's ServiceMonitor."""

WORKLOAD = {"namespace": "ml", "pod": "train-0", "container": "main"}


def honored(labels: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    """honor_labels true: the scraped label stays, where it is not empty."""
    return {**target, **{name: value for name, value in labels.items() if value}}


def renamed(labels: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    """honor_labels false: the target's label stays, the scraped one moves to exported_X."""
    moved = {f"exported_{name}" if name in target else name: value for name, value in labels.items() if value}
    return {**moved, **target}


def monitored(pod: Mapping[str, str], pod_ip: str, port: str = "8000") -> dict[str, str]:
    """Target labels by a PodMonitor, of a server whose own page is scraped."""
    return {"job": f"{pod['namespace']}/servers", "endpoint": "http", "instance": f"{pod_ip}:{port}", **pod}


def pod_info(
    pod: Mapping[str, str],
    node: str,
    pod_ip: str,
    host_ip: str = "192.168.1.21",
    by: tuple[str, str] = ("DaemonSet", "exporter"),
) -> dict[str, str]:
    """kube_pod_info of kube-state-metrics, scraped with honorLabels true as kube-prometheus-stack does."""
    return {
        "job": "kube-state-metrics",
        "instance": "10.244.0.9:8080",
        "namespace": pod["namespace"],
        "pod": pod["pod"],
        "uid": "0f3e",
        "created_by_kind": by[0],
        "created_by_name": by[1],
        "node": node,
        "host_ip": host_ip,
        "pod_ip": pod_ip,
    }


def uname(node: str, instance: str) -> dict[str, str]:
    """node_uname_info of node_exporter, scraped by kube-prometheus-stack."""
    return {"job": "node-exporter", "instance": instance, "nodename": node, "sysname": "Linux", "release": "6.8.0"}


def jobs_of(report: Report) -> set[str]:
    return {str(finding.scope.job_id) for finding in report.findings}


def kinds_of(report: Report) -> set[str]:
    return {finding.kind.value for finding in report.findings}


def lacks_of(report: Report) -> dict[str, set[str]]:
    """Missing metrics by detector."""
    found: dict[str, set[str]] = {}
    for item in report.last.not_judged if report.last else ():
        found.setdefault(item.detector, set()).update(item.missing)
    return found


def idle_device(fleet: Fleet, labels: Mapping[str, str], names: Sequence[tuple[str, Curve]]) -> None:
    """A device whose series all carry the same labels."""
    for name, value in names:
        fleet.add(name, labels, value)


DCGM_IDLE: Sequence[tuple[str, Curve]] = (
    ("DCGM_FI_DEV_GPU_UTIL", 0),
    ("DCGM_FI_DEV_FB_USED", 61_000),
    ("DCGM_FI_DEV_GPU_TEMP", 34),
    ("DCGM_FI_DEV_SM_CLOCK", 345),
)
"""What an idle device shows in the default set of fields; memory in MiB."""
