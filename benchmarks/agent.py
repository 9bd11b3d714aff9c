"""What the agent costs on a fake driver with 8 GPUs, beside a textbook exporter on the same driver in the same run.

The driver is tests/fakes/nvml_stub.c with the call latencies published for a real one (utilization 2.5 us, memory
12 us, fan 137 us, process list 4.5 ms). Clients are processes of their own that ask at random moments, so that every
phase of a tick is met. `--short` takes fewer scrapes, `--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPConnection
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from warpgauge.core.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "tests/fakes/nvml_stub.c"
CLIENTS = 4
MEGABYTE = 1e6
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}


@dataclass
class Exporter:
    """A running exporter: its process, its page and how long it took until devices were on it."""

    process: subprocess.Popen[bytes]
    port: int
    start_seconds: float

    def family(self) -> list[psutil.Process]:
        """The process and its children."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def page(self) -> str:
        """What a scrape gets."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def cpu_seconds(self) -> float:
        """User and system time of the family so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self.family())

    def memory_bytes(self) -> int:
        """Resident memory of the family; shared pages count twice."""
        return sum(one.memory_info().rss for one in self.family())


def free_port() -> int:
    import socket  # noqa: PLC0415 - only here

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], environment: dict[str, str], port: int, sign: str) -> Iterator[Exporter]:
    """Start an exporter and wait until its page holds `sign`."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    exporter = Exporter(process, port, 0.0)
    try:
        while True:
            with contextlib.suppress(OSError):
                if sign in exporter.page():
                    break
            if process.poll() is not None or time.perf_counter() - begun > 30:  # noqa: PLR2004 - far too long
                message = f"{command[0]} does not serve"
                raise RuntimeError(message)
            time.sleep(0.005)
        exporter.start_seconds = time.perf_counter() - begun
        yield exporter
    finally:
        process.terminate()
        process.wait(10)


def client(port: int, scrapes: int, seed: int, results: Any) -> None:  # noqa: ANN401 - a queue between processes
    """One client's latencies in seconds; every second scrape asks for compressed OpenMetrics."""
    chance, latencies = random.Random(seed), []
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(scrapes):
        time.sleep(chance.uniform(0.0, 0.02))
        begun = time.perf_counter()
        connection.request("GET", "/metrics", headers=OPENMETRICS if number % 2 else {})
        connection.getresponse().read()
        latencies.append(time.perf_counter() - begun)
    results.put(latencies)


