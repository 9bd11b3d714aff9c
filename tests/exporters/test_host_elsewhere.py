"""The agent's own-machine parts where Linux's interfaces are missing: simulated by taking them away from Python."""

from __future__ import annotations

import subprocess
import sys

# What Windows' Python has not (macOS has more); modules that would be other ones there are imported before.
WITHOUT = """
import os, sys, socket, tempfile, psutil, platform
sys.path[:0] = sys.argv[1:]
sys.modules["pwd"] = None
for name in ("statvfs", "sysconf", "getuid", "register_at_fork"):
    delattr(os, name)
for name in ("AF_UNIX", "SO_PASSCRED", "SCM_CREDENTIALS", "CMSG_SPACE"):
    delattr(socket, name)
"""


def run(program):
    command = [sys.executable, "-W", "error", "-c", WITHOUT + program, *sys.path]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return ran.stdout.strip(), ran.stderr.strip()


def test_the_host_is_read_without_linuxs_interfaces():
    assert run(
        "from warpgauge.core.catalog import Tier\n"
        "from warpgauge.exporters.collectors.host import HostCollector\n"
        "host = HostCollector(system='win32')\n"
        "print(host.check(), [error for tier in Tier for error in host.read(tier)[1]])\n"
        "print(len(host.read(Tier.SLOW)[0]) > 2)\n"
    ) == ("None []\nTrue", "")


def test_the_training_collector_says_why_it_is_absent():
    assert run(
        "from warpgauge.exporters.collectors.training import TrainingCollector\nprint(TrainingCollector().check())\n"
    ) == ("this system's unix sockets do not tell who sends", "")


def test_processes_are_named_without_a_user_database():
    out, errors = run(
        "from warpgauge.exporters.processes import ProcessTable\n"
        "print(len(ProcessTable(system='darwin', sleep=lambda _: None).busiest(1)))\n"
    )
    assert (out, errors) == ("1", "")
