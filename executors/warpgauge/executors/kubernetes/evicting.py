"""Taking pods off a node: the node takes nothing new, then each pod is evicted within its disruption budgets.

A gang goes whole or not at all. A pod that was made after the recommendation is its successor and stays, so that what
was begun before a crash is gone on with and nothing is ended twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.ack import NativeRef
from warpgauge.core.errors import InputError
from warpgauge.core.recommendation import TargetType
from warpgauge.executors.kubernetes import calls
from warpgauge.executors.kubernetes.actions import Cordon, Step, is_tainted_for, node_of, node_ref, unfit_node
from warpgauge.executors.kubernetes.calls import QUARANTINE
from warpgauge.executors.kubernetes.room import why_no_room
from warpgauge.executors.vouching import unvouched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.core.kubernetes import KubePod
    from warpgauge.core.recommendation import Recommendation
    from warpgauge.executors.kubernetes.look import Look

__all__ = ["Drain", "Replace", "evictions_of", "members_of", "unendable", "untouchable"]

_CHECKED: Final = frozenset({"findingOpen", "spareDevice", "spareNode", "gang", "kubernetesNodeUid"})


class Drain:
    """Cordons a node and evicts its pods, with the gangs that they belong to; what belongs to the node stays."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """The node is unfit, or one of the pods must not be ended."""
        if (why := unfit_node(advice, look) or unvouched(advice, _CHECKED, "Kubernetes")) is not None:
            return why
        return next((why for pod in self._leaving(advice, look) if (why := untouchable(pod, look))), None)

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """The cordon, then the pods that are still to go."""
        return (*Cordon().steps(advice, look), *evictions_of(self._leaving(advice, look)))

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:
        """The node."""
        return (node_ref(advice, look),)

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """Uncordon it. Pods stay where they run then: taking them back would only end them once more."""
        return Cordon().way_back(advice, look)

    def _leaving(self, advice: Recommendation, look: Look) -> list[KubePod]:
        node = node_of(advice)
        here = [pod for pod in look.pods_on(node) if not pod.belongs_to_node]
        others = [one for pod in here if pod.gang for one in look.gang_of(pod) if one.node != node]
        return _distinct([*here, *(pod for pod in others if pod.created <= advice.created)])


class Replace:
    """Quarantines the node of a straggler and lets its pod, or the whole gang, start elsewhere."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """Anything that speaks against ending it and starting it elsewhere now."""
        if (why := unfit_node(advice, look) or unvouched(advice, _CHECKED, "Kubernetes")) is not None:
            return why
        node = look.node(node_of(advice))
        if node is not None and is_tainted_for(node, QUARANTINE, advice):
            return None  # begun: the node is quarantined for this very recommendation, which is the first step
        members = self._members(advice, look)
        if not members:
            return f"there is no pod or gang {advice.target[0].name}"
        return _unmovable(members, advice, look) or why_no_room(members, node_of(advice), *look.everything())

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """The quarantine, then the pods that are still to go."""
        node, steps = look.node(node_of(advice)), []
        if node is not None and not is_tainted_for(node, QUARANTINE, advice):
            call = calls.taint(node, QUARANTINE, advice.id, "NoSchedule")
            steps.append(Step(call=call, undo=f"remove taint {QUARANTINE} from node {node.name}"))
        leaving = [pod for pod in self._members(advice, look) if pod.created <= advice.created]
        return (*steps, *evictions_of(leaving))

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:
        """The node, and the pod or gang by its name."""
        target = advice.target[0]
        return (node_ref(advice, look), NativeRef(kind="workload", name=target.name, uid=target.uid))

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """End the quarantine. Pods stay where they run then: taking them back would only end them once more."""
        node = look.node(node_of(advice))
        if node is None or not is_tainted_for(node, QUARANTINE, advice):
            return ()
        call = calls.untaint(node, QUARANTINE)
        return (Step(call=call, undo=f"taint node {node.name} {QUARANTINE}"),)

    def _members(self, advice: Recommendation, look: Look) -> list[KubePod]:
        """What is on the node comes last.

        A name without a namespace, as a job tells it of itself, is looked for on the node: so the last to go must be
        what it is found by.
        """
        return sorted(members_of(advice, look), key=lambda pod: (pod.node == node_of(advice), pod.name))


def members_of(advice: Recommendation, look: Look) -> list[KubePod]:
    """The pod that the target names with its gang, or the gang of that name."""
    namespace, name = _workload(advice, look)
    pods = look.pods_in(namespace) if namespace else []
    named = [one for one in pods if one.name == name]
    members = _distinct([*named, *(one for pod in named for one in look.gang_of(pod))])
    return members or [one for one in pods if one.gang == name]


def _workload(advice: Recommendation, look: Look) -> tuple[str, str]:
    """Namespace and name; the namespace is "" if nothing on the node has that name."""
    target = advice.target[0]
    if target.type is not TargetType.WORKLOAD:
        msg = f"a {target.type} is no pod or gang"
        raise InputError(msg)
    namespace, slash, name = target.name.rpartition("/")
    if slash:
        return calls.object_name(namespace), calls.object_name(name)
    found = {pod.namespace for pod in look.pods_on(node_of(advice)) if name in {pod.name, pod.gang}}
    if len(found) > 1:
        msg = f"{name[:80]!r} is in several namespaces: {', '.join(sorted(found)[:5])}"
        raise InputError(msg)
    return next(iter(found), ""), calls.object_name(name)


def evictions_of(pods: Iterable[KubePod]) -> list[Step]:
    """One step for each pod that is not on its way out already."""
    return [Step(call=calls.evict(pod), undo=None) for pod in pods if not pod.is_ending]


def _distinct(pods: Iterable[KubePod]) -> list[KubePod]:
    return list({pod.uid: pod for pod in pods}.values())


def untouchable(pod: KubePod, look: Look) -> str | None:
    """What the pod itself, or its namespace, has against being ended."""
    if not pod.owner_kind:
        return f"pod {pod.full_name} has no controller: nobody would start it again"
    if (why := pod.why_kept) is not None:
        return f"pod {pod.full_name} says {why}"
    if look.keeps(pod.namespace):
        return f"namespace {pod.namespace} says {calls.KEEP}=true"
    return None


def unendable(members: Sequence[KubePod], advice: Recommendation, look: Look) -> str | None:
    """The first reason against ending these pods; they must be the ones that the recommendation is about."""
    for pod in members:
        checks = (
            (pod.belongs_to_node, f"pod {pod.full_name} belongs to its node ({pod.owner_kind or 'a file there'})"),
            (pod.phase != "Running", f"pod {pod.full_name} is {pod.phase.lower()}, not running"),
            (pod.is_ending, f"pod {pod.full_name} is ending already"),
            (pod.created > advice.created, f"pod {pod.full_name} was started again since the recommendation was made"),
        )
        if (why := next((words for objects, words in checks if objects), None) or untouchable(pod, look)) is not None:
            return why
    uid = advice.target[0].uid
    if uid and uid not in {pod.uid for pod in members}:
        return f"{advice.target[0].name} is another pod than the one that was meant"
    return None


def _unmovable(members: Sequence[KubePod], advice: Recommendation, look: Look) -> str | None:
    """The first reason against moving the gang, all of it, off the node."""
    if (why := unendable(members, advice, look)) is not None:
        return why
    node = node_of(advice)
    if node not in {pod.node for pod in members}:
        return f"{advice.target[0].name} does not run on {node}"
    return None
