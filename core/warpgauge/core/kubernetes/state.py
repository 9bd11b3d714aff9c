"""Nodes and pods of an API server (core/v1), strictly checked: what the planner and the executor decide from.

Fields that we do not know are ignored; what an owner may write freely (labels, annotations, messages) is cut to a sane
length. https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR
from typing import Any, Final

from warpgauge.core.kubernetes.json_object import Object, plain
from warpgauge.core.kubernetes.requests import Requests, amounts_of, requests_of
from warpgauge.core.kubernetes.words import KEEP

__all__ = [
    "GANG_LABELS",
    "GROUP_LABEL",
    "INDEX_LABEL",
    "JOB_LABEL",
    "Condition",
    "KubeNode",
    "KubePod",
    "Taint",
    "Toleration",
    "parse_node",
    "parse_pod",
]

_MODELS: Final = ("nvidia.com/gpu.product", "amd.com/gpu.product-name", "cloud.google.com/gke-accelerator")
GROUP_LABEL: Final = "leaderworkerset.sigs.k8s.io/name"
GANG_LABELS: Final = (
    "scheduling.k8s.io/group-name", "scheduling.x-k8s.io/pod-group", "pod-group-name", "kueue.x-k8s.io/pod-group-name",
    "volcano.sh/job-name", "jobset.sigs.k8s.io/jobset-name", GROUP_LABEL,
    "training.kubeflow.org/job-name", "ray.io/cluster",
)  # fmt: skip
"""What puts pods into one gang, strongest first: scheduling groups, then job operators, then indexed jobs."""

JOB_LABEL: Final = "batch.kubernetes.io/job-name"
INDEX_LABEL: Final = "batch.kubernetes.io/job-completion-index"
_NO_EVICTION: Final = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "descheduler.alpha.kubernetes.io/prefer-no-eviction": "true",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """Keeps pods off a node that do not tolerate it."""

    key: str
    value: str
    effect: str  # PreferNoSchedule, NoSchedule, NoExecute
    since: str  # as it was written, "" if nothing says it

    @property
    def is_hard(self) -> bool:
        """Whether it keeps new pods off, rather than making the node the last choice."""
        return self.effect in {"NoSchedule", "NoExecute"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """What a pod does not mind; an empty key is any, an empty effect is all."""

    key: str
    operator: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What somebody says about an object."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeNode:
    """A node. `model` is "" where no label tells it."""

    name: str
    uid: str
    version: str
    is_unschedulable: bool
    taints: tuple[Taint, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    conditions: tuple[Condition, ...]
    allocatable: Requests
    model: str

    @property
    def is_ready(self) -> bool:
        """Whether its kubelet says so."""
        return any(one.type == "Ready" and one.status == "True" for one in self.conditions)

    @property
    def says_keep(self) -> bool:
        """Whether its owner wants it left alone."""
        return _says_keep(self.labels, self.annotations)

    @property
    def shares_gpus(self) -> bool:
        """Whether each device is offered several times (time slicing, MPS)."""
        return self.labels.get("nvidia.com/gpu.replicas", "1") not in {"", "0", "1"}

    @property
    def why_not(self) -> str | None:
        """Why it takes no work now, None if it does."""
        if self.is_unschedulable:
            return "cordoned"
        return None if self.is_ready else "not ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubePod:
    """A pod. `gang` is what its scheduling group is called in its namespace, "" where it has none."""

    namespace: str
    name: str
    uid: str
    node: str  # "" while it waits for one
    phase: str
    created: float  # seconds since the epoch
    is_ending: bool
    owner_kind: str  # of its controller; "" for a bare pod
    owner_name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    requests: Requests
    priority: int
    priority_class: str
    node_selector: Mapping[str, str]
    affinity_terms: tuple[Mapping[str, Any], ...] | None  # any of them will do; None: the pod has no such wish
    tolerations: tuple[Toleration, ...]
    is_gated: bool
    asks_otherwise: str  # for a place in words that are not read here: podAffinity, volumes, ...; "" if it does not
    why_waiting: str
    gang: str

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def is_over(self) -> bool:
        """Whether it has ended and holds nothing any more."""
        return self.phase in {"Succeeded", "Failed"}

    @property
    def is_mirror(self) -> bool:
        """Whether its node's kubelet made it from a file: nobody else can end it."""
        return "kubernetes.io/config.mirror" in self.annotations or self.owner_kind == "Node"

    @property
    def belongs_to_node(self) -> bool:
        """Whether it is where it is for the node's sake and stays with it."""
        return self.is_mirror or self.owner_kind == "DaemonSet"

    @property
    def why_kept(self) -> str | None:
        """Who says that it is not to be disturbed, None if nobody does."""
        if _says_keep(self.labels, self.annotations):
            return KEEP
        said = (f"{key}={value}" for key, value in _NO_EVICTION.items() if self.annotations.get(key) == value)
        return next(said, None)


