"""The kernel log: what the driver's lines mean, and that listening never waits and never falls over."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.exporters.logs.kernel_log import KernelLog, message_of
from warpgauge.exporters.logs.nvrm import DriverMessages, pci_address

GPU = (0, 0x3B, 0)


def reports(*lines):
    messages = DriverMessages()
    found = [messages.read(line) for line in lines]
    return [(it.kind, it.address, it.number) for it in found if it]


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
        "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.",
        "NVRM: Xid (0000:3b:00): 79, 00000000 00000000",
        "NVRM: Xid (PCI:00000000:3B:00.0): 79",
        "NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.",
        "NVRM: GPU at PCI:0000:3b:00 has fallen off the bus.",
    ],
)
def test_an_xid_is_found_in_each_form_the_driver_writes(line):
    assert reports(line) == [("xid", GPU, 79)]


def test_the_lines_that_a_real_driver_wrote_are_one_xid():
    """Driver 580.159.04 on an H100, for a kernel that writes to a bad address."""
    assert reports(
        "NVRM: GPU at PCI:0000:3b:00: GPU-00000000-0000-4000-8000-000000000000",
        "NVRM: GPU Board Serial Number: 0000000000000",
        "NVRM: Xid (PCI:0000:3b:00): 31, pid=817, name=python3, channel 0x0000000a, intr 00000000. MMU Fault: ENGINE"
        " GRAPHICS GPC0 GPCCLIENT_T1_8 faulted @ 0x0_00010000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE",
    ) == [("xid", GPU, 31)]


def test_a_report_over_several_lines_is_about_the_gpu_it_began_with():
    assert reports(
        "NVRM: The NVIDIA GPU 0000:3b:00.0",
        "NVRM: (PCI ID: 10de:2330) installed in this system has",
        "NVRM: fallen off the bus and is not responding to commands.",
    ) == [("xid", GPU, 79)]


def test_a_line_about_the_bus_long_after_a_gpu_was_named_is_about_nobody():
    filler = ["usb 1-1: new device"] * 10
    assert reports("NVRM: The NVIDIA GPU 0000:3b:00.0", *filler, "NVRM: it has fallen off the bus") == []


def test_an_sxid_names_the_switch():
    line = "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 12028, Non-fatal, Link 44 egress non-posted PRIV error"
    assert reports(line) == [("sxid", (0, 0xC1, 0), 12028)]


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.65.06",
        "Xid (PCI:0000:3b:00): 79, said by a user through /dev/kmsg",
        "NVRM: Xid (PCI:0000:3b:00): 123456789, no such number",
        "nvidia-nvswitch3: SXid (PCI:xyz): 12028, Non-fatal",
        "",
    ],
)
def test_other_lines_report_nothing(line):
    assert reports(line) == []


@given(st.lists(st.text(max_size=3000) | st.sampled_from(["NVRM: GPU 0000:3b:00.0", "NVRM: fallen off the bus"])))
def test_no_text_upsets_the_parser(lines):
    reports(*lines)


@pytest.mark.parametrize("text", ["0000:3b:00.0", "00000000:3B:00.0", "PCI:0000:3b:00"])
def test_addresses_are_compared_by_what_they_mean(text):
    assert pci_address(text) == GPU


def test_what_is_no_address_is_none():
    assert pci_address("3b:00") is None


def test_the_kernels_prefix_is_taken_off():
    assert message_of("4,1234,5140900,-;NVRM: Xid; more") == "NVRM: Xid; more"
    assert message_of("NVRM: a; b") == "NVRM: a; b"


def listen(path, story):
    """What is heard while the story writes; ends with it."""
    heard = []

    async def run():
        log = KernelLog(path, heard.append)
        assert log.open()
        story()
        for _ in range(50):
            await asyncio.sleep(0)
        log.close()

    asyncio.run(run())
    return heard


def test_lines_are_heard_as_they_are_written_and_continuations_are_not(tmp_path):
    pipe = tmp_path / "kmsg"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    try:
        record = b"4,1,1,-;NVRM: Xid (PCI:0000:3b:00): 79\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n"
        assert listen(pipe, lambda: os.write(writer, record)) == ["NVRM: Xid (PCI:0000:3b:00): 79"]
    finally:
        os.close(writer)


def test_bytes_that_are_no_text_are_passed_over(tmp_path):
    pipe = tmp_path / "kmsg"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    try:
        assert len(listen(pipe, lambda: os.write(writer, b"4,1,1,-;\xff\xfe\x00\n4,2,2,-;NVRM\n"))) == 2
    finally:
        os.close(writer)


@pytest.mark.parametrize("lines", [None, "old line\n"])
def test_a_log_that_cannot_be_followed_is_said_once_and_harms_nothing(tmp_path, caplog, lines):
    path = tmp_path / "kmsg"
    if lines is not None:
        path.write_text(lines)

    async def run():
        log = KernelLog(path, lambda _: None)
        assert not log.open()
        log.close()

    asyncio.run(run())
    assert [record.message for record in caplog.records] == ["kernel log not readable"]
