"""Containers by name, where an engine's socket is configured: a double of the Engine API, as no engine can be had."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.docker_engine import serving
from tests.fakes.procfs import CONTAINER_ID, DOCKER_CGROUP, FakeProc
from warpgauge.core.catalog import Tier, device
from warpgauge.core.clock import ManualClock
from warpgauge.core.device import Device, DeviceKind
from warpgauge.exporters.attribution.claims import Held
from warpgauge.exporters.attribution.docker_engine import DockerEngine, DockerError, container_names
from warpgauge.exporters.attribution.workload import Holder
from warpgauge.exporters.collectors.attribution import AttributionCollector

GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
JSON = st.recursive(st.none() | st.booleans() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one))


@pytest.fixture
def socket():
    with tempfile.TemporaryDirectory() as folder:  # a path of pytest's own is too long for a socket
        yield Path(folder) / "docker.sock"


@pytest.fixture
def engine(socket):
    with serving(socket) as one:
        yield one


class Site:
    """One container that has a GPU open."""

    def __init__(self, root, socket):
        self.clock = ManualClock(0.0)
        FakeProc(root).start(10, cgroup=DOCKER_CGROUP)
        self.collector = AttributionCollector(
            held=lambda: (Held(GPU, (Holder(10),)),), proc_root=root, sys_root=root, pod_resources="", gpustat="",
            docker=socket, clock=self.clock, system="linux",
        )  # fmt: skip

    def read(self):
        """Names of containers, and reasons of errors."""
        self.clock.advance(10)
        samples, errors = self.collector.read(Tier.FAST)
        found = {sample.label("container") for sample in samples if sample.metric is device.WORKLOAD_INFO}
        return found, [error.reason for error in errors]


def test_a_container_has_its_name_where_the_engine_tells_it(engine, socket, tmp_path):
    engine.run("ab" * 32, "/other")
    engine.run(CONTAINER_ID, "/web/alias", "/trainer")
    assert Site(tmp_path, socket).read() == ({"trainer"}, [])
    assert engine.asked == ["/containers/json"]


def test_without_a_socket_nobody_is_asked_and_the_id_is_the_name(engine, tmp_path):
    engine.run(CONTAINER_ID, "/trainer")
    assert Site(tmp_path, "").read() == ({CONTAINER_ID[:12]}, [])
    assert engine.asked == []


def test_an_engine_that_fails_is_an_error_and_names_that_were_known_stay(engine, socket, tmp_path):
    engine.run(CONTAINER_ID, "/trainer")
    site = Site(tmp_path, socket)
    assert site.read() == ({"trainer"}, [])
    engine.status = 500
    assert site.read() == ({"trainer"}, ["docker"])


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[" * 100_000, b"\xff\xfe", b'"text"'])
def test_nonsense_is_one_error_with_its_place(engine, socket, body):
    engine.body = body
    with pytest.raises(DockerError, match=r"docker\.sock: "):
        DockerEngine(socket).names()


def test_an_answer_beyond_all_measure_is_refused(engine, socket):
    engine.body = b" " * (9 << 20)
    with pytest.raises(DockerError, match="more than 8 MiB"):
        DockerEngine(socket, timeout_seconds=10.0).names()


def test_a_silent_engine_costs_its_time_and_no_more(engine, socket):
    engine.is_silent = True
    with pytest.raises(DockerError, match="timed out"):
        DockerEngine(socket, timeout_seconds=0.1).names()


def test_an_engine_that_is_not_there_is_an_error(socket):
    with pytest.raises(DockerError, match="No such file"):
        DockerEngine(socket).names()


@given(JSON)
def test_whatever_json_comes_names_are_short_printable_text_or_none(listed):
    try:
        found = dict(container_names(listed))
    except ValueError:
        return
    assert all(0 < len(name) <= 128 and name.isprintable() for name in found.values())


def test_entries_that_make_no_sense_cost_only_themselves():
    listed = [
        {"Id": 7, "Names": ["/a"]},
        {"Id": "x" * 64, "Names": "/a"},
        None,
        {"Id": "c" * 64, "Names": [1, "/ok\n"]},
    ]
    assert dict(container_names(listed)) == {"c" * 12: "ok"}
