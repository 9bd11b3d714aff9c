"""One node with NVIDIA, AMD, TPU and Gaudi devices, host, fabric, an inference server, a job and a pod on one page."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.mixed_node import CHIPS, COLLECTORS_ON, FIRST_GPU, FIRST_PID, SECOND_GPU, VENDORS, mixed_node
from tests.fakes.nvml_c import set_faults
from warpgauge.core.catalog import device, host, serving
from warpgauge.core.catalog import infiniband as fabric
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import Config
from warpgauge.core.exposition import labels_of, parse
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS

REFERENCE = Path(__file__).parents[2] / "docs/reference/metrics.md"
LAST_SUCCESS = "warpgauge_agent_collector_last_success_timestamp_seconds"
PORT = "sys/class/infiniband/mlx5_1/ports/1/counters/port_rcv_data"
READINGS = 5  # of each other source, while one is broken
LATE_SECONDS = 3.0  # longer than a busy machine stands still, shorter than what is waited for a GPU that hangs
POLL_SECONDS = 0.02
KINDS = ("hang", "crash", "garbage", "gone")


# ---- what a page says


def rows(node, *metrics):
    """Labels and values of these metrics' series."""
    wanted = tuple(metric.name for metric in metrics)
    lines = "".join(f"{line}\n" for line in node.page.splitlines() if line.startswith(wanted))
    return [(labels_of(line.labels), line.value) for line in parse(lines, place="page") if line.name in wanted]


def up(node):
    """Devices that are up and described, by vendor."""
    alive = {labels["uuid"] for labels, value in rows(node, device.DEVICE_UP) if value == 1}
    return Counter(labels["vendor"] for labels, _ in rows(node, device.DEVICE_INFO) if labels["uuid"] in alive)


def devices_with(node, metric, vendor):
    found = {it.device.uuid for it in node.agent.readings.standings if it.device.vendor == vendor}
    return len({labels["uuid"] for labels, _ in rows(node, metric)} & found)


def states(node, vendor):
    return sorted(it.state.value for it in node.agent.readings.standings if it.device.vendor == vendor)


def workloads(node):
    """Job or pod, by device."""
    found = rows(node, device.WORKLOAD_INFO)
    return {(labels["uuid"], labels["job_id"] or labels["pod"]) for labels, _ in found}


def ports(node):
    return {labels["device"] for labels, _ in rows(node, fabric.RECEIVE)}


def is_whole(node):
    """Whether everything that this node has is on its page."""
    jobs = {("77", FIRST_GPU), ("train-0", SECOND_GPU)}
    return (
        up(node) == VENDORS
        and devices_with(node, device.MEMORY_USED, "google") == len(CHIPS)
        and [devices_with(node, device.POWER, vendor) for vendor in ("nvidia", "amd", "intel")] == [2, 2, 1]
        and jobs <= {(name, uuid) for uuid, name in workloads(node)}
        and "78" in {name for _, name in workloads(node)}
        and ports(node) == {"mlx5_0", "mlx5_1"}
        and bool(rows(node, host.CPU_SECONDS))
        and [value for _, value in rows(node, serving.UP)] == [1.0]
    )


# ---- the table of faults: for each source what breaks it, and how that looks


def nvml(node, kind):
    set_faults(node.script, {"garbage": "code 4242 1"}.get(kind, f"{kind} 1"))


def amd(node, kind):
    (node.folder / "amd").write_text(f"{kind} 1")


def tpu(node, kind):
    if kind == "hang":
        node.runtime.pause_seconds = 2.0
    elif kind == "crash":
        node.runtime.is_dead = True
    elif kind == "garbage":
        node.runtime.lies = True
    else:
        (node.folder / "sys/bus/pci/devices" / CHIPS[3]).rename(node.folder / "unplugged")


def gaudi(node, kind):
    (node.folder / "hl-smi.fault").write_text(kind)


def inference(node, kind):
    node.server.fault = kind


def kubelet(node, kind):
    if kind == "hang":
        node.kubelet.hang_seconds = 1.5
    elif kind == "crash":
        node.kubelet.refuse = True
    elif kind == "garbage":
        node.kubelet.garbles = True
    else:
        node.kubelet.end_all()


def file_of(path):
    return lambda node, kind: node.file(path).break_(kind)


SOURCES = {  # name -> its collector, what breaks it, and whether that shows
    "nvidia": ("nvml", nvml, lambda node: devices_with(node, device.POWER, "nvidia") == 1),
    "amd": ("amd", amd, lambda node: devices_with(node, device.POWER, "amd") == 1),
    "tpu": ("tpu", tpu, lambda node: devices_with(node, device.MEMORY_USED, "google") < len(CHIPS)),
    "gaudi": ("gaudi", gaudi, lambda node: devices_with(node, device.POWER, "intel") == 0),
    "host": ("host", file_of("proc/stat"), lambda node: not rows(node, host.CPU_SECONDS)),
    "infiniband": ("infiniband", file_of(PORT), lambda node: "mlx5_1" not in ports(node)),
    "inference server": ("serving", inference, lambda node: [v for _, v in rows(node, serving.UP)] != [1.0]),
    "slurm job": (
        "attribution",
        file_of(f"proc/{FIRST_PID}/stat"),
        lambda node: "77" not in {name for _, name in workloads(node)},
    ),
    "kubelet": ("attribution", kubelet, lambda node: "train-0" not in {name for _, name in workloads(node)}),
}


