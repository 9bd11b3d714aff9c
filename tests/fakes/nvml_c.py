"""The C fake for tests: a real shared library, so that hangs, crashes and missing symbols are real too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.fakes.nvml.build import CannotBuildError, build
from tests.fakes.nvml_script import set_faults

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build_stub", "set_faults", "stub_environment"]


def build_stub(folder: Path, *flags: str) -> Path:
    """Folder with a `libnvidia-ml.so.1`, for LD_LIBRARY_PATH; where it cannot be compiled the test is skipped."""
    try:
        return build(folder, *flags)
    except CannotBuildError as error:
        pytest.skip(str(error))


def stub_environment(folder: Path, script: Path | None = None, *, gpus: int = 8, **more: str) -> dict[str, str]:
    """Environment of a child that finds the fake first."""
    about = {"LD_LIBRARY_PATH": str(folder), "NVML_STUB_GPUS": str(gpus), **more}
    return {**os.environ, **about, **({"NVML_STUB_SCRIPT": str(script)} if script else {})}
