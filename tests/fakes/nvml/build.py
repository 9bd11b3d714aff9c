"""Compiles the C fake against NVIDIA's own nvml.h, which is not ours to ship: PyPI's nvidia-nvml-dev brings it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

SOURCES = sorted(Path(__file__).parent.glob("*.[ch]"))
CACHE = Path(__file__).parents[3] / ".cache" / "nvml"
LIBRARY = "libnvidia-ml.so.1"
WARNINGS = ("-Wall", "-Wextra", "-Werror=missing-prototypes", "-Werror=incompatible-pointer-types")


class CannotBuildError(Exception):
    """The fake cannot be compiled on this machine; the message is one sentence with the command that mends it."""


def header() -> Path:
    """NVIDIA's nvml.h, as the package installed it."""
    try:
        files = metadata.files("nvidia-nvml-dev") or []
    except metadata.PackageNotFoundError:
        files = []
    found = next((Path(str(file.locate())) for file in files if file.name == "nvml.h"), None)
    if found is None:
        msg = "no nvml.h to compile the fake driver against: pip install 'nvidia-nvml-dev>=13.5'"
        raise CannotBuildError(msg)
    return found


def build(folder: Path, *flags: str) -> Path:
    """Folder with a `libnvidia-ml.so.1`, for LD_LIBRARY_PATH; compiled once for each state of the sources.

    Raises:
        CannotBuildError: there is no compiler, or no header.

    """
    compiler = shutil.which("cc")
    if compiler is None:
        msg = "no C compiler on this machine: apt-get install gcc libc6-dev"
        raise CannotBuildError(msg)
    command = [compiler, "-O1", "-std=gnu11", "-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}", *WARNINGS, *flags]
    nvml_h = header()
    state = hashlib.sha256("\0".join(command).encode())
    for source in (nvml_h, *SOURCES):
        state.update(source.read_bytes())
    kept = CACHE / state.hexdigest()[:16] / LIBRARY
    if not kept.exists():
        _compile([*command, f"-I{nvml_h.parent}"], kept)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(kept, folder / LIBRARY)
    return folder


def _compile(command: list[str], library: Path) -> None:
    """All or nothing, because others may look for the same file at the same time."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        new = Path(scratch, library.name)
        sources = [str(source) for source in SOURCES if source.suffix == ".c"]
        subprocess.run([*command, "-o", str(new), *sources, "-lm"], check=True)
        new.replace(library)
