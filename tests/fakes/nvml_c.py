"""Builds the C fake: a real shared library, so that hangs, crashes and missing symbols are real too."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("nvml_stub.c")


def build_stub(folder: Path, *flags: str) -> Path:
    """Folder with a `libnvidia-ml.so.1`, for LD_LIBRARY_PATH; without a compiler the test is skipped."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine: apt-get install gcc libc6-dev")
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "libnvidia-ml.so.1"
    command = [compiler, "-O1", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", *flags, "-o", library, SOURCE]
    subprocess.run(command, check=True)
    return folder


def stub_environment(folder: Path, script: Path | None = None, *, gpus: int = 8, **more: str) -> dict[str, str]:
    """Environment of a child that finds the fake first."""
    about = {"LD_LIBRARY_PATH": str(folder), "NVML_STUB_GPUS": str(gpus), **more}
    return {**os.environ, **about, **({"NVML_STUB_SCRIPT": str(script)} if script else {})}


def set_faults(script: Path, *faults: str) -> None:
    """Put other faults in force, all at once."""
    new = script.with_suffix(".new")
    new.write_text("".join(f"{fault}\n" for fault in faults), encoding="ascii")
    new.replace(script)
