"""What the doctor says about naming workloads."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.fakes import docker_engine
from tests.fakes.kubelet import serving
from tests.fakes.procfs import FakeProc
from warpgauge.exporters.doctor.attribution import containers, environments, pods
from warpgauge.exporters.doctor.check import Verdict


def test_a_machine_whose_environments_can_be_read_is_well(tmp_path):
    FakeProc(tmp_path).start(1)
    assert environments(tmp_path).verdict is Verdict.OK


def test_environments_out_of_reach_are_told_with_a_mend(tmp_path):
    check = environments(tmp_path)
    assert check.verdict is Verdict.WARN
    assert "CAP_SYS_PTRACE" in check.mend


def test_without_a_kubelet_nothing_is_said_of_pods(tmp_path):
    assert pods("") is None
    assert pods(tmp_path / "none.sock") is None


def test_a_kubelet_that_answers_is_well_and_one_that_refuses_is_not():
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "k.sock") as kubelet:
        kubelet.give("research", "trainer-0", "main", "nvidia.com/gpu", "GPU-1")
        assert pods(kubelet.socket).detail == "the kubelet tells of 1 devices in pods"
        kubelet.refuse = True
        assert pods(kubelet.socket).verdict is Verdict.WARN


def test_an_engine_is_told_of_only_where_its_socket_is_configured():
    assert containers("") is None
    with tempfile.TemporaryDirectory() as folder, docker_engine.serving(Path(folder) / "d.sock") as engine:
        engine.run("ab" * 32, "/trainer")
        assert containers(Path(folder) / "d.sock").detail == "the engine tells the names of 1 containers"
        engine.status = 500
        assert containers(Path(folder) / "d.sock").verdict is Verdict.WARN
