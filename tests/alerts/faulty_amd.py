"""The agent's real child over a double of AMD's library: sound, or `hot N` in the script: heat holds GPU N down."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes.amdsmi_double import Amdsmi
from warpgauge.exporters.child import serve
from warpgauge.exporters.collectors.amd import AmdCollector

NONE = {"correctable_count": 0, "uncorrectable_count": 0, "deferred_count": 0}

script = Path(sys.argv[1])
double = Amdsmi(script=script)
usual = double.amdsmi_get_violation_status("handle0")


def violations(_, handle):
    """Sixty percent of the time where the script says so."""
    is_hot = script.read_text(encoding="ascii").split() == ["hot", handle[-1]]
    return usual | {"per_ppt_pwr": 0} | ({"per_socket_thrm": 60, "active_socket_thrm": True} if is_hot else {})


double.answers = {
    "amdsmi_get_violation_status": violations,
    "amdsmi_get_gpu_total_ecc_count": NONE,
    "amdsmi_get_gpu_ecc_count": NONE,
    "amdsmi_get_gpu_bad_page_info": [],
}
serve(AmdCollector(load=lambda: double))
