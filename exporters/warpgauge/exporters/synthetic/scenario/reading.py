"""Scenario files: strict TOML, each complaint with its line and the mend."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from warpgauge.core.errors import InputError
from warpgauge.exporters.synthetic.gpu import BOARDS
from warpgauge.exporters.synthetic.scenario.causes import CAUSES, Strikes
from warpgauge.exporters.synthetic.scenario.keys import Place, closest, read_table
from warpgauge.exporters.synthetic.scenario.plan import (
    FaultPlan,
    FleetPlan,
    JobPlan,
    KernelPlan,
    Scenario,
    TroublePlan,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["devices_of", "read_scenario", "scenario_from_text"]

T = TypeVar("T")
_MOST_BYTES: Final = 1 << 20
_MOST_ROWS: Final = 1000
_TABLES: Final = {"fleet": FleetPlan, "job": JobPlan, "fault": FaultPlan, "trouble": TroublePlan}
_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z_][\w-]*)\s*\]")
_KEY: Final = re.compile(r"\s*([A-Za-z_][\w-]*)\s*=")
_DEVICE: Final = re.compile(r"(\d{1,3}):(\d{1,2})(?:-(\d{1,2}))?")


def read_scenario(path: Path) -> Scenario:
    """The scenario in a file.

    Raises:
        InputError: it cannot be read or says something that cannot be; `file:line: key what is wrong; the mend`.

    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        msg = f"cannot read the scenario {path}: {error.strerror or error}"
        raise InputError(msg) from error
    if len(content) > _MOST_BYTES:
        msg = f"{path} is larger than {_MOST_BYTES >> 20} MiB: this is no scenario"
        raise InputError(msg)
    try:
        return scenario_from_text(content.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text (byte {error.start})"
        raise InputError(msg) from error


def scenario_from_text(text: str, name: str) -> Scenario:
    """The scenario that a text describes; `name` stands in messages.

    Raises:
        InputError: as `read_scenario`.

    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{name} is not valid TOML: {error}"
        raise InputError(msg) from error
    lines = _lines(text)
    tables = {key: document.pop(key) for key in list(document) if key in _TABLES}
    fleet = tables.pop("fleet", {})
    if not isinstance(fleet, dict):
        Place(name, "", lines).fail("fleet", "must be a table: [fleet]")
    plan = read_table(Scenario, document, Place(name, "", lines))
    scenario = replace(
        plan,
        fleet=read_table(FleetPlan, fleet, Place(name, "fleet", lines)),
        jobs=_rows(JobPlan, "job", tables, Place(name, "", lines)),
        faults=_rows(FaultPlan, "fault", tables, Place(name, "", lines)),
        troubles=_rows(TroublePlan, "trouble", tables, Place(name, "", lines)),
    )
    _Check(scenario, name, lines).all()
    return scenario


def _rows(cls: type[T], word: str, tables: Mapping[str, Any], top: Place) -> tuple[T, ...]:
    rows = tables.get(word, [])
    if not isinstance(rows, list) or len(rows) > _MOST_ROWS or not all(isinstance(row, dict) for row in rows):
        top.fail(word, f"must be tables [[{word}]], at most {_MOST_ROWS}")
    return tuple(
        read_table(cls, row, Place(top.file, f"{word}[{number}]", top.lines)) for number, row in enumerate(rows)
    )


def _lines(text: str) -> dict[tuple[str, str], int]:
    """Line of each (table, key); a table's own line stands under the key "". `tomllib` does not tell them."""
    found: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            table = header[2]
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            found.setdefault((table, ""), number)
        elif found_key := _KEY.match(line):
            found.setdefault((table, found_key[1]), number)
    return found


def devices_of(texts: list[str] | tuple[str, ...]) -> list[tuple[int, int]]:
    """(node, index) of each device named as "NODE:INDEX" or "NODE:FIRST-LAST".

    Raises:
        ValueError: a text names none.

    """
    found: list[tuple[int, int]] = []
    for text in texts:
        match = _DEVICE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            msg = f"{text!r} is no device; write it as NODE:INDEX or NODE:FIRST-LAST"
            raise ValueError(msg)
        node, first, last = int(match[1]), int(match[2]), int(match[3] or match[2])
        found += [(node, index) for index in range(first, last + 1)]
    return found


class _Check:
    """What one key alone cannot tell: places that exist, ranks a job has, devices nobody else holds."""

    def __init__(self, scenario: Scenario, name: str, lines: Mapping[tuple[str, str], int]) -> None:
        self._scenario = scenario
        self._name = name
        self._lines = lines
        self._seats: dict[str, list[tuple[int, int]]] = {}

    def all(self) -> None:
        """Check everything, in the order of the file."""
        self._fleet()
        held: list[tuple[tuple[int, int], JobPlan]] = []
        for number, job in enumerate(self._scenario.jobs):
            self._job(job, self._place("job", number), held)
        for number, fault in enumerate(self._scenario.faults):
            self._fault(fault, self._place("fault", number))
        for number, trouble in enumerate(self._scenario.troubles):
            if trouble.node >= self._scenario.fleet.nodes:
                self._place("trouble", number).fail("node", self._no_node(trouble.node))

    def _place(self, word: str, number: int) -> Place:
        return Place(self._name, f"{word}[{number}]", self._lines)

    def _no_node(self, node: object) -> str:
        return f"is {node}, and the fleet has nodes 0 to {self._scenario.fleet.nodes - 1}"

    def _fleet(self) -> None:
        fleet, place = self._scenario.fleet, Place(self._name, "fleet", self._lines)
        if fleet.boards and len(fleet.boards) != fleet.nodes:
            place.fail("boards", f"must name one board for each of the {fleet.nodes} nodes")
        for board in fleet.boards:
            if board not in BOARDS:
                place.fail("boards", f"holds {board!r}{closest(str(board), BOARDS)}")
        if fleet.racks > fleet.nodes:
            place.fail("racks", f"must not be more than the {fleet.nodes} nodes")

    def _job(self, job: JobPlan, place: Place, held: list[tuple[tuple[int, int], JobPlan]]) -> None:
        if job.id in self._seats:
            place.fail("id", f"{job.id!r} is taken by another job")
        seats = self._seats[job.id] = self._seats_of(job, place)
        if job.start_seconds >= job.end_seconds:
            place.fail("end_seconds", "must be after start_seconds")
        for seat in seats:
            for other, rival in held:
                if other == seat and job.start_seconds < rival.end_seconds and rival.start_seconds < job.end_seconds:
                    place.fail("devices" if job.devices else "nodes", f"overlap with job {rival.id!r}")
        held += [(seat, job) for seat in seats]
        if job.stages > len(seats):
            place.fail("stages", f"must not be more than its {len(seats)} ranks")
        if job.stage_ratios and (
            len(job.stage_ratios) != job.stages or not all(_is_ratio(each) for each in job.stage_ratios)
        ):
            place.fail("stage_ratios", f"must be {job.stages} numbers from 0.2 to 5")
        if job.kernel is not None:
            read_table(KernelPlan, job.kernel, Place(self._name, f"{place.table}.kernel", self._lines))
        self._scale(job, place, len(seats))

    def _scale(self, job: JobPlan, place: Place, seats: int) -> None:
        if job.scale and job.kind != "serving":
            place.fail("scale", "is for kind serving")
        for pair in job.scale:
            if not (isinstance(pair, list) and len(pair) == 2 and 0 <= pair[1] <= seats):  # noqa: PLR2004 - a pair
                place.fail("scale", f"must hold pairs [seconds, devices], at most {seats} devices; got {pair!r}")

    def _seats_of(self, job: JobPlan, place: Place) -> list[tuple[int, int]]:
        fleet = self._scenario.fleet
        if bool(job.nodes) == bool(job.devices):
            place.fail("nodes", "or devices must be given, and only one of them")
        try:
            seats = devices_of(job.devices) if job.devices else []
        except ValueError as error:
            place.fail("devices", f"must name devices: {error}")
        for node in job.nodes:
            if type(node) is not int:
                place.fail("nodes", f"must be whole numbers, got {node!r}")
            seats += [(node, index) for index in range(fleet.devices_per_node)]
        for node, index in seats:
            if not 0 <= node < fleet.nodes:
                place.fail("devices" if job.devices else "nodes", f"name {self._no_node(node)}")
            if index >= fleet.devices_per_node:
                place.fail("devices", f"name device {index} of {fleet.devices_per_node} (0 is the first)")
        return seats

    def _fault(self, fault: FaultPlan, place: Place) -> None:
        cause = CAUSES.get(fault.cause)
        if cause is None:
            place.fail("cause", f"is {fault.cause!r}{closest(fault.cause, CAUSES)}")
        low, high = cause.sizes
        if fault.size and not low <= fault.size <= high:
            place.fail("size", f"must be from {low:g} to {high:g} for {fault.cause}: {cause.measure}")
        if fault.start_seconds >= self._scenario.duration_seconds:
            place.fail("start_seconds", f"is past the scenario's {self._scenario.duration_seconds:g} s")
        job = next((one for one in self._scenario.jobs if one.id == fault.job), None)
        if fault.job and job is None:
            place.fail("job", f"is {fault.job!r}{closest(fault.job, self._seats)}")
        self._target(fault, job, cause.strikes, place)
        if cause.needs and (job is None or job.kind not in cause.needs):
            place.fail("job", f"must name a job of kind {' or '.join(cause.needs)} for {fault.cause}")

    def _target(self, fault: FaultPlan, job: JobPlan | None, strikes: Strikes, place: Place) -> None:
        """The one thing that the cause strikes must be named, and exist."""
        if strikes is Strikes.NODE and not 0 <= fault.node < self._scenario.fleet.nodes:
            place.fail("node", f"must be named: {fault.cause} strikes a machine, 0 to {self._last}")
        if strikes in {Strikes.JOB, Strikes.SERVER} and job is None:
            place.fail("job", f"must be named: {fault.cause} strikes a {strikes}")
        if strikes is Strikes.STAGE and (job is None or not 0 <= fault.stage < job.stages):
            place.fail("stage", f"must be named with its job: {fault.cause} strikes a pipeline stage")
        if strikes is Strikes.DEVICE:
            self._device(fault, job, place)

    @property
    def _last(self) -> int:
        return self._scenario.fleet.nodes - 1

    def _device(self, fault: FaultPlan, job: JobPlan | None, place: Place) -> None:
        if job is not None:
            most = len(self._seats[job.id]) - 1
            if not 0 <= fault.rank <= most:
                place.fail("rank", f"must be a rank of {job.id}, 0 to {most}")
            return
        try:
            seats = devices_of([fault.device])
        except ValueError:
            place.fail("device", f"or job and rank must be given: {fault.cause} strikes a device")
        fleet = self._scenario.fleet
        if len(seats) != 1 or seats[0][0] >= fleet.nodes or seats[0][1] >= fleet.devices_per_node:
            place.fail("device", f"must be one of {fleet.nodes} x {fleet.devices_per_node}, got {fault.device!r}")


def _is_ratio(value: object) -> bool:
    return isinstance(value, (int, float)) and 0.2 <= value <= 5  # noqa: PLR2004 - the range that the message tells
