"""The interpreter that runs ranks of real jobs: one that has PyTorch, which this project neither needs nor installs."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools import peers

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[1]


def torch_python(*, environ: Mapping[str, str] = os.environ) -> str:
    """The one that WARPGAUGE_TORCH_PYTHON names, else ours or that of tools/peers.py; a skip where none has torch."""
    if named := environ.get("WARPGAUGE_TORCH_PYTHON"):
        return named
    if importlib.util.find_spec("torch") is not None:
        return sys.executable
    if peers.is_installed("torch"):
        return str(peers.CACHE / "torch" / "bin" / "python")
    pytest.skip("no PyTorch here: run make torch-tests (5 GB), or name an interpreter in WARPGAUGE_TORCH_PYTHON")


def rank_environment() -> dict[str, str]:
    """In it that interpreter finds the step timer of this checkout; nothing of ours is installed there."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'core'}{os.pathsep}{ROOT / 'exporters'}"}
