"""Which job a pod is of, so that the pods of one training run are one job and the replicas of a service are none.

kube-state-metrics tells it: kube_pod_info names the controller of each pod (`created_by_kind`, `created_by_name`),
kube_job_owner what made a Job, and kube_pod_labels, where `--metric-labels-allowlist` lets it, the labels that job
controllers put on their pods. dcgm-exporter puts the same labels on its own series where
DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS is set. https://github.com/kubernetes/kube-state-metrics, docs/metrics

A job is called what the executor and the planner call its gang, by the same labels (core.kubernetes.state), with its
namespace. Together runs what one controller starts and ends as a whole: a JobSet, the jobs of Kubeflow's trainer, a
RayCluster, a Volcano job, an indexed Job, a pod group of Kueue, one group of a LeaderWorkerSet. Pods of a Deployment,
a StatefulSet or a Job without indices work each for themselves: they stay jobs of their own, and nobody compares them
as ranks. A RayCluster of a RayService is told from one that trains by its labels only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.kubernetes.state import GANG_LABELS, GROUP_LABEL, INDEX_LABEL, JOB_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["JOB_OWNER", "POD_LABELS", "PodJobs", "PodKey", "job_in_labels"]

JOB_OWNER: Final = "kube_job_owner"
POD_LABELS: Final = "kube_pod_labels"

PodKey = tuple[str, str, str]
"""(cluster, namespace, name)"""

_TOGETHER: Final = frozenset(
    {"JobSet", "TrainJob", "PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "MXJob", "PaddleJob", "JAXJob", "RayCluster"}
)
"""Kinds of controllers all of whose pods are one job. Kubeflow: trainer/pkg/apis, training-operator docs/api."""

_JOB, _STATEFUL_SET = "Job", "StatefulSet"
_KINDS: Final = _TOGETHER | {_JOB, _STATEFUL_SET}


def _written(label: str) -> str:
    """A label of Kubernetes as exporters write it for Prometheus."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


_GANGS: Final = {label: _written(label) for label in GANG_LABELS}
_GROUP_INDEX: Final = _written("leaderworkerset.sigs.k8s.io/group-index")
_RAY_ORIGIN: Final = _written("ray.io/originated-from-crd")
_INDEXED: Final = (_written(JOB_LABEL), _written(INDEX_LABEL))

_BATCH_POD: Final = re.compile(r"(?P<head>.+)(?P<index>-\d+-)[a-z0-9]{5}", re.ASCII)
_LONGEST_HEAD: Final = 58  # characters of a name before the five random ones (apiserver/pkg/storage/names/generate.go)
_VOLCANO_REST: Final = re.compile(r"-.+-\d+", re.ASCII)  # JOB-TASK-INDEX (volcano pkg/controllers/job/helpers)
_MOST_WAITING: Final = 100_000  # pods


