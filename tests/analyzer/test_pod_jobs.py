"""Which pods are one job, by what kube-state-metrics and pods' labels tell, and which stay jobs of their own."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analyzer.fleets import (
    DCGM_IDLE,
    EXPORTER_POD,
    OPERATOR_TARGET,
    Fleet,
    dcgm,
    honored,
    idle_device,
    jobs_of,
    pod_info,
    renamed,
)
from tests.analyzer.prompb import message
from warpgauge.analyzer.detection import Candidate, Detection, ProcessReading
from warpgauge.analyzer.dialects.naming import DESCRIBING, NodeNames
from warpgauge.analyzer.dialects.pod_jobs import PodJobs, job_in_labels
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.intake.written import WrittenSamples
from warpgauge.analyzer.service.watch import Watch
from warpgauge.analyzer.sources import Points, Ranges, Target
from warpgauge.analyzer.sources.replicas import REPLICA_LABELS
from warpgauge.core.catalog import device
from warpgauge.core.clock import ManualClock
from warpgauge.core.config.sections import AnalyzerConfig
from warpgauge.core.finding import FindingKind, Scope, Severity

KSM = {"job": "kube-state-metrics", "instance": "10.244.0.9:8080", "namespace": "ml"}

LEADER = {"namespace": "ml", "pod": "llm-0"}  # of the first group of a LeaderWorkerSet

# Controller of two pods, the pods, what else kube-state-metrics tells, and the jobs of their devices.
TOGETHER = [
    (("PyTorchJob", "train"), ("train-master-0", "train-worker-0"), (), {"ml/train"}),
    (("MPIJob", "train"), ("train-worker-0", "train-worker-1"), (), {"ml/train"}),
    (("RayCluster", "ray"), ("ray-head-x7k2p", "ray-gpu-worker-b4f6d"), (), {"ml/ray"}),
    (("Job", "train"), ("train-0-x7k2p", "train-1-b4f6d"), (), {"ml/train"}),
    (("Job", "train"), ("train-worker-0", "train-worker-1"), (), {"ml/train"}),  # Volcano's kind is Job, too
    (
        ("Job", "run-workers-0"),
        ("run-workers-0-0-x7k2p", "run-workers-0-1-b4f6d"),
        (("kube_job_owner", {"job_name": "run-workers-0", "owner_kind": "JobSet", "owner_name": "run"}),),
        {"ml/run"},
    ),
    (
        ("Job", "nightly-29391840"),
        ("nightly-29391840-0-x7k2p", "nightly-29391840-1-b4f6d"),
        (("kube_job_owner", {"job_name": "nightly-29391840", "owner_kind": "CronJob", "owner_name": "nightly"}),),
        {"ml/nightly-29391840"},
    ),
    (
        ("StatefulSet", "llm-0"),
        ("llm-0-1", "llm-0-2"),
        (
            (
                "kube_pod_info",
                pod_info(LEADER, "n9", "10.1.9.9", by=("StatefulSet", "llm")),
            ),
        ),
        {"ml/llm-0"},
    ),
]
APART = [
    (("ReplicaSet", "qwen-7d9f8c6b5"), ("qwen-7d9f8c6b5-x2x4q", "qwen-7d9f8c6b5-b4f6d")),
    (("StatefulSet", "qwen"), ("qwen-0", "qwen-1")),
    (("Job", "sweep"), ("sweep-x7k2p", "sweep-b4f6d")),
    (("Job", "sweep-2"), ("sweep-2-x7k2p", "sweep-2-b4f6d")),
    (("<none>", "<none>"), ("notebook-0", "notebook-1")),
]


def fleet_of(by, pods, more=(), rule=honored, labels=None) -> Fleet:
    """Two idle devices on two nodes, held by two pods of one controller."""
    fleet = Fleet()
    for number, name in enumerate(pods):
        pod = {"namespace": "ml", "pod": name, "container": "main"}
        fleet.add("kube_pod_info", pod_info(pod, f"node-{number}", f"10.1.{number}.9", by=by), 1)
        exporter = {**EXPORTER_POD, "pod": f"nvidia-dcgm-exporter-{number}"}
        target = OPERATOR_TARGET | exporter | {"instance": f"10.1.{number}.4:9400"}
        fleet.add("kube_pod_info", pod_info(exporter, f"node-{number}", f"10.1.{number}.4"), 1)
        idle_device(fleet, rule(dcgm(number, **pod, **(labels or {})), target), DCGM_IDLE)
    for name, told in more:
        fleet.add(name, KSM | told, 1)
    return fleet


@pytest.mark.parametrize("rule", [honored, renamed], ids=["honorLabels-true", "honorLabels-false"])
@pytest.mark.parametrize(
    ("by", "pods", "more", "jobs"), TOGETHER, ids=[f"{by[0]} {pods[0]}" for by, pods, _, _ in TOGETHER]
)
def test_pods_that_one_controller_starts_together_are_one_job(by, pods, more, jobs, rule):
    assert held_by(fleet_of(by, pods, more, rule)) == jobs


@pytest.mark.parametrize(("by", "pods"), APART, ids="-".join)
def test_pods_that_work_each_for_themselves_stay_apart(by, pods):
    assert held_by(fleet_of(by, pods)) == {f"ml/{pod}" for pod in pods}


def test_a_finding_is_about_the_job_and_not_its_pod():
    report = fleet_of(("PyTorchJob", "train"), ("train-master-0", "train-worker-0")).report()
    assert jobs_of(report) == {"ml/train"}


def held_by(fleet: Fleet) -> set[str]:
    frame = Frame(step_seconds=10.0, window_seconds=3600.0)
    intake = Intake(frame, NodeNames("local"))
    for batch in fleet.batches():
        intake.take(batch)
    return {job for key in frame.device_job if key for job in [key[1]]}


GROUP = {
    "leaderworkerset.sigs.k8s.io/name": "llm",
    "leaderworkerset.sigs.k8s.io/group-index": "3",
    "leaderworkerset.sigs.k8s.io/worker-index": "1",
}
LABELED = [
    ({"jobset.sigs.k8s.io/jobset-name": "run", "batch.kubernetes.io/job-name": "run-workers-0"}, "run"),
    ({"training.kubeflow.org/job-name": "train", "training.kubeflow.org/replica-type": "worker"}, "train"),
    ({"volcano.sh/job-name": "train", "volcano.sh/task-spec": "worker"}, "train"),
    ({"kueue.x-k8s.io/pod-group-name": "group"}, "group"),
    ({"ray.io/cluster": "ray-x7k2p", "ray.io/originated-from-crd": "RayJob"}, "ray-x7k2p"),
    ({"ray.io/cluster": "ray-x7k2p", "ray.io/originated-from-crd": "RayService"}, ""),
    (GROUP, "llm-3"),
    ({"batch.kubernetes.io/job-name": "a", "batch.kubernetes.io/job-completion-index": "0"}, "a"),
    ({"batch.kubernetes.io/job-name": "a"}, None),
    ({"app.kubernetes.io/name": "qwen"}, None),
]


def as_exported(labels, prefix=""):
    return {prefix + key.replace(".", "_").replace("/", "_").replace("-", "_"): value for key, value in labels.items()}


@pytest.mark.parametrize(("labels", "job"), LABELED, ids=lambda case: "" if isinstance(case, dict) else str(case))
def test_the_labels_of_a_pod_name_its_job(labels, job):
    assert job_in_labels(as_exported(labels)) == job


@pytest.mark.parametrize(("labels", "job"), [case for case in LABELED if case[1] is not None], ids=str)
def test_labels_through_kube_state_metrics_and_through_dcgm_exporter_say_the_same(labels, job):
    pods = ("pod-a", "pod-b")
    wanted = {f"ml/{job}"} if job else {f"ml/{pod}" for pod in pods}
    more = [("kube_pod_labels", {"pod": pod, **as_exported(labels, "label_")}) for pod in pods]

    assert held_by(fleet_of(("RayCluster", "cluster"), pods, more)) == wanted
    assert held_by(fleet_of(("RayCluster", "cluster"), pods, labels=as_exported(labels))) == wanted


def test_a_job_name_that_was_cut_to_make_room_for_the_index_is_known():
    job = "a-job-with-a-name-that-is-as-long-as-kubernetes-lets-it-be-"[:55] + "-end"
    pod = f"{job[:55]}-3-x7k2p"
    jobs = PodJobs()
    jobs.learn_pod(("c", "ml", pod), {"created_by_kind": "Job", "created_by_name": job})

    assert jobs.of(("c", "ml", pod)) == f"ml/{job}"


@pytest.mark.parametrize(("told", "job"), [("", "ml/train"), ("rdzv-77", "rdzv-77")])
def test_our_agents_pod_is_of_the_same_job_unless_a_step_timer_named_another(told, job):
    frame = Frame(step_seconds=10.0, window_seconds=600.0)
    intake = Intake(frame, NodeNames("local"))
    pod = {"namespace": "ml", "pod": "train-worker-0"}
    held = {"uuid": "GPU-1", "scheduler": "kubernetes", "container": "main", "job_id": told, "rank": "1", "node": "n1"}
    for name, labels in (
        ("kube_pod_info", pod_info(pod, "n1", "10.1.0.9", by=("PyTorchJob", "train"))),
        (device.WORKLOAD_INFO.name, {**pod, **held}),
    ):
        points = Points(name=name, labels=labels, times_ms=np.array([1_750_000_000_000]), values=np.array([1.0]))
        intake.take(Ranges(target=Target(name="p"), points=[points], interval_seconds=15.0))

    assert frame.device_job == [("local", job)]


def test_a_new_jobs_pods_that_write_before_they_are_described_join_their_job_soon_after():
    """With remote write, where names that change wait for an hour once they changed often."""
    intake = Intake(Frame(step_seconds=10.0, window_seconds=3600.0), NodeNames("local"))
    samples = WrittenSamples(intake, REPLICA_LABELS)

    def write(at: float, *series: tuple[str, dict[str, str]]) -> None:
        time_ms = round((1_750_000_000.0 + at) * 1000)
        samples.take(message([({"__name__": name, **labels}, [(time_ms, 1.0)]) for name, labels in series]), at)
        samples.flush(at + 5.0)

    pod = {"namespace": "ml", "pod": "train-worker-0"}
    busy = [("kube_pod_info", pod_info(EXPORTER_POD, "n1", "10.1.0.4"))]
    for step in range(20):
        write(15.0 * step, *busy, ("kube_pod_info", pod_info({**pod, "pod": f"p{step}"}, "n1", f"10.2.0.{step}")))
    held = ("DCGM_FI_DEV_GPU_TEMP", dcgm(0, namespace="ml", pod="train-worker-0") | {"instance": "10.1.0.4:9400"})
    told = ("kube_pod_info", pod_info(pod, "n1", "10.1.0.9", by=("PyTorchJob", "train")))
    write(300.0, held)
    write(315.0, held)
    assert intake.frame.device_job == [("local", "ml/train-worker-0")]

    for step in range(6):
        write(330.0 + 15.0 * step, held, told)
    assert intake.frame.device_job == [("local", "ml/train")]


def loaded_fleet(by: tuple[str, str]) -> Fleet:
    """Eight busy devices of eight pods on eight nodes, the clock of one of which is low."""
    fleet = Fleet()
    for number in range(8):
        pod = {"namespace": "ml", "pod": f"train-worker-{number}", "container": "main"}
        fleet.add("kube_pod_info", pod_info(pod, f"node-{number}", f"10.1.{number}.9", by=by), 1)
        labels = dcgm(number, **pod) | {"instance": f"10.1.{number}.4:9400"}
        load = {
            "DCGM_FI_DEV_GPU_UTIL": 100,
            "DCGM_FI_DEV_SM_CLOCK": 1200 if number == 3 else 1980,
            "DCGM_FI_DEV_POWER_USAGE": 400 if number == 3 else 650,
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0.97,
            "DCGM_FI_PROF_SM_ACTIVE": 0.8,
        }
        idle_device(fleet, labels, list(load.items()))
    return fleet


def test_the_pod_that_holds_its_job_back_is_told_from_its_peers():
    (finding,) = loaded_fleet(("PyTorchJob", "train")).report().findings
    assert (finding.kind.value, finding.scope.job_id, finding.scope.node) == ("straggler", "ml/train", "node-3")


@pytest.mark.parametrize("by", [("ReplicaSet", "train-worker-7d9f8c6b5"), ("StatefulSet", "train-worker")])
def test_replicas_of_a_service_are_no_ranks_of_a_job(by):
    assert loaded_fleet(by).report().findings == ()


class Asks:
    """A detector that finds every node and notes which jobs the processes there are said to be of."""

    name = "asks"

    def __init__(self) -> None:
        self.heard: list[str | None] = []

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
            simulated=False,
            needs_processes=True,
        )

    def explain(self, candidate: Candidate, processes) -> Candidate:
        self.heard = [one.job for one in processes]
        return candidate


def test_an_agents_processes_are_of_the_job_that_their_pod_is_of():
    """Or a job would be blamed for taking the CPUs from itself."""
    asks, now = Asks(), 1_750_000_000.0
    watch = Watch(AnalyzerConfig(cluster="local"), ManualClock(now), (asks,))
    pod = {"namespace": "ml", "pod": "train-worker-0"}
    for name, labels in (
        ("kube_pod_info", pod_info(pod, "n1", "10.1.0.9", by=("PyTorchJob", "train"))),
        ("node_load1", {"node": "n1"}),
    ):
        points = Points(name=name, labels=labels, times_ms=np.array([round(now * 1000)]), values=np.array([1.0]))
        asyncio.run(watch.take(Ranges(target=Target(name="p"), points=[points], interval_seconds=15.0)))
    told = [
        ProcessReading(pid=number, command="x", cpu_ratio=0.5, memory_bytes=1.0, job=job)
        for number, job in enumerate(("ml/train-worker-0", "ml/other", "4711", "", None))
    ]

    asyncio.run(watch.judge({("local", "n1"): told}))
    watch.close()
    assert asks.heard == ["ml/train", "ml/other", "4711", "", None]


words = st.text(max_size=12)
told = st.dictionaries(
    st.sampled_from(
        ["namespace", "pod", "node", "created_by_kind", "created_by_name", "job_name", "owner_kind", "owner_name",
         "label_jobset_sigs_k8s_io_jobset_name", "cluster"]
    ),
    words | st.sampled_from(["Job", "JobSet", "StatefulSet"]),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(sorted(DESCRIBING)), told), max_size=8))
def test_what_is_known_survives_a_restart(series):
    names = NodeNames("local")
    for name, labels in series:
        names.learn(name, labels)
    again = NodeNames.of_document("local", json.loads(json.dumps(names.document())))

    for _, labels in series:
        key = names.pod(labels)
        assert again.jobs.of(key) == names.jobs.of(key)
