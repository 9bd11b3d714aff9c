"""A page of a cut board in the frame: one entity for each GPU instance, beside the board itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.service.live import live_document
from warpgauge.analyzer.sources import Page, Target
from warpgauge.core.catalog import device

NOW = 1_750_000_000.0
PAGE = Path(__file__).parents[1] / "golden" / "agent-h100-mig.txt"
AGENT = Target(name="http://10.0.0.1:9837/metrics", labels={"instance": "10.0.0.1:9837"})
GIGABYTES = {"1": 40, "5": 20, "13": 10}


@pytest.fixture(scope="module")
def frame() -> Frame:
    taking = Intake(Frame(), NodeNames("local"))
    text = PAGE.read_text(encoding="utf-8")
    taking.take(Page(target=AGENT, text=text, is_openmetrics=False, time=NOW, interval_seconds=10.0))
    return taking.frame


def of_each(frame: Frame, metric, *extra: str) -> dict[str, float]:
    """Instance -> newest value, where there is one; "" is the board."""
    values = frame.latest(metric, *extra)
    pairs = zip(frame.devices.entities, values, strict=True)
    return {entity.instance_id: float(value) for entity, value in pairs if np.isfinite(value)}


def test_a_cut_board_is_one_entity_and_each_of_its_instances_another(frame: Frame):
    entities = frame.devices.entities
    assert sorted(entity.instance_id for entity in entities) == ["", "1", "13", "5"]
    assert len({entity.uuid for entity in entities}) == 1
    assert {entity.index for entity in entities} == {0}


def test_memory_and_activity_are_the_instances_and_power_is_the_boards(frame: Frame):
    assert of_each(frame, device.MEMORY_TOTAL) == {number: size * 1008 * 2**20 for number, size in GIGABYTES.items()}
    assert of_each(frame, device.COMPUTE_ACTIVE) == pytest.approx({"1": 0.15, "5": 0.35, "13": 0.75})
    assert of_each(frame, device.PIPE_ACTIVE, "tensor").keys() == GIGABYTES.keys()
    assert of_each(frame, device.POWER) == {"": 350.0}
    assert of_each(frame, device.TEMPERATURE, "core") == {"": 50.0}


def test_a_sum_over_the_devices_counts_no_memory_twice(frame: Frame):
    total = float(np.nansum(frame.latest(device.MEMORY_TOTAL)))
    assert total == sum(GIGABYTES.values()) * 1008 * 2**20


def test_the_console_names_instances_by_their_number(frame: Frame):
    devices = live_document(frame, NOW)["devices"]
    assert {entry.get("instance_id", "") for entry in devices} == {"", *GIGABYTES}
