"""Build the real servers that Debian does not have, from the pinned modules in tools/servers/.

A folder there with a `go.mod` names the programs to build in `tool` lines, or is itself a program (`main.go`); one with
a `pom.xml` gives a class path: its own classes and all that they need, as jars. Results lie in `.cache/servers/NAME/`
and are made anew when the folder's files change.

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
BUILD_SECONDS: Final = 3_600  # the largest took ten minutes of CPU with nothing cached, and other work may share it


class ServerNotBuiltError(Exception):
    """A server is not here, or cannot be built; the message is one sentence with the command that brings it."""


def names(*, sources: Path = SOURCES) -> list[str]:
    """All servers that can be built."""
    return sorted(path.parent.name for kind in ("go.mod", "pom.xml") for path in sources.glob(f"*/{kind}"))


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
    if (source / "pom.xml").exists():
        _build_jars(source, target)
    else:
        _build_programs(source, target)


def _build_jars(source: Path, target: Path) -> None:
    """Maven writes beside its sources, so it works on a copy; downloads stay in its own repository (~/.m2)."""
    copy = target / "build"
    shutil.copytree(source, copy)
    _run(source, ["mvn", "--quiet", "--batch-mode", f"-Djars={target}", "package"], copy)
    shutil.rmtree(copy)
    _check_hashes(source / "jars.sha256", target)


def _check_hashes(known: Path, target: Path) -> None:
    """Maven pins versions; that a jar is what it was when it was taken in, this file says, as go.sum does for Go."""
    for line in known.read_text(encoding="ascii").splitlines():
        digest, name = line.split()
        if not (target / name).exists() or hashlib.sha256((target / name).read_bytes()).hexdigest() != digest:
            msg = f"{target.name} is not used: {name} is not the one that {known.name} names"
            raise ServerNotBuiltError(msg)


def _build_programs(source: Path, target: Path) -> None:
    what = "." if (source / "main.go").exists() else "tool"
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", f"-o={target}/", what]
    _run(source, command, source)


def _run(source: Path, command: list[str], folder: Path) -> None:
    again = f"cd tools/servers/{source.name} && {' '.join(command)}"
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{source.name} cannot be built ({error}): {again}"
        raise ServerNotBuiltError(msg) from error
    if done.returncode != 0:
        said = _said(done.stderr) or _said(done.stdout) or f"exit {done.returncode}"  # Maven complains on stdout
        msg = f"{source.name} cannot be built ({said}): {again}"
        raise ServerNotBuiltError(msg)


def _said(output: str) -> str:
    """The last line; of Maven's the first error, as its last lines tell how to read about errors."""
    lines = output.strip().splitlines() or [""]
    return next((line for line in lines if line.startswith("[ERROR]")), lines[-1])


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
