"""On which node each row of the frame stands, as numbers: what fleet-wide questions about nodes are counted with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.frame.entities import DeviceEntity, NodeEntity
    from warpgauge.analyzer.frame.table import Ints, Table

__all__ = ["Site", "Sites"]

Site = tuple[str, str]
"""(cluster, node)"""


class Sites:
    """Numbers of sites, in order of first sight; extended as rows come, made anew when rows are renumbered."""

    def __init__(self) -> None:
        self.keys: list[Site] = []
        self.numbers: dict[Site, int] = {}
        self.totals: Counter[str] = Counter()  # nodes by cluster
        self._node_rows: dict[Site, int] = {}
        self.of_node: Ints = np.empty(0, dtype=np.int64)  # [row of frame.nodes]
        self.of_device: Ints = np.empty(0, dtype=np.int64)  # [row of frame.devices]

    def extend(self, nodes: Table[NodeEntity], devices: Table[DeviceEntity]) -> None:
        """Number the sites of rows that are new."""
        if len(self.of_node) == len(nodes) and len(self.of_device) == len(devices):
            return
        for row in range(len(self.of_node), len(nodes)):
            self._node_rows[nodes.entities[row].cluster, nodes.entities[row].node] = row
        self.of_node = self._extended(self.of_node, nodes.entities)
        self.of_device = self._extended(self.of_device, devices.entities)

    def devices_at(self, site: Site) -> Ints:
        """Rows of the devices of a node."""
        return np.flatnonzero(self.of_device == self.numbers.get(site, -1))

    def nodes_at(self, site: Site) -> Ints:
        """Rows of frame.nodes with this name: one, or none if nothing but devices told of it."""
        row = self._node_rows.get(site)
        return np.array([] if row is None else [row], dtype=np.int64)

    def _extended(self, known: Ints, entities: Sequence[NodeEntity | DeviceEntity]) -> Ints:
        if len(known) == len(entities):
            return known
        new = [self._number((entity.cluster, entity.node)) for entity in entities[len(known) :]]
        return np.concatenate([known, np.array(new, dtype=np.int64)])

    def _number(self, site: Site) -> int:
        number = self.numbers.setdefault(site, len(self.keys))
        if number == len(self.keys):
            self.keys.append(site)
            self.totals[site[0]] += 1
        return number
