"""Where the culprit of a group of peers stands and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.detection.places import only
from warpgauge.analyzer.detection.wording import device_name, listed
from warpgauge.core.finding import Scope

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.frame import Frame, Ints
    from warpgauge.analyzer.frame.entities import RankEntity

__all__ = ["Hosts", "Place", "members_by_node", "nodes_of", "scopes_of"]


def nodes_of(frame: Frame, group: Group) -> tuple[str, ...]:
    """The node of each member, empty where it is unknown."""

    def build() -> tuple[str, ...]:
        devices, ranks = frame.devices.entities, frame.ranks.entities
        return tuple(
            (devices[at].node if at >= 0 else "") or (ranks[row].node if row >= 0 else "")
            for at, row in zip(group.devices, group.ranks, strict=True)
        )

    return frame.of_job(group.key, ("nodes", group), build)


def members_by_node(frame: Frame, group: Group) -> tuple[Ints, ...]:
    """The members on each node, in order of first sight; those of unknown nodes count as one."""

    def build() -> tuple[Ints, ...]:
        members: dict[str, list[int]] = {}
        for member, node in enumerate(nodes_of(frame, group)):
            members.setdefault(node, []).append(member)
        return tuple(np.array(own, dtype=np.int64) for own in members.values())

    return frame.of_job(group.key, ("members by node", group), build)


def scopes_of(frame: Frame, group: Group) -> tuple[Scope, ...]:
    """Each member as a culprit."""
    places = (Place(frame=frame, group=group, member=member) for member in range(len(group.ranks)))
    return frame.of_job(group.key, ("scopes", group), lambda: tuple(place.scope for place in places))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One member: its device and its rank, as far as they are known."""

    frame: Frame
    group: Group
    member: int

    @property
    def device(self) -> int:
        """Row of its device, -1 without one."""
        return self.group.devices[self.member]

    @property
    def rank(self) -> RankEntity | None:
        """Its rank, None if it reports none."""
        row = self.group.ranks[self.member]
        return self.frame.ranks.entities[row] if row >= 0 else None

    @property
    def name(self) -> str:
        """`node-3/gpu5`, or its node where it has no device."""
        if self.device >= 0:
            return device_name(self.frame.devices.entities[self.device])
        return f"its node {self.rank.node}" if self.rank else "its node"

    @property
    def subject(self) -> str:
        """`node-3/gpu5 (rank 12)`, or `Rank 12 on node-3` where it has no device."""
        if self.device >= 0 or not self.rank:
            return f"{self.name} ({self.rank_words})"
        return f"{self.rank_words[0].upper()}{self.rank_words[1:]} on {self.rank.node}"

    @property
    def rank_words(self) -> str:
        """`rank 12`."""
        number = self.scope.rank
        return "its rank" if number is None else f"rank {number}"

    @property
    def simulated(self) -> bool:
        """Whether it is of the simulated fleet."""
        if self.device >= 0:
            return self.frame.devices.entities[self.device].simulated
        return self.rank is not None and self.rank.simulated

    @property
    def scope(self) -> Scope:
        """The member as a culprit."""
        cluster, job_id = self.group.key
        device = self.frame.devices.entities[self.device] if self.device >= 0 else None
        rank = self.rank
        node = device.node if device else (rank.node if rank else "")
        return Scope(
            cluster=cluster,
            node=node or None,
            uuid=device.uuid if device else None,
            instance_id=(device.instance_id or None) if device else None,
            job_id=job_id,
            rank=rank.rank if rank and rank.rank >= 0 else None,
            stage=rank.stage if rank else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Several members that share their fate: those of one node, or of nodes behind one switch."""

    frame: Frame
    group: Group
    members: tuple[int, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Their nodes, each once."""
        known = nodes_of(self.frame, self.group)
        return tuple(dict.fromkeys(known[member] for member in self.members))

    @property
    def ranks(self) -> str:
        """`ranks 0, 1 and 2`."""
        places = [Place(frame=self.frame, group=self.group, member=member) for member in self.members]
        numbers = [str(place.scope.rank) for place in places if place.scope.rank is not None]
        is_numbered = len(numbers) == len(places)
        return f"ranks {listed(numbers)}" if is_numbered else listed([place.rank_words for place in places])

    @property
    def scope(self) -> Scope:
        """The node as a culprit; several nodes leave it open which."""
        first = Place(frame=self.frame, group=self.group, member=self.members[0]).scope
        return Scope(cluster=first.cluster, node=only(self.nodes), job_id=first.job_id, stage=first.stage)

    @property
    def simulated(self) -> bool:
        """Whether they are of the simulated fleet."""
        return any(Place(frame=self.frame, group=self.group, member=member).simulated for member in self.members)
