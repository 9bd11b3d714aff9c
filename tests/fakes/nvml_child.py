"""The agent's real child program over the fake library: `python nvml_child.py SCRIPT PROFILE...`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes.nvml_abi import FakeNvml, installed, obey_script
from tests.fakes.nvml_profiles import PROFILES
from warpgauge.exporters.child import serve
from warpgauge.exporters.collectors.nvml import NvmlCollector

script, *profiles = sys.argv[1:]
fake = FakeNvml([PROFILES[name] for name in profiles])
fake.ring_clock = time.monotonic  # the same in every child, as the driver's is
obey_script(fake, script)
with installed(fake):
    serve(NvmlCollector())
