"""Fixtures that run real programs.

Each server listens on a free port of 127.0.0.1, lives in a temporary folder and is stopped by its pid when the test
ends, however it ends. A program that cannot be had skips the test and says which command brings it.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.pace import LONGEST_WAIT_SECONDS, pace
from tools import real_components

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Answer = TypeVar("Answer")

READY_SECONDS = 20.0
STOP_SECONDS = 5.0
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(claim: Callable[[], Answer], *, what: str, seconds: float = READY_SECONDS) -> Answer:
    """Ask `claim` ten times a second until it is true and return it; real programs have no fake clock.

    After `seconds` it fails: as many as are plenty where nothing but the tests runs, more on a machine that is busy.
    """
    begun = time.monotonic()
    while not (answer := claim()):
        waited = time.monotonic() - begun
        if waited > seconds and waited > min(seconds * pace(), LONGEST_WAIT_SECONDS):
            pytest.fail(f"waited {waited:.0f} s in vain until {what}")
        time.sleep(0.1)
    return answer


def answers(url: str) -> bool:
    """Whether a GET of `url` gives status 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == http.HTTPStatus.OK
    except (OSError, urllib.error.URLError):
        return False


def read_text(url: str, *, timeout_seconds: float = 10.0) -> str:
    """The page at `url`."""
    with urllib.request.urlopen(url, timeout=timeout_seconds * pace()) as response:
        return response.read().decode()


def get_json(url: str, *, timeout_seconds: float = 10.0) -> Any:
    """The JSON document at `url`."""
    with urllib.request.urlopen(url, timeout=timeout_seconds * pace()) as response:
        return json.load(response)


def fetched(name: str) -> Path:
    """Path of a real program, or a skip that says how to get it."""
    try:
        return real_components.program(name)
    except real_components.ComponentMissingError as error:
        pytest.skip(str(error))


class Servers:
    """The real servers of one test or session; `stop` ends them all by pid."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        name: str,
        command: Callable[[int, Path], Sequence[str | Path]],
        *,
        ready: str | Callable[[str], bool],
        environ: Mapping[str, str] | None = None,
        ready_seconds: float = READY_SECONDS,
    ) -> str:
        """Start a server on a free port and return its base URL once GET `ready` answers 200, or `ready` says so."""
        is_ready = ready if callable(ready) else lambda base: answers(base + ready)
        for attempt in range(3):  # somebody may take the free port before the server does
            home = self._directory / f"{name}-{len(self._running)}-{attempt}"
            home.mkdir(parents=True)
            port = free_port()
            with (home / "log").open("wb") as log:
                process = subprocess.Popen(
                    command(port, home), stdout=log, stderr=log, cwd=home, env=os.environ | (environ or {})
                )
            self._running.append(process)
            base = f"http://127.0.0.1:{port}"
            wait_until(
                lambda base=base, process=process: process.poll() is not None or is_ready(base),
                what=f"{name} answers on {base}",
                seconds=ready_seconds,
            )
            if process.poll() is None:
                return base
            said = (home / "log").read_text(errors="replace")[-2000:]
            if "address already in use" not in said:
                break
        pytest.fail(f"{name} ended with exit code {process.returncode}:\n{said}")

    def kill(self) -> None:
        """End them at once; what they store is lost."""
        for process in self._running:
            process.kill()

    def stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def servers_in(directory: Path) -> Iterator[Servers]:
    """Servers that are gone when the block is left, also by an exception."""
    running = Servers(directory)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with servers_in(tmp_path / "servers") as running:
        yield running


@pytest.fixture(scope="session")
def promtool() -> Path:
    return fetched("promtool")


@pytest.fixture(scope="session")
def amtool() -> Path:
    return fetched("amtool")


@pytest.fixture(scope="session")
def node_exporter_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a real node_exporter that watches this machine; its page is at /metrics."""
    program = fetched("prometheus-node-exporter")
    with servers_in(tmp_path_factory.mktemp("node_exporter")) as running:
        yield running.start(
            "node_exporter", lambda port, _: [program, f"--web.listen-address=127.0.0.1:{port}"], ready="/metrics"
        )


def prometheus_config(
    scrape: Sequence[str | Mapping[str, Any]],
    rules: Sequence[Path],
    alertmanagers: Sequence[str],
    interval: str,
) -> dict[str, Any]:
    """A Prometheus configuration; a scrape entry is a page's URL or a whole scrape_config."""
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [_scrape_config(number, entry) for number, entry in enumerate(scrape)],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [url.removeprefix("http://")]}]} for url in alertmanagers]
        },
    }


