"""What each kind of recommendation about a node means on YARN: what speaks against it, what it changes, the way back.

An action sees the cluster as it was just read and decides from that alone, so that what was begun before a crash is
recognized and gone on with. What a value was before, the references keep, or the recommendation's own precondition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from warpgauge.core.ack import NativeRef
from warpgauge.core.errors import InputError
from warpgauge.core.recommendation import TargetType
from warpgauge.core.yarn import Resources
from warpgauge.executors.vouching import unvouched
from warpgauge.executors.yarn import calls
from warpgauge.executors.yarn.exclusion import host_name, mark_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.yarn import YarnApp, YarnNode, YarnQueue
    from warpgauge.executors.yarn.calls import Call

__all__ = ["Action", "Avoid", "Cordon", "Drain", "Seen", "Step", "Uncordon", "expected", "unsupported"]

_VOUCHED_FOR: Final = frozenset({"stillIdle"})  # nothing in YARN shows it
_NODE_CHECKS: Final = frozenset({"findingOpen", "yarnNodeDigest", "yarnNodeLabels", "yarnNodeResource"})
_HERE: Final = frozenset({"NEW", "RUNNING", "UNHEALTHY", "DECOMMISSIONING"})
_LEAVING: Final = frozenset({"DECOMMISSIONING", "DECOMMISSIONED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The cluster right now, as far as the kind asks for it."""

    nodes: Sequence[YarnNode] = ()
    app: YarnApp | None = None
    attempt: str = ""
    queues: Sequence[YarnQueue] = ()
    labels: frozenset[str] = frozenset()
    excluded: Mapping[str, str] = field(default_factory=dict)  # host -> comment

    def node(self, name: str) -> YarnNode | None:
        """The node of this host, the one that is here before those that left under other ports.

        A short name stands for the one host that has it before its domain.
        """
        found = [one for one in self.nodes if one.host == name] or [
            one for one in self.nodes if one.host.partition(".")[0] == name
        ]
        here = [one for one in found if one.state in _HERE]
        if len({one.id for one in here}) > 1:
            msg = f"{name} has several nodes: {', '.join(one.id for one in here)}"
            raise InputError(msg)
        known = here or found
        return known[0] if known else None


@dataclass(frozen=True, slots=True)
class Step:
    """One call, and the one that takes it back."""

    call: Call
    undo: Call | None


class Action(Protocol):
    """One kind of recommendation, on one cluster as seen."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """Why it must not be followed now."""

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """The calls that are still to be made; none once everything is done."""

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """What following it changes, by YARN's names, with what there was before."""

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:
        """The calls that take it back, as far as there is still something to take back."""


def expected(advice: Recommendation, check: str) -> str | None:
    """What the recommendation says must still hold."""
    return next((one.expected for one in advice.preconditions if one.check == check), None)


def unsupported(advice: Recommendation, checked: frozenset[str]) -> str | None:
    """A precondition that nothing in YARN shows and that no person stands for."""
    return unvouched(advice, checked, "YARN", vouched=_VOUCHED_FOR)


def _name_of(advice: Recommendation) -> str:
    target = advice.target[0]
    return host_name((target.name if target.type is TargetType.NODE else target.node) or "")


def _found(advice: Recommendation, seen: Seen) -> YarnNode:
    node = seen.node(_name_of(advice))
    if node is None:
        msg = f"YARN has no node {_name_of(advice)}"
        raise InputError(msg)
    return node


def _unfit(advice: Recommendation, seen: Seen, *, is_done: bool) -> str | None:
    """What speaks against touching the node: it is gone, changed, or somebody else's."""
    node = _found(advice, seen)
    mark = seen.excluded.get(node.host)
    if node.state not in _HERE and not is_done:
        return f"node {node.host} is {node.state.lower()}"
    if mark is not None and mark != mark_of(advice.id):
        return f"node {node.host} is excluded already: {mark or 'no reason given'}"
    if expected(advice, "yarnNodeDigest") not in {None, node.digest} and not is_done:  # what we changed is not the same
        return f"node {node.host} changed since the recommendation was made"
    return unsupported(advice, _NODE_CHECKS)


