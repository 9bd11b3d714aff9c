"""Reader of the openb format: the CSV files of the public Alibaba cluster trace for GPUs, v2023.

Where to get them, and what their columns mean: docs/howto/plan.md. Every row is checked; an error names file and line.
Optional columns of ours say what the trace does not. Of a node: `location`, `zone`, `price_per_hour` and
`uplink_bytes_per_second`. Of a pod: `tenant`, `gang`, `lost_gpu_seconds`; `node` and `gpus`, where it runs;
`locations`, `zones`, `highest_price_per_hour` and `least_uplink_bytes_per_second`, where it may run.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from warpgauge.analyzer.planning.pool import MILLI, Location, Node, Place, Pod, Request
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Workload", "read_nodes", "read_pods"]

MOST_BYTES: Final = 256 * 1024 * 1024
MOST_ROWS: Final = 1_000_000
MOST_GPUS_OF_A_NODE: Final = 64
MOST_TEXT: Final = 256
_MOST: Final = 10**12  # of any number: sums of a column stay within 64 bits
_NODE_COLUMNS: Final = ("sn", "cpu_milli", "memory_mib", "gpu")
_POD_COLUMNS: Final = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
_MOVABLE_QOS: Final = "BE"  # best effort: the trace's own word for work that may be disturbed


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Pods in file order, and where those run that name a node; the others wait."""

    pods: tuple[Pod, ...]
    seats: dict[str, tuple[str, tuple[int, ...]]]


def read_nodes(path: Path) -> tuple[Node, ...]:
    """The nodes of a node list; InputError with file and line for anything that is not one."""
    nodes = tuple(_node(row) for row in _rows(path, _NODE_COLUMNS))
    if not nodes:
        _refuse(path, 1, "has no node below its header")
    _refuse_twins(path, [node.name for node in nodes])
    return nodes


