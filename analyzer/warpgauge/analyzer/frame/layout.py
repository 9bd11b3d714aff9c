"""What nodes share above them: switch, rail, rack, power domain.

Told by target labels (`switch`, `rail`, `rack`, `power_domain`, as service discovery or relabeling puts them on the
info series of a node and its devices) or by the topology file `analyzer.topology_file`, which wins. In a rail-optimized
network the devices of one node hang on different switches: then the labels stand on the devices' own series, or the
file has a row per device index.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.errors import ConfigError
from warpgauge.core.finding import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.core.config import AnalyzerConfig

__all__ = ["WHOLE_NODE", "Layout", "layout_of", "read_layout"]

MOST_PLACES: Final = 1_000_000  # nodes and devices that are remembered
MOST_NAME: Final = 256  # characters of a name
WHOLE_NODE: Final = -1

Key = tuple[str, str, int]
"""(cluster, node, index of a device or WHOLE_NODE)"""
_INDEX: Final = re.compile(r"[0-9]{1,4}")
_COLUMNS: Final = ("cluster", "node", "index", *(level.value for level in Level))


class Layout:
    """Names of the shared places by node, and by device where these differ; `version` rises with every change."""

    def __init__(self) -> None:
        self.version = 0
        self._told: dict[Key, dict[Level, str]] = {}
        self._filed: dict[Key, dict[Level, str]] = {}
        self._of_nodes: dict[tuple[str, str, Level], frozenset[str]] = {}
        self._of_nodes_version = 0

    def learn(self, cluster: str, node: str, labels: Mapping[str, str], *, index: int = WHOLE_NODE) -> None:
        """Take in the labels of an info series."""
        places = {level: name[:MOST_NAME] for level in Level if (name := labels.get(level.value, ""))}
        if not node or not places or (len(self._told) >= MOST_PLACES and (cluster, node, index) not in self._told):
            return
        self._set(self._told, (cluster, node, index), places)

    def take_over(self, other: Layout) -> None:
        """Let the rows of a topology file stand above what labels say."""
        self._filed = other._filed
        self.version += 1

    def file(self, key: Key, places: Mapping[Level, str]) -> None:
        """Take in a row of a topology file."""
        self._set(self._filed, key, dict(places))

    def name(self, level: Level, cluster: str, node: str, index: int = WHOLE_NODE) -> str:
        """What a node, or a device of it, belongs to; "" if nothing tells."""
        for known in (self._filed, self._told):
            for at in dict.fromkeys((index, WHOLE_NODE)):
                if found := known.get((cluster, node, at), {}).get(level):
                    return found
        return ""

    def names(self, level: Level, cluster: str, node: str) -> frozenset[str]:
        """All that a node or any of its devices belongs to."""
        self._refresh()
        return self._of_nodes.get((cluster, node, level), frozenset())

    def _refresh(self) -> None:
        if self._of_nodes_version != self.version:
            self._of_nodes, self._of_nodes_version = self._by_node(), self.version

    def _by_node(self) -> dict[tuple[str, str, Level], frozenset[str]]:
        found: dict[tuple[str, str, Level], set[str]] = {}
        for cluster, node, index in (*self._told, *self._filed):
            for level in Level:
                if name := self.name(level, cluster, node, index):
                    found.setdefault((cluster, node, level), set()).add(name)
        return {key: frozenset(names) for key, names in found.items()}

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels of which any name is known, from narrow to wide."""
        self._refresh()
        known = {level for _, _, level in self._of_nodes}
        return tuple(level for level in Level if level in known)

    def document(self) -> list[list[Any]]:
        """What labels told, as JSON; the file is read anew."""
        return [[*key, {str(level): name for level, name in places.items()}] for key, places in self._told.items()]

    def restore(self, document: Iterable[Any]) -> None:
        """Take over what `document` gave.

        Raises:
            TypeError, ValueError, AttributeError: it is something else.

        """
        for cluster, node, index, places in document:
            key = (str(cluster), str(node), int(index))
            self._set(self._told, key, {Level(level): str(name) for level, name in places.items()})

    def _set(self, known: dict[Key, dict[Level, str]], key: Key, places: dict[Level, str]) -> None:
        merged = {**known.get(key, {}), **places}
        if known.get(key) != merged:
            known[key] = merged
            self.version += 1


def layout_of(config: AnalyzerConfig) -> Layout:
    """What the topology file of the settings says, nothing without one; raises as `read_layout`."""
    return read_layout(Path(config.topology_file), cluster=config.cluster) if config.topology_file else Layout()


def read_layout(path: Path, *, cluster: str) -> Layout:
    """Read a topology file: CSV with `node`, any of `switch,rail,rack,power_domain`, and if need be `cluster`, `index`.

    Raises:
        ConfigError: it cannot be read or a row is malformed; the message names the line.

    """
    layout = Layout()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            _check_columns(path, rows.fieldnames or ())
            for row in rows:
                _file(layout, f"{path}:{rows.line_num}", row, cluster)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"cannot read the topology file {path}: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(msg) from error
    return layout


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    unknown = [name for name in columns if name not in _COLUMNS]
    if unknown or "node" not in columns:
        wrong = f"has no column {unknown[0]!r}" if unknown else "needs a column 'node'"
        msg = f"the topology file {path} {wrong}; there are {', '.join(_COLUMNS)}"
        raise ConfigError(msg)


def _file(layout: Layout, place: str, row: Mapping[Any, Any], cluster: str) -> None:
    if None in row or None in row.values() or not row["node"]:
        msg = f"{place}: a row needs a node and as many fields as the header"
        raise ConfigError(msg)
    index = row.get("index", "")
    if index and not _INDEX.fullmatch(index):
        msg = f"{place}: index must be a whole number or empty, got {index!r}"
        raise ConfigError(msg)
    key = (row.get("cluster") or cluster, row["node"], int(index) if index else WHOLE_NODE)
    layout.file(key, {level: row[level.value] for level in Level if row.get(level.value)})
