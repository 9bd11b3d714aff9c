"""What each kind of recommendation about a node means on Kubernetes: when not, what it changes, the way back.

An action looks at the cluster and decides from that alone, so that what was begun before a crash is recognized and gone
on with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from warpgauge.core.ack import NativeRef
from warpgauge.core.recommendation import RecommendationKind, TargetType
from warpgauge.executors.kubernetes import calls
from warpgauge.executors.kubernetes.calls import AVOID, CORDONED_BY, QUARANTINE

if TYPE_CHECKING:
    from warpgauge.core.kubernetes import Call, KubeNode
    from warpgauge.core.recommendation import Recommendation
    from warpgauge.executors.kubernetes.look import Look

__all__ = [
    "Action",
    "Avoid",
    "Cordon",
    "Step",
    "Tell",
    "Uncordon",
    "is_cordoned_for",
    "is_tainted_for",
    "node_of",
    "node_ref",
    "unfit_node",
]

_MOST_WORDS: Final = 600  # of a summary in a condition
# Taints with which somebody else says that a node is on its way out, or theirs.
_OWNED: Final = frozenset(
    {
        "ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption",
        "node.kubernetes.io/out-of-service", "node.cloudprovider.kubernetes.io/shutdown",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change; `undo` says what takes it back, None if nothing does."""

    call: Call
    undo: str | None


class Action(Protocol):
    """One kind of recommendation, on a cluster as one look shows it."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """Why it must not be followed now."""

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """The changes that are still to be made; none once everything is done."""

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:
        """What following it changes, by the cluster's names."""

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """The changes that take it back, as far as there is still something of it."""


def node_of(advice: Recommendation) -> str:
    """The node that an advice is about; InputError if it names none."""
    target = advice.target[0]
    return calls.object_name((target.name if target.type is TargetType.NODE else target.node) or "")


def node_ref(advice: Recommendation, look: Look) -> NativeRef:
    """The node, by name and uid. Not its resourceVersion, which changes with every heartbeat."""
    node = look.node(node_of(advice))
    return NativeRef(kind="node", name=node_of(advice), uid=node.uid if node else None)


def is_cordoned_for(node: KubeNode, advice: Recommendation) -> bool:
    """Whether this recommendation has cordoned the node."""
    return node.is_unschedulable and node.annotations.get(CORDONED_BY) == advice.id


def is_tainted_for(node: KubeNode, key: str, advice: Recommendation) -> bool:
    """Whether this recommendation has tainted the node."""
    return any(one.key == key and one.value == advice.id for one in node.taints)


def unfit_node(advice: Recommendation, look: Look) -> str | None:
    """What speaks against touching the node: it is gone, another machine, or somebody else's."""
    name = node_of(advice)
    node = look.node(name)
    if node is None:
        return f"the cluster has no node {name}"
    wanted = {one.expected for one in advice.preconditions if one.check == "kubernetesNodeUid"}
    if advice.target[0].type is TargetType.NODE and advice.target[0].uid:
        wanted.add(advice.target[0].uid)
    if wanted - {node.uid}:
        return f"node {name} is another machine than the one that was meant: its uid is {node.uid}"
    if node.says_keep:
        return f"node {name} says {calls.KEEP}=true"
    if node.is_unschedulable and not is_cordoned_for(node, advice):
        return f"node {name} is cordoned already, by {_whom(node)}"
    if owned := sorted({one.key for one in node.taints} & _OWNED):
        return f"node {name} is in somebody else's hands: taint {owned[0]}"
    return None


def _whom(node: KubeNode) -> str:
    ours = node.annotations.get(CORDONED_BY)
    return f"recommendation {ours}" if ours else "somebody else"


class Cordon:
    """Keeps new pods off a node; what runs there stays."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """It is gone, another, or somebody else's."""
        return unfit_node(advice, look)

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """One change, unless it is made."""
        node = look.node(node_of(advice))
        if node is None or is_cordoned_for(node, advice):
            return ()
        return (Step(call=calls.cordon(node, advice.id), undo=f"uncordon node {node.name}"),)

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:
        """The node."""
        return (node_ref(advice, look),)

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """Uncordon it, if it is still cordoned for this; another's cordon is not ours to end."""
        node = look.node(node_of(advice))
        if node is None or not is_cordoned_for(node, advice):
            return ()
        return (Step(call=calls.uncordon(node), undo=f"cordon node {node.name}"),)


class Uncordon:
    """Gives back a node that one of our recommendations took out."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """It was not us who cordoned it."""
        name = node_of(advice)
        node = look.node(name)
        if node is None:
            return f"the cluster has no node {name}"
        if node.is_unschedulable and CORDONED_BY not in node.annotations:
            return f"node {name} was cordoned by somebody else"
        return None

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """Our cordon and our quarantine end; none if there is neither."""
        node = look.node(node_of(advice))
        if node is None:
            return ()
        if CORDONED_BY not in node.annotations and not any(one.key == QUARANTINE for one in node.taints):
            return ()
        return (Step(call=calls.release(node), undo=f"cordon node {node.name}"),)

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:
        """The node."""
        return (node_ref(advice, look),)

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """Cordon it, under this recommendation's id."""
        return Cordon().steps(advice, look)


class Avoid:
    """Makes a node the scheduler's last choice."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """It is gone, another, or somebody else's."""
        return unfit_node(advice, look)

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """One taint, unless it is there."""
        node = look.node(node_of(advice))
        if node is None or is_tainted_for(node, AVOID, advice):
            return ()
        return (Step(call=calls.taint(node, AVOID, advice.id, "PreferNoSchedule"), undo=f"remove taint {AVOID}"),)

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:
        """The node."""
        return (node_ref(advice, look),)

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """Take the taint away, if it is of this recommendation."""
        node = look.node(node_of(advice))
        if node is None or not is_tainted_for(node, AVOID, advice):
            return ()
        return (Step(call=calls.untaint(node, AVOID), undo=f"taint node {node.name} {AVOID}"),)


class Tell:
    """Tells, where the advice is for people: a condition of the node, which kubectl and monitoring show."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """Only that the node is gone: words disturb nobody."""
        name = node_of(advice)
        return None if look.node(name) else f"the cluster has no node {name}"

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """One condition, unless it is there."""
        node = look.node(node_of(advice))
        if node is None or _says(node, advice):
            return ()
        kind, message = _condition_of(advice), f"{advice.text.summary[:_MOST_WORDS]} [{advice.id}]"
        call = calls.condition(node, kind, message, advice.created)
        return (Step(call=call, undo=f"remove condition {kind}"),)

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:
        """The node and its condition."""
        return (node_ref(advice, look), NativeRef(kind="condition", name=_condition_of(advice)))

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """Take it away, if it still speaks of this recommendation."""
        node = look.node(node_of(advice))
        if node is None or not _says(node, advice):
            return ()
        kind = _condition_of(advice)
        return (Step(call=calls.remove_condition(node, kind), undo=f"set condition {kind}"),)


def _condition_of(advice: Recommendation) -> str:
    """`WarpgaugeInspectHardware` of inspect-hardware."""
    words = RecommendationKind(advice.kind).split("-")
    return "Warpgauge" + "".join(word.capitalize() for word in words)


def _says(node: KubeNode, advice: Recommendation) -> bool:
    kind = _condition_of(advice)
    return any(one.type == kind and one.status == "True" and advice.id in one.message for one in node.conditions)
