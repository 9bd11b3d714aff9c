"""A frame as a document and arrays, and back.

`content_of` copies all but the windows, in the thread that owns the frame. These are copied channel by channel while
the file is written, so that the frame is never held up for long; what comes in meanwhile may stand in later channels.
Series are known by their digests afterwards, not by their labels, so that no label text is written twice.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.frame.entities import DeviceEntity, NodeEntity, RankEntity, ServerEntity
from warpgauge.analyzer.frame.identities import DIGEST_BYTES
from warpgauge.analyzer.frame.schema import PLACES, TableName
from warpgauge.analyzer.frame.workloads import Holding
from warpgauge.analyzer.snapshot.container import Stored
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import FrameParts
    from warpgauge.analyzer.frame.entities import Entity
    from warpgauge.analyzer.frame.table import ChannelKey, Table
    from warpgauge.analyzer.snapshot.container import Reader

    Run = Callable[[Callable[[], NDArray[Any]]], NDArray[Any]]

__all__ = ["FrameContent", "Interrupted", "OtherCatalogError", "content_of", "frame_of"]

_ENTITIES: Final[dict[TableName, Any]] = {
    TableName.DEVICES: DeviceEntity,
    TableName.NODES: NodeEntity,
    TableName.RANKS: RankEntity,
    TableName.SERVERS: ServerEntity,
}
_STATES: Final = "states."
_CELLS: Final = "cells."


class Interrupted(Exception):  # noqa: N818 - not an error: the next one will do
    """The frame changed so much that what was copied does not fit what is to come."""


class OtherCatalogError(InputError):
    """The frame was written by a version whose metrics stand in other places: its samples are of no use here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameContent:
    """A copy of all that a frame knows."""

    step_seconds: float
    newest: int | None
    newest_ms: int
    tables: dict[TableName, tuple[list[ChannelKey], list[Any]]]  # channels and entities
    origins: dict[str, int]
    holdings: dict[int, Holding]
    simulated_nodes: frozenset[tuple[str, str]]
    clocked_ranks: frozenset[tuple[str, str, int]]
    layout: list[list[Any]]
    renumberings: dict[TableName, int]
    columns: int  # newest ones that are kept
    arrays: dict[str, NDArray[Any]]  # all but the windows
    windows: dict[TableName, Table[Any]]

    def stored(self, run: Run) -> list[Stored]:
        """All arrays, in the order in which they are read; `run` calls a function in the frame's thread."""
        small = [Stored.whole(name, array) for name, array in self.arrays.items()]
        return small + [self._window(name, table, run) for name, table in self.windows.items()]

    def _window(self, name: TableName, table: Table[Any], run: Run) -> Stored:
        channels, entities = (len(part) for part in self.tables[name])
        shape = (channels, self.columns, entities)
        return Stored(_values(name), "<f4", shape, self._channels(name, table, run))

    def _channels(self, name: TableName, table: Table[Any], run: Run) -> Iterator[NDArray[Any]]:
        channels, entities = (len(part) for part in self.tables[name])
        renumberings = self.renumberings
        for channel in range(channels):

            def copy(channel: int = channel) -> NDArray[Any]:
                if table.renumberings != renumberings[name]:
                    msg = "rows were renumbered while the snapshot was written"
                    raise Interrupted(msg)
                return table.newest(channel, self.columns)[:, :entities]

            yield run(copy)

    def document(self) -> dict[str, Any]:
        """All but the arrays, as JSON."""
        return {
            "schema": _schema(),
            "step_seconds": self.step_seconds,
            "newest": self.newest,
            "newest_ms": self.newest_ms,
            "tables": {
                str(name): {"channels": channels, "entities": _columns(_ENTITIES[name], entities)}
                for name, (channels, entities) in self.tables.items()
            },
            "origins": self.origins,
            "holdings": {"ids": list(self.holdings), **_columns(Holding, self.holdings.values())},
            "simulated_nodes": sorted(self.simulated_nodes),
            "clocked_ranks": sorted(self.clocked_ranks),
            "layout": self.layout,
        }