def heal(node):
    """End every fault of the table."""
    set_faults(node.script)
    (node.folder / "amd").write_text("")
    (node.folder / "hl-smi.fault").write_text("")
    node.runtime.pause_seconds, node.runtime.is_dead, node.runtime.lies = 0.0, False, False
    node.server.fault = ""
    node.server.freed.set()
    node.server.freed.clear()
    node.kubelet.hang_seconds, node.kubelet.refuse, node.kubelet.garbles = 0.0, False, False
    node.kubelet.end_all()
    node.kubelet.give("lab", "train-0", "main", "nvidia.com/gpu", SECOND_GPU)
    if (node.folder / "unplugged").exists():
        (node.folder / "unplugged").rename(node.folder / "sys/bus/pci/devices" / CHIPS[3])
    for path in ("proc/stat", PORT, f"proc/{FIRST_PID}/stat"):
        if node.file(path).kept.is_symlink() or node.file(path).kept.exists():
            node.file(path).mend()


class Cadence:
    """When each collector was last read, as it is looked at again and again, and the longest pause between two."""

    def __init__(self, node):
        self.node, self.stamps, self.gaps, self.slack_seconds = node, {}, {}, 0.0

    async def look(self):
        begun = SystemClock().monotonic()
        await asyncio.sleep(POLL_SECONDS)
        now = SystemClock().monotonic()
        self.slack_seconds += 3 * max(0.0, now - begun - 2 * POLL_SECONDS)  # nor had our children
        for (name,), stamp in self.node.values(LAST_SUCCESS).items():
            seen = self.stamps.setdefault(name, [])
            if not seen or seen[-1][0] != stamp:
                if seen:
                    self.gaps[name] = max(self.gaps.get(name, 0.0), now - seen[-1][1])
                seen.append((stamp, now))

    def late(self, names):
        """Who of these was not read for longer than the machine's own weakness explains."""
        return {n: round(self.gaps[n], 1) for n in names if self.gaps.get(n, 0.0) > LATE_SECONDS + self.slack_seconds}

    def least(self, names):
        return min(len(self.stamps.get(name, ())) for name in names)


async def broken(node, name, kind):
    """What is wrong with one row of the table, empty if nothing is."""
    collector, inflict, shows = SOURCES[name]
    others = {one for one in COLLECTORS_ON if one not in {collector, "training"}}
    cadence = Cadence(node)
    before = Counter(name for name, _ in node.values("warpgauge_agent_child_restarts_total"))
    inflict(node, kind)
    begun = SystemClock().monotonic()
    while not shows(node) or cadence.least(others) < READINGS:
        await cadence.look()
        if SystemClock().monotonic() - begun > node.patience(30.0):
            heal(node)
            return f"shows: {shows(node)}; readings of the others: { {n: len(s) for n, s in cadence.stamps.items()} }"
    late = cadence.late(others)
    restarted = set(Counter(name for name, _ in node.values("warpgauge_agent_child_restarts_total")) - before)
    heal(node)
    await node.until(lambda: is_whole(node), seconds=40.0)
    return f"late: {late}; restarted: {restarted}" if late or restarted - {collector} else ""


@pytest.mark.slow
def test_whatever_breaks_in_one_source_leaves_the_others_on_cadence_and_passes(tmp_path):
    async def look():
        async with mixed_node(tmp_path) as node:
            await node.until(lambda: is_whole(node), seconds=60.0)
            return {(name, kind): await broken(node, name, kind) for name in SOURCES for kind in KINDS}

    found = asyncio.run(look())
    assert {row: wrong for row, wrong in found.items() if wrong} == {}


@pytest.mark.slow
def test_one_page_holds_everything_and_promtool_has_no_complaint(tmp_path, promtool):
    async def look():
        async with mixed_node(tmp_path) as node:
            await node.until(lambda: is_whole(node), seconds=60.0)
            await node.until(lambda: "accel_program_seconds_bucket" in node.page)
            return node.page, workloads(node)

    text, owners = asyncio.run(look())
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    documented = set(re.findall(r"^### (\S+)$", REFERENCE.read_text(), re.MULTILINE))
    assert families - documented == set()
    assert text.count("accel_runtime_up{") == len(CHIPS)
    assert {name for uuid, name in owners if uuid.startswith("TPU-")} == {"78"}  # by the file that it has open


def test_a_machine_without_such_devices_starts_nothing_for_them(tmp_path):
    config = Config()
    agent = Agent(replace(config, agent=replace(config.agent, sys_root=str(tmp_path))))
    plugged = {name for name, entry in COLLECTORS.items() if entry.pci}
    assert plugged == {"amd", "tpu", "gaudi"}
    assert {one.name for one in agent.collectors} == COLLECTORS.keys() - plugged - {"serving"}  # which nobody named
