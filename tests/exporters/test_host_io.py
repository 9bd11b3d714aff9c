"""Disks and interfaces: what the kernel's tables become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import host
from warpgauge.core.errors import InputError
from warpgauge.exporters.collectors import host_io

DISKSTATS = """\
   7       0 loop0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
   8       0 sda 100 1 2000 3 50 5 600 7 8 9000 10 11 12 13 14 15 16
   8       1 sda1 99 1 1999 3 50 5 600 7 8 9000 10 11 12 13 14 15 16
 259       0 nvme0n1 4 0 8 0 2 0 16 0 0 500 0
 259       1 nvme0n1p1 4 0 8 0 2 0 16 0 0 500 0
 253       0 dm-0 1 0 2 0 3 0 4 0 0 5 0
   9       0 md127 1 0 2 0 3 0 4 0 0 5 0
   8      17 sdb1 1 2 3 4
"""

NETWORK = """\
Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop ...        |bytes    packets errs drop ...
    lo:  405988 2704 0 0 0 0 0 0 405988 2704 0 0 0 0 0 0
  eth0:592938218 13653 5 0 0 0 0 0 720146 7888 6 0 0 0 0 0
eth0:1: 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2
"""


def values(samples, row):
    return {sample.labels[0]: sample.value for sample in samples if sample.metric is row}


def test_only_whole_disks_are_shown():
    assert set(values(host_io.disks(DISKSTATS, place="p"), host.DISK_READ)) == {"sda", "nvme0n1", "dm-0", "md127"}


@pytest.mark.parametrize(
    ("row", "value"),
    [
        (host.DISK_READ, 2000 * 512.0),
        (host.DISK_WRITTEN, 600 * 512.0),
        (host.DISK_READS, 100.0),
        (host.DISK_WRITES, 50.0),
        (host.DISK_IO_TIME, 9.0),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_disks_columns_land_in_their_rows(row, value):
    assert values(host_io.disks(DISKSTATS, place="p"), row)["sda"] == value


def test_every_interface_is_shown_with_receive_and_transmit_apart():
    samples = host_io.network(NETWORK, place="p")
    assert values(samples, host.NETWORK_RECEIVE) == {"lo": 405988.0, "eth0": 592938218.0, "eth0:1": 1.0}
    assert values(samples, host.NETWORK_TRANSMIT) == {"lo": 405988.0, "eth0": 720146.0, "eth0:1": 2.0}


def test_errors_are_counted_per_direction():
    samples = host_io.network(NETWORK, place="p")
    assert values(samples, host.NETWORK_RECEIVE_ERRORS)["eth0"] == 5.0
    assert values(samples, host.NETWORK_TRANSMIT_ERRORS)["eth0"] == 6.0


def test_a_broken_line_is_named_with_its_number():
    with pytest.raises(InputError, match="dev:4"):
        host_io.network(NETWORK.replace("592938218", "many"), place="dev")


@given(st.text(alphabet="sda0123456789 :\nx-", max_size=300) | st.text(max_size=100))
def test_whatever_a_table_holds_only_an_input_error_comes_out(text):
    for parse in (host_io.disks, host_io.network):
        try:
            parse(text, place="p")
        except InputError as error:
            assert str(error).startswith("p:")  # noqa: PT017 - raising is allowed, not demanded