def parse_node(document: Mapping[str, Any]) -> KubeNode:
    """A v1.Node.

    Raises:
        InputError: it is not that; the message names the field.

    """
    one = Object(document, f"node {_name(document)}")
    meta, spec, status = one.object("metadata"), one.object("spec"), one.object("status")
    labels = meta.texts("labels")
    return KubeNode(
        name=meta.text("name", required=True),
        uid=meta.text("uid", required=True),
        version=meta.text("resourceVersion", required=True),
        is_unschedulable=spec.flag("unschedulable"),
        taints=tuple(
            Taint(
                key=item.text("key"), value=item.text("value"), effect=item.text("effect"), since=item.text("timeAdded")
            )
            for item in spec.objects("taints")
        ),
        labels=labels,
        annotations=meta.texts("annotations"),
        conditions=_conditions(status),
        allocatable=amounts_of(status.object("allocatable"), ROUND_FLOOR),
        model=next((labels[name] for name in _MODELS if labels.get(name)), ""),
    )


def parse_pod(document: Mapping[str, Any]) -> KubePod:
    """A v1.Pod; errors as for `parse_node`."""
    one = Object(document, f"pod {_name(document)}")
    meta, spec, status = one.object("metadata"), one.object("spec"), one.object("status")
    labels, annotations = meta.texts("labels"), meta.texts("annotations")
    owner = next((item for item in meta.objects("ownerReferences") if item.flag("controller")), None)
    node_affinity = spec.object("affinity").object("nodeAffinity")
    wish = node_affinity.fields.get("requiredDuringSchedulingIgnoredDuringExecution")
    scheduled = next((item for item in _conditions(status) if item.type == "PodScheduled"), None)
    return KubePod(
        namespace=meta.text("namespace", required=True),
        name=meta.text("name", required=True),
        uid=meta.text("uid", required=True),
        node=spec.text("nodeName"),
        phase=status.text("phase"),
        created=meta.instant("creationTimestamp"),
        is_ending="deletionTimestamp" in meta.fields,
        owner_kind=owner.text("kind") if owner else "",
        owner_name=owner.text("name") if owner else "",
        labels=labels,
        annotations=annotations,
        requests=requests_of(spec),
        priority=spec.whole("priority"),
        priority_class=spec.text("priorityClassName"),
        node_selector=spec.texts("nodeSelector"),
        affinity_terms=None if wish is None else _terms(Object(wish, one.place)),
        tolerations=tuple(
            Toleration(
                key=item.text("key"),
                operator=item.text("operator") or "Equal",
                value=item.text("value"),
                effect=item.text("effect"),
            )
            for item in spec.objects("tolerations")
        ),
        is_gated=bool(spec.objects("schedulingGates")),
        asks_otherwise=_otherwise(spec),
        why_waiting=f"{scheduled.reason}: {scheduled.message}" if scheduled and scheduled.status != "True" else "",
        gang=_gang(labels, annotations),
    )


def _name(document: Mapping[str, Any]) -> str:
    meta = document.get("metadata")
    return plain(str(meta.get("name")))[:80] if isinstance(meta, Mapping) else "without metadata"


def _says_keep(labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool:
    return "true" in {labels.get(KEEP), annotations.get(KEEP)}


def _conditions(status: Object) -> tuple[Condition, ...]:
    return tuple(
        Condition(type=i.text("type"), status=i.text("status"), reason=i.text("reason"), message=i.text("message"))
        for i in status.objects("conditions")
    )


def _terms(wish: Object) -> tuple[Mapping[str, Any], ...]:
    return tuple(term.fields for term in wish.objects("nodeSelectorTerms"))


def _gang(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    for key in GANG_LABELS:
        if name := labels.get(key) or annotations.get(key):
            return name
    is_indexed = INDEX_LABEL in labels or INDEX_LABEL in annotations
    return labels.get(JOB_LABEL, "") if is_indexed else ""


def _otherwise(spec: Object) -> str:
    """What the scheduler will also look at and we do not."""
    affinity = spec.object("affinity").fields
    hard = "requiredDuringSchedulingIgnoredDuringExecution"
    for name in ("podAffinity", "podAntiAffinity"):
        if isinstance(affinity.get(name), Mapping) and affinity[name].get(hard):
            return name
    if any(item.text("whenUnsatisfiable") != "ScheduleAnyway" for item in spec.objects("topologySpreadConstraints")):
        return "topologySpreadConstraints"
    if spec.objects("resourceClaims"):
        return "resourceClaims"
    if any("persistentVolumeClaim" in item.fields or "ephemeral" in item.fields for item in spec.objects("volumes")):
        return "volumes"  # a claim may be bound to one zone or one node
    return ""