def _scrape_config(number: int, entry: str | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(entry, str):
        return dict(entry)
    target, _, path = entry.removeprefix("http://").partition("/")
    return {
        "job_name": f"job-{number}",
        "honor_labels": True,
        "metrics_path": f"/{path or 'metrics'}",
        "static_configs": [{"targets": [target]}],
    }


def start_prometheus(
    servers: Servers,
    document: Mapping[str, Any],
    *,
    flags: Sequence[str] = (),
    data: Path | None = None,
    program: Path | None = None,
) -> str:
    """Start a Prometheus (Debian's, or `program`), on a database that is there or a new one; its base URL."""
    program = program or fetched("prometheus")

    def command(port: int, home: Path) -> list[str | Path]:
        path = home / "prometheus.yml"
        path.write_text(json.dumps(document))  # JSON is YAML
        return [
            program,
            f"--config.file={path}",
            f"--storage.tsdb.path={data or home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
            "--web.enable-remote-write-receiver",
            "--storage.remote.flush-deadline=1s",
            "--rules.alert.resend-delay=1s",  # or what fires before discovery waits a minute
            *flags,
        ]

    return servers.start("prometheus", command, ready="/-/ready")


@pytest.fixture
def prometheus_server(servers: Servers) -> Callable[..., str]:
    """Start a Prometheus: `prometheus_server(["http://127.0.0.1:9837/metrics"], rules=[path])` -> its base URL."""

    def start(
        scrape: Sequence[str | Mapping[str, Any]] = (),
        *,
        config: Mapping[str, Any] | None = None,
        rules: Sequence[Path] = (),
        alertmanagers: Sequence[str] = (),
        interval: str = "1s",
        flags: Sequence[str] = (),
        data: Path | None = None,
    ) -> str:
        return start_prometheus(
            servers,
            config or prometheus_config(scrape, rules, alertmanagers, interval),
            flags=flags,
            data=data,
        )

    return start


def start_alertmanager(servers: Servers, config: Mapping[str, Any] | Path, *, flags: Sequence[str] = ()) -> str:
    """Start an Alertmanager with a config (a mapping, or the path of a file); its base URL."""
    program = fetched("prometheus-alertmanager")

    def command(port: int, home: Path) -> list[str | Path]:
        path = config if isinstance(config, Path) else home / "alertmanager.yml"
        if not isinstance(config, Path):
            path.write_text(json.dumps(config))
        return [
            program,
            f"--config.file={path}",
            f"--storage.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            *flags,
        ]

    return servers.start("alertmanager", command, ready="/-/ready")


@pytest.fixture
def alertmanager_server(servers: Servers) -> Callable[..., str]:
    """Start an Alertmanager with a config (a mapping, or the path of a file) -> its base URL."""

    def start(config: Mapping[str, Any] | Path, *, flags: Sequence[str] = ()) -> str:
        return start_alertmanager(servers, config, flags=flags)

    return start


@dataclass(slots=True)
class Webhook:
    """A receiver of notifications: `url` to post to, `received` every JSON body so far."""

    url: str
    received: list[Any] = field(default_factory=list)

    def wait_for(self, claim: Callable[[Any], bool], *, what: str, seconds: float = 60.0) -> Any:
        """The first body for which `claim` holds."""
        return wait_until(lambda: next(filter(claim, list(self.received)), None), what=what, seconds=seconds)


@contextlib.contextmanager
def open_webhook() -> Iterator[Webhook]:
    """A real HTTP server that accepts any POST and keeps its JSON body."""
    inbox = Webhook("")

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            inbox.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(http.HTTPStatus.OK)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.daemon_threads = True
        inbox.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield inbox
        server.shutdown()
        thread.join()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A webhook of one test."""
    with open_webhook() as inbox:
        yield inbox


@pytest.fixture(scope="session")
def chromium() -> Path:
    try:
        return real_components.chromium()
    except real_components.ComponentMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def browser(chromium: Path) -> Iterator[Any]:
    """A Playwright browser (sync API): `browser.new_page()`. It drives the system's Chromium and downloads nothing."""
    with open_browser(chromium) as running:
        yield running


@contextlib.contextmanager
def open_browser(chromium: Path) -> Iterator[Any]:
    """The browser for as long as it is wanted; no event loop may run beside it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[test]'")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        try:
            yield running
        finally:
            running.close()
