"""What a collector says over a recording is what it said when it was recorded: every sample, error, gain and event."""

from __future__ import annotations

import ctypes

import pynvml
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fakes.nvml_abi import FakeNvml
from tests.fakes.nvml_c import build_stub
from tests.fakes.nvml_profiles import PROFILES
from tests.fakes.recorded import record_on
from warpgauge.core.catalog import device
from warpgauge.exporters.messages import Event, Found, Gained, Read, encode
from warpgauge.exporters.recording import Playback
from warpgauge.exporters.recording.boundary import below_pynvml
from warpgauge.exporters.recording.masking import Masking


def bench(*names):
    """A fake whose time goes on with the recording, and what moves it."""
    fake = FakeNvml([PROFILES[name] for name in names])

    def pass_time(seconds):
        fake.seconds += seconds
        for gpu in fake.gpus:
            gpu.power_mw = 200_000 + int(fake.seconds * 7919) % 300_000
            gpu.utilization = int(fake.seconds * 104_729) % 101
            gpu.gpm_percent = float(int(fake.seconds * 1299709) % 1000) / 10

    return fake, pass_time


def replayed(recording):
    said = []
    playback = Playback(recording, said.append)
    playback.run()
    return said, playback


# A batch that failed once used up the answer of its first field only, and the others told of it one reading later.
@example(names=["a100"], code=pynvml.NVML_ERROR_NO_PERMISSION, after=0, function="nvmlDeviceGetFieldValues")
@example(names=["h100"], code=pynvml.NVML_ERROR_NO_PERMISSION, after=100, function="nvmlGpmMetricsGet")
@settings(max_examples=8, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(PROFILES)), min_size=1, max_size=3),
    code=st.sampled_from(
        [
            0,
            pynvml.NVML_ERROR_NOT_SUPPORTED,
            pynvml.NVML_ERROR_NO_PERMISSION,
            pynvml.NVML_ERROR_GPU_IS_LOST,
            pynvml.NVML_ERROR_UNKNOWN,
            pynvml.NVML_ERROR_UNINITIALIZED,
        ]
    ),
    after=st.integers(0, 700),
    function=st.none() | st.sampled_from(["nvmlDeviceGetPowerUsage", "nvmlDeviceGetFieldValues", "nvmlGpmMetricsGet"]),
)
def test_a_replay_says_what_the_live_run_said(names, code, after, function):
    fake, pass_time = bench(*names)
    made = iter(range(1 << 30))

    def before_call(_function, _gpu):
        if next(made) == after:
            fake.fail(code, function=function, gpu=0, times=3)
            fake.announce(0, pynvml.nvmlEventTypeXidCriticalError, 79)
        return 0

    fake.before_call = before_call
    recorded = record_on(fake, seconds=3.0, pass_time=pass_time)
    said, _ = replayed(recorded.recording)
    assert said == recorded.live
    assert any(isinstance(message, Found) for message in said) or code


def test_every_kind_of_reading_is_among_what_is_compared():
    fake, pass_time = bench("h100")
    fake.announce(0, pynvml.nvmlEventTypeXidCriticalError, 79)
    recorded = record_on(fake, seconds=70.0, pass_time=pass_time)
    said, _ = replayed(recorded.recording)
    assert said == recorded.live
    metrics = {sample.metric for message in said if isinstance(message, Read) for sample in message.samples}
    assert {device.POWER, device.ENERGY, device.PIPE_ACTIVE, device.LINK_STATE, device.FIRMWARE_INFO} <= metrics
    assert [message.number for message in said if isinstance(message, Event)] == [79]
    gains = [gain for message in said if isinstance(message, Gained) for gain in message.increments]
    assert sum(sum(gain.counts) for gain in gains if gain.metric is device.POWER_DISTRIBUTION) > 60_000


def test_a_masked_recording_differs_in_identities_only():
    fake, pass_time = bench("h100", "t4")
    recorded = record_on(fake, seconds=3.0, masking=Masking(b"key"), pass_time=pass_time)
    said, _ = replayed(recorded.recording)
    real = [message.device.uuid for message in recorded.live if isinstance(message, Found)]
    masked = [message.device.uuid for message in said if isinstance(message, Found)]
    live = b"".join(encode(message) for message in recorded.live).decode()
    for was, now in zip(real, masked, strict=True):
        assert was != now
        live = live.replace(was, now)
    assert b"".join(encode(message) for message in said).decode() == live


def test_calls_into_a_real_shared_library_are_recorded_and_replayed(tmp_path, monkeypatch):
    monkeypatch.setenv("NVML_STUB_GPUS", "1")
    monkeypatch.setenv("NVML_STUB_TIME", "1790000000")  # so that what it says can be asked for once more
    library = ctypes.CDLL(build_stub(tmp_path) / "libnvidia-ml.so.1")
    recorded = record_on(library, seconds=2.0, all_ids=True)
    said, playback = replayed(recorded.recording)
    assert said == recorded.live
    assert sum(isinstance(message, Found) for message in said) == 1
    values = {(sample.metric, sample.labels[2:]): sample.value for sample in playback.samples()}
    with below_pynvml(library):
        pynvml.nvmlInit()
        watts = pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0)) / 1000
        pynvml.nvmlShutdown()
    assert values[device.POWER, ()] == pytest.approx(watts)
    assert 0.0 < values[device.PIPE_ACTIVE, ("fp32",)] <= 1.0


def test_a_page_that_was_replayed_is_marked():
    fake, pass_time = bench("h100")
    _, playback = replayed(record_on(fake, seconds=2.0, pass_time=pass_time).recording)
    (line,) = [line for line in playback.page().splitlines() if line.startswith(b"accel_device_info{")]
    assert b'simulated="true"' in line


def test_a_page_can_be_had_as_it_stood_at_a_moment():
    fake, pass_time = bench("h100")
    recording = record_on(fake, seconds=20.0, pass_time=pass_time).recording
    early, late = Playback(recording), Playback(recording)
    early.run(5.5)
    late.run()
    stamps = [next(s.last_sample for s in one.readings.standings) - recording.header.start for one in (early, late)]
    assert 4 < stamps[0] <= 5.5
    assert stamps[1] > 18


def test_the_last_step_of_a_recording_that_broke_off_is_left_out():
    fake, pass_time = bench("h100")
    whole = record_on(fake, seconds=3.0, pass_time=pass_time)
    said, _ = replayed(whole.recording)
    cut = next(place for place in range(len(whole.entries) - 20, 0, -1) if hasattr(whole.entries[place], "function"))
    whole.entries = whole.entries[:cut]
    entries = whole.recording.entries[:-1]
    broken = type(whole.recording)(whole.recording.header, entries, 0, is_truncated=True)
    part, _ = replayed(broken)
    assert part == said[: len(part)]
    assert len(part) >= 3
