"""A whole agent in this process: real child processes, real clock, short ticks; and the questions tests ask it."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.nvml_c import set_faults
from tests.pace import pace
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import Config
from warpgauge.core.exposition import Format, labels_of, parse
from warpgauge.core.retry import Backoff
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.link import Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

DEADLINE_SECONDS = 0.5  # of a hurried agent, and the time that it gives a start
START_SECONDS = 1.5
TICK_SECONDS = 0.1
LONGEST_SECONDS = 60.0  # of a wait: several in one test must end before pytest ends them all
CHILD = Path(__file__).with_name("nvml_child.py")


def python_fake(script: Path, *profiles: str) -> Program:
    """The child over the Python fake; quick to start, and any profile."""
    return _program([sys.executable, str(CHILD), str(script), *profiles], dict(os.environ))


def c_fake(environment: dict[str, str]) -> Program:
    """The child that users run, over the C fake."""
    return _program([sys.executable, "-m", "warpgauge.exporters.child", "nvml"], environment)


def _program(command: Sequence[str], environment: dict[str, str]) -> Program:
    return Program(
        command=command,
        environment=environment,
        retries=Backoff(first_seconds=0.3, factor=2.0, max_seconds=1.0),
    )


@dataclass
class Running:
    """A running agent with nothing but GPUs; `script` holds its faults."""

    agent: Agent
    script: Path
    slowness: float = field(default_factory=pace)  # the most that was seen
    slack_seconds: float = 0.0  # that the machine had no time for the test itself, as far as the test noticed

    def inflict(self, *faults: str) -> None:
        set_faults(self.script, *faults)

    def values(self, metric: str) -> dict[tuple[str, ...], float]:
        """Values by the labels after uuid, sorted by name."""
        page = self.agent.pages.body(Format.TEXT, is_compressed=False).decode()
        asked = [line for line in page.splitlines() if line.startswith((f"{metric}{{", f"{metric} "))]
        return {  # parsing all of a large page at each look would starve the agent, which shares this process
            tuple(value for name, value in sorted(labels_of(line.labels).items()) if name != "uuid"): line.value
            for line in parse("".join(f"{line}\n" for line in asked), place="page")
        }

    def states(self) -> dict[int, str]:
        """State by index."""
        series = self.values("accel_device_state")
        return {int(index): state for (index, state), value in series.items() if value == 1.0}

    def named(self, metric: str) -> dict[str, str]:
        """Index by uuid, of the devices that have a series whose value is not 0."""
        lines = parse(self.agent.pages.body(Format.TEXT, is_compressed=False).decode(), place="page")
        found = [labels_of(line.labels) for line in lines if line.name == metric and line.value]
        return {labels["uuid"]: labels["index"] for labels in found}

    def with_data(self) -> set[int]:
        """Indices of the devices that have data series."""
        return {int(index) for (index,) in self.values("accel_power_watts")}

    def oldest_seconds(self, *indices: int) -> float:
        """Age of the oldest of these devices' last samples."""
        samples = self.values("accel_last_sample_timestamp_seconds")
        return SystemClock().now() - min(samples[(str(index),)] for index in indices)

    def restarts(self) -> dict[str, float]:
        """How often a child ended, by reason."""
        return {reason: value for (_, reason), value in self.values("warpgauge_agent_child_restarts_total").items()}

    def patience(self, seconds: float) -> float:
        """What may take so many seconds where nothing else runs may take so many here, which is a minute at most."""
        self.slowness = max(self.slowness, pace())
        return min(seconds * self.slowness + self.slack_seconds, max(seconds, LONGEST_SECONDS))

    async def until(self, claim: Callable[[], bool], *, seconds: float = 10.0) -> None:
        """Wait for real processes to make a claim true, with patience."""
        begun = SystemClock().monotonic()
        while not claim():
            waited = SystemClock().monotonic() - begun
            assert waited < self.patience(seconds), f"not within {waited:.1f} s; states {self.states()}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    program: Program,
    script: Path,
    *faults: str,
    collectors: Sequence[str] = ("nvml",),
    is_hurried: bool = False,
    **more: object,
) -> AsyncIterator[Running]:
    """An agent with these collectors only, until the block ends.

    `faults` are there from the start; `more` are settings of the agent. A hurried one gives a driver a fraction of the
    time that it has with users, for stories in which one hangs.
    """
    set_faults(script, *faults)
    slowness = pace()
    if is_hurried:
        program = replace(program, deadline_seconds=DEADLINE_SECONDS * slowness, start_seconds=START_SECONDS * slowness)
    config = Config()
    settings = replace(
        config.agent,
        fast_interval_seconds=TICK_SECONDS,
        normal_interval_seconds=TICK_SECONDS * 2,
        slow_interval_seconds=TICK_SECONDS * 3,
        disabled_collectors=tuple(name for name in COLLECTORS if name not in collectors),
        **more,
    )
    agent = Agent(replace(config, agent=settings), programs={"nvml": program})
    reading = asyncio.create_task(agent.run())
    try:
        yield Running(agent, script, slowness)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
