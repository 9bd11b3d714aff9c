"""A restart goes on where the last run stopped; a file that is not sound is refused, whatever is wrong with it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.analyzer.test_engine import Scripted
from tests.detectors.scenes import Lockstep, since
from tests.detectors.test_any_frame import frames
from tests.detectors.test_breaker import hot
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.incidents import join
from warpgauge.analyzer.incidents.breaker import suspicions
from warpgauge.analyzer.incidents.engine import CLEAR_TICKS, EngineState, analyze
from warpgauge.analyzer.recommend import Ledger, recommend
from warpgauge.analyzer.recommend.topology import topology_of
from warpgauge.analyzer.snapshot import (
    Keeper,
    Memory,
    Saved,
    content_of,
    frame_content,
    open_container,
    write_container,
)
from warpgauge.analyzer.snapshot.container import FORMAT_VERSION, Stored
from warpgauge.core.catalog import device, host
from warpgauge.core.errors import InputError
from warpgauge.core.finding import Finding, FindingKind, Level, Scope, Severity, stable_id

if TYPE_CHECKING:
    from pathlib import Path

START = 1_750_000_000.0
HOT = "thermal_limited"
CPU = {"cluster": "c", "node": "n1", "cpu": "0", "mode": "user"}
GPU = {"cluster": "c", "node": "n1", "uuid": "GPU-1", "index": "0"}


def saved(frame: Frame, state: EngineState | None = None, ledger: Ledger | None = None, **changes) -> Saved:
    content = content_of(frame, max_bytes=changes.pop("max_bytes", 2**30))
    names = changes.pop("names", NodeNames("c"))
    return Saved(
        frame=content,
        state=state or EngineState(),
        names=names.document(),
        ledger=ledger or Ledger(),
        run=lambda work: work(),
    )


def again(folder: Path, one: Saved, *, now: float, window_seconds: float = 3600.0) -> Memory:
    write_container(folder / "file", one.document(), one.stored())
    with open_container(folder / "file") as reader:
        return Memory.of(reader, window_seconds=window_seconds, cluster="c", now=now)


def assert_same(one: Frame, other: Frame) -> None:
    assert (one.now, one.newest_sample, one.series) == (other.now, other.newest_sample, other.series)
    assert one.jobs == other.jobs
    assert one.device_job == other.device_job
    np.testing.assert_array_equal(one.allocated_since, other.allocated_since)
    np.testing.assert_array_equal(one.has_device_clock, other.has_device_clock)
    for mine, theirs in zip(one.parts().tables.by_number, other.parts().tables.by_number, strict=True):
        assert mine.entities == theirs.entities
        assert mine.channels == theirs.channels
        np.testing.assert_array_equal(mine.last_seen_ms[: len(mine)], theirs.last_seen_ms[: len(mine)])
        for number in range(len(mine.channels)):
            np.testing.assert_array_equal(mine.newest(number, one.columns), theirs.newest(number, one.columns))
    assert [detector.detect(one) for detector in DETECTORS] == [detector.detect(other) for detector in DETECTORS]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=frames())
def test_what_was_saved_is_restored_whatever_the_frame(tmp_path: Path, frame: Frame):
    window_seconds = frame.columns * frame.step_seconds

    memory = again(tmp_path, saved(frame), now=frame.now, window_seconds=window_seconds)

    assert_same(frame, memory.frame)


def feed(frame: Frame, second: float, *, uuid: str = "GPU-1") -> None:
    """A counter and the workload of a device, asked for by their labels as after a restart."""
    ids = [
        frame.series_id(host.CPU_SECONDS, CPU, origin="page"),
        frame.series_id(device.WORKLOAD_INFO, {**GPU, "uuid": uuid, "job_id": "j"}, origin="page"),
    ]
    frame.ingest(np.array(ids), np.full(2, round((START + second) * 1000)), np.array([second * 0.5, 1.0]))


def test_a_counter_goes_on_without_a_gap_and_a_job_keeps_its_age(tmp_path: Path):
    frame = Frame()
    ids = np.array(
        [
            frame.series_id(host.CPU_SECONDS, CPU, origin="page"),
            frame.series_id(device.WORKLOAD_INFO, {**GPU, "job_id": "j"}, origin="page"),
        ]
    )
    for second in (0, 10, 20):
        frame.ingest(ids, np.full(2, round((START + second) * 1000)), np.array([second * 0.5, 1.0]))
    restored = again(tmp_path, saved(frame), now=START + 25).frame

    feed(restored, 30)

    assert restored.series == 2
    assert restored.values(host.CPU_SECONDS, "user", seconds=30)[0].tolist() == [0.5, 0.5, 0.5]
    assert restored.allocated_since.tolist() == [START]


def test_a_rate_does_not_jump_over_a_long_gap(tmp_path: Path):
    frame = Frame()
    feed(frame, 0)
    restored = again(tmp_path, saved(frame), now=START + 600).frame

    feed(restored, 600)
    feed(restored, 610)

    assert np.isnan(restored.values(host.CPU_SECONDS, "user", seconds=20)[0, 0])


def test_a_series_that_the_frame_forgot_others_for_keeps_its_counter_and_its_job():
    frame = Frame(window_seconds=600)
    for number in range(100):
        gone = frame.series_id(device.POWER, {**GPU, "uuid": f"gone-{number}"})
        frame.ingest(np.array([gone]), np.array([round(START * 1000)]), np.array([1.0]))
    ids = np.array(
        [
            frame.series_id(host.CPU_SECONDS, CPU, origin="page"),
            frame.series_id(device.WORKLOAD_INFO, {**GPU, "job_id": "j"}, origin="page"),
        ]
    )
    for second in (4980, 4990, 5000):
        frame.ingest(ids, np.full(2, round((START + second) * 1000)), np.array([second * 0.5, 1.0]))
    frame.expire()

    feed(frame, 5010)

    assert frame.generation == 1
    assert frame.values(host.CPU_SECONDS, "user", seconds=30)[0].tolist() == [0.5, 0.5, 0.5]
    assert frame.allocated_since.tolist() == [START + 4980]


def hot_job() -> Frame:
    throttled = {2: {"sw_thermal": since(90, 40, 1.0)}}
    return Lockstep(throttled=throttled, sm_hertz={2: since(90, 40, 1.2e9, 1.98e9)}).frame()


def test_findings_and_advice_are_the_same_documents_after_a_restart(tmp_path: Path):
    frame = hot_job()
    result = analyze(frame, EngineState(), DETECTORS)
    ledger = recommend(result.findings, (), topology_of(frame), Ledger(), now=frame.now).ledger
    names = NodeNames("c")
    names.learn("host_info", {"nodename": "n1", "instance": "10.0.0.1:9837"})

    memory = again(tmp_path, saved(frame, result.state, ledger, names=names), now=frame.now)
    after = analyze(memory.frame, memory.state, DETECTORS)

    assert result.findings
    assert memory.state == result.state
    assert memory.ledger == ledger
    assert after.findings == result.findings
    assert memory.names.node({"instance": "10.0.0.1:9837"}) == "n1"
    assert recommend(after.findings, (), topology_of(memory.frame), memory.ledger, now=frame.now).fresh == ()


def test_what_a_finding_was_at_its_worst_is_known_after_a_restart(tmp_path: Path):
    frame = hot_job()
    state = analyze(frame, EngineState(), DETECTORS).state
    faded = {
        key: replace(one, finding=replace(one.finding, summary="warm"), worst=one.finding)
        for key, one in state.open.items()
    }

    memory = again(tmp_path, saved(frame, replace(state, open=faded)), now=frame.now)

    assert memory.state.open == faded
    assert faded


def test_after_a_gap_a_finding_stays_as_long_as_nothing_can_be_judged(tmp_path: Path):
    frame = hot_job()
    result = analyze(frame, EngineState(), DETECTORS)
    restart = frame.now + 200.0
    memory = again(tmp_path, saved(frame, result.state), now=restart)
    state, kept = memory.state, set()
    for second in range(0, 100 * CLEAR_TICKS, 10):
        memory.frame.advance(restart + second)
        tick = analyze(memory.frame, state, DETECTORS)
        state = tick.state
        kept.add(frozenset((finding.id, finding.since) for finding in tick.findings if finding.kind == HOT))

    assert kept == {frozenset((finding.id, finding.since) for finding in result.findings if finding.kind == HOT)}
    assert kept != {frozenset()}


def test_an_update_that_brings_metrics_costs_the_samples_and_nothing_else(tmp_path: Path, monkeypatch):
    frame = hot_job()
    result = analyze(frame, EngineState(), DETECTORS)
    ledger = recommend(result.findings, (), topology_of(frame), Ledger(), now=frame.now).ledger
    older = replace(saved(frame, result.state, ledger), usage={"days": 6}, opted_out=frozenset({("c", "n9")}))
    with monkeypatch.context() as changed:
        changed.setattr(frame_content, "_schema", lambda: "of an older version")
        write_container(tmp_path / "file", older.document(), older.stored())

    with open_container(tmp_path / "file") as reader:
        memory = Memory.of(reader, window_seconds=3600.0, cluster="c", now=frame.now + 2)
    memory.frame.advance(frame.now + 10)
    tick = analyze(memory.frame, memory.state, DETECTORS)

    assert memory.frame.series == 0
    assert (memory.ledger, memory.usage, memory.opted_out) == (ledger, {"days": 6}, frozenset({("c", "n9")}))
    assert result.findings
    assert [(one.id, one.since) for one in tick.findings] == [(one.id, one.since) for one in result.findings]


def test_a_short_pause_makes_no_exception(tmp_path: Path):
    frame = hot_job()

    memory = again(tmp_path, saved(frame), now=frame.now + 5)

    assert memory.state.resumed is None


def test_a_large_frame_is_cut_to_its_newest_columns(tmp_path: Path):
    frame = Frame(window_seconds=600)
    series = frame.series_id(host.LOAD1, {"cluster": "c", "node": "n1"})
    for step in range(60):
        frame.ingest(np.array([series]), np.array([round((START + 10 * step) * 1000)]), np.array([float(step)]))

    memory = again(tmp_path, saved(frame, max_bytes=4 * 10), now=frame.now, window_seconds=600)

    kept = memory.frame.values(host.LOAD1)[0]
    assert kept[-10:].tolist() == list(range(50, 60))
    assert np.isnan(kept[:-10]).all()


def test_another_window_takes_what_it_has_room_for(tmp_path: Path):
    frame = hot_job()

    memory = again(tmp_path, saved(frame), now=frame.now, window_seconds=300)

    expected = frame.values(device.CLOCK, "sm", seconds=300)
    np.testing.assert_array_equal(memory.frame.values(device.CLOCK, "sm"), expected)


@pytest.fixture(name="sound")
def _sound(tmp_path: Path) -> Path:
    frame = hot_job()
    result = analyze(frame, EngineState(), DETECTORS)
    Keeper(tmp_path, interval_seconds=60).save(saved(frame, result.state))
    return tmp_path


def load(folder: Path, now: float | None = None) -> Memory | None:
    moment = hot_job().now if now is None else now
    return Keeper(folder, interval_seconds=60).load(window_seconds=3600, cluster="c", now=moment)


def path_of(folder: Path) -> Path:
    return Keeper(folder, interval_seconds=60).path


def test_nothing_there_is_no_fault(tmp_path: Path, caplog):
    assert load(tmp_path) is None
    assert not caplog.records


def test_the_file_is_for_its_owner_alone(sound: Path):
    assert path_of(sound).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("length", [0, 5, 20, 100, 5000, -1])
def test_a_file_that_is_cut_off_is_refused(sound: Path, length: int, caplog):
    content = path_of(sound).read_bytes()
    path_of(sound).write_bytes(content[:length])

    assert load(sound) is None
    assert "snapshot not used" in caplog.text


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_a_byte_that_flipped_anywhere_is_noticed(sound: Path, at: int, flip: int):
    whole = path_of(sound).with_suffix(".whole")
    if not whole.exists():
        whole.write_bytes(path_of(sound).read_bytes())
    content = bytearray(whole.read_bytes())
    content[at % len(content)] ^= flip
    path_of(sound).write_bytes(content)

    assert load(sound) is None


def test_an_array_larger_than_its_file_is_refused_before_there_is_room_for_it(tmp_path: Path):
    rows = [{"name": "a", "dtype": "<f8", "shape": [2**45]}]
    document = json.dumps({"arrays": rows, "content": {}}).encode()
    header = struct.pack("<8sIIQ", b"WGSNAP\r\n", FORMAT_VERSION, zlib.crc32(document), len(document))
    (tmp_path / "file").write_bytes(header + document)
    with pytest.raises(InputError, match="it is cut off"), open_container(tmp_path / "file"):
        pass


def test_a_file_to_which_something_was_appended_is_refused(tmp_path: Path):
    path = tmp_path / "file"
    write_container(path, {}, [])
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match="it holds more than it should"), open_container(path):
        pass


def test_a_whole_file_of_a_later_version_is_refused(tmp_path: Path):
    path = tmp_path / "file"
    write_container(path, {}, [])
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 8, FORMAT_VERSION + 1)
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"it has version {FORMAT_VERSION + 1}"), open_container(path):
        pass


def test_a_document_that_still_can_be_read_but_says_something_else_is_refused(tmp_path: Path):
    path = tmp_path / "file"
    write_container(path, {"times": 1}, [])
    path.write_bytes(path.read_bytes().replace(b'"times":1', b'"times":2'))
    with pytest.raises(InputError, match="its document is damaged"), open_container(path):
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"SQLite format 3\x00" + bytes(100),
        struct.pack("<8sIIQ", b"WGSNAP\r\n", FORMAT_VERSION + 1, 0, 0),
        struct.pack("<8sIIQ", b"WGSNAP\r\n", FORMAT_VERSION - 1, 0, 0),
        struct.pack("<8sIIQ", b"WGSNAP\r\n", FORMAT_VERSION, 0, 2**63),
        struct.pack("<8sIIQ", b"WGSNAP\r\n", FORMAT_VERSION, zlib.crc32(b"[[["), 3) + b"[[[",
        struct.pack("<8sIIQ", b"WGSNAP\r\n", FORMAT_VERSION, zlib.crc32(b"{}"), 2) + b"{}",
    ],
)
def test_foreign_older_and_newer_files_are_refused(tmp_path: Path, content: bytes, caplog):
    path_of(tmp_path).write_bytes(content)

    assert load(tmp_path) is None
    assert "snapshot not used" in caplog.text


def test_a_document_that_promises_more_than_there_is_makes_no_room_for_it(tmp_path: Path):
    rows = [{"name": "states.last", "dtype": "<f8", "shape": [2**40]}]
    document = json.dumps({"arrays": rows, "content": {}}).encode()
    header = struct.pack("<8sIIQ", b"WGSNAP\r\n", FORMAT_VERSION, zlib.crc32(document), len(document))
    path_of(tmp_path).write_bytes(header + document)

    assert load(tmp_path) is None


def _numbers_replaced(document, value):
    if isinstance(document, dict):
        return {key: _numbers_replaced(inner, value) for key, inner in document.items()}
    if isinstance(document, list):
        return [_numbers_replaced(inner, value) for inner in document]
    return document if isinstance(document, (str, bool)) or document is None else value


@pytest.mark.parametrize("value", [-1, 10**6, None, "x", [], {}, 1e300])
@pytest.mark.parametrize("part", ["frame", "open", "names", "issued"])
def test_a_document_of_the_right_form_with_wrong_numbers_is_refused_or_harmless(sound: Path, value, part: str):
    with pytest.raises(InputError), open_container(path_of(sound)) as reader:
        document = reader.content
    one = saved(hot_job())
    document = one.document()
    document[part] = _numbers_replaced(document[part], value) if isinstance(value, (int, float)) else value
    write_container(path_of(sound), document, one.stored())

    memory = load(sound)

    if memory is not None:
        analyze(memory.frame, memory.state, DETECTORS)


@pytest.mark.parametrize("name", ["cells.row", "cells.channel", "cells.table"])
def test_indices_out_of_range_are_refused(sound: Path, name: str):
    one = saved(hot_job())
    one.frame.arrays[name][0] = 100
    write_container(path_of(sound), one.document(), one.stored())

    assert load(sound) is None


@pytest.mark.parametrize("seconds", [3700.0, -3700.0])
def test_what_is_older_than_the_window_or_from_the_future_is_refused(sound: Path, seconds: float, caplog):
    assert load(sound, now=hot_job().now + seconds) is None
    assert "s old, the window is" in caplog.records[0].error


def test_a_full_disk_costs_a_line_in_the_log_and_leaves_the_old_file(sound: Path, caplog):
    before = path_of(sound).read_bytes()
    keeper = Keeper(sound, interval_seconds=60)
    keeper.path = sound / "nowhere" / "file"

    keeper.save(saved(hot_job()))

    assert "snapshot not written" in caplog.text
    assert path_of(sound).read_bytes() == before


def test_a_disk_that_stays_full_is_one_line_in_the_log_and_its_end_another(sound: Path, caplog):
    caplog.set_level("INFO")
    keeper = Keeper(sound, interval_seconds=60)
    keeper.path = sound / "nowhere" / "file"
    for _ in range(3):
        keeper.save(saved(hot_job()))
    (sound / "nowhere").mkdir()
    for _ in range(2):
        keeper.save(saved(hot_job()))
    assert [record.message for record in caplog.records] == ["snapshot not written", "snapshot is written again"]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from warpgauge.analyzer.snapshot.container import Stored, write_container

def parts():
    yield np.zeros(10_000)
    os.kill(os.getpid(), signal.SIGKILL)

write_container(Path(sys.argv[1]), {}, [Stored("a", "<f8", (20_000,), parts())])
"""


