"""The series of dcgm-exporter for our lint: names, kinds and labels that its own lists give."""

from __future__ import annotations

from typing import Final

from tests.promql_lint import Foreign
from warpgauge.core.catalog import Kind
from warpgauge.core.dcgm import FIELDS

__all__ = ["DCGM_SERIES"]

_LABELS: Final = frozenset(
    {"gpu", "UUID", "Hostname", "modelName", "GPU_I_ID", "GPU_I_PROFILE", "DCGM_FI_DRIVER_VERSION"}
    | {f"{honored}{name}" for honored in ("", "exported_") for name in ("pod", "namespace", "container")}
)
# dcgm-exporter calls these counters; each is a number of pages or rows now.
_NUMBERS: Final = (
    "DCGM_FI_DEV_RETIRED_PENDING",
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
    "DCGM_FI_DEV_XID_ERRORS",
)
_KINDS: Final = {one.name: one.kind for one in FIELDS} | dict.fromkeys(_NUMBERS, Kind.GAUGE)

DCGM_SERIES: Final = {name: Foreign(name, kind, _LABELS) for name, kind in _KINDS.items()}
