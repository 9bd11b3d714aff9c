"""RDMA ports from a tree of files: what each becomes, and what a missing one costs."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.infiniband import FakeSys
from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import infiniband as rows
from warpgauge.core.device import Device, DeviceKind
from warpgauge.exporters.collectors import infiniband_sysfs as sysfs
from warpgauge.exporters.collectors.infiniband import InfinibandCollector
from warpgauge.exporters.doctor.infiniband import infiniband

NEAR = ("pci0000:3a", "0000:3a:00.0", "0000:3b:00.0")


@pytest.fixture
def tree(tmp_path):
    return FakeSys(tmp_path)


def read(tree, *accelerators, tiers=Tier) -> dict:
    collector = InfinibandCollector(sys_root=tree.root, accelerators=lambda: accelerators)
    samples = [sample for tier in tiers if tier is not Tier.ON_DEMAND for sample in collector.read(tier)[0]]
    return {(sample.metric, sample.labels): sample.value for sample in samples}


def gpu(address: str) -> Device:
    return Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100", pci_bus_id=address)


def path_to_gpu(tree, address: str) -> str:
    found = read(tree, gpu(address), tiers=[Tier.SLOW])
    return ",".join(labels[2] for metric, labels in found if metric is rows.PATH_INFO)


def test_a_port_has_traffic_state_speed_and_errors(tree):
    tree.port()
    found, port = read(tree), ("mlx5_0", "1")
    assert found[rows.RECEIVE, port] == 10_000.0  # words of four bytes
    assert found[rows.TRANSMIT, port] == 20_000.0
    assert found[rows.RECEIVE_PACKETS, port] == 40.0
    assert found[rows.RATE, port] == 50e9
    assert found[rows.TRANSMIT_WAIT, port] == 17.0
    assert found[rows.ERRORS, (*port, "symbol")] == 12.0
    assert [labels[2] for (row, labels), value in found.items() if row is rows.STATE and value] == ["active"]
    assert [labels[2] for (row, labels), value in found.items() if row is rows.PHYSICAL_STATE and value] == ["link_up"]


def test_a_port_is_described(tree):
    tree.port(pci=tree.pci(*NEAR, numa=1))
    about = ("InfiniBand", "MT4129", "28.39.1002", "MT_0000000838", "0000:3b:00.0", "1")
    assert (rows.INFO, ("mlx5_0", "1", *about)) in read(tree)


def test_roce_tells_of_its_congestion_control(tree):
    tree.port(layer="Ethernet")
    found = {labels[2]: value for (row, labels), value in read(tree).items() if row is rows.CONGESTION}
    assert found == {"cnp_sent": 3.0, "cnp_handled": 4.0, "ecn_marked": 5.0}


def test_a_counter_that_is_not_there_has_no_series(tree):
    (tree.port() / "counters/port_xmit_wait").unlink()
    assert (rows.TRANSMIT_WAIT, ("mlx5_0", "1")) not in read(tree)


@pytest.mark.parametrize("text", ["N/A (no PMA)", "", "-1", "1e9", "9" * 30, "٣"])
def test_a_text_that_is_no_number_is_no_count(tree, text):
    (tree.port() / "counters/port_rcv_data").write_text(text)
    assert (rows.RECEIVE, ("mlx5_0", "1")) not in read(tree)


def test_a_state_that_nobody_described_has_no_series(tree):
    (tree.port() / "state").write_text("9: NEWER\n")
    assert not [row for row, _ in read(tree) if row is rows.STATE]


def test_a_port_that_is_down_says_so(tree):
    (tree.port() / "state").write_text("1: DOWN\n")
    assert read(tree)[rows.STATE, ("mlx5_0", "1", "down")] == 1.0


def test_a_device_that_goes_away_leaves_no_series(tree):
    tree.port()
    tree.port("mlx5_1")
    shutil.rmtree(tree.root / "class/infiniband/mlx5_0")
    assert {labels[0] for _, labels in read(tree)} == {"mlx5_1"}


def test_a_machine_without_ports_says_so(tree):
    assert InfinibandCollector(sys_root=tree.root).check() == "no InfiniBand or RoCE port on this machine"
    tree.port()
    assert InfinibandCollector(sys_root=tree.root).check() is None


@pytest.mark.parametrize(
    ("places", "numa", "path"),
    [
        (("pci0000:3a", "0000:3a:00.0", "0000:3c:00.0"), 0, "switch"),
        (("pci0000:3a", "0000:3a:01.0", "0000:3d:00.0"), 0, "host_bridge"),
        (("pci0000:5d", "0000:5d:00.0", "0000:5e:00.0"), 0, "numa_node"),
        (("pci0000:9a", "0000:9a:00.0", "0000:9b:00.0"), 1, "system"),
        (("pci0000:9a", "0000:9a:00.0", "0000:9b:00.0"), -1, ""),
    ],
)
def test_the_way_to_a_gpu_is_told_where_the_kernel_knows_it(tree, places, numa, path):
    tree.port(pci=tree.pci(*NEAR))
    tree.pci(*places, numa=numa)
    assert path_to_gpu(tree, places[-1].upper()) == path


def test_a_gpu_that_is_not_on_the_bus_has_no_way(tree):
    tree.port(pci=tree.pci(*NEAR))
    assert path_to_gpu(tree, "0000:ff:00.0") == path_to_gpu(tree, "") == ""


def test_the_doctor_names_a_port_that_is_not_active(tree):
    assert infiniband(tree.root) is None
    port = tree.port()
    assert infiniband(tree.root).detail == "1 ports, all active"
    (port / "state").write_text("2: INIT\n")
    assert infiniband(tree.root).detail == "of 1 ports, mlx5_0/1 is init"


@given(st.text())
def test_no_text_breaks_the_reading(text):
    assert sysfs.count(text) is None or int(text) >= 0
    sysfs.rate(text)
    sysfs.state(text)