def test_a_kill_while_it_is_written_leaves_the_old_one(sound: Path):
    before = path_of(sound).read_bytes()

    command = [sys.executable, "-c", KILLED, str(path_of(sound))]
    ended = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})

    assert ended.returncode == -signal.SIGKILL
    assert path_of(sound).read_bytes() == before
    assert load(sound) is not None


def test_rows_that_were_renumbered_meanwhile_leave_the_old_file(sound: Path, caplog):
    caplog.set_level(logging.WARNING)
    before = path_of(sound).read_bytes()
    frame = hot_job()
    one = saved(frame)
    frame.devices.keep_rows(np.arange(2))

    Keeper(sound, interval_seconds=60).save(one)

    assert "renumbered" in caplog.records[0].error
    assert path_of(sound).read_bytes() == before


def test_arrays_are_read_in_the_order_in_which_they_were_written(tmp_path: Path):
    write_container(tmp_path / "file", {}, [Stored.whole("a", np.arange(3.0)), Stored.whole("b", np.arange(2.0))])

    with pytest.raises(InputError, match="b is not where it belongs"), open_container(tmp_path / "file") as reader:
        reader.array("b")
    with pytest.raises(InputError, match="more than it should"), open_container(tmp_path / "file") as reader:
        reader.array("a")