class PodJobs:
    """What is known of pods and their controllers."""

    def __init__(self) -> None:
        self._controllers: dict[PodKey, tuple[str, str]] = {}  # kind and name, of kinds that matter
        self._above: dict[PodKey, str] = {}  # what made a Job, by the Job
        self._labeled: dict[PodKey, str] = {}  # the job that a pod's labels name; "" where they say that it is of none
        self._pods: set[PodKey] = set()
        self._waiting: set[PodKey] = set()  # asked about and not described so far
        self._arrived: set[PodKey] = set()

    def document(self) -> dict[str, Any]:
        """What is known, as JSON."""
        return {
            "controllers": [[*key, *controller] for key, controller in self._controllers.items()],
            "above": [[*key, name] for key, name in self._above.items()],
            "labeled": [[*key, name] for key, name in self._labeled.items()],
            "pods": sorted(self._pods),
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> PodJobs:
        """Read what `document` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.

        """
        jobs = cls()
        jobs._controllers = {
            (str(a), str(b), str(c)): (str(kind), str(name)) for a, b, c, kind, name in document["controllers"]
        }
        jobs._above = {(str(a), str(b), str(c)): str(name) for a, b, c, name in document["above"]}
        jobs._labeled = {(str(a), str(b), str(c)): str(name) for a, b, c, name in document["labeled"]}
        jobs._pods = {(str(a), str(b), str(c)) for a, b, c in document["pods"]}
        return jobs

    def learn_pod(self, key: PodKey, labels: Mapping[str, str]) -> bool:
        """Take in kube_pod_info of a pod; whether the job of any pod may be another now."""
        is_new = key not in self._pods
        if is_new:
            self._pods.add(key)
            self._arrive(key)
        kind, name = labels.get("created_by_kind", ""), labels.get("created_by_name", "")
        if kind not in _KINDS or not name or self._controllers.get(key) == (kind, name):
            return is_new
        self._controllers[key] = (kind, name)
        return True

    def learn_job(self, key: PodKey, labels: Mapping[str, str]) -> bool:
        """Take in kube_job_owner of a Job; what starts one after another (CronJob) joins nothing."""
        name = labels.get("owner_name", "")
        if labels.get("owner_kind") not in _TOGETHER or not name or self._above.get(key) == name:
            return False
        self._above[key] = name
        return True

    def learn_labels(self, key: PodKey, labels: Mapping[str, str]) -> bool:
        """Take in kube_pod_labels of a pod."""
        job = job_in_labels(labels, prefix="label_")
        if job is None or self._labeled.get(key) == job:
            return False
        self._labeled[key] = job
        self._arrive(key)
        return True

    def of(self, key: PodKey) -> str:
        """NAMESPACE/NAME of the job that a pod is of; "" if it stands for itself or nothing is known of it."""
        if self._pods and key not in self._pods and len(self._waiting) < _MOST_WAITING:
            self._waiting.add(key)
        name = self._labeled.get(key)
        if name is None:
            name = self._by_controller(key)
        return f"{key[1]}/{name}" if name else ""

    def called(self, cluster: str, workload: str) -> str:
        """The job of a workload that its agent names NAMESPACE/POD; any other name stays."""
        namespace, _, pod = workload.partition("/")
        key = (cluster, namespace, pod)
        return (self.of(key) if key in self._pods else "") or workload

    def is_awaited(self, key: PodKey) -> bool:
        """Whether the pod was asked about and nothing described it yet."""
        return key in self._waiting

    def take_arrived(self) -> Iterable[PodKey]:
        """Pods about which something was learned after they had been asked about; each is told once."""
        arrived, self._arrived = self._arrived, set()
        return arrived

    def _arrive(self, key: PodKey) -> None:
        if key in self._waiting:
            self._waiting.discard(key)
            self._arrived.add(key)

    def _by_controller(self, key: PodKey) -> str:
        cluster, namespace, pod = key
        kind, name = self._controllers.get(key, ("", ""))
        if kind == _JOB:
            above = self._above.get((cluster, namespace, name))
            return above or (name if _has_index(pod, name) else "")
        if kind == _STATEFUL_SET:
            # The workers of a LeaderWorkerSet's group are a StatefulSet named after their leader's pod.
            return name if (cluster, namespace, name) in self._pods else ""
        return name


def job_in_labels(labels: Mapping[str, str], *, prefix: str = "") -> str | None:
    """Name of the job by the labels of a pod; "" if they say that it is of none, None if they say nothing."""

    def said(name: str) -> str:
        return labels.get(f"{prefix}{name}", "")

    if said(_RAY_ORIGIN) == "RayService":
        return ""
    for label, written in _GANGS.items():
        name, group = said(written), said(_GROUP_INDEX)
        if name and label != GROUP_LABEL:
            return name
        if name and group:  # the groups of one set are replicas of each other
            return f"{name}-{group}"
    name, index = map(said, _INDEXED)
    return name if name and index else None


def _has_index(pod: str, job: str) -> bool:
    """Whether a pod's name tells that its Job numbers its pods: JOB-INDEX-RANDOM, or JOB-TASK-INDEX of Volcano's.

    A Job that does not gives JOB-RANDOM. A long name is cut so that index and random part fit.
    """
    batch = _BATCH_POD.fullmatch(pod)
    if batch is not None:
        head = batch["head"]
        is_cut = len(head) + len(batch["index"]) == _LONGEST_HEAD and job.startswith(head)
        if head == job or is_cut:
            return True
    return pod.startswith(job) and _VOLCANO_REST.fullmatch(pod[len(job) :]) is not None
