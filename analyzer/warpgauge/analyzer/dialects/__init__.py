"""Dialects: from the names, units and labels that a fleet's exporters use to catalog rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.all_smi import ALL_SMI
from warpgauge.analyzer.dialects.amd import AMD
from warpgauge.analyzer.dialects.dcgm_exporter import DCGM_EXPORTER
from warpgauge.analyzer.dialects.dialect import Dialect, Mapped
from warpgauge.analyzer.dialects.node_exporter import NODE_EXPORTER
from warpgauge.analyzer.dialects.nvidia_gpu_exporter import NVIDIA_GPU_EXPORTER
from warpgauge.analyzer.dialects.serving import ServingDialect
from warpgauge.analyzer.dialects.sglang import SGLANG
from warpgauge.analyzer.dialects.tgi import TGI
from warpgauge.analyzer.dialects.triton import TRITON
from warpgauge.analyzer.dialects.vllm import VLLM
from warpgauge.analyzer.dialects.warpgauge import WARPGAUGE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIALECTS", "Dialect", "Mapped", "is_known", "map_series", "speaks_of_its_pod"]

DIALECTS: Final[tuple[Dialect, ...]] = (
    WARPGAUGE,
    NODE_EXPORTER,
    DCGM_EXPORTER,
    NVIDIA_GPU_EXPORTER,
    AMD,
    ALL_SMI,
    VLLM,
    SGLANG,
    TGI,
    TRITON,
)
"""In the order in which they are asked; no two have a name in common."""

_BY_NAME: Final[dict[str, Dialect]] = {name: dialect for dialect in reversed(DIALECTS) for name in dialect.names}


_OF_THEIR_PODS: Final = frozenset[str]().union(*(one.names for one in DIALECTS if isinstance(one, ServingDialect)))


def speaks_of_its_pod(name: str) -> bool:
    """Whether a series is about the very pod that was scraped; exporters speak of others' pods."""
    return name in _OF_THEIR_PODS


def map_series(name: str, labels: Mapping[str, str]) -> tuple[Mapped, ...]:
    """What a series says in catalog rows; nothing if no dialect has a row for it."""
    dialect = _BY_NAME.get(name)
    return () if dialect is None else dialect.map(name, labels)


def is_known(name: str) -> bool:
    """Whether some dialect knows what the series is, even if the frame has no place for it."""
    return name in _BY_NAME or any(dialect.knows(name) for dialect in DIALECTS)
