"""`warpgauge record` and `warpgauge replay` as they are typed."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import urllib.request
from contextlib import redirect_stderr, redirect_stdout, suppress

import pytest

from tests.fakes.nvml_c import build_stub, stub_environment
from warpgauge.cli.main import main
from warpgauge.core.clock import ManualClock
from warpgauge.core.exposition import labels_of, parse
from warpgauge.exporters.recording.lines import Call, End, Header, Mark, encode, encode_header
from warpgauge.exporters.recording.storage import FLUSH_SECONDS, Writer


def typed(*argv):
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            code = main([str(word) for word in argv], {})
        except SystemExit as stop:
            code = stop.code
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recording of two seconds from the C library, and what the recorder said."""
    folder = tmp_path_factory.mktemp("record")
    out = folder / "stub.jsonl.zst"
    command = [sys.executable, "-m", "warpgauge", "record", "--out", out, "--seconds", "2.2", "--every=0.5", "--json"]
    environment = stub_environment(build_stub(folder, "-DOLD"), gpus=2)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return out, json.loads(done.stdout)


@pytest.mark.slow
def test_the_summary_of_the_recorder_counts_what_is_in_the_file(recorded):
    path, summary = recorded
    assert json.loads(typed("replay", path, "--json")[1]) == summary
    assert (summary["devices"], summary["end"], summary["truncated"]) == (2, {"reason": "done"}, False)
    assert summary["bytes"] == path.stat().st_size
    assert summary["codes"]["NO_SUCH_SYMBOL"] > 0
    assert summary["value_codes"]["NOT_SUPPORTED"] > 0
    power = next(one for one in summary["functions"] if one["name"] == "nvmlDeviceGetPowerUsage")
    assert 6 <= power["calls"] <= 10  # every half second, twice: the machine may be busy
    assert 0 < power["p50_seconds"] <= power["p99_seconds"] < 0.1


@pytest.mark.slow
def test_replay_prints_the_page_as_it_stood_at_the_end(recorded):
    code, page, errors = typed("replay", recorded[0])
    assert (code, errors) == (0, "")
    lines = list(parse(page, place="page"))
    assert sum(line.name == "accel_power_watts" for line in lines) == 2
    assert {labels_of(line.labels)["simulated"] for line in lines if line.name == "accel_device_info"} == {"true"}


@pytest.mark.slow
def test_replay_at_a_moment_has_not_read_on(recorded):
    start = recorded[1]["start"]
    stamps = []
    for at in ("1", "99"):
        lines = parse(typed("replay", recorded[0], "--at", at)[1], place="page")
        stamps.append(max(line.value for line in lines if line.name == "accel_last_sample_timestamp_seconds"))
    assert start <= stamps[0] <= start + 1 < stamps[1]


@pytest.mark.slow
def test_the_series_of_a_recording_can_be_analyzed(recorded, tmp_path):
    assert typed("replay", recorded[0], "--series", tmp_path / "a.om") == (0, "", "")
    code, text, _ = typed("analyze", tmp_path / "a.om", "--json")
    assert code in {0, 1}
    assert json.loads(text.splitlines()[-1])["devices"] == 2
    powers = [line for line in (tmp_path / "a.om").read_text().splitlines() if line.startswith("accel_power_watts{")]
    assert len(powers) >= 4
    assert all(re.fullmatch(r"\S+ \d+(\.\d+)? \d+\.\d{3}", line) for line in powers)


@pytest.mark.slow
def test_a_recording_is_served_at_its_own_pace_and_marked(recorded):
    command = [sys.executable, "-m", "warpgauge", "replay", recorded[0], "--web.listen-address", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://\S+/metrics", process.stdout.readline())[0]
            page = _until_served(address)
        finally:
            process.terminate()
    assert process.returncode == 0
    assert 'simulated="true"' in page


def _until_served(address):
    page = ""
    while "accel_power_watts" not in page:
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(address, timeout=10) as answer:
            page = answer.read().decode()
    return page


def a_file(path, *entries, cut=0):
    clock = ManualClock()
    writer = Writer(path, clock)
    for line in (encode_header(Header(start=1.0, driver="580.1")), *map(encode, entries)):
        writer.write(line)
        clock.advance(FLUSH_SECONDS)
    writer.close()
    path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
    return path


def test_a_file_that_breaks_off_is_replayed_up_to_there_and_it_is_said(tmp_path):
    calls = [Call(seconds=float(second), function="nvmlX", code=0) for second in range(9)]
    path = a_file(tmp_path / "a.zst", Mark(0.5, "open"), *calls, cut=4)
    code, _, errors = typed("replay", path)
    assert code == 0
    assert "breaks off after" in errors
    assert "it breaks off: the recorder was killed" in typed("replay", path, "--summary")[1]


def test_where_the_driver_hung_is_said_before_the_page(tmp_path):
    path = a_file(tmp_path / "a.zst", End(4.0, "hung", "nvmlDeviceGetPowerUsage", 3, "no answer within 2 s"))
    code, _, errors = typed("replay", path)
    assert (code, errors) == (0, "warpgauge: the driver hung in nvmlDeviceGetPowerUsage after 4.0 s\n")
    summary = typed("replay", path, "--summary")[1]
    assert "did not come back: nvmlDeviceGetPowerUsage of GPU 3 (no answer within 2 s)" in summary


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("replay", "/nowhere.zst"), "cannot read /nowhere.zst: No such file or directory"),
        (("replay", "x.zst", "--at", "-1"), "--at must not be negative, got -1"),
        (("record", "--out", "x.zst", "--seconds", "-1"), "--seconds must be from 0 to 86400 seconds, got -1"),
        (("record", "--out", "x.zst", "--every", "0"), "--every must be from 0.01 to 86400 seconds, got 0"),
        (("record", "--out", "x.zst", "--every", "nan"), "--every must be from 0.01 to 86400 seconds, got nan"),
    ],
)
def test_wrong_use_is_one_line(argv, complaint):
    assert typed(*argv) == (2, "", f"warpgauge: {complaint}\n")
