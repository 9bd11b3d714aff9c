"""Build the real servers that Debian does not have, from the pinned modules in tools/servers/.

A folder there with a `go.mod` names the programs to build in `tool` lines, or is itself a program (`main.go`). Results
lie in `.cache/servers/NAME/` and are made anew when the folder's files change.

Run it by hand to build everything, or those that you name:  python3 tools/built_servers.py [NAME...]
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "tools" / "servers"
CACHE: Final = ROOT / ".cache" / "servers"
BUILD_SECONDS: Final = 3_600  # the largest took 10 minutes on two cores with nothing cached


class ServerNotBuiltError(Exception):
    """A server is not here, or cannot be built; the message is one sentence with the command that brings it."""


def names(*, sources: Path = SOURCES) -> list[str]:
    """All servers that can be built."""
    return sorted(path.parent.name for path in sources.glob("*/go.mod"))


def built(name: str, *, sources: Path = SOURCES, cache: Path = CACHE) -> Path:
    """Folder with the programs of a server that was built; never builds, since that takes minutes.

    Raises:
        ServerNotBuiltError: it was not built, or from other sources than today's.

    """
    if not _is_current(sources / name, cache / name):
        msg = f"{name} is not built: run make real-servers"
        raise ServerNotBuiltError(msg)
    return cache / name


def build(name: str, *, sources: Path = SOURCES, cache: Path = CACHE) -> Path:
    """Folder with the programs of a server, built first unless it is there from the same sources.

    Raises:
        ServerNotBuiltError: it cannot be built; says what the compiler said last.

    """
    target = cache / name
    target.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:  # one process builds; the others wait and find the result
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current(sources / name, target):
            shutil.rmtree(target)
            target.mkdir()
            _build(sources / name, target)
            (target / "sources").write_text(_digest(sources / name), encoding="ascii")
    return target


def _is_current(source: Path, target: Path) -> bool:
    stamp = target / "sources"
    return stamp.exists() and stamp.read_text(encoding="ascii") == _digest(source)


def _digest(source: Path) -> str:
    files = sorted(path for path in source.rglob("*") if path.is_file())
    content = b"".join(path.relative_to(source).as_posix().encode() + b"\0" + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()


def _build(source: Path, target: Path) -> None:
    what = "." if (source / "main.go").exists() else "tool"
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", f"-o={target}/", what]
    again = f"cd tools/servers/{source.name} && {' '.join(command)}"
    try:
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{source.name} cannot be built ({error}): {again}"
        raise ServerNotBuiltError(msg) from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        msg = f"{source.name} cannot be built ({said}): {again}"
        raise ServerNotBuiltError(msg)


def main(wanted: list[str]) -> int:
    """Build the servers named, or all; print where each lies and how long it took; exit 1 if one is missing."""
    missing = 0
    for name in wanted or names():
        begun = time.monotonic()
        try:
            print(f"{name}: {build(name)} ({time.monotonic() - begun:.0f} s)", flush=True)
        except ServerNotBuiltError as error:
            print(error, file=sys.stderr)
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
