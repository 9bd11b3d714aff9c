"""Cost of a remote-write message: decompressed, read and into the frame, in samples a second of one core.

Messages are as Prometheus sends them: 500 series with one sample each, 14 labels a series as dcgm-exporter's have under
the GPU operator, series seen before. Beside it the same message read by Google's protobuf library with an object for
each label, as a receiver does it that takes the obvious way. Figures are CPU time of one thread; medians of rounds.
`--short` makes fewer rounds, `--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cramjam

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.analyzer.prompb import message, samples_of
from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.intake.written import WrittenSamples
from warpgauge.analyzer.sources.replicas import REPLICA_LABELS
from warpgauge.analyzer.sources.snappy import decompressed
from warpgauge.analyzer.sources.write_request import SeriesBook
from warpgauge.core.table import table

if TYPE_CHECKING:
    from collections.abc import Callable

SERIES_PER_MESSAGE = 500
MESSAGES = 50
START_MS = 1_750_000_000_000
STEP_MS = 15_000
LIMIT_BYTES = 64 << 20
BUDGET_SAMPLES_PER_SECOND = 500_000
FIELDS = (
    "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_MEMORY_TEMP",
    "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
    "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_DEC_UTIL",
    "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_RESERVED", "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
    "DCGM_FI_DEV_VGPU_LICENSE_STATUS", "DCGM_FI_DEV_ROW_REMAP_FAILURE", "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_DRAM_ACTIVE",
)  # fmt: skip


def labels(number: int) -> dict[str, str]:
    device, field = divmod(number, len(FIELDS))
    node = device // 8
    return {
        "__name__": FIELDS[field],
        "gpu": str(device % 8),
        "UUID": f"GPU-{device:08x}-1111-2222-3333-444444444444",
        "device": f"nvidia{device % 8}",
        "pci_bus_id": f"00000000:{device % 8:02X}:00.0",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": f"gpu-node-{node}",
        "DCGM_FI_DRIVER_VERSION": "570.86.15",
        "job": "nvidia-dcgm-exporter",
        "endpoint": "gpu-metrics",
        "instance": f"10.244.{node // 250}.{node % 250}:9400",
        "namespace": "gpu-operator",
        "pod": f"nvidia-dcgm-exporter-{node}",
        "exported_pod": f"train-{node}",
    }


def messages(tick: int) -> list[bytes]:
    """One scrape of all devices; every third value is 0, as throttling and errors mostly are."""
    time_ms = START_MS + tick * STEP_MS
    groups = range(0, MESSAGES * SERIES_PER_MESSAGE, SERIES_PER_MESSAGE)
    return [
        message([(labels(n), [(time_ms, float(n % 3) * 0.37)]) for n in range(first, first + SERIES_PER_MESSAGE)])
        for first in groups
    ]


def seconds_of(work: Callable[[bytes], object], bodies: list[bytes]) -> float:
    start = time.process_time()
    for body in bodies:
        work(body)
    return time.process_time() - start


def measure(rounds: int) -> list[dict[str, object]]:
    book = SeriesBook()
    intake = Intake(Frame(step_seconds=10.0, window_seconds=3600.0), NodeNames("local"))
    written = WrittenSamples(intake, REPLICA_LABELS)
    took: dict[str, list[float]] = {"read": [], "whole": [], "library": []}
    first = 0.0
    for tick in range(rounds + 1):
        bodies = messages(tick)
        packed = [bytes(cramjam.snappy.compress_raw(body)) for body in bodies]
        now = tick * STEP_MS / 1000.0

        def whole(block: bytes, now: float = now) -> None:
            written.take(decompressed(block, LIMIT_BYTES), now)

        spent = seconds_of(whole, packed)
        start = time.process_time()
        written.flush(now, at_once=True)
        spent += time.process_time() - start
        read = seconds_of(lambda block: book.read(decompressed(block, LIMIT_BYTES)), packed)
        if tick == 0:  # series seen for the first time
            first = spent
            continue
        took["whole"].append(spent)
        took["read"].append(read)
        took["library"].append(seconds_of(lambda block: samples_of(decompressed(block, LIMIT_BYTES)), packed))
    samples = MESSAGES * SERIES_PER_MESSAGE
    rates = {name: samples / statistics.median(times) for name, times in took.items()}
    library = f"protobuf library, labels as objects {rates['library'] / 1e6:.3f} M"
    return [
        _figure("remote write read", rates["read"], library, BUDGET_SAMPLES_PER_SECOND),
        _figure("remote write into the frame", rates["whole"], library, BUDGET_SAMPLES_PER_SECOND),
        _figure("remote write, series seen for the first time", samples / first, "", None),
    ]


def _figure(name: str, rate: float, peer: str, budget: int | None) -> dict[str, object]:
    return {
        "name": name,
        "value": round(rate),
        "unit": "samples/s/core",
        "peer": peer,
        "budget": "" if budget is None else f">= {budget}",
        "ok": budget is None or rate >= budget,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    rows = measure(5 if arguments.short else 30)
    if arguments.json:
        print("\n".join(json.dumps(row) for row in rows))
    else:
        print(table([key.upper() for key in rows[0]], [list(row.values()) for row in rows], numeric={"VALUE"}))


if __name__ == "__main__":
    main()