def test_the_pause_between_two_grows_with_what_writing_took(tmp_path: Path):
    keeper = Keeper(tmp_path, interval_seconds=0.0001)

    keeper.save(saved(hot_job()))

    assert keeper.rest_seconds > 0.0001


def test_asyncio_is_not_needed_to_write_from_another_thread(tmp_path: Path):
    async def run() -> None:
        await asyncio.to_thread(Keeper(tmp_path, interval_seconds=60).save, saved(hot_job()))

    asyncio.run(run())

    assert load(tmp_path) is not None


def test_an_incident_keeps_its_id_its_root_and_its_age_over_a_restart(tmp_path: Path):
    """Also where the finding that it began with has ended: nothing that holds would give the id again."""
    frame = Lockstep(columns=12).frame()
    lost = stored_finding(FindingKind.DEVICE_LOST, frame.now - 100)
    slow = stored_finding(FindingKind.STRAGGLER, frame.now - 50)
    known = join([slow], frame, join([lost, slow], frame), [replace(lost, ended=frame.now)])
    (before,) = known.values()

    memory = again(
        tmp_path, saved(frame, EngineState(incidents=known)), now=frame.now, window_seconds=12 * frame.step_seconds
    )

    (after,) = join([slow], memory.frame, memory.state.incidents).values()
    assert after == before
    assert (after.incident.root_cause, after.incident.since) == (lost.id, lost.since)
    assert stable_id("incident", slow.id) != after.incident.id