def read_pods(path: Path) -> Workload:
    """The pods of a pod list; InputError with file and line for anything that is not one."""
    rows = list(_rows(path, _POD_COLUMNS))
    pods = tuple(_pod(row) for row in rows)
    _refuse_twins(path, [pod.name for pod in pods])
    seats = {pod.name: _seat(row, pod) for row, pod in zip(rows, pods, strict=True) if row.text("node")}
    return Workload(pods=pods, seats=seats)


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of a file, with its place for errors."""

    path: Path
    number: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """The cell, "" where the file has no such column."""
        value = self.cells.get(column, "").strip()
        if len(value) > MOST_TEXT or not value.isprintable():
            self.refuse(f"{column} must be printable and at most {MOST_TEXT} characters long")
        return value

    def names(self, column: str) -> frozenset[str]:
        """The cell as names joined by |."""
        return frozenset(name for name in self.text(column).split("|") if name)

    def whole(self, column: str, most: int = _MOST) -> int:
        """The cell as a whole number of 0 to `most`."""
        value = self.text(column)
        if not (value.isascii() and value.isdigit() and len(value) <= len(str(_MOST)) and int(value) <= most):
            self.refuse(f"{column} must be a whole number of 0 to {most}, got {value!r}")
        return int(value)

    def number_or_none(self, column: str) -> float | None:
        """The cell as a number of at least 0, None where it is empty."""
        value = self.text(column)
        if not value:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number <= _MOST:
            self.refuse(f"{column} must be a number of 0 to {_MOST} or empty, got {value!r}")
        return number

    def refuse(self, what: str) -> NoReturn:
        """Raise the error for this line."""
        _refuse(self.path, self.number, what)


def _node(row: _Line) -> Node:
    name, location = row.text("sn"), row.text("location")
    if not name:
        row.refuse("sn, the node's name, is empty")
    if location and location not in set(Location):
        row.refuse(f"location must be one of {', '.join(Location)}, got {location!r}")
    return Node(
        name=name,
        cpu_milli=row.whole("cpu_milli"),
        memory_mib=row.whole("memory_mib"),
        gpu_count=row.whole("gpu", MOST_GPUS_OF_A_NODE),
        model=row.text("model"),
        location=Location(location) if location else None,
        zone=row.text("zone") or None,
        price_per_hour=row.number_or_none("price_per_hour"),
        uplink_bytes_per_second=row.number_or_none("uplink_bytes_per_second"),
    )


def _pod(row: _Line) -> Pod:
    name, count, milli = row.text("name"), row.whole("num_gpu", MOST_GPUS_OF_A_NODE), row.whole("gpu_milli", MILLI)
    if not name:
        row.refuse("name is empty")
    if count and not milli:
        row.refuse(f"asks for {count} GPUs of gpu_milli 0")
    if count > 1 and milli < MILLI:
        row.refuse(f"gpu_milli below {MILLI} is for one GPU, this pod asks for {count}")
    request = Request(
        cpu_milli=row.whole("cpu_milli"),
        memory_mib=row.whole("memory_mib"),
        gpu_count=count,
        gpu_milli=milli if count else 0,  # the trace itself writes 0 there
        models=row.names("gpu_spec"),
        place=_place(row),
    )
    return Pod(
        name=name,
        request=request,
        is_movable=row.text("qos") == _MOVABLE_QOS,
        tenant=row.text("tenant"),
        gang=row.text("gang"),
        lost_gpu_seconds=row.number_or_none("lost_gpu_seconds"),
    )


def _place(row: _Line) -> Place:
    locations = row.names("locations")
    if unknown := locations - set(Location):
        row.refuse(f"locations must be of {', '.join(Location)}, got {min(unknown)!r}")
    return Place(
        locations=frozenset(Location(one) for one in locations),
        zones=row.names("zones"),
        highest_price_per_hour=row.number_or_none("highest_price_per_hour"),
        least_uplink_bytes_per_second=row.number_or_none("least_uplink_bytes_per_second"),
    )


def _seat(row: _Line, pod: Pod) -> tuple[str, tuple[int, ...]]:
    cells = [cell for cell in row.text("gpus").split("|") if cell]
    if not all(cell.isascii() and cell.isdigit() and int(cell) < MOST_GPUS_OF_A_NODE for cell in cells):
        row.refuse(f"gpus must be device numbers joined by |, got {row.text('gpus')!r}")
    gpus = tuple(int(cell) for cell in cells)
    if len(set(gpus)) != pod.request.gpu_count or len(gpus) != pod.request.gpu_count:
        row.refuse(f"gpus must name {pod.request.gpu_count} different devices, got {row.text('gpus')!r}")
    return row.text("node"), gpus


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[_Line]:
    reader = csv.DictReader(io.StringIO(_read(path)), strict=True)
    try:
        header = reader.fieldnames or []
        if missing := [column for column in needed if column not in header]:
            _refuse(path, 1, f"has no column {', '.join(missing)}")
        for number, cells in enumerate(reader):
            if number >= MOST_ROWS:
                _refuse(path, reader.line_num, f"is longer than {MOST_ROWS} rows")
            if None in cells or None in cells.values():
                _refuse(path, reader.line_num, f"must have {len(header)} columns as the header has")
            yield _Line(path, reader.line_num, cells)
    except csv.Error as error:
        _refuse(path, reader.line_num, f"is not CSV: {error}", error)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            msg = f"{path} is larger than {MOST_BYTES} bytes"
            raise InputError(msg)
        return data.decode("utf-8-sig")
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise InputError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text: {error.reason} at byte {error.start}"
        raise InputError(msg) from error


def _refuse_twins(path: Path, names: list[str]) -> None:
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        if name in seen:
            _refuse(path, number + 2, f"{name!r} stands twice, first in row {seen[name] + 1}")
        seen[name] = number


def _refuse(path: Path, line: int, what: str, cause: Exception | None = None) -> NoReturn:
    msg = f"{path} line {line}: {what}"
    raise InputError(msg) from cause
