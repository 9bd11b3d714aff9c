"""Fetch the real programs that the tests run: Prometheus, Alertmanager, node_exporter, Chromium and Slurm.

The servers are unpacked from Debian's own packages into `.cache/debian/`: no root, nothing installed, nothing started.
Chromium needs too many libraries for that and Slurm finds its plugins under /usr only; these two are installed with
apt, and only when WARPGAUGE_TEST_INSTALL=1 allows it.

Run it by hand to fetch everything at once:  python3 tools/real_components.py
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache"

PACKAGES: Final = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "victoria-metrics": "victoria-metrics",
}
"""Program -> the Debian package that carries it; the version is whatever this Debian gives."""

JOURNAL_PACKAGES: Final = ("systemd-journal-remote", "libmicrohttpd12")
CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
APT_INSTALL: Final = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends")
CHROMIUM_INSTALL: Final = (*APT_INSTALL, "chromium")
SLURM_PROGRAMS: Final = ("munged", "slurmctld", "slurmd", "scontrol", "squeue", "sinfo", "sbatch", "scancel", "srun")
SLURM_INSTALL: Final = (*APT_INSTALL, "slurmctld", "slurmd", "slurm-client", "munge", "slurm-wlm-basic-plugins")
# Debian's Alertmanager reads its default templates from this folder and no other, which an unpacked one does not have.
TEMPLATES: Final = b"/usr/share/prometheus/alertmanager"
TEMPLATES_ON_9: Final = b"/dev/fd/9".ljust(len(TEMPLATES), b"/")
START_WITH_TEMPLATES: Final = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec 9<"$here/../share/prometheus/alertmanager"
exec "$here/prometheus-alertmanager.unpacked" "$@"
"""
APT_TIMEOUT_SECONDS: Final = 300
POLICY: Final = Path("/usr/sbin/policy-rc.d")  # exit 101 = "start no service" (invoke-rc.d(8))


class ComponentMissingError(Exception):
    """A program is not here; the message is one sentence with the command that brings it."""


def program(name: str, *, cache: Path = CACHE) -> Path:
    """Path of a program from `PACKAGES`, unpacked on the first call.

    Raises:
        ComponentMissingError: it cannot be fetched; says why and how to get it by hand.

    """
    package = PACKAGES[name]
    path = cache / "debian" / package / "usr" / "bin" / name
    if not path.exists():
        if not _has_apt():
            return _on_path(name, package)
        with locked(cache):
            if not path.exists():
                _unpack(package, cache)
    if not path.exists():
        msg = f"Debian's package {package} holds no {name}: put {name} on PATH and remove {path.parents[2]}"
        raise ComponentMissingError(msg)
    return path


def journal_remote(*, cache: Path = CACHE) -> list[str]:
    """Command that writes journal files from the export format; the packages are unpacked on the first call.

    Raises:
        ComponentMissingError: it cannot be fetched.

    """
    program = cache / "debian" / JOURNAL_PACKAGES[0] / "lib" / "systemd" / "systemd-journal-remote"
    if not program.exists():
        if not _has_apt():
            msg = "systemd-journal-remote comes from Debian's package of that name, and there is no apt-get here"
            raise ComponentMissingError(msg)
        with locked(cache):
            for package in reversed(JOURNAL_PACKAGES):
                _unpack(package, cache)
    libraries = sorted((cache / "debian" / JOURNAL_PACKAGES[1] / "usr" / "lib").glob("*-linux-gnu*"))
    return ["env", f"LD_LIBRARY_PATH={':'.join(map(str, libraries))}", str(program)]


def chromium(*, environ: Mapping[str, str] = os.environ) -> Path:
    """Path of a Chromium that is installed; installs Debian's when WARPGAUGE_TEST_INSTALL=1 and we are root.

    Raises:
        ComponentMissingError: there is none; says which command installs it.

    """
    found = _chromium_on(environ.get("PATH", os.defpath))
    if found is None and _may_install(environ):
        with locked():
            if _chromium_on(environ.get("PATH", os.defpath)) is None:  # else another worker brought it meanwhile
                _install("chromium", CHROMIUM_INSTALL)
        found = _chromium_on(environ.get("PATH", os.defpath))
    if found is None:
        msg = f"chromium is not installed: sudo {' '.join(CHROMIUM_INSTALL)}"
        raise ComponentMissingError(msg)
    return found