def test_the_breaker_goes_on_after_a_restart_while_its_detectors_are_blind(tmp_path: Path):
    """Else every single finding of the fleet would be heard at the first tick."""
    builder = FrameBuilder(columns=12)
    for node in range(6):
        builder.device(f"n{node}", f"GPU-{node}")
        builder.gauge(device.POWER, 300.0, node=f"n{node}", uuid=f"GPU-{node}", index="0")
    frame, detector = builder.build(), Scripted()
    detector.says = tuple(hot(node, since=frame.now - 60) for node in range(6))
    before = analyze(frame, EngineState(), [detector], join=join, suspect=suspicions)

    memory = again(tmp_path, saved(frame, before.state), now=frame.now + 50, window_seconds=120)
    detector.says = ()
    state = memory.state
    for _ in range(CLEAR_TICKS + 1):
        after = analyze(memory.frame, state, [detector], join=join, suspect=suspicions)
        state = after.state

    assert [finding.id for finding in after.findings if finding.muted is None] == [before.findings[0].id]
    assert [one.id for one in after.incidents] == [one.id for one in before.incidents]


def test_what_nodes_share_is_known_after_a_restart(tmp_path: Path):
    frame = Lockstep(columns=12).frame()
    frame.layout.learn("test", "n0", {"rack": "r7"})

    memory = again(tmp_path, saved(frame), now=frame.now, window_seconds=12 * frame.step_seconds)

    assert memory.frame.layout.name(Level.RACK, "test", "n0") == "r7"


def stored_finding(kind: FindingKind, since: float) -> Finding:
    scope = Scope(cluster="test", node="n0", uuid="GPU-1", job_id="train")
    return Finding(
        id=stable_id(kind), kind=kind, severity=Severity.WARNING, scope=scope, since=since, confirmed=since,
        confidence=0.9, evidence=(), summary=f"{kind}.", remedy="",
    )  # fmt: skip
