"""Storage of the frame: for each channel a window of float32 columns, one value per entity, gaps as NaN.

Memory is laid out [channel, column, entity], so that a tick writes whole rows; readers get the transposed view.
Each channel's window slides through a block with some slack and moves back to the front when it reaches the end. Where
the channels start is spread over the slack by the golden ratio, and apart from the other tables, so that hardly two of
them move in the same tick.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from warpgauge.analyzer.frame.entities import DeviceEntity, NodeEntity, RankEntity, ServerEntity

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from warpgauge.analyzer.frame.schema import TableName

__all__ = ["CHANNELS_PER_METRIC", "ChannelKey", "Floats", "Ints", "Table"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
ChannelKey = tuple[str, tuple[str, ...]]
"""(metric name, values of the labels that stay apart)"""

CHANNELS_PER_METRIC: Final = 64
"""A label with more values than this (a mount point per container, say) costs its overflow, not our memory."""

_FIRST_ENTITIES: Final = 16
_FIRST_CHANNELS: Final = 16
_GOLDEN: Final = (5**0.5 - 1) / 2

E = TypeVar("E", DeviceEntity, NodeEntity, RankEntity, ServerEntity)


class Table(Generic[E]):
    """Entities of one kind and their channels."""

    def __init__(self, name: TableName, columns: int) -> None:
        self.name = name
        self.entities: list[E] = []
        self.columns = columns
        self._slack = columns // 4 + 1
        self._rows: dict[Hashable, int] = {}
        self._channels: dict[ChannelKey, int] = {}
        self._channel_counts: dict[str, int] = {}
        self._block: Floats = self._empty(_FIRST_CHANNELS, _FIRST_ENTITIES)
        self._blank: Floats = np.empty((columns, 0), dtype=np.float32)
        self._first: Ints = np.zeros(_FIRST_CHANNELS, dtype=np.int64)
        self.last_seen_ms: Ints = np.zeros(_FIRST_ENTITIES, dtype=np.int64)
        self.writes = 0  # rises with every write
        self.renumberings = 0  # rises when rows get other numbers
        self.stamps: Ints = np.zeros(columns, dtype=np.int64)  # [column], `writes` when it last changed
        self._blank_at = 0  # `writes` when the newest column came
        self.changes = 0  # rises when an entity is new or told differently
        self.touched: set[int] = set()  # rows whose entity is new or changed since someone cleared this

    def __len__(self) -> int:
        return len(self.entities)

    def row(self, key: Hashable, make: Callable[[], E]) -> int:
        """Row of the entity, made on first sight."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = len(self.entities)
            self.entities.append(make())
            self.changes += 1
            self.touched.add(row)
            if row >= self._block.shape[2]:
                self._grow(channels=self._block.shape[0], entities=self._block.shape[2] * 3 // 2)
        return row

    def replace(self, row: int, entity: E) -> None:
        """Let the entity of a row be told differently; its key stays."""
        if self.entities[row] != entity:
            self.entities[row] = entity
            self.changes += 1
            self.touched.add(row)

    def find(self, key: Hashable) -> int | None:
        """Row of the entity, None if there is no such."""
        return self._rows.get(key)

    def channel(self, metric: str, extra: tuple[str, ...]) -> int | None:
        """Number of the channel, made on first sight; None when the metric has too many already."""
        channel = self._channels.get((metric, extra))
        if channel is not None:
            return channel
        if self._channel_counts.get(metric, 0) >= CHANNELS_PER_METRIC:
            return None
        channel = len(self._channels)
        if channel >= self._block.shape[0]:
            self._grow(channels=2 * self._block.shape[0], entities=self._block.shape[2])
        self._block[channel] = np.nan
        self._channels[(metric, extra)] = channel
        self._channel_counts[metric] = self._channel_counts.get(metric, 0) + 1
        self._first[channel] = self._start_of(channel)
        return channel

    def number_of(self, metric: str, extra: tuple[str, ...]) -> int | None:
        """Number of the channel, None if it never appeared."""
        return self._channels.get((metric, extra))

    def extras(self, metric: str) -> list[tuple[str, ...]]:
        """The channels of a metric, in order of first sight."""
        return [extra for name, extra in self._channels if name == metric]

    def window(self, metric: str, extra: tuple[str, ...]) -> Floats | None:
        """Values [entity, column] of a channel as a read-only view, None if the channel never appeared."""
        view = self.rows_of_columns(metric, extra, 0, self.columns)
        return None if view is None else view.T

    def rows_of_columns(self, metric: str, extra: tuple[str, ...], first: int, last: int) -> Floats | None:
        """Values [column, entity] of columns `first` up to before `last`, contiguous per column, read-only."""
        channel = self._channels.get((metric, extra))
        if channel is None:
            return None
        start = int(self._first[channel])
        view = self._block[channel, start + first : start + last, : len(self.entities)]
        view.flags.writeable = False
        return view

    def blank(self, columns: int) -> Floats:
        """What a channel that never appeared holds, [column, entity]: NaN, read-only, without memory of its own."""
        if self._blank.shape[1] < len(self.entities):
            self._blank = np.broadcast_to(np.float32(np.nan), (self.columns, self._block.shape[2]))
        return self._blank[:columns, : len(self.entities)]

    def write(self, channels: Ints, columns: Ints | int, rows: Ints, values: Floats) -> None:
        """Set one value per (channel, column of the window, row); of several for one place, the last stands."""
        height, width = self._block.shape[1:]
        starts = (np.arange(len(self._first)) * height + self._first) * width
        places = starts.take(channels)
        places += rows
        places += columns * width
        self._block.reshape(-1)[places] = values
        self.writes += 1
        self.stamps[columns] = self.writes

    @property
    def is_blank(self) -> bool:
        """Whether nothing was written into the newest column yet."""
        return bool(self.stamps[-1] == self._blank_at)

    def lay(self, values: Floats) -> None:
        """Set the newest column of the first channels and rows to these values, [channel, row]."""
        if values.size:
            used = np.arange(len(values))
            self._block[used, self._first[used] + self.columns - 1, : values.shape[1]] = values
            self.writes += 1
            self.stamps[-1] = self.writes

    def advance(self, steps: int) -> None:
        """Slide all windows: the oldest `steps` columns go, as many empty ones come."""
        used = np.arange(len(self._channels))
        if steps >= self.columns:
            self._block[: len(used)] = np.nan
            self.writes += 1
            self._blank_at = self.stamps[:] = self.writes
            return
        self.stamps[:-steps] = self.stamps[steps:].copy()
        self._blank_at = self.stamps[-steps:] = self.writes
        full = self._block.shape[1]
        for channel in used[self._first[used] + self.columns + steps > full]:
            self._to_front(self._block[channel], int(self._first[channel]) + steps, self.columns - steps)
            self._first[channel] = -steps
        self._first[used] += steps
        for back in range(1, steps + 1):
            self._block[used, self._first[used] + self.columns - back] = np.nan

    def _start_of(self, channel: int) -> int:
        """Where a channel's window begins at first."""
        return (int(channel * _GOLDEN % 1.0 * self._slack) + crc32(self.name.encode())) % self._slack

    @staticmethod
    def _to_front(block: Floats, first: int, count: int) -> None:
        """Copy columns to the front of a block, no more at a time than lie before them: so none is held twice."""
        for at in range(0, count, first):
            last = min(at + first, count)
            block[at:last] = block[first + at : first + last]

    def keep_rows(self, kept: Ints) -> Ints:
        """Forget all rows but these (in this order); gives the new number of each old row, -1 for the forgotten."""
        self.renumberings += 1
        self.changes += 1
        renumbered = np.full(len(self.entities), -1, dtype=np.int64)
        renumbered[kept] = np.arange(len(kept))
        for channel in range(len(self._channels)):
            self._block[channel, :, : len(kept)] = self._block[channel][:, kept]
            self._block[channel, :, len(kept) :] = np.nan
        self.last_seen_ms[: len(kept)] = self.last_seen_ms[kept]
        self.last_seen_ms[len(kept) :] = 0
        self.entities = [self.entities[row] for row in kept]
        self._rows = {key: int(renumbered[row]) for key, row in self._rows.items() if renumbered[row] >= 0}
        self.touched = set(range(len(kept)))
        return renumbered

    @property
    def channels(self) -> list[ChannelKey]:
        """All channels, in the order of their numbers."""
        return list(self._channels)

    def newest(self, channel: int, columns: int) -> Floats:
        """A copy of a channel's newest columns, [column, entity]."""
        last = int(self._first[channel]) + self.columns
        return self._block[channel, last - columns : last, : len(self.entities)].copy()

    def fill(self, rows: Mapping[Hashable, int], entities: list[E], keys: list[ChannelKey]) -> None:
        """Take over rows and channels, in a table without any yet; `room_for` gives where their values go."""
        self._rows, self.entities, self.touched = dict(rows), entities, set(range(len(entities)))
        self.changes += 1
        size = max(_FIRST_ENTITIES, len(entities) + len(entities) // 32)
        self._block = self._empty(max(_FIRST_CHANNELS, len(keys)), size)
        self._first = np.zeros(len(self._block), dtype=np.int64)
        self.last_seen_ms = np.zeros(size, dtype=np.int64)
        self._channels = {key: number for number, key in enumerate(keys)}
        self._channel_counts = Counter(metric for metric, _ in keys)
        self._first[: len(keys)] = [self._start_of(channel) for channel in range(len(keys))]
        self.writes += 1
        self.stamps[:] = self.writes

    def room_for(self, columns: int) -> Iterator[Floats]:
        """Where the newest columns of each channel stand, one column after the other; all else becomes a gap.

        Memory is touched first by whoever writes into it here: a system call takes it ten times as fast as we would.
        """
        entities, kept = len(self.entities), min(columns, self.columns)
        skipped = np.empty(entities, dtype=np.float32)
        for channel in range(len(self._channels)):
            first = int(self._first[channel])
            window = self._block[channel, first : first + self.columns]
            yield from (skipped for _ in range(columns - kept))
            yield from window[self.columns - kept :, :entities]
            window[:, entities:] = np.nan
            window[: self.columns - kept] = np.nan

    def _empty(self, channels: int, entities: int) -> Floats:
        """Room whose memory is taken only once a channel is put there."""
        return np.empty((channels, self.columns + self._slack, entities), dtype=np.float32)

    def _grow(self, *, channels: int, entities: int) -> None:
        old, used = self._block, len(self._channels)
        self._block = self._empty(channels, entities)
        self._block[:used, :, : old.shape[2]] = old[:used]
        self._block[:used, :, old.shape[2] :] = np.nan
        self._first = np.concatenate([self._first, np.zeros(channels - len(self._first), dtype=np.int64)])
        extra = np.zeros(entities - len(self.last_seen_ms), dtype=np.int64)
        self.last_seen_ms = np.concatenate([self.last_seen_ms, extra])