def slurm(*, environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Paths of Slurm's and munge's programs; installs Debian's when WARPGAUGE_TEST_INSTALL=1 and we are root.

    Raises:
        ComponentMissingError: one is missing; says which command installs them.

    """
    path = f"{environ.get('PATH', os.defpath)}:/usr/sbin"  # where Debian has the daemons, and no plain user looks
    found = {name: shutil.which(name, path=path) for name in SLURM_PROGRAMS}
    if None in found.values() and _may_install(environ):
        with locked():
            _install("slurm", SLURM_INSTALL)
        found = {name: shutil.which(name, path=path) for name in SLURM_PROGRAMS}
    if missing := [name for name, at in found.items() if at is None]:
        msg = f"Slurm is not installed (no {missing[0]}): sudo {' '.join(SLURM_INSTALL)}"
        raise ComponentMissingError(msg)
    return {name: Path(at) for name, at in found.items() if at is not None}


def _may_install(environ: Mapping[str, str]) -> bool:
    return environ.get("WARPGAUGE_TEST_INSTALL") == "1" and os.geteuid() == 0


def _has_apt() -> bool:
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


def _on_path(name: str, package: str) -> Path:
    found = shutil.which(name) or shutil.which(name.removeprefix("prometheus-"))
    if found is None:
        msg = f"{name} is not on PATH and there is no apt-get to fetch it: install {package} with your package manager"
        raise ComponentMissingError(msg)
    return Path(found)


def _chromium_on(path: str) -> Path | None:
    return next((Path(found) for name in CHROMIUM_NAMES if (found := shutil.which(name, path=path))), None)


@contextlib.contextmanager
def locked(cache: Path = CACHE) -> Iterator[None]:
    """One process at a time fetches or installs; the others wait and find the result."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "apt.lock").open("w")
    except OSError as error:
        msg = f"cannot write to {cache} ({error.strerror}): make the checkout writable, then python3 {__file__}"
        raise ComponentMissingError(msg) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(package: str, cache: Path) -> None:
    """Download one package and lay its files under `.cache/debian/PACKAGE`, all or nothing."""
    apt = _private_apt(cache / "apt")
    target = cache / "debian" / package
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f"{package}.") as scratch:
        _download(package, Path(scratch), apt)
        archive = next(Path(scratch).glob("*.deb"))
        _call(["dpkg-deb", "-x", str(archive), f"{scratch}/files"], package)
        if package == "prometheus-alertmanager":
            _bring_templates(Path(scratch, "files", "usr", "bin", package))
        shutil.rmtree(target, ignore_errors=True)
        Path(scratch, "files").rename(target)


def _bring_templates(binary: Path) -> None:
    """Make an unpacked Alertmanager look for its templates on file descriptor 9, and start it with that opened."""
    unpacked = binary.with_name(f"{binary.name}.unpacked")
    binary.rename(unpacked)
    unpacked.write_bytes(unpacked.read_bytes().replace(TEMPLATES, TEMPLATES_ON_9))
    binary.write_text(START_WITH_TEMPLATES)
    binary.chmod(0o755)


def _download(package: str, directory: Path, apt: Path) -> None:
    download = ["apt-get", "-q", "download", package]
    if any((apt.parent / "lists").glob("*_Packages*")):
        with contextlib.suppress(ComponentMissingError):  # old lists may name a version that is gone
            _call(download, package, directory=directory, apt=apt)
            return
    _call(["apt-get", "-q", "update"], package, directory=directory, apt=apt)
    _call(download, package, directory=directory, apt=apt)


def _private_apt(directory: Path) -> Path:
    """Write an apt configuration that keeps lists and archives here and runs none of the system's hooks."""
    for name in ("lists/partial", "archives/partial"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    ours = {
        "Dir::State": directory,
        "Dir::State::Lists": directory / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": directory,
        "Dir::Cache::Archives": directory / "archives",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",  # holds hooks; what it says about proxies is copied below
        "APT::Sandbox::User": "",
        "DPkg::Lock::Timeout": 300,
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
    }
    system = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False).stdout
    lines = [line for line in system.splitlines() if "Languages" not in line]
    path = directory / "apt.conf"
    path.write_text("\n".join([*lines, *(f'{key} "{value}";' for key, value in ours.items())]) + "\n")
    return path


def _install(what: str, command: Sequence[str]) -> None:
    with _no_service_starts():
        _call(["apt-get", "-q", "update"], what)
        _call(command, what)


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Keep apt from starting daemons while we install; a policy that is already there stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _call(command: Sequence[str], package: str, *, directory: Path | None = None, apt: Path | None = None) -> None:
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    if apt is not None:
        environ["APT_CONFIG"] = str(apt)
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=APT_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"cannot fetch {package} ({error}): python3 tools/real_components.py"
        raise ComponentMissingError(msg) from error
    if done.returncode != 0:
        said = next((line for line in done.stderr.splitlines() if line.startswith("E:")), f"exit {done.returncode}")
        msg = f"cannot fetch {package} with {' '.join(command[:3])} ({said}): python3 tools/real_components.py"
        raise ComponentMissingError(msg)


def main() -> int:
    """Fetch everything and print where it lies; exit 1 if something is missing."""
    missing = 0
    installed = {"chromium": chromium, "slurm": lambda: slurm()["slurmctld"]}
    for name in (*PACKAGES, *installed):
        try:
            print(f"{name}: {installed[name]() if name in installed else program(name)}")
        except ComponentMissingError as error:
            print(f"{name}: {error}", file=sys.stderr)
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