class Drain:
    """Decommissions a node gracefully: no new containers, and what runs there may end within the site's time."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """Somebody else has excluded it, or it changed."""
        node = _found(advice, seen)
        is_ours = seen.excluded.get(node.host) == mark_of(advice.id)
        if node.state in _LEAVING and not is_ours:
            return f"node {node.host} is {node.state.lower()} already, and not by us"
        return _unfit(advice, seen, is_done=is_ours)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """Exclude and refresh, without what is done."""
        node = _found(advice, seen)
        steps = []
        if node.host not in seen.excluded:
            steps.append(Step(calls.exclude(node.host, mark_of(advice.id)), calls.include(node.host)))
        if node.state not in _LEAVING:
            steps.append(Step(calls.REFRESH, calls.REFRESH))
        return tuple(steps)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The node."""
        return (NativeRef(kind="node", name=_found(advice, seen).host),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:  # noqa: ARG002 - the protocol's shape
        """Let it in again, if it is excluded for our reason; a node that has left comes back once it is started."""
        return _back(_found(advice, seen), mark_of(advice.id), seen)


def _back(node: YarnNode, mark: str, seen: Seen) -> tuple[Step, ...]:
    if seen.excluded.get(node.host) == mark:
        again = Step(calls.REFRESH, calls.REFRESH)
        return (Step(calls.include(node.host), calls.exclude(node.host, mark)), again)
    if node.state == "DECOMMISSIONING" and node.host not in seen.excluded:  # let in, and the refresh did not come about
        return (Step(calls.REFRESH, None),)
    return ()


class Uncordon:
    """Gives back a node that one of our recommendations excluded."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """It was not us who excluded it."""
        node = _found(advice, seen)
        mark = seen.excluded.get(node.host)
        if mark is not None and not mark.startswith("warpgauge "):
            return f"node {node.host} was excluded by somebody else: {mark or 'no reason given'}"
        return unsupported(advice, _NODE_CHECKS)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """Include and refresh, unless it takes work already."""
        node = _found(advice, seen)
        return _back(node, seen.excluded.get(node.host, ""), seen)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The node."""
        return (NativeRef(kind="node", name=_found(advice, seen).host),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:  # noqa: ARG002 - as above
        """Exclude it again, under this recommendation's id."""
        return Drain().steps(advice, seen)


class Cordon:
    """Lets a node hand out nothing more, by giving it no resources; what runs there goes on."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """Somebody else has excluded it, or it changed."""
        node = _found(advice, seen)
        is_done = node.total == node.total.nothing
        before = expected(advice, "yarnNodeResource")
        if before is not None and Resources.read(before) != node.total and not is_done:
            return f"node {node.host} has {node.total} by now, not {before}"
        return _unfit(advice, seen, is_done=is_done)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """One call, unless it has nothing."""
        node = _found(advice, seen)
        if node.total == node.total.nothing:
            return ()
        return (Step(calls.resize(node.id, node.total.nothing), calls.resize(node.id, node.total)),)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The node with what it had."""
        node = _found(advice, seen)
        before = expected(advice, "yarnNodeResource")
        if before is None and node.total != node.total.nothing:
            before = str(node.total)
        return (NativeRef(kind="node", name=node.host, uid=node.id, version=before and f"resource:{before}"),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:
        """What it had, unless somebody gave it something, or it registered anew and brought its own."""
        node = _found(advice, seen)
        if node.total != node.total.nothing:
            return ()
        before = Resources.read(remembered(refs, "resource"))
        return (Step(calls.resize(node.id, before), calls.resize(node.id, node.total)),)


@dataclass(frozen=True)
class Avoid:
    """Puts a node into a partition that others use only when it idles: its label becomes `label`."""

    label: str

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """The cluster has no such label, the node has another than was said, or it changed."""
        node = _found(advice, seen)
        is_done = node.labels == (self.label,)
        if self.label not in seen.labels:
            return f"the cluster has no node label {self.label!r} (yarn.avoid_label)"
        before = expected(advice, "yarnNodeLabels")
        if before not in {None, ",".join(node.labels)} and not is_done:
            return f"node {node.host} is labeled {','.join(node.labels) or 'nothing'} by now, not {before or 'nothing'}"
        return _unfit(advice, seen, is_done=is_done)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """One call, unless it has the label."""
        node = _found(advice, seen)
        if node.labels == (self.label,):
            return ()
        return (Step(calls.label(node.id, (self.label,)), calls.label(node.id, node.labels)),)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The node with the labels that it had."""
        node = _found(advice, seen)
        before = expected(advice, "yarnNodeLabels")
        if before is None and node.labels != (self.label,):
            before = ",".join(node.labels)
        version = None if before is None else f"labels:{before}"
        return (NativeRef(kind="node", name=node.host, uid=node.id, version=version),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:
        """The labels that it had, unless somebody gave it others."""
        node = _found(advice, seen)
        if node.labels != (self.label,):
            return ()
        before = tuple(filter(None, remembered(refs, "labels").split(",")))
        return (Step(calls.label(node.id, before), calls.label(node.id, node.labels)),)


def remembered(refs: Sequence[NativeRef], what: str) -> str:
    """What there was before; InputError if nobody knows, as after a crash right after acting."""
    version = next((one.version for one in refs if one.version and one.version.startswith(f"{what}:")), None)
    if version is None:
        msg = f"what the {what} was before is not known here, so a person must set it back"
        raise InputError(msg)
    return version.removeprefix(f"{what}:")
