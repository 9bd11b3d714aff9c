"""What each kind of recommendation means on Slurm: when it must not be followed, what it changes, the way back.

An action sees the cluster as it was just read and decides from that alone, so that what was begun before a crash is
recognized and gone on with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from warpgauge.core.ack import NativeRef
from warpgauge.core.recommendation import Target, TargetType
from warpgauge.executors.slurm import commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.slurm import SlurmJob, SlurmNode
    from warpgauge.executors.slurm.commands import Command

__all__ = ["Action", "Avoid", "Cordon", "Drain", "Seen", "Step", "Uncordon", "node_of"]

CORDON_MINUTES: Final = 24 * 60  # a person is there by then; it ends by itself if nobody comes
_OWNED: Final = frozenset({"MAINTENANCE", "REBOOT_REQUESTED", "REBOOT_ISSUED", "FAIL"})  # what administrators set
_AVOIDED_WEIGHT: Final = 1_000_000  # above any that a site gives: then only the other nodes count


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The cluster right now."""

    nodes: Sequence[SlurmNode]
    jobs: Sequence[SlurmJob]
    has_reservation: bool  # of this recommendation

    def node(self, name: str) -> SlurmNode | None:
        """The node of this name."""
        return next((node for node in self.nodes if node.name == name), None)

    def job(self, number: int) -> SlurmJob | None:
        """The job of this number."""
        return next((job for job in self.jobs if job.id == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call, and the one that takes it back."""

    command: Command
    undo: Command | None


class Action(Protocol):
    """One kind of recommendation, on one cluster as seen."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """Why it must not be followed now."""

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """The calls that are still to be made; none once everything is done."""

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """What following it changes, by Slurm's names."""

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:
        """The calls that take it back, as far as there is still something to take back."""


def node_of(advice: Recommendation) -> str:
    """The node that an advice is about; InputError if it names none."""
    target: Target = advice.target[0]
    return commands.node_name((target.name if target.type is TargetType.NODE else target.node) or "")


def unfit_node(advice: Recommendation, seen: Seen) -> str | None:
    """What speaks against touching the node: it is gone, changed, or somebody else's."""
    name = node_of(advice)
    node = seen.node(name)
    if node is None:
        return f"Slurm has no node {name}"
    if node.is_drained and node.reason != commands.reason_of(advice.id):
        return f"node {name} is drained already: {node.reason}"
    if (owned := sorted(node.flags & _OWNED)) and not seen.has_reservation:
        return f"node {name} is in somebody else's hands: {', '.join(map(str.lower, owned))}"
    expected = next((one.expected for one in advice.preconditions if one.check == "slurmNodeDigest"), None)
    if expected not in {None, node.digest} and not node.is_drained:  # what we changed ourselves is not the same
        return f"node {name} changed since the recommendation was made"
    return None


class Drain:
    """Takes a node out of service; what runs there ends by itself."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """Somebody else has drained it, or it changed."""
        return unfit_node(advice, seen)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """One call, unless it is drained."""
        node = node_of(advice)
        if (found := seen.node(node)) is not None and found.is_drained:
            return ()
        return (Step(command=commands.drain(node, advice.id), undo=commands.resume(node)),)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:  # noqa: ARG002 - the protocol's shape
        """The node."""
        return (NativeRef(kind="node", name=node_of(advice)),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:  # noqa: ARG002 - as above
        """Resume it, if it is still drained for our reason; another's drain is not ours to end."""
        node = node_of(advice)
        found = seen.node(node)
        if found is None or not found.is_drained or found.reason != commands.reason_of(advice.id):
            return ()
        return (Step(command=commands.resume(node), undo=commands.drain(node, advice.id)),)


class Uncordon:
    """Gives back a node that one of our recommendations drained."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """It was not us who drained it."""
        name = node_of(advice)
        node = seen.node(name)
        if node is None:
            return f"Slurm has no node {name}"
        if node.is_drained and not node.reason.startswith("warpgauge "):
            return f"node {name} was drained by somebody else: {node.reason}"
        return None

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """One call, unless it takes work already."""
        node = node_of(advice)
        if (found := seen.node(node)) is None or not found.is_drained:
            return ()
        return (Step(command=commands.resume(node), undo=commands.drain(node, advice.id)),)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:  # noqa: ARG002 - the protocol's shape
        """The node."""
        return (NativeRef(kind="node", name=node_of(advice)),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:  # noqa: ARG002 - as above
        """Drain it again, under this recommendation's id."""
        return Drain().steps(advice, seen)


class Cordon:
    """Keeps new jobs off a node for a day by a maintenance reservation, which ends by itself."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """Somebody else has drained it, or it changed."""
        return unfit_node(advice, seen)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """One call, unless the reservation is there."""
        if seen.has_reservation:
            return ()
        command = commands.reserve(node_of(advice), advice.id, CORDON_MINUTES)
        return (Step(command=command, undo=commands.unreserve(advice.id)),)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:  # noqa: ARG002 - the protocol's shape
        """The reservation and its node."""
        reservation = NativeRef(kind="reservation", name=commands.reservation_of(advice.id))
        return (reservation, NativeRef(kind="node", name=node_of(advice)))

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:  # noqa: ARG002 - as above
        """Take the reservation away."""
        if not seen.has_reservation:
            return ()
        again = commands.reserve(node_of(advice), advice.id, CORDON_MINUTES)
        return (Step(command=commands.unreserve(advice.id), undo=again),)


class Avoid:
    """Lets Slurm take a node last: its weight goes up."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """It is gone or changed."""
        return unfit_node(advice, seen)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """One call, unless it is that heavy."""
        node = seen.node(node_of(advice))
        if node is None or node.weight >= _AVOIDED_WEIGHT:
            return ()
        heavier = commands.weigh(node.name, node.weight + _AVOIDED_WEIGHT)
        return (Step(command=heavier, undo=commands.weigh(node.name, node.weight)),)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The node, with the weight to go back to."""
        node = seen.node(node_of(advice))
        weight = 0 if node is None else node.weight
        before = weight if weight < _AVOIDED_WEIGHT else weight - _AVOIDED_WEIGHT
        return (NativeRef(kind="node", name=node_of(advice), version=f"weight={before}"),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:
        """The weight that it had."""
        node = seen.node(node_of(advice))
        before = next((one.version for one in refs if one.kind == "node" and one.version), "weight=1")
        if node is None or node.weight < _AVOIDED_WEIGHT:
            return ()
        lighter = commands.weigh(node.name, int(before.removeprefix("weight=")))
        return (Step(command=lighter, undo=commands.weigh(node.name, node.weight)),)
