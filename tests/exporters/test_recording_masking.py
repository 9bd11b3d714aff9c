"""What is hidden in a recording: everywhere, always the same way, and never to be led back."""

from __future__ import annotations

import ctypes
import re

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.clock import ManualClock
from warpgauge.exporters.recording.boundary import below_pynvml
from warpgauge.exporters.recording.clock import RecordedClock
from warpgauge.exporters.recording.lines import Buffer, Text
from warpgauge.exporters.recording.masking import MEMBERS, Masking
from warpgauge.exporters.recording.recorder import RecordingLibrary

UUID = b"GPU-8f3c1a52-0b7d-4e19-9a66-1c2d3e4f5a6b"
FORM = re.compile(rb"GPU-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
STRUCTS = [
    kind
    for kind in vars(pynvml).values()
    if isinstance(kind, type) and issubclass(kind, ctypes.Structure | ctypes.Union) and hasattr(kind, "_fields_")
]


def filled(function, kind, **members):
    thing = kind()
    for name, value in members.items():
        setattr(thing, name, value)
    masked = kind.from_buffer_copy(Masking().memory(function, 0, kind, bytes(thing), is_first=True))
    assert bytes(masked) != bytes(thing)
    return masked


def test_a_uuid_keeps_its_form_and_is_the_same_everywhere():
    masking = Masking()
    text = masking.memory("nvmlDeviceGetUUID", 1, ctypes.c_char * 96, UUID.ljust(96, b"\0"), is_first=True)
    masked = text.rstrip(b"\0")
    assert FORM.fullmatch(masked)
    assert masked != UUID
    assert len(text) == 96
    assert masking.text("nvmlDeviceGetHandleByUUID", UUID.decode()) == masked.decode()
    inside = masking.memory("nvmlWhatever", 0, ctypes.c_char * 96, b"MIG-" + UUID + b"/1/0", is_first=True)
    assert inside == b"MIG-" + masked + b"/1/0"


def test_two_recordings_mask_the_same_uuid_differently():
    one, other = (Masking().text("nvmlX", UUID.decode()) for _ in range(2))
    assert one != other


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_process_ids_are_handed_out_anew_and_stay_different(one, other):
    masking = Masking()
    first, second = masking.pid(one), masking.pid(other)
    assert (first == second) is (one == other)
    assert masking.pid(one) == first
    assert (first in {0, 0xFFFFFFFF}) is (one in {0, 0xFFFFFFFF})


def test_process_lists_and_what_is_asked_about_a_process_agree():
    masking = Masking()
    kind = pynvml.c_nvmlProcessInfo_v3_t * 3
    infos = kind()
    infos[0].pid, infos[1].pid, infos[1].usedGpuMemory = 4711, 815, 1 << 30
    masked = kind.from_buffer_copy(masking.memory("nvmlX", 2, kind, bytes(infos), is_first=False))
    assert {4711, 815}.isdisjoint({info.pid for info in masked})
    assert (masked[1].usedGpuMemory, masked[2].pid) == (1 << 30, 0)
    assert masking.number("nvmlSystemGetProcessName", 0, 815) == masked[1].pid
    assert masking.number("nvmlDeviceGetFanSpeed_v2", 0, 815) == 815
    name = masking.memory(
        "nvmlSystemGetProcessName", 1, ctypes.c_char * 32, b"/home/ada/train".ljust(32, b"\0"), is_first=True
    )
    assert re.fullmatch(rb"/[a-z]{4}/[a-z]{3}/[a-z]{5}\0*", name)
    assert b"ada" not in name


def test_a_serial_number_is_hidden_wherever_it_stands():
    masking = Masking()
    serial = masking.memory(
        "nvmlDeviceGetSerial", 1, ctypes.c_char * 30, b"1650522001234".ljust(30, b"\0"), is_first=True
    )
    assert re.fullmatch(rb"[0-9]{13}\0+", serial)
    assert serial.rstrip(b"\0") != b"1650522001234"
    assert b"1650522001234" not in masking.memory(
        "nvmlX", 0, ctypes.c_char * 40, b"board 1650522001234".ljust(40), is_first=True
    )


def test_platform_and_fabric_identities_are_hidden_by_the_names_of_their_members():
    platform = filled(
        "nvmlX", pynvml.c_nvmlPlatformInfo_v2_t, chassisSerialNumber=b"1234567890123", ibGuid=b"\x01" * 16
    )
    assert platform.chassisSerialNumber.isdecimal()
    assert platform.chassisSerialNumber != "1234567890123"
    assert platform.ibGuid != "\x01" * 16
    fabric = pynvml.c_nvmlGpuFabricInfo_v3_t()
    fabric.clusterUuid[:] = range(16)
    fabric.cliqueId = 7
    masked = type(fabric).from_buffer_copy(Masking().memory("nvmlX", 1, type(fabric), bytes(fabric), is_first=True))
    assert list(masked.clusterUuid) != list(range(16))
    assert (masked.cliqueId, masked.version) == (7, fabric.version)


def test_what_names_a_kind_of_thing_is_kept():
    masking = Masking()
    for text in (b"900-21010-0000-000", b"96.00.74.00.01", b"00000000:1B:00.0", b"NVIDIA H100 80GB HBM3"):
        assert masking.memory("nvmlDeviceGetX", 1, ctypes.c_char * 40, text, is_first=True) == text


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_no_member_whose_name_sounds_like_an_identity_was_overlooked(kind):
    suspicious = re.compile(r"(?i)uuid|serial|guid|^pid|pid$|hostid|hostname|processname")
    counts = re.compile(r"(?i)^n|num|count|version|type|format|idx|support|mask")
    for name, *_ in kind._fields_:
        if suspicious.search(name) and not counts.search(name):
            assert name in MEMBERS


def test_a_host_name_becomes_a_word_of_its_own():
    assert re.fullmatch(r"host-[0-9a-f]{8}", Masking().host("ada-workstation"))
    assert Masking(b"k").host("a") == Masking(b"k").host("a") != Masking(b"k").host("b")


class Library:
    """Says who it is."""

    def nvmlDeviceGetHandleByUUID(self, uuid, handle):  # noqa: N802, ARG002
        return pynvml.NVML_ERROR_NOT_FOUND

    def nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(self, device, counts):  # noqa: N802, ARG002
        return pynvml.NVML_ERROR_NOT_SUPPORTED

    def nvmlSystemGetProcessName(self, pid, text, size):  # noqa: N802, ARG002
        text.value = b"secret-project"
        return 0


def test_a_call_whose_answer_lies_elsewhere_is_named_but_not_written_down():
    entries = []
    recorder = RecordingLibrary(
        Library(), entries.append, source=ManualClock(), clock=RecordedClock(0.0), masking=Masking()
    )
    counts = pynvml.c_nvmlEccSramUniqueUncorrectedErrorCounts_v1_t()
    counts.entries = ctypes.pointer(pynvml.c_nvmlEccSramUniqueUncorrectedErrorEntry_v1_t())
    recorder.nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(None, ctypes.byref(counts))
    (call,) = entries
    assert (call.function, call.code) == ("nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts", 3)
    assert (call.arguments, call.outputs) == ((None,), {})


def recorded_calls(masking):
    entries = []
    recorder = RecordingLibrary(
        Library(), entries.append, source=ManualClock(), clock=RecordedClock(0.0), masking=masking
    )
    with below_pynvml(recorder):
        with pytest.raises(pynvml.NVMLError):
            pynvml.nvmlDeviceGetHandleByUUID(UUID.decode())
        assert pynvml.nvmlSystemGetProcessName(4711) == "secret-project"
    return entries


def test_what_the_library_is_given_is_masked_as_what_it_gives():
    by_uuid, name = recorded_calls(Masking())
    assert isinstance(by_uuid.arguments[0], Text)
    assert by_uuid.arguments[0].text != UUID.decode()
    assert name.arguments[0] == 100_001
    assert b"secret" not in name.outputs[1]


def test_without_masking_all_of_it_is_there():
    by_uuid, name = recorded_calls(None)
    assert by_uuid.arguments[0] == Text(UUID.decode())
    assert name.arguments == (4711, Buffer(1024, b""), 1024)
    assert name.outputs[1] == b"secret-project"
