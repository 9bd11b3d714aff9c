"""The kubelet's pod-resources API, spoken by grpcio on both sides."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from tests.fakes.kubelet import serving
from warpgauge.exporters.attribution.pod_resources import (
    PodDevice,
    PodResources,
    PodResourcesError,
    describe,
    split_device_id,
)
from warpgauge.exporters.attribution.workload import Workload

GPU = "GPU-5fe6c1a0-28ad-ad3a-1d4d-5e2b1f0d6c11"
TRAINER = Workload(scheduler="kubernetes", namespace="research", pod="trainer-0", container="main")


@pytest.fixture
def kubelet():
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "k.sock") as one:  # a socket's path is short
        yield one


@pytest.fixture
def asked(kubelet):
    one = PodResources(kubelet.socket, timeout_seconds=0.5)
    yield one
    one.close()


def test_every_device_of_every_container_is_named(kubelet, asked):
    kubelet.give("research", "trainer-0", "main", "nvidia.com/gpu", GPU, "GPU-2")
    assert asked.is_here
    assert asked.devices() == [
        PodDevice("nvidia.com/gpu", GPU, "", TRAINER),
        PodDevice("nvidia.com/gpu", "GPU-2", "", TRAINER),
    ]


def test_a_pod_that_ended_is_not_in_the_next_answer(kubelet, asked):
    kubelet.give("research", "trainer-0", "main", "nvidia.com/gpu", GPU)
    asked.devices()
    kubelet.end_all()
    assert asked.devices() == []


@pytest.mark.parametrize(
    ("text", "device"),
    [
        (f"{GPU}::3", (GPU, "")),
        (f"MIG-{GPU}/7/0", (GPU, "7")),
        ("MIG-5fe6c1a0-28ad-ad3a-1d4d-5e2b1f0d6c11::0", ("MIG-5fe6c1a0-28ad-ad3a-1d4d-5e2b1f0d6c11", "")),
        ("0000:c1:00.0", ("0000:c1:00.0", "")),
    ],
)
def test_slices_and_instances_are_told_by_the_id(text, device):
    assert split_device_id(text) == device


def test_a_kubelet_that_hangs_costs_its_deadline_only(kubelet, asked):
    kubelet.hang_seconds = 0.8
    with pytest.raises(PodResourcesError, match="deadline_exceeded"):
        asked.devices()


def test_a_kubelet_that_refuses_is_asked_again(kubelet, asked):
    kubelet.refuse = True
    with pytest.raises(PodResourcesError, match="resource_exhausted: rate limit"):
        asked.devices()
    kubelet.refuse = False
    assert asked.devices() == []


def test_a_socket_that_nobody_listens_on_is_told_so(tmp_path):
    path = Path(tempfile.mkdtemp()) / "k.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    with pytest.raises(PodResourcesError, match=r"k\.sock: unavailable"):
        PodResources(path).devices()
    assert not PodResources(tmp_path / "none").is_here


def test_the_messages_have_the_numbers_of_the_kubelets_own_file():
    numbers = {
        (message.name, field.name): field.number for message in describe().message_type for field in message.field
    }
    assert numbers == {  # k8s.io/kubelet/pkg/apis/podresources/v1/api.proto
        ("ListPodResourcesResponse", "pod_resources"): 1,
        ("PodResources", "name"): 1,
        ("PodResources", "namespace"): 2,
        ("PodResources", "containers"): 3,
        ("ContainerResources", "name"): 1,
        ("ContainerResources", "devices"): 2,
        ("ContainerDevices", "resource_name"): 1,
        ("ContainerDevices", "device_ids"): 2,
    }
