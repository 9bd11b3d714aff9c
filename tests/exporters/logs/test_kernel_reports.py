"""The kernel's reports become records: kind, severity, device and job of each form, and nothing of other lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.exporters.logs.kernel_reports import KernelReports

CORRECTED = "pcieport 0000:00:01.0: AER: Corrected error received: 0000:3b:00.0"


@pytest.mark.parametrize(
    ("line", "kind", "severity", "address"),
    [
        ("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", "xid", "critical", "0000:3b:00.0"),
        ("NVRM: Xid (PCI:0000:3b:00): 13, Graphics Exception", "xid", "info", "0000:3b:00.0"),
        ("nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 12028, Non-fatal, Link 44", "sxid", "warning", "0000:c1:00.0"),
        ("nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30", "sxid", "critical", "0000:c1:00.0"),
        (CORRECTED, "aer", "info", "0000:3b:00.0"),
        (
            "pcieport 0000:00:01.0: AER: Multiple Uncorrectable (Fatal) error message received from 0000:3b:00.0",
            "aer", "critical", "0000:3b:00.0",
        ),
        (
            "nvidia 0000:3b:00.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer, (Receiver)",
            "aer", "warning", "0000:3b:00.0",
        ),
        ("mce: [Hardware Error]: Machine check events logged", "mce", "warning", ""),
        ("mce: [Hardware Error]: CPU 3: Machine Check Exception: 5 Bank 4: b200000000070f0f", "mce", "critical", ""),
        ("EDAC MC0: 1 CE memory read error on CPU_SrcID#0_MC#0_Chan#0_DIMM#0", "mce", "warning", ""),
        ("EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#0_DIMM#0", "mce", "critical", ""),
        ("Memory failure: 0x12345: recovery action for dirty LRU page: Recovered", "mce", "critical", ""),
        ("Out of memory: Killed process 4711 (python3) total-vm:1kB, anon-rss:1kB", "oom_kill", "critical", ""),
        ("Memory cgroup out of memory: Killed process 4711 (python3) total-vm:1kB", "oom_kill", "warning", ""),
        (
            "pcieport 0000:80:01.1: DPC: containment event, status:0x1f01 source:0x0000",
            "bus_error", "critical", "0000:80:01.0",
        ),
        ("pcieport 0000:80:01.1: pciehp: Slot(5): Link Down", "bus_error", "critical", "0000:80:01.0"),
        (
            "nvidia 0000:3b:00.0: can't change power state from D3cold to D0 (config space inaccessible)",
            "bus_error", "critical", "0000:3b:00.0",
        ),
    ],
)  # fmt: skip
def test_each_form_is_known(line, kind, severity, address):
    report = KernelReports().read(line)
    assert (report.kind, report.severity, report.pci_bus_id, report.message) == (kind, severity, address, line)


@pytest.mark.parametrize(
    "line",
    [
        "usb 1-1: new high-speed USB device",
        "pcieport 0000:00:01.0: AER: enabled with IRQ 24",
        "x86/cpu: VMX disabled by BIOS",
        "[Hardware Error]:   section_type: memory error",
        "pcieport 0000:80:01.1: pciehp: Slot(5): Card present",
        "python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        "oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/x,task=python3,pid=4711,uid=0",
        "",
    ],
)
def test_other_lines_are_no_reports(line):
    assert KernelReports().read(line) is None


def test_an_oom_kill_belongs_to_the_job_whose_memory_ran_out():
    reports = KernelReports()
    assert (
        reports.read(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,"
            "task_memcg=/system.slice/slurmstepd.scope/job_77/step_0,task=python3,pid=4711,uid=1000"
        )
        is None
    )
    report = reports.read("Memory cgroup out of memory: Killed process 4711 (python3) total-vm:1kB")
    assert report.job_id == "77"
    assert report.attributes == {
        "pid": 4711, "process": "python3", "cgroup": "/system.slice/slurmstepd.scope/job_77/step_0",
    }  # fmt: skip


def test_a_kill_of_another_process_is_not_blamed_on_that_job():
    reports = KernelReports()
    reports.read("oom-kill:task_memcg=/slurm/uid_0/job_77/step_0,task=a,pid=1,uid=0")
    assert reports.read("Out of memory: Killed process 2 (b)").job_id == ""


@given(st.lists(st.text(max_size=1500) | st.sampled_from([CORRECTED, "oom-kill:task_memcg=", "EDAC MC0: 1 CE "])))
def test_no_text_upsets_the_parser(lines):
    reports = KernelReports()
    for line in lines:
        reports.read(line)
