"""Scenarios: a fleet, its jobs and what goes wrong, written down as TOML and played by the one fleet model."""

from __future__ import annotations

from warpgauge.exporters.synthetic.scenario.causes import CAUSES, Cause, Strikes
from warpgauge.exporters.synthetic.scenario.plan import (
    SCENARIO_SCHEMA,
    FaultPlan,
    FleetPlan,
    JobPlan,
    KernelPlan,
    Scenario,
    TroublePlan,
)
from warpgauge.exporters.synthetic.scenario.reading import read_scenario, scenario_from_text
from warpgauge.exporters.synthetic.scenario.telemetry import Channel, Scrape, Telemetry
from warpgauge.exporters.synthetic.scenario.world import World
from warpgauge.exporters.synthetic.scenario.writing import write

__all__ = [
    "CAUSES",
    "SCENARIO_SCHEMA",
    "Cause",
    "Channel",
    "FaultPlan",
    "FleetPlan",
    "JobPlan",
    "KernelPlan",
    "Scenario",
    "Scrape",
    "Strikes",
    "Telemetry",
    "TroublePlan",
    "World",
    "read_scenario",
    "scenario_from_text",
    "write",
]
