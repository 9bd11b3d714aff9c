"""A real receiver of Fluentd's forward protocol: npm's @fluent-org/logger, at an exact version in .cache."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.real_servers import free_port
from tools.real_components import CACHE, locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.certificates import Party

__all__ = ["FluentServer", "fluent_module", "fluent_server"]

PACKAGE: Final = "@fluent-org/logger"
VERSION: Final = "1.0.10"
SCRIPT: Final = Path(__file__).parent / "fakes" / "fluent_server.js"
INSTALL_SECONDS: Final = 120


def installed_module() -> Path:
    """Where the package is; installs it on the first call, or skips with the command that brings what is missing."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here: sudo apt-get install nodejs npm")
    home = CACHE / "npm" / f"fluent-{VERSION}"
    module = home / "node_modules" / PACKAGE
    with locked():  # other workers may want it at the same time
        return _installed(home, module)


def _installed(home: Path, module: Path) -> Path:
    if (home / "complete").exists():
        return module
    home.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    command += ["--cache", str(CACHE / "npm" / "cache"), "--prefix", str(home), f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {PACKAGE} within {INSTALL_SECONDS} s")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {PACKAGE}@{VERSION}: {done.stderr.strip()[-200:]}")
    (home / "complete").touch()
    return module


@dataclass(slots=True)
class FluentServer:
    """One receiver at one port, which can be killed and started again; `entries` are those of all its lives."""

    module: Path
    home: Path
    shared_key: str = ""
    tls: Party | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return once it listens."""
        tls = [str(self.tls.cert), str(self.tls.key)] if self.tls else []
        command = ["node", str(SCRIPT), str(self.module), str(self.port), str(self.log), self.shared_key, *tls]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == str(self.port)

    def kill(self) -> None:
        """As a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    @property
    def log(self) -> Path:
        return self.home / f"entries-{self.port}.jsonl"

    @property
    def entries(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="session")
def fluent_module() -> Path:
    return installed_module()


@pytest.fixture
def fluent_server(fluent_module: Path, tmp_path: Path) -> Iterator[Any]:
    """Make a started receiver: `fluent_server(shared_key=..., tls=...)`."""
    made: list[FluentServer] = []

    def start(**options: Any) -> FluentServer:
        server = FluentServer(fluent_module, tmp_path, **options)
        server.start()
        made.append(server)
        return server

    yield start
    for server in made:
        server.kill()
