"""A frame as a document and arrays, and back.

`content_of` copies, in the thread that owns the frame; the document is only made when it is asked for. Series are
known by their digests afterwards, not by their labels, so that no label text is written twice.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.entities import DeviceEntity, NodeEntity, RankEntity
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.identities import DIGEST_BYTES
from warpgauge.analyzer.schema import PLACES, TableName
from warpgauge.analyzer.workloads import Holding
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import FrameParts
    from warpgauge.analyzer.table import ChannelKey, Table

__all__ = ["FrameContent", "content_of", "frame_of"]

_ENTITIES: Final[dict[TableName, Any]] = {
    TableName.DEVICES: DeviceEntity,
    TableName.NODES: NodeEntity,
    TableName.RANKS: RankEntity,
}
_STATES: Final = "states."
_CELLS: Final = "cells."


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
    arrays: dict[str, NDArray[Any]]

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
        }


def content_of(frame: Frame, *, max_bytes: int) -> FrameContent:
    """Copy a frame; of a large one as many of its newest columns as fit."""
    parts = frame.parts()
    columns = _columns_within(parts, frame.columns, max_bytes)
    arrays: dict[str, NDArray[Any]] = {_STATES + name: array for name, array in parts.states.content().items()}
    arrays |= {_CELLS + name: array for name, array in parts.cells.content().items()}
    arrays["digests"] = parts.identities.content()
    tables = {}
    for name, table in zip(TableName, parts.tables.by_number, strict=True):
        keys, values = table.content(columns)
        tables[name] = (keys, list(table.entities))
        arrays[f"{name}.values"] = values
        arrays[f"{name}.last_seen_ms"] = table.last_seen_ms[: len(table)].copy()
    return FrameContent(
        step_seconds=frame.step_seconds,
        newest=parts.newest,
        newest_ms=parts.newest_ms,
        tables=tables,
        origins=dict(parts.origins),
        holdings=dict(parts.holdings),
        simulated_nodes=parts.tables.simulated_nodes,
        clocked_ranks=parts.tables.clocked_ranks,
        arrays=arrays,
    )


def frame_of(document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], *, window_seconds: float) -> Frame:
    """The frame that was copied, with the window it shall have now.

    Raises:
        InputError: the catalog has other metrics or places since, or the parts do not fit together.

    """
    if document.get("schema") != _schema():
        msg = "the snapshot was written by a version with another catalog"
        raise InputError(msg)
    try:
        return _frame_of(document, arrays, window_seconds)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        msg = f"the snapshot's parts do not fit together ({error!r})"
        raise InputError(msg) from error


def _frame_of(document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], window_seconds: float) -> Frame:
    frame = Frame(step_seconds=float(document["step_seconds"]), window_seconds=window_seconds)
    parts = frame.parts()
    _check_series(document, arrays)
    for name, table in zip(TableName, parts.tables.by_number, strict=True):
        _fill(name, table, document["tables"][name], arrays)
    parts.tables.remember(
        ((str(cluster), str(node)) for cluster, node in document["simulated_nodes"]),
        ((str(cluster), str(job), int(rank)) for cluster, job, rank in document["clocked_ranks"]),
    )
    parts.states.fill({name.removeprefix(_STATES): array for name, array in arrays.items() if name.startswith(_STATES)})
    parts.cells.fill({name.removeprefix(_CELLS): array for name, array in arrays.items() if name.startswith(_CELLS)})
    parts.identities.fill(arrays["digests"])
    parts.origins.update({str(origin): int(number) for origin, number in document["origins"].items()})
    holdings = _entities(Holding, document["holdings"])
    ids = [int(number) for number in document["holdings"]["ids"]]
    newest = document["newest"]
    frame.resume(
        dict(zip(ids, holdings, strict=True)), None if newest is None else int(newest), int(document["newest_ms"])
    )
    return frame


def _fill(name: TableName, table: Table[Any], document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    keys = [(str(metric), tuple(str(word) for word in extra)) for metric, extra in document["channels"]]
    entities = _entities(_ENTITIES[name], document["entities"])
    values, last_seen_ms = arrays[f"{name}.values"], arrays[f"{name}.last_seen_ms"]
    _require(values.dtype == np.float32 and values.shape[::2] == (len(keys), len(entities)), "values")
    _require(last_seen_ms.shape == (len(entities),), "last seen")
    rows = {_row_key(entity): row for row, entity in enumerate(entities)}
    _require(len(rows) == len(entities) and len(set(keys)) == len(keys), "a row or channel that is there twice")
    table.fill(rows, entities, keys, values)
    table.last_seen_ms[: len(entities)] = last_seen_ms


def _row_key(entity: DeviceEntity | NodeEntity | RankEntity) -> Hashable:
    """The key that `Tables` finds a row by."""
    if isinstance(entity, DeviceEntity):
        return (entity.cluster, entity.node, entity.uuid, entity.instance_id)
    if isinstance(entity, NodeEntity):
        return (entity.cluster, entity.node)
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
    each = sum(4 * len(table) * len(table.content(0)[0]) for table in parts.tables.by_number)
    return min(columns, max(1, max_bytes // max(each, 1)))


def _columns(cls: Any, entities: Iterable[Any]) -> dict[str, list[Any]]:  # noqa: ANN401 - a dataclass
    """Entities as one list per field: a third of the JSON that one object each would take."""
    known = list(entities)
    return {item.name: [getattr(entity, item.name) for entity in known] for item in fields(cls)}


def _entities(cls: Any, columns: Mapping[str, list[Any]]) -> list[Any]:  # noqa: ANN401 - a dataclass
    names = [item.name for item in fields(cls)]
    made = [cls(**dict(zip(names, row, strict=True))) for row in zip(*(columns[name] for name in names), strict=True)]
    return [_with_tuples(entity) for entity in made]


def _with_tuples(entity: Any) -> Any:  # noqa: ANN401 - a dataclass
    """A job's key is a list in JSON."""
    if isinstance(entity, Holding):
        cluster, name = entity.job
        return Holding(**{**asdict(entity), "job": (str(cluster), str(name))})
    return entity


def _schema() -> str:
    """Changes whenever a metric's place in the frame does."""
    text = "\n".join(f"{name} {place}" for name, place in sorted(PLACES.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
