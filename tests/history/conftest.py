"""A page of a machine with two GPUs, taken in again and again, and a history of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.history.recorder import Recorder
from warpgauge.analyzer.history.writer import HistoryWriter
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.parquet import encoded, encoded_told
from warpgauge.analyzer.sources import Page, Target
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import HistoryConfig

if TYPE_CHECKING:
    from pathlib import Path

START = 1_750_000_000.0
UUIDS = ("GPU-0", "GPU-1")


class Kept:
    """An intake with a history behind it, whose thread the test is; `at` moves the clock to seconds after START."""

    def __init__(self, folder: Path, resolution_seconds: float, **settings: float) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        config = HistoryConfig(enabled=True, resolution_seconds=resolution_seconds, **settings)
        self.writer = HistoryWriter(config, folder, self.clock, encoded, encoded_told)
        self.recorder = Recorder(self.writer, resolution_seconds=resolution_seconds)
        self.intake = Intake(Frame(), NodeNames("local"), self.recorder)

    def scrape(self, at: float, text: str, target: str = "http://n1:9837/metrics") -> None:
        self.clock.seconds = max(self.clock.seconds, START + at)
        page = Page(
            target=Target(name=target, labels={"instance": "n1:9837", "rack": "r7"}),
            text=text,
            is_openmetrics=False,
            time=START + at,
            interval_seconds=10.0,
        )
        self.intake.take(page)

    def files(self) -> list[Path]:
        return sorted(self.folder.rglob("*.parquet"))


def page(step: int, *, simulated: str = "false") -> str:
    lines = ['host_info{nodename="n1",sysname="Linux"} 1', f"warpgauge_agent_scrapes_total {step}"]
    for index, uuid in enumerate(UUIDS):
        who = f'uuid="{uuid}",index="{index}"'
        lines += [
            f'accel_device_info{{{who},vendor="nvidia",kind="gpu",model="H100",simulated="{simulated}"}} 1',
            f"accel_power_watts{{{who}}} {300 + step}",
            f"accel_energy_joules_total{{{who}}} {3000 * step}",
            f'accel_fan_speed_ratio{{{who},fan="0"}} 0.5',
            f'accel_workload_info{{{who},scheduler="slurm",job_id="7",rank="{index}"}} 1',
        ]
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture
def kept(tmp_path):
    def make(resolution_seconds: float = 10.0, **settings: float) -> Kept:
        return Kept(tmp_path / "history", resolution_seconds, **settings)

    return make
