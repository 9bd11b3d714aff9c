"""Our dashboards over the metrics of NVIDIA's dcgm-exporter, for fleets without our agent; the successor of 12239.

Each is ours, with every query said in the exporter's series (`rows`, `words`) and without what it cannot tell
(`variant`, `instead`). Names, units and labels: etc/default-counters.csv of NVIDIA/dcgm-exporter 3.x to 4.8. A device
is told by Hostname and UUID, never by the exporter's pod; parts of a partitioned device (MIG) become one before
anything is summed. A field that is off in the exporter's list shows as "not reported".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from warpgauge.dashboards import device, energy, fleet, interconnect, node, reliability
from warpgauge.dashboards.dcgm.variant import PREFIX, variant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.dashboards.grafana import Dashboard

__all__ = ["DCGM_DASHBOARDS", "NOT_GIVEN"]

_GIVEN: Final[Mapping[str, tuple[Callable[[], Dashboard], str]]] = {
    fleet.NAME: (fleet.dashboard, "All GPUs that dcgm-exporter tells of: health first, then load, heat and power."),
    node.NAME: (node.dashboard, "The GPUs of the chosen machines at a glance, and the pods on them."),
    device.NAME: (device.dashboard, "Activity, memory, power, heat, links and errors of the chosen GPUs."),
    interconnect.NAME: (interconnect.dashboard, "NVLink and PCIe of the chosen machines: how fast, with what errors."),
    reliability.NAME: (reliability.dashboard, "Driver errors (XID), memory errors, spare rows, heat and link errors."),
    energy.NAME: (
        energy.dashboard,
        "Power and energy of the GPUs by node and pod, idle power, and cost at your price.",
    ),
}

DCGM_DASHBOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {
    f"{PREFIX}{name}": partial(lambda build, name, text: variant(build(), name, text, _GIVEN), build, name, text)
    for name, (build, text) in _GIVEN.items()
}
"""Every variant by its name."""

NOT_GIVEN: Final = {
    "job": "ranks, steps and their phases come from the step timer, which reports to our agent; a pod's devices are on "
    "dcgm-fleet, its energy on dcgm-energy",
    "findings": "findings, incidents and recommendations are the analyzer's own series, whatever it reads: the one "
    "dashboard shows them for a fleet with dcgm-exporter too",
    "serving": "DCGM knows devices and no requests",
    "host": "it is about CPU, memory, disks and network: node_exporter's own dashboards cover them",
    "telemetry": "it is about our own agents; of dcgm-exporter only `up` tells how it does",
}
"""Every other dashboard, and why it has no variant."""
