"""The agent's real child over a double, with its faults in a file: `other_child.py KIND SCRIPT [SYS ADDRESS [PROC]]`.

KIND is amd, tpu with the trees like /sys and /proc and the address of the runtime, or gaudi with SCRIPT in the place
of hl-smi.
SCRIPT may say `hang N`: GPU N is silent.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes.amdsmi_double import Amdsmi
from warpgauge.exporters.child import serve
from warpgauge.exporters.collectors.amd import AmdCollector
from warpgauge.exporters.collectors.gaudi import GaudiCollector
from warpgauge.exporters.collectors.tpu import TpuCollector

kind, script, *more = sys.argv[1:]
if kind == "amd":
    double = Amdsmi(script=Path(script))
    serve(AmdCollector(load=lambda: double))
elif kind == "gaudi":
    serve(GaudiCollector(program=script))
else:
    collector = TpuCollector(sys_root=more[0], address=more[1], proc_root=more[2] if len(more) > 2 else "/proc")
    collector.adjust = lambda _: None  # the settings of the test's agent name the real machine
    serve(collector)
