"""The one fleet model: simulated nodes, devices and jobs that obey the same laws as real ones."""

from __future__ import annotations

from warpgauge.exporters.synthetic.faults import FAULTS
from warpgauge.exporters.synthetic.fleet import CLUSTER, PAST_SECONDS, TRUTH_SCHEMA, Fleet
from warpgauge.exporters.synthetic.hardware import HARDWARE_FAULTS
from warpgauge.exporters.synthetic.pages import SimulatedPages

__all__ = ["CLUSTER", "FAULTS", "HARDWARE_FAULTS", "PAST_SECONDS", "TRUTH_SCHEMA", "Fleet", "SimulatedPages"]
