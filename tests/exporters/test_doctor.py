"""The doctor: each verdict from the facts it must follow from, and a real probe over the fakes."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.fakes.nvml_c import build_stub, stub_environment
from warpgauge.cli.main import main
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.doctor import PRIVILEGES, Verdict
from warpgauge.exporters.doctor.machine import container_limits, hostengine, kernel_log, process_files
from warpgauge.exporters.doctor.nvidia import Facts, gather, judge

GPU = {"index": 0, "name": "NVIDIA H100", "uuid": "GPU-0", "persistence_mode": 1, "processes": 0, "gpm": True}
DRIVER = {"driver_version": "580.65.06", "library_version": "13.580.65.06", "gpus": 1}


def failure(place="driver", reason="driver", driver_reason="driver", *, is_needed=True):
    return {
        "place": place,
        "reason": reason,
        "driver_reason": driver_reason,
        "detail": "said no",
        "is_needed": is_needed,
    }


def verdicts(facts, boards=1):
    return {check.subject: check.verdict for check in judge(facts, boards=boards)}


def test_a_well_machine_is_ok():
    facts = Facts(driver=DRIVER, gpus=[GPU])
    assert set(verdicts(facts).values()) == {Verdict.OK}


def test_a_machine_without_nvidia_is_ok_without_the_library():
    facts = Facts(failed=[failure(driver_reason="library_missing")])
    assert verdicts(facts, boards=0) == {"NVIDIA": Verdict.OK}


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("library_missing", "NVIDIA_DRIVER_CAPABILITIES"),
        ("driver_not_loaded", "modprobe"),
        ("library_mismatch", "reboot"),
        ("permission", "/dev/nvidia"),
        ("driver", "dmesg"),
    ],
)
def test_a_board_that_no_driver_serves_fails_with_the_mend_for_its_cause(reason, word):
    (check,) = judge(Facts(failed=[failure(driver_reason=reason)]), boards=1)
    assert check.verdict is Verdict.FAIL
    assert word in check.mend


def test_a_driver_that_lists_no_gpu_fails():
    assert verdicts(Facts(driver={**DRIVER, "gpus": 0}))["NVIDIA driver"] is Verdict.FAIL


def test_a_board_that_the_driver_does_not_list_is_a_warning():
    assert verdicts(Facts(driver=DRIVER, gpus=[GPU]), boards=2)["NVIDIA driver"] is Verdict.WARN


@pytest.mark.parametrize(
    ("change", "subject"),
    [({"persistence_mode": 0}, "persistence mode"), ({"gpm": False}, "GPM"), ({"gpm": None}, "GPM")],
)
def test_what_a_gpu_lacks_is_a_warning_that_names_it(change, subject):
    checks = judge(Facts(driver=DRIVER, gpus=[GPU | change]), boards=1)
    (check,) = [check for check in checks if check.verdict is not Verdict.OK]
    assert (check.subject, check.verdict) == (subject, Verdict.WARN)
    assert "GPU 0" in check.detail
    assert check.mend


def test_a_lost_gpu_fails_and_the_others_are_told_of():
    facts = Facts(driver={**DRIVER, "gpus": 2}, gpus=[GPU], failed=[failure("GPU 1", "lost")])
    assert verdicts(facts, boards=2)["GPU 1"] is Verdict.FAIL
    assert verdicts(facts, boards=2)["GPM"] is Verdict.OK


@pytest.mark.parametrize("end", ["hung", "crashed"])
def test_a_probe_that_broke_off_tells_where(end):
    (check,) = judge(Facts(at="GPU 3: nvmlDeviceGetName", end=end), boards=8)
    assert check.verdict is Verdict.FAIL
    assert "GPU 3: nvmlDeviceGetName" in check.detail


def test_whatever_is_not_ok_has_a_mend():
    facts = Facts(
        driver={**DRIVER, "gpus": 0},
        gpus=[GPU | {"gpm": False, "persistence_mode": 0}],
        failed=[failure("GPU 1", reason) for reason in ("lost", "needs_reset", "permission", "busy")],
    )
    assert all(check.mend for check in judge(facts, boards=1) if check.verdict is not Verdict.OK)


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    return build_stub(tmp_path_factory.mktemp("nvml"))


def test_a_real_library_is_asked_about_each_gpu(stub):
    facts = gather(environ=stub_environment(stub, gpus=3))
    assert facts.end == "done"
    assert facts.driver["gpus"] == 3
    assert [gpu["index"] for gpu in facts.gpus] == [0, 1, 2]


@pytest.mark.parametrize(("fault", "end"), [("hang 1", "hung"), ("crash 1", "crashed")])
def test_a_real_library_that_hangs_or_crashes_is_told_with_its_gpu(stub, tmp_path, fault, end):
    script = tmp_path / "faults"
    script.write_text(f"{fault}\n", encoding="ascii")
    facts = gather(environ=stub_environment(stub, script, gpus=2), seconds=5.0)
    assert facts.end == end
    assert facts.at.startswith("GPU 1: ")


def test_the_kernel_log_needs_a_file_that_can_be_read(tmp_path):
    (tmp_path / "kmsg").write_bytes(b"6,1,1,-;hello\n")
    assert kernel_log(tmp_path / "kmsg").verdict is Verdict.OK
    assert kernel_log(tmp_path / "none").verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("memory", "cpu", "verdict"),
    [
        ("max", "max 100000", Verdict.OK),
        ("536870912", "200000 100000", Verdict.OK),
        ("67108864", "max 100000", Verdict.WARN),
        ("max", "5000 100000", Verdict.WARN),
    ],
)
def test_limits_too_small_for_the_agent_are_a_warning(tmp_path, memory, cpu, verdict):
    folder = tmp_path / "fs/cgroup"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text(f"{memory}\n")
    (folder / "cpu.max").write_text(f"{cpu}\n")
    assert container_limits(tmp_path, tmp_path).verdict is verdict


def test_a_proc_that_is_not_where_the_settings_say_fails_and_names_the_setting(tmp_path):
    found = process_files(tmp_path / "mounted-elsewhere")

    assert found is not None
    assert found.verdict is Verdict.FAIL
    assert "mounted-elsewhere/stat: No such file or directory" in found.detail
    assert "agent.proc_root" in found.mend
    assert process_files() is None


def test_a_running_hostengine_is_reported_with_its_pid(tmp_path):
    (tmp_path / "77").mkdir()
    (tmp_path / "77/comm").write_text("nv-hostengine\n")
    assert "77" in hostengine(tmp_path).detail
    (tmp_path / "77/comm").write_text("python3\n")
    assert hostengine(tmp_path).verdict is Verdict.OK


def test_the_verb_prints_json_and_ends_with_0_or_1(capsys):
    code = main(["doctor", "--json"], dict(os.environ))
    checks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {check["verdict"] for check in checks} <= set(Verdict)
    assert code == int(any(check["verdict"] == Verdict.FAIL for check in checks))


def test_the_table_of_privileges_names_collectors_that_exist():
    assert {row.collector for row in PRIVILEGES} <= set(COLLECTORS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files in memory")
def test_the_probe_needs_no_directory_for_temporary_files():
    """In a container with a read-only root there may be none."""
    tell = "import json, os; print(json.dumps({'driver': {'stdout': os.readlink('/proc/self/fd/1')}}))"
    assert gather((sys.executable, "-c", tell)).driver["stdout"].startswith("/memfd:warpgauge")


def test_the_probe_ends_well_without_a_library(tmp_path):
    facts = gather(
        (sys.executable, "-m", "warpgauge.exporters.doctor.nvidia_probe"),
        environ={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
    )
    assert facts.end == "done"
