"""What starts a pod again, and how it is told to stop: a Job is suspended, a set of one replica scaled to none.

Both are undone by the opposite change. https://kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.kubernetes import KEEP, PREFIX, Call
from warpgauge.core.kubernetes.api import MERGE
from warpgauge.core.kubernetes.json_object import Object
from warpgauge.executors.kubernetes import calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.core.kubernetes import KubePod
    from warpgauge.executors.kubernetes.look import Look

__all__ = ["RECLAIMED_BY", "Controller", "controller_of", "go", "mark", "marked", "stop", "unmark"]

RECLAIMED_BY: Final = f"{PREFIX}/reclaimed-by"  # label, so that it can be looked for; holds the recommendation's id
_PATHS: Final = {
    "Job": ("batch/v1", "jobs"),
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
}
_MAKES_ANEW: Final = "CronJob"  # its Job is a run of its own, and the next one is due whatever becomes of it
_QUEUED: Final = "kueue.x-k8s.io/queue-name"
_MOST_STEPS_UP: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A Job, Deployment, StatefulSet or ReplicaSet."""

    kind: str
    namespace: str
    name: str
    uid: str
    version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owner: tuple[str, str] | None  # kind and name of its own controller
    is_suspended: bool
    replicas: int

    @property
    def words(self) -> str:
        """As a person says it."""
        return f"{self.kind.lower()} {self.namespace}/{self.name}"

    @property
    def is_stopped(self) -> bool:
        """Whether it starts nothing."""
        return self.is_suspended if self.kind == "Job" else self.replicas == 0

    @property
    def why_not(self) -> str | None:
        """Why it is not ours to stop, None if it may be."""
        if "true" in {self.labels.get(KEEP), self.annotations.get(KEEP)}:
            return f"{self.words} says {KEEP}=true"
        if _QUEUED in self.labels:
            return f"{self.words} is Kueue's to suspend: set its Workload inactive"
        if self.owner is not None and not (self.kind == "Job" and self.owner[0] == _MAKES_ANEW):
            return f"{self.words} is managed by {self.owner[0]} {self.owner[1]}, which would start it again"
        if self.is_stopped:
            return f"{self.words} was stopped by somebody else"
        if self.kind != "Job" and self.replicas != 1:
            return f"{self.words} has {self.replicas} replicas, of which one is idle: scale it down by hand"
        return None


def controller_of(pod: KubePod, look: Look) -> Controller | str:
    """What starts the pod again in the end, or why that cannot be told."""
    kind, name = pod.owner_kind, pod.owner_name
    for _ in range(_MOST_STEPS_UP):
        if kind not in _PATHS:
            return f"pod {pod.full_name} is started by {kind} {name}, which we do not know how to stop"
        found = look.object(f"{_collection(kind, pod.namespace)}/{calls.object_name(name)}")
        if found is None:
            return f"pod {pod.full_name} is of {kind} {name}, which is gone"
        one = _parse(kind, found)
        if one.owner is None or one.owner[0] not in _PATHS:
            return one
        kind, name = one.owner
    return f"pod {pod.full_name} has more controllers above each other than we follow"


def marked(advice: str, look: Look) -> Controller | None:
    """The one that a recommendation has marked as being stopped by it, wherever it is."""
    selector = f"{RECLAIMED_BY}={calls.advice_id(advice)}"
    found = (
        _parse(kind, one)
        for kind, (version, plural) in _PATHS.items()
        for one in look.objects(f"/apis/{version}/{plural}", labelSelector=selector)
    )
    return next(found, None)  # labels of a controller are not handed on to what it makes


def mark(one: Controller, advice: str) -> Call:
    """Write down who is about to stop it; changes nothing else."""
    meta = {"resourceVersion": one.version, "labels": {RECLAIMED_BY: calls.advice_id(advice)}}
    return _change(one, f"mark {one.words} as reclaimed", meta, None)


def unmark(one: Controller) -> Call:
    """Take the mark away; changes nothing else."""
    return _change(one, f"remove the mark of {one.words}", {"labels": {RECLAIMED_BY: None}}, None)


def stop(one: Controller) -> Call:
    """Start nothing any more. Without resourceVersion: it changes whenever one of its pods does."""
    if one.kind == "Job":
        return _change(one, f"suspend {one.words}", {}, {"suspend": True})
    return _change(one, f"scale {one.words} to 0", {}, {"replicas": 0})


def go(one: Controller) -> Call:
    """Start it again, and take the mark away."""
    meta = {"labels": {RECLAIMED_BY: None}}
    if one.kind == "Job":
        return _change(one, f"resume {one.words}", meta, {"suspend": False})
    return _change(one, f"scale {one.words} to 1", meta, {"replicas": 1})


def _change(one: Controller, words: str, meta: Mapping[str, Any], spec: Mapping[str, Any] | None) -> Call:
    body = {"metadata": {"uid": one.uid, **meta}} | ({} if spec is None else {"spec": spec})
    path = f"{_collection(one.kind, one.namespace)}/{calls.object_name(one.name)}"
    return Call(method="PATCH", path=path, body=body, content_type=MERGE, words=words)


def _collection(kind: str, namespace: str) -> str:
    version, plural = _PATHS[kind]
    return f"/apis/{version}/namespaces/{calls.object_name(namespace)}/{plural}"


def _parse(kind: str, document: Mapping[str, Any]) -> Controller:
    one = Object(document, kind.lower())
    meta, spec = one.object("metadata"), one.object("spec")
    return Controller(
        kind=kind,
        namespace=meta.text("namespace", required=True),
        name=meta.text("name", required=True),
        uid=meta.text("uid", required=True),
        version=meta.text("resourceVersion", required=True),
        labels=meta.texts("labels"),
        annotations=meta.texts("annotations"),
        owner=next(_owners(meta), None),
        is_suspended=spec.flag("suspend"),
        replicas=spec.whole("replicas"),
    )


def _owners(meta: Object) -> Iterator[tuple[str, str]]:
    return ((one.text("kind"), one.text("name")) for one in meta.objects("ownerReferences") if one.flag("controller"))
