"""Which fields of dcgm-exporter the agent gives under their names, from what, and which it does not."""

from __future__ import annotations

from typing import Final

from warpgauge.cli.docs.markdown import code, page_of, rows
from warpgauge.exporters.dcgm import FIELDS, NOT_GIVEN

__all__ = ["page"]

_INTRO: Final = """
With `agent.dcgm_view = true` (or `WARPGAUGE_AGENT_DCGM_VIEW=true`) the agent serves `/metrics/dcgm`: the same readings
under dcgm-exporter's names, types, units and labels (`gpu`, `UUID`, `pci_bus_id`, `device`, `modelName`, `Hostname`,
`DCGM_FI_DRIVER_VERSION`), for dashboards and alerts that exist. No DCGM is needed. A field that a board or driver does
not give is absent, never 0. Fields marked PROF need GPM: Hopper and newer. On a partitioned GPU (MIG) memory and PROF
fields stand once for each GPU instance, with `GPU_I_PROFILE` and `GPU_I_ID`; all others are the GPU's, without these.
A GPU that one pod holds has `container`, `namespace` and `pod`, one that one Slurm job holds `hpc_job`.

`DCGM_FI_DEV_XID_ERRORS` is the last XID since the agent started, with `err_code` and `err_msg`; 0 if there was none.
"""


def page() -> str:
    """Both lists."""
    given = [
        (code(field.name), field.kind.value, "yes" if field.is_default else "", code(field.metric.name), field.help)
        for field in FIELDS
    ]
    absent = [(code(name), why) for name, why in NOT_GIVEN.items()]
    return page_of(
        "DCGM view",
        _INTRO,
        "## Given\n\n" + rows(("Field", "Type", "On by default in dcgm-exporter", "From", "Meaning"), given),
        "## Not given\n\n" + rows(("Field", "Why"), absent),
    )
