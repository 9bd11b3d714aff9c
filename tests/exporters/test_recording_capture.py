"""The two processes of a recording over a real shared library: what ends it, and that the file is good each time."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.fakes.nvml_c import build_stub, set_faults, stub_environment
from warpgauge.core.catalog import Tier
from warpgauge.core.errors import SourceError, StorageError
from warpgauge.exporters.recording import Plan, capture, read_recording
from warpgauge.exporters.recording.lines import encode
from warpgauge.exporters.recording.storage import zstd

pytestmark = pytest.mark.slow

INTERVALS = {Tier.FAST: 0.1, Tier.NORMAL: 0.2, Tier.SLOW: 0.5}
GPUS = 2


@pytest.fixture(scope="session")
def stub(tmp_path_factory):
    return build_stub(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def plan(stub, tmp_path):
    """`plan(seconds=...)`: what to record from the library, whose faults are in tmp_path / "faults"."""

    def make(**settings):
        environment = stub_environment(stub, tmp_path / "faults", gpus=GPUS)
        usual = {"seconds": 0.3, "intervals": INTERVALS, "deadline_seconds": 0.5, "start_seconds": 2.0}
        return Plan(**{**usual, "environment": environment, **settings})

    set_faults(tmp_path / "faults")
    return make


def test_a_masked_recording_holds_no_identity_of_the_machine_or_its_boards(plan, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    done = capture(out, plan(all_ids=True))
    assert done.end.reason == "done"
    recording = read_recording(out)
    assert not recording.is_truncated
    lines = zstd.decompress(out.read_bytes())
    contents = b"\0".join(data for call in recording.calls for data in call.outputs.values())
    own = [f"GPU-{gpu:08x}-0000-4000-8000-{gpu:012x}".encode() for gpu in range(GPUS)]
    for secret in (*own, json.dumps(platform.node()).encode()):
        assert secret not in lines
        assert secret not in contents
    assert len(set(re.findall(rb"GPU-[0-9a-f-]{36}", contents))) == GPUS
    pids = {
        call.outputs[2][:4] for call in recording.calls if "RunningProcesses" in call.function and 2 in call.outputs
    }
    assert pids == {(100_001).to_bytes(4, "little")}
    assert re.fullmatch(r"host-[0-9a-f]{8}", recording.header.machine)
    assert recording.header.driver == "580.65.06"


def test_without_masking_the_identities_are_there_and_the_header_says_so(plan, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    capture(out, plan(is_masked=False))
    recording = read_recording(out)
    contents = b"".join(data for call in recording.calls for data in call.outputs.values())
    assert b"GPU-00000001-0000-4000-8000-000000000001" in contents
    assert (recording.header.is_masked, recording.header.machine) == (False, platform.node())


def test_a_call_that_never_comes_back_ends_the_recording_and_is_named(plan, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    set_faults(tmp_path / "faults", "hang 1")
    done = capture(out, plan(start_seconds=0.5))
    assert (done.end.reason, done.end.function, done.end.device) == ("hung", "nvmlDeviceGetHandleByIndex_v2", 1)
    recording = read_recording(out)
    assert recording.end == done.end
    assert {call.device for call in recording.calls} == {None, 0}
    assert not [child for child in psutil.Process().children() if "recording.child" in " ".join(child.cmdline())]


def test_a_hang_in_the_middle_keeps_what_came_before(plan, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    begun = time.monotonic()
    done = capture(out, plan(seconds=60.0, start_seconds=0.7), is_over=lambda: _hang_after(begun, tmp_path))
    assert (done.end.reason, done.end.device) == ("hung", 0)
    assert done.end.function.startswith("nvmlDeviceGet")
    assert sum(call.function == "nvmlDeviceGetPowerUsage" for call in read_recording(out).calls) > 3


def _hang_after(begun, tmp_path):
    if time.monotonic() - begun > 1.5:
        set_faults(tmp_path / "faults", "hang 0")
    return False


def test_a_crash_inside_the_driver_is_named_too(plan, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    set_faults(tmp_path / "faults", "crash 0")
    done = capture(out, plan())
    assert (done.end.reason, done.end.function, done.end.detail) == (
        "crashed", "nvmlDeviceGetHandleByIndex_v2", "SIGSEGV",
    )  # fmt: skip
    assert read_recording(out).end == done.end


def test_a_driver_that_is_not_loaded_is_worth_a_recording(plan, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    set_faults(tmp_path / "faults", "unloaded")
    assert capture(out, plan()).end.reason == "failed"
    (init,) = read_recording(out).calls
    assert (init.function, init.code) == ("nvmlInitWithFlags", 9)


def test_a_machine_without_the_library_gets_a_sentence_and_no_file(plan, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    empty = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    with pytest.raises(SourceError, match=r"no libnvidia-ml\.so\.1 on this machine"):
        capture(out, plan(environment=empty))
    assert not out.exists()


def test_nothing_is_recorded_into_a_file_that_exists(plan, tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(StorageError):
        capture(tmp_path / "a", plan())
    assert (tmp_path / "a").read_text() == "mine"


def recorder(stub, tmp_path, out, **options):
    environment = {
        **stub_environment(stub, tmp_path / "faults", gpus=1),
        "WARPGAUGE_AGENT_FAST_INTERVAL_SECONDS": "0.1",
    }
    command = [sys.executable, "-m", "warpgauge", "record", "--out", out, "--seconds", "60"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def until(claim, seconds=10.0):
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_recorder_that_is_killed_loses_a_second_at_most_and_leaves_no_process(stub, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    with recorder(stub, tmp_path, out) as process:
        until(lambda: out.exists() and out.stat().st_size > 2000)
        child = psutil.Process(process.pid).children()[0]
        begun = read_recording(out).header.start
        time.sleep(1.5)
        killed = time.time()
        process.kill()
    recording = read_recording(out)
    assert recording.is_truncated
    assert begun + recording.seconds > killed - 1.2
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_ctrl_c_ends_a_recording_well(stub, tmp_path):
    out = tmp_path / "a.jsonl.zst"
    with recorder(stub, tmp_path, out) as process:
        until(lambda: out.exists() and out.stat().st_size > 2000)
        process.send_signal(signal.SIGINT)
        text, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert "it went to its end" in text
    assert encode(read_recording(out).end).startswith(b'{"t":')
