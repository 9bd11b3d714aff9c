"""What every collector promises, for those whose own test file is about something else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pynvml
import pytest

from tests.exporters.collector_contract import TIERS, holds, refuses_what_is_not_there
from tests.fakes.infiniband import FakeSys
from tests.fakes.nvml_abi import FakeNvml, installed
from tests.fakes.nvml_profiles import A100, H100, T4
from tests.fakes.procfs import FakeProc
from warpgauge.core.catalog import host
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.attribution.claims import Held
from warpgauge.exporters.attribution.workload import Holder
from warpgauge.exporters.collectors import COLLECTORS, make
from warpgauge.exporters.collectors.attribution import AttributionCollector
from warpgauge.exporters.collectors.host import HostCollector
from warpgauge.exporters.collectors.host_filesystems import Size
from warpgauge.exporters.collectors.infiniband import InfinibandCollector
from warpgauge.exporters.collectors.nvml import NvmlCollector
from warpgauge.exporters.collectors.training import TrainingCollector
from warpgauge.exporters.training import StepTimer

RECORDING = Path(__file__).parents[1] / "fixtures/proc-linux-6.18-vm-2cpu"


@pytest.mark.parametrize("name", COLLECTORS)
def test_a_collector_is_built_and_closed_without_touching_anything(name):
    made = make(name)
    assert (made.name, made.isolated) == (name, COLLECTORS[name].isolated)
    made.close()


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_NO_PERMISSION])
def test_nvml_keeps_every_collectors_promises(code):
    fake = FakeNvml((H100, A100, T4))

    def gone():
        for gpu in range(3):
            fake.fail(code, gpu=gpu)

    with installed(fake):
        holds(NvmlCollector(clock=ManualClock(), sys_root="/nonexistent"), is_gone=gone)


def test_nvml_refuses_a_position_without_a_device():
    with installed(FakeNvml((H100,))):
        collector = NvmlCollector(clock=ManualClock(), sys_root="/nonexistent")
        assert collector.check() is None
        refuses_what_is_not_there(collector, 99)


def test_the_host_keeps_every_collectors_promises(tmp_path):
    proc = shutil.copytree(RECORDING, tmp_path / "proc")
    collector = HostCollector(proc_root=proc, sys_root=tmp_path, system="linux", size=lambda _: Size(9.0, 3.0))
    holds(collector, is_gone=lambda: shutil.rmtree(proc))
    assert not [one for one in collector.read(TIERS[0], None)[0] if (one.metric, one.value) == (host.LOAD1, 0.0)]


def test_training_keeps_every_collectors_promises(tmp_path):
    path = tmp_path / "train.sock"
    timer = StepTimer(job_id="j", rank=0, socket_path=str(path))

    def send_steps_and_go():
        with timer.step():
            pass
        timer.close()
        path.unlink()

    holds(TrainingCollector(socket_path=path), is_gone=send_steps_and_go)


def test_infiniband_keeps_every_collectors_promises(tmp_path):
    tree = FakeSys(tmp_path)
    tree.port("mlx5_0")
    tree.port("mlx5_1", layer="Ethernet")
    holds(InfinibandCollector(sys_root=tmp_path), is_gone=lambda: shutil.rmtree(tmp_path / "class"))


def test_attribution_keeps_every_collectors_promises(tmp_path):
    proc = FakeProc(tmp_path)
    proc.start(10, SLURM_JOB_ID="77")
    with installed(FakeNvml((H100,))):
        driver = NvmlCollector(clock=ManualClock(), sys_root="/nonexistent")
        assert driver.check() is None
        held = [Held(device, (Holder(10),)) for device in driver.devices()]
    collector = AttributionCollector(
        held=lambda: held, proc_root=tmp_path, sys_root=tmp_path, pod_resources="", gpustat="", system="linux"
    )
    holds(collector, is_gone=lambda: proc.end(10), speaks_of_others=True)