def scrape(exporter: Exporter, scrapes: int) -> list[float]:
    """Latencies of that many scrapes by four clients at once, in milliseconds, sorted."""
    context = get_context("spawn")
    results = context.Queue()
    clients = [
        context.Process(target=client, args=(exporter.port, scrapes // CLIENTS, seed, results))
        for seed in range(CLIENTS)
    ]
    for one in clients:
        one.start()
    latencies = sorted(value * 1e3 for _ in clients for value in results.get())
    for one in clients:
        one.join()
    return latencies


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def cpu_percent(exporter: Exporter, seconds: float) -> float:
    """Share of a core while a Prometheus would scrape every 15 s."""
    time.sleep(3)  # past the start
    before, begun = exporter.cpu_seconds(), time.perf_counter()
    while time.perf_counter() - begun < seconds:
        exporter.page()
        time.sleep(min(15.0, max(0.0, seconds - (time.perf_counter() - begun))))
    return (exporter.cpu_seconds() - before) / (time.perf_counter() - begun) * 100


def worst_age(exporter: Exporter, seconds: float, hung: int) -> tuple[float, float]:
    """Age of the oldest sample of any device but one, and the p99 of the scrapes that asked, over some seconds."""
    ages, latencies = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        page = exporter.page()
        latencies.append((time.perf_counter() - begun) * 1e3)
        times = re.findall(r'^accel_last_sample_timestamp_seconds\{index="(\d+)".*\} (\S+)$', page, re.MULTILINE)
        ages.append(time.time() - min(float(value) for index, value in times if int(index) != hung))
        time.sleep(0.02)
    return max(ages), percentile(sorted(latencies), 0.99)


def figure(  # noqa: PLR0913 - the columns of a figure
    name: str, value: float, unit: str, peer: str = "", budget: str = "", *, ok: bool = True
) -> dict[str, object]:
    return {"name": f"agent {name}", "value": round(value, 3), "unit": unit, "peer": peer, "budget": budget, "ok": ok}


def measure(folder: Path, gpus: int, *, is_short: bool) -> list[dict[str, object]]:
    script = folder / "faults"
    script.write_text("")
    stub = {
        "LD_LIBRARY_PATH": str(build(folder)),
        "NVML_STUB_GPUS": str(gpus),
        "NVML_STUB_SCRIPT": str(script),
        "NVML_STUB_LATENCY": "real",
        "XDG_RUNTIME_DIR": str(folder),
        "RUNTIME_DIRECTORY": str(folder),
        "XDG_DATA_HOME": str(folder),
    }
    environment = {**os.environ, **stub}
    scrapes, seconds = (4_000, 15.0) if is_short else (20_000, 60.0)
    beside = textbook_figures(environment, is_short=is_short)
    port = free_port()
    command = [sys.executable, "-m", "warpgauge", "agent", f"--web.listen-address=127.0.0.1:{port}"]
    with running(command, environment, port, "accel_power_watts{") as agent:
        percent = cpu_percent(agent, seconds)
        latencies = scrape(agent, scrapes)
        memory = agent.memory_bytes() / MEGABYTE
        series = sum(1 for line in agent.page().splitlines() if line.startswith("accel_"))
        script.write_text("hang 2\n")
        age, hung_p99 = worst_age(agent, 6.0, hung=2)
    starts = [agent.start_seconds, *(start(command, environment, port) for _ in range(2))]

    def of(key: str, form: str) -> str:
        return f"textbook {beside[key]:{form}}"

    p99 = percentile(latencies, 0.99)
    first = statistics.median(starts)
    return [
        figure("device series", series, "series", of("samples", ".0f")),
        figure("scrape p50", percentile(latencies, 0.5), "ms", of("p50", ".1f")),
        figure("scrape p99", p99, "ms", of("p99", ".1f"), "< 2", ok=p99 < 2),  # noqa: PLR2004 - beside it
        figure("scrape max", latencies[-1], "ms"),
        figure("CPU at defaults", percent, "% of a core", of("cpu", ".2f"), "< 1", ok=percent < 1),
        figure("memory, supervisor and child", memory, "MB", of("memory", ".0f"), "< 80", ok=memory < 80),  # noqa: PLR2004
        figure("start to first scrape", first, "s", of("start", ".2f"), "< 0.5", ok=first < 0.5),  # noqa: PLR2004
        figure("oldest other sample while one GPU hangs", age, "s", "", "<= 3.5", ok=age <= 3.5),  # noqa: PLR2004
        figure("scrape p99 while one GPU hangs", hung_p99, "ms"),
    ]


def start(command: Sequence[str], environment: dict[str, str], port: int) -> float:
    with running(command, environment, port, "accel_power_watts{") as agent:
        return agent.start_seconds


def textbook_figures(environment: dict[str, str], *, is_short: bool) -> dict[str, float]:
    """The same figures of the exporter that everybody writes first."""
    port = free_port()
    command = [sys.executable, __file__, "--textbook", str(port)]
    with running(command, environment, port, "textbook_power_watts{") as exporter:
        percent = cpu_percent(exporter, 15.0 if is_short else 45.0)
        latencies = scrape(exporter, 200 if is_short else 1000)
        samples = sum(1 for line in exporter.page().splitlines() if not line.startswith(("#", "python_", "process_")))
        return {
            "start": exporter.start_seconds,
            "cpu": percent,
            "p50": percentile(latencies, 0.5),
            "p99": percentile(latencies, 0.99),
            "memory": exporter.memory_bytes() / MEGABYTE,
            "samples": samples,
        }


def textbook(port: int) -> None:
    """The exporter that everybody writes first: a custom collector that reads the driver in the scrape."""
    import pynvml  # noqa: PLC0415 - only in the peer's process
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - as above
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - as above

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    uuids = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
    getters: dict[str, Any] = {
        "power_watts": lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
        "power_limit_watts": lambda gpu: pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
        "utilization": lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
        "memory_used_bytes": lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used,
        "memory_free_bytes": lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).free,
        "temperature_celsius": lambda gpu: pynvml.nvmlDeviceGetTemperatureV(gpu, 0),
        "fan_percent": lambda gpu: pynvml.nvmlDeviceGetFanSpeed_v2(gpu, 0),
        "processes": lambda gpu: len(pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)),
        "reasons": pynvml.nvmlDeviceGetCurrentClocksEventReasons,
        "pcie_generation": pynvml.nvmlDeviceGetCurrPcieLinkGeneration,
        "pcie_width": pynvml.nvmlDeviceGetCurrPcieLinkWidth,
    }
    for kind in range(4):
        getters[f"clock_{kind}_mhz"] = lambda gpu, kind=kind: pynvml.nvmlDeviceGetClockInfo(gpu, kind)
        getters[f"clock_max_{kind}_mhz"] = lambda gpu, kind=kind: pynvml.nvmlDeviceGetMaxClockInfo(gpu, kind)
    fields = [3, 4, 5, 6, 74, 76, 82, 83, 94, 138, 139, 197, 198, 269, 270, 271]

    class Textbook:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            for name, get in getters.items():
                family = GaugeMetricFamily(f"textbook_{name}", name, labels=["uuid"])
                for uuid, handle in zip(uuids, handles, strict=True):
                    family.add_metric([uuid], get(handle))
                yield family
            family = GaugeMetricFamily("textbook_field", "field values", labels=["uuid", "field"])
            for uuid, handle in zip(uuids, handles, strict=True):
                for value in pynvml.nvmlDeviceGetFieldValues(handle, fields):
                    family.add_metric([uuid, str(value.fieldId)], value.value.ullVal)
            yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Textbook())  # type: ignore[arg-type]  # it collects, which is all that is asked
    start_http_server(port, "127.0.0.1", registry)
    while True:
        time.sleep(3600)


def build(folder: Path) -> Path:
    """Folder with the fake library."""
    library = folder / "libnvidia-ml.so.1"
    compiler = shutil.which("cc") or sys.exit("agent.py needs a C compiler for the fake driver: apt-get install gcc")
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", library, STUB], check=True
    )
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="about 50 s instead of about 5 minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    parser.add_argument("--gpus", type=int, default=8, metavar="N", help="GPUs of the fake driver")
    parser.add_argument("--textbook", type=int, metavar="PORT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.textbook:
        textbook(args.textbook)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.gpus, is_short=args.short)
    if args.json:
        print("\n".join(json.dumps(one) for one in found))
        return
    rows = [[str(value) if key != "ok" else "yes" if value else "NO" for key, value in one.items()] for one in found]
    print(table(["figure", "value", "unit", "peer", "budget", "ok"], rows, numeric=[1]))


if __name__ == "__main__":
    main()