def content_of(frame: Frame, *, max_bytes: int) -> FrameContent:
    """Copy a frame; of a large one as many of its newest columns as fit."""
    parts = frame.parts()
    columns = _columns_within(parts, frame.columns, max_bytes)
    arrays: dict[str, NDArray[Any]] = {_STATES + name: array for name, array in parts.states.content().items()}
    arrays |= {_CELLS + name: array for name, array in parts.cells.content().items()}
    arrays["digests"] = parts.identities.content()
    windows: dict[TableName, Table[Any]] = dict(zip(TableName, parts.tables.by_number, strict=True))
    for name, table in windows.items():
        arrays[f"{name}.last_seen_ms"] = table.last_seen_ms[: len(table)].copy()
    return FrameContent(
        step_seconds=frame.step_seconds,
        newest=parts.newest,
        newest_ms=parts.newest_ms,
        tables={name: (table.channels, list(table.entities)) for name, table in windows.items()},
        renumberings={name: table.renumberings for name, table in windows.items()},
        columns=columns,
        windows=windows,
        origins=dict(parts.origins),
        holdings=dict(parts.holdings),
        simulated_nodes=parts.tables.simulated_nodes,
        clocked_ranks=parts.tables.clocked_ranks,
        layout=frame.layout.document(),
        arrays=arrays,
    )


