"""From a mapped metric and its labels to the row of the entity it speaks about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from warpgauge.analyzer.frame.entities import DeviceEntity, NodeEntity, RankEntity, ServerEntity
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.analyzer.frame.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.table import Ints

__all__ = ["Tables"]

_SERVER_KEY = ("cluster", "node", "server", "endpoint", "model")


class Tables:
    """The tables and what info series said about their entities."""

    def __init__(self, columns: int) -> None:
        self.devices: Table[DeviceEntity] = Table(TableName.DEVICES, columns)
        self.nodes: Table[NodeEntity] = Table(TableName.NODES, columns)
        self.ranks: Table[RankEntity] = Table(TableName.RANKS, columns)
        self.servers: Table[ServerEntity] = Table(TableName.SERVERS, columns)
        self._simulated_nodes: set[tuple[str, str]] = set()
        self._device_clocks: set[tuple[str, str, int]] = set()
        self._is_clocked: NDArray[np.bool_] = np.empty(0, dtype=bool)  # of the ranks that were asked about

    @property
    def clocks(self) -> int:
        """How many ranks were timed by their device so far."""
        return len(self._device_clocks)

    @property
    def by_number(self) -> tuple[Table[Any], ...]:
        """The tables in the order of `TableName`."""
        return (self.devices, self.nodes, self.ranks, self.servers)

    def row(self, table: TableName, labels: Mapping[str, str]) -> int:
        """Row of the entity that the labels name, made on first sight."""
        if table is TableName.DEVICES:
            return self.device_row(labels)
        if table is TableName.NODES:
            return self._node_row(_text(labels, "cluster"), _text(labels, "node"))
        if table is TableName.SERVERS:
            return self._server_row(labels)
        return self._rank_row(labels)

    def device_row(self, labels: Mapping[str, str]) -> int:
        """Row of the device (or MIG instance)."""
        cluster, node, uuid = _text(labels, "cluster"), _text(labels, "node"), _text(labels, "uuid")
        instance_id = _text(labels, "instance_id")
        row = self.devices.row(
            (cluster, node, uuid, instance_id),
            lambda: DeviceEntity(
                cluster=cluster,
                node=node,
                uuid=uuid,
                instance_id=instance_id,
                simulated=(cluster, node) in self._simulated_nodes,
            ),
        )
        index = _number(labels, "index")
        if index is not None and self.devices.entities[row].index != index:
            self.devices.replace(row, replace(self.devices.entities[row], index=index))
        return row

    def describe_device(self, labels: Mapping[str, str]) -> None:
        """Take in a device info series; a simulated device makes its whole node simulated."""
        row = self.device_row(labels)
        if labels.get("simulated") == "true":
            self._mark_simulated(_text(labels, "cluster"), _text(labels, "node"))
        described = replace(
            self.devices.entities[row],
            vendor=_text(labels, "vendor"),
            kind=_text(labels, "kind"),
            model=_text(labels, "model"),
        )
        self.devices.replace(row, described)

    def device_clocks(self) -> NDArray[np.bool_]:
        """Per rank: whether any of its phases was ever timed by the device."""
        new = self.ranks.entities[len(self._is_clocked) :]
        timed = [(rank.cluster, rank.job_id, rank.rank) in self._device_clocks for rank in new]
        self._is_clocked = np.concatenate([self._is_clocked, np.array(timed, dtype=bool)])
        return self._is_clocked.copy()

    @property
    def simulated_nodes(self) -> frozenset[tuple[str, str]]:
        """(cluster, node) of nodes that said so."""
        return frozenset(self._simulated_nodes)

    @property
    def clocked_ranks(self) -> frozenset[tuple[str, str, int]]:
        """(cluster, job_id, rank) of ranks that their device timed."""
        return frozenset(self._device_clocks)

    def remember(
        self, simulated_nodes: Iterable[tuple[str, str]], clocked_ranks: Iterable[tuple[str, str, int]]
    ) -> None:
        """Take over what another one knew."""
        self._simulated_nodes |= set(simulated_nodes)
        self._device_clocks |= set(clocked_ranks)
        self._is_clocked = self._is_clocked[:0]

    def keep_rows(self, kept: Sequence[Ints]) -> tuple[Ints, ...]:
        """Forget all rows but these; gives, per table, the new number of each old row."""
        renumbered = tuple(table.keep_rows(rows) for table, rows in zip(self.by_number, kept, strict=True))
        self._simulated_nodes &= {(node.cluster, node.node) for node in self.nodes.entities} | {
            (device.cluster, device.node) for device in self.devices.entities
        }
        self._is_clocked = self._is_clocked[:0]
        self._device_clocks &= {(rank.cluster, rank.job_id, rank.rank) for rank in self.ranks.entities}
        return renumbered

    def _node_row(self, cluster: str, node: str) -> int:
        is_simulated = (cluster, node) in self._simulated_nodes
        return self.nodes.row((cluster, node), lambda: NodeEntity(cluster=cluster, node=node, simulated=is_simulated))

    def _server_row(self, labels: Mapping[str, str]) -> int:
        key = cluster, node, server, endpoint, model = tuple(_text(labels, name) for name in _SERVER_KEY)

        def make() -> ServerEntity:
            is_simulated = (cluster, node) in self._simulated_nodes
            return ServerEntity(
                cluster=cluster, node=node, server=server, endpoint=endpoint, model=model, simulated=is_simulated
            )

        return self.servers.row(key, make)

    def _rank_row(self, labels: Mapping[str, str]) -> int:
        cluster, node, job_id = _text(labels, "cluster"), _text(labels, "node"), _text(labels, "job_id")
        rank = _number(labels, "rank")
        key = (cluster, job_id, -1 if rank is None else rank)
        stage = _number(labels, "stage")

        def make() -> RankEntity:
            is_simulated = (cluster, node) in self._simulated_nodes
            return RankEntity(
                cluster=cluster, job_id=job_id, rank=key[2], stage=stage, node=node, simulated=is_simulated
            )

        row = self.ranks.row(key, make)
        if (self.ranks.entities[row].node, self.ranks.entities[row].stage) != (node, stage):
            self.ranks.replace(row, make())  # the rank was started anew elsewhere
        if labels.get("clock") == "device":
            self._device_clocks.add(key)
            self._is_clocked[row : row + 1] = True  # of a row that is known there
        return row

    def _mark_simulated(self, cluster: str, node: str) -> None:
        if (cluster, node) in self._simulated_nodes:
            return
        self._simulated_nodes.add((cluster, node))
        for table in self.by_number:
            for row, entity in enumerate(table.entities):
                if (entity.cluster, entity.node) == (cluster, node):
                    table.replace(row, replace(entity, simulated=True))


def _text(labels: Mapping[str, str], name: str) -> str:
    return labels.get(name, "")


def _number(labels: Mapping[str, str], name: str) -> int | None:
    text = labels.get(name, "")
    return int(text) if text.isdecimal() and text.isascii() else None
