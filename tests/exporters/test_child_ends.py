"""What the end of a child says about the devices: nothing, if it never came to touch one."""

from __future__ import annotations

import asyncio

import pytest

from warpgauge.core.catalog import Tier
from warpgauge.core.clock import ManualClock, SystemClock
from warpgauge.core.device import Device, DeviceKind, DeviceState
from warpgauge.exporters.link import End, Program
from warpgauge.exporters.messages import COMMON, Found, Positions
from warpgauge.exporters.readings import Readings
from warpgauge.exporters.supervisor import Supervisor


@pytest.fixture
def supervisor():
    """One whose first child told of two GPUs."""
    clock = ManualClock()
    made = Supervisor("nvml", Readings(clock), intervals={Tier.FAST: 1.0}, program=Program(command=()), clock=clock)
    made._hear(Positions((0, 1)))
    for index in (0, 1):
        gpu = Device(uuid=f"GPU-{index}", index=index, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
        made._hear(Found(index, gpu))
    return made


def states(supervisor):
    return [standing.state for standing in supervisor._readings.standings]


@pytest.mark.parametrize(
    ("blamed", "out"),
    [(frozenset(), set()), (frozenset({COMMON}), {0, 1})],
    ids=["it never spoke", "it fell silent in the driver"],
)
def test_nobody_can_be_read_after_a_child_that_hung_but_who_was_not_touched_is_read_by_the_next(
    supervisor, blamed, out
):
    supervisor._settle_up(End("hung", blamed))
    assert states(supervisor) == [DeviceState.HUNG, DeviceState.HUNG]
    assert supervisor._quarantine.positions == out


def test_a_child_that_was_told_to_end_leaves_everybody_as_they_were(supervisor):
    supervisor._settle_up(End("inventory"))
    assert states(supervisor) == [DeviceState.OK, DeviceState.OK]
    assert supervisor._quarantine.positions == set()


def test_after_a_child_that_fails_of_itself_the_next_one_waits_longer_and_longer(supervisor):
    async def pauses():
        begun = SystemClock().monotonic()
        for _ in range(2):
            await supervisor._pause(End("failed"))
        return SystemClock().monotonic() - begun

    assert asyncio.run(pauses()) >= 0.2 * 0.8 + 0.4 * 0.8  # less by as much as chance may shorten them