def frame_of(document: Mapping[str, Any], reader: Reader, *, window_seconds: float) -> Frame:
    """The frame that was copied, with the window it shall have now; reads all arrays.

    Raises:
        OtherCatalogError: the catalog has other metrics or places since.
        InputError: a part is damaged.
        KeyError, TypeError, ValueError, IndexError: the parts do not fit together.

    """
    if document.get("schema") != _schema():
        msg = "the snapshot was written by a version with another catalog"
        raise OtherCatalogError(msg)
    frame = Frame(step_seconds=float(document["step_seconds"]), window_seconds=window_seconds)
    parts = frame.parts()
    names = [_STATES + name for name in parts.states.content()] + [_CELLS + name for name in parts.cells.content()]
    names += ["digests", *(f"{name}.last_seen_ms" for name in TableName)]
    arrays = {name: reader.array(name) for name in names}
    _check_series(document, arrays)
    for name, table in zip(TableName, parts.tables.by_number, strict=True):
        _fill(table, document["tables"][name], _ENTITIES[name], arrays[f"{name}.last_seen_ms"])
    parts.tables.remember(
        ((str(cluster), str(node)) for cluster, node in document["simulated_nodes"]),
        ((str(cluster), str(job), int(rank)) for cluster, job, rank in document["clocked_ranks"]),
    )
    frame.layout.restore(document["layout"])
    parts.states.fill({name.removeprefix(_STATES): array for name, array in arrays.items() if name.startswith(_STATES)})
    parts.cells.fill({name.removeprefix(_CELLS): array for name, array in arrays.items() if name.startswith(_CELLS)})
    parts.identities.fill(arrays["digests"])
    parts.origins.update({str(origin): int(number) for origin, number in document["origins"].items()})
    for name, table in zip(TableName, parts.tables.by_number, strict=True):
        channels, columns, entities = reader.shape(_values(name))
        _require((channels, entities) == (len(table.channels), len(table)), "values")
        reader.into(_values(name), table.room_for(columns))
    holdings = _entities(Holding, document["holdings"])
    ids = [int(number) for number in document["holdings"]["ids"]]
    newest, newest_ms = document["newest"], int(document["newest_ms"])
    _require(newest is None or newest == newest_ms // round(frame.step_seconds * 1000), "times")
    frame.resume(dict(zip(ids, holdings, strict=True)), newest, newest_ms)
    return frame


def _fill(
    table: Table[Any],
    document: Mapping[str, Any],
    cls: Any,  # noqa: ANN401 - a dataclass
    last_seen_ms: NDArray[Any],
) -> None:
    keys = [(str(metric), tuple(str(word) for word in extra)) for metric, extra in document["channels"]]
    entities = _entities(cls, document["entities"])
    _require(last_seen_ms.shape == (len(entities),), "last seen")
    rows = {_row_key(entity): row for row, entity in enumerate(entities)}
    _require(len(rows) == len(entities) and len(set(keys)) == len(keys), "a row or channel that is there twice")
    table.fill(rows, entities, keys)
    table.last_seen_ms[: len(entities)] = last_seen_ms


def _row_key(entity: Entity) -> Hashable:
    """The key that `Tables` finds a row by."""
    if isinstance(entity, DeviceEntity):
        return (entity.cluster, entity.node, entity.uuid, entity.instance_id)
    if isinstance(entity, NodeEntity):
        return (entity.cluster, entity.node)
    if isinstance(entity, ServerEntity):
        return (entity.cluster, entity.node, entity.server, entity.endpoint, entity.model)
    return (entity.cluster, entity.job_id, entity.rank)


def _check_series(document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Every number that will be an index must be one."""
    size = len(arrays["digests"])
    _require(arrays["digests"].shape == (size, DIGEST_BYTES) and arrays["digests"].dtype == np.uint8, "digests")
    for name, array in arrays.items():
        if name.startswith((_STATES, _CELLS)):
            _require(array.shape == (size,), name)
    table, row, channel = (arrays[_CELLS + name] for name in ("table", "row", "channel"))
    for number, name in enumerate(TableName):
        own = table == number
        known = document["tables"][name]
        _require(_are_below(row[own], len(arrays[f"{name}.last_seen_ms"])), "rows")
        _require(_are_below(channel[own], len(known["channels"])), "channels")
    _require(bool(((table >= -1) & (table < len(TableName))).all()), "tables")
    holdings = document["holdings"]
    devices = np.array(holdings["device"], dtype=np.int64)
    ids = np.array(holdings["ids"], dtype=np.int64)
    _require(_are_below(devices, len(arrays[f"{TableName.DEVICES}.last_seen_ms"])), "devices of workloads")
    _require(_are_below(ids, size) and bool((np.diff(ids) > 0).all()), "workloads")


def _are_below(numbers: NDArray[Any], limit: int) -> bool:
    return bool(((numbers >= 0) & (numbers < limit)).all())


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - the claim itself
    if not holds:
        raise ValueError(what)


def _columns_within(parts: FrameParts, columns: int, max_bytes: int) -> int:
    each = sum(4 * len(table) * len(table.channels) for table in parts.tables.by_number)
    return min(columns, max(1, max_bytes // max(each, 1)))


def _columns(cls: Any, entities: Iterable[Any]) -> dict[str, list[Any]]:  # noqa: ANN401 - a dataclass
    """Entities as one list per field: a third of the JSON that one object each would take."""
    known = list(entities)
    return {item.name: [getattr(entity, item.name) for entity in known] for item in fields(cls)}


def _entities(cls: Any, columns: Mapping[str, list[Any]]) -> list[Any]:  # noqa: ANN401 - a dataclass
    names = [item.name for item in fields(cls)]
    lists = [columns[name] for name in names]
    if "job" in names:  # a pair is a list in JSON
        at = names.index("job")
        lists[at] = [(str(cluster), str(job)) for cluster, job in lists[at]]
    return [cls(**dict(zip(names, row, strict=True))) for row in zip(*lists, strict=True)]


def _values(name: TableName) -> str:
    return f"{name}.values"


def _schema() -> str:
    """Changes whenever a metric's place in the frame does."""
    text = "\n".join(f"{name} {place}" for name, place in sorted(PLACES.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
