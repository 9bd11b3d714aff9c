"""A real YARN for tests: a ResourceManager and three NodeManagers with four GPUs each, in one process on loopback.

The GPUs are a count that YARN hands out; everything else is YARN's own. Applications are submitted through the REST API
and run as processes on this machine. It takes a JDK and what `make real-servers` builds.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest

from tests.real_servers import STOP_SECONDS, wait_until
from tools import built_servers
from warpgauge.exporters.attribution.procfs import ProcFs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.exporters.attribution.procfs import ProcessFacts

NODES: Final = tuple(f"gpu-n{number}" for number in range(3))
PRIORITY: Final = 3
ADMIN, OWNER, STRANGER = "admin", "alice", "bob"
START_SECONDS: Final = 120.0  # eight seconds of CPU, on a machine that may have other work
SITE: Final = {
    **{f"yarn.resourcemanager.{name}address": "127.0.0.1:0" for name in ("", "scheduler.", "admin.", "webapp.")},
    "yarn.resourcemanager.resource-tracker.address": "127.0.0.1:0",
    "yarn.resourcemanager.hostname": "127.0.0.1",
    "yarn.resourcemanager.scheduler.class": "org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity."
    "CapacityScheduler",
    "yarn.resourcemanager.am.max-attempts": "1",
    "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": "100",
    "yarn.resourcemanager.node-labels.provider.fetch-interval-ms": "-1",
    "yarn.scheduler.minimum-allocation-mb": "64",
    "yarn.cluster.max-application-priority": "10",
    "yarn.acl.enable": "true",
    "yarn.admin.acl": "{admin}",
    "yarn.resourcemanager.nodes.exclude-path": "{home}/exclude",
    "yarn.node-labels.enabled": "true",
    "yarn.node-labels.fs-store.root-dir": "file://{home}/labels",
    "yarn.nodemanager.resource.memory-mb": "4096",
    "yarn.nodemanager.resource.cpu-vcores": "8",
    "yarn.nodemanager.resource-type.yarn.io/gpu": "4",
    "yarn.nodemanager.vmem-check-enabled": "false",
    "yarn.nodemanager.pmem-check-enabled": "false",
    "yarn.nodemanager.disk-health-checker.enable": "false",
    "yarn.nodemanager.sleep-delay-before-sigkill.ms": "50",
    "hadoop.http.filter.initializers": "org.apache.hadoop.security.AuthenticationFilterInitializer",
    "hadoop.http.authentication.simple.anonymous.allowed": "false",
    "hadoop.tmp.dir": "{home}/tmp",
}
_QUEUE = "yarn.scheduler.capacity"
SCHEDULER: Final = {
    f"{_QUEUE}.resource-calculator": "org.apache.hadoop.yarn.util.resource.DominantResourceCalculator",
    f"{_QUEUE}.maximum-am-resource-percent": "0.9",
    f"{_QUEUE}.root.queues": "train,batch,private,closed",
    f"{_QUEUE}.root.acl_submit_applications": " ",
    f"{_QUEUE}.root.acl_administer_queue": "{admin}",
    f"{_QUEUE}.root.accessible-node-labels.avoid.capacity": "100",
    **{f"{_QUEUE}.root.{name}.capacity": str(share) for name, share in
       {"train": 50, "batch": 30, "private": 10, "closed": 10}.items()},
    **{f"{_QUEUE}.root.{name}.maximum-capacity": "100" for name in ("train", "batch", "private")},
    **{f"{_QUEUE}.root.{name}.acl_submit_applications": "*" for name in ("train", "batch", "closed")},
    f"{_QUEUE}.root.train.accessible-node-labels": "*",
    f"{_QUEUE}.root.train.accessible-node-labels.avoid.capacity": "100",
    f"{_QUEUE}.root.closed.state": "STOPPED",
}  # fmt: skip
TYPES: Final = {"yarn.resource-types": "yarn.io/gpu"}
LOGGING: Final = """\
log4j.rootLogger=INFO,all
log4j.appender.all=org.apache.log4j.ConsoleAppender
log4j.appender.all.target=System.err
log4j.appender.all.layout=org.apache.log4j.PatternLayout
log4j.appender.all.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""


@dataclass
class YarnCluster:
    """A running cluster; `url` is that of the REST API, `rmadmin` how the admin's program is called."""

    home: Path
    jars: Path
    java: str
    url: str = ""
    _process: subprocess.Popen[str] | None = field(default=None)

    @property
    def exclude(self) -> Path:
        return self.home / "exclude"

    @property
    def rmadmin(self) -> tuple[str, ...]:
        return (*self._java(), "-cp", self._class_path(), "org.apache.hadoop.yarn.client.cli.RMAdminCLI")

    def start(self) -> None:
        self._write_files()
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._java(), "-cp", self._class_path(), "Cluster", self.home, *NODES],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.home,
            )  # fmt: skip
        port = self._process.stdout.readline().strip()
        assert port, f"YARN did not start: {(self.home / 'log').read_text()[-2000:]}"
        self.url = f"http://127.0.0.1:{port}"
        self.rest("POST", "add-node-labels", {"nodeLabelInfo": [{"name": "avoid", "exclusivity": False}]})

    def stop(self) -> None:
        """End the containers, which are processes of their own, then YARN; it would end both by itself, but slowly."""
        if self._process is None:
            return
        try:
            if self.url and self._process.poll() is None:
                self._end_applications()
        finally:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            for pipe in (self._process.stdin, self._process.stdout):
                pipe.close()

    def rest(self, method: str, path: str, body: Any = None, *, user: str = ADMIN, words: str = "") -> Any:
        """One call of the REST API in the name of a user; its JSON, None if it answers nothing."""
        request = urllib.request.Request(
            f"{self.url}/ws/v1/cluster/{path}?user.name={user}{words}",
            data=None if body is None else json.dumps(body).encode(), method=method,
            headers={"Accept": "application/json", "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                said = response.read()
        except urllib.error.HTTPError as error:
            pytest.fail(f"{method} {path}: {error.code} {error.read()[:500]!r}")
        return json.loads(said) if said else None

    def submit(self, *, containers: int = 1, gpus: int = 1, queue: str = "train", memory: int = 256) -> str:
        """A new application of `OWNER` whose master asks for containers; its id."""
        name = self.rest("POST", "apps/new-application", user=OWNER)["application-id"]
        master = f"exec {' '.join(self._java())} -Xmx48m -cp {self._class_path()} Master {containers} 64 1 {gpus}"
        self.rest("POST", "apps", {
            "application-id": name, "application-name": "training", "queue": queue, "priority": PRIORITY,
            "application-type": "WARPGAUGE", "max-app-attempts": 1,
            "am-container-spec": {"commands": {"command": f"{master} >{self.home}/{name}.log 2>&1"}},
            "resource": {"memory": memory, "vCores": 1},
        }, user=OWNER)  # fmt: skip
        return str(name)

    def app(self, name: str) -> dict[str, Any]:
        return dict(self.rest("GET", f"apps/{name}")["app"])

    def running(self, name: str, *, containers: int = 2) -> dict[str, Any]:
        """The application once its master is registered and has its containers."""
        wait_until(
            lambda: (app := self.app(name))["state"] == "RUNNING" and app["runningContainers"] == containers,
            what=f"{name} runs in {containers} containers", seconds=START_SECONDS,
        )  # fmt: skip
        return self.app(name)

    def nodes(self) -> dict[str, dict[str, Any]]:
        """All nodes by name, those that left too."""
        listed = self.rest("GET", "nodes")["nodes"]["node"]
        return {node["nodeHostName"]: node for node in listed}

    def processes(self) -> list[ProcessFacts | None]:
        """What /proc tells about all processes of containers."""
        return [ProcFs().facts(pid) for pid in _pids_below(self.home)]

    def _end_applications(self) -> None:
        live = self.rest("GET", "apps", words="&states=NEW,SUBMITTED,ACCEPTED,RUNNING")["apps"] or {}
        for app in live.get("app", []):
            self.kill(app["id"])
        wait_until(lambda: not _pids_below(self.home), what="no process of a container is left")

    def kill(self, name: str) -> None:
        """End an application."""
        self.rest("PUT", f"apps/{name}/state", {"state": "KILLED"})
        wait_until(lambda: self.app(name)["state"] == "KILLED", what=f"{name} is killed")

    def _java(self) -> tuple[str, ...]:
        # The nodes' names exist in this file only. A short life: compile little.
        return (
            self.java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            f"-Djdk.net.hosts.file={self.home}/hosts", f"-Djava.io.tmpdir={self.home / 'tmp'}",
        )  # fmt: skip

    def _class_path(self) -> str:
        return f"{self.home}/conf:{self.jars}/*"

    def _write_files(self) -> None:
        for folder in ("conf", "tmp", "labels"):
            (self.home / folder).mkdir()
        self.exclude.touch()
        addresses = [("127.0.0.1", "localhost"), ("127.0.0.1", socket.gethostname())]
        addresses += [(f"127.0.1.{number}", name) for number, name in enumerate(NODES, 1)]
        (self.home / "hosts").write_text("".join(f"{address} {name}\n" for address, name in addresses))
        (self.home / "conf" / "log4j.properties").write_text(LOGGING)
        for name, properties in (("yarn-site", SITE), ("capacity-scheduler", SCHEDULER), ("resource-types", TYPES)):
            (self.home / "conf" / f"{name}.xml").write_text(self._xml(properties))

    def _xml(self, properties: Mapping[str, str]) -> str:
        who = f"{ADMIN},{_user()}"
        rows = [
            f"<property><name>{name}</name><value>{value.format(home=self.home, admin=who)}</value></property>"
            for name, value in properties.items()
        ]
        return "<configuration>\n" + "\n".join(rows) + "\n</configuration>\n"


def _pids_below(home: Path) -> list[int]:
    """Processes that run in a folder of a node's."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(home) and Path(process.cwd()) != home:
                found.append(process.pid)
    return found


def _user() -> str:
    """Whoever runs the tests, and with them the admin's program."""
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def java() -> str:
    """The program `java` of JAVA_HOME or PATH."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin") if home else None
    path = path or shutil.which("java")
    if path is None:
        pytest.skip("no java on this machine: apt-get install openjdk-17-jre-headless")
    return path


@pytest.fixture(scope="session")
def _yarn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[YarnCluster]:
    try:
        jars = built_servers.built("yarn")
    except built_servers.ServerNotBuiltError as error:
        pytest.skip(str(error))
    cluster = YarnCluster(tmp_path_factory.mktemp("yarn"), jars, java())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def _yarn_app(_yarn: YarnCluster) -> str:
    name = _yarn.submit()
    _yarn.running(name)
    return name


@pytest.fixture
def yarn_cluster(_yarn: YarnCluster) -> YarnCluster:
    """The session's cluster, with nothing excluded."""
    _yarn.exclude.write_text("")
    return _yarn


@pytest.fixture
def yarn_app(_yarn: YarnCluster, _yarn_app: str) -> str:
    """An application that runs, in the queue train with priority 3; the same for the whole session."""
    app = _yarn.app(_yarn_app)
    assert app["state"] == "RUNNING", app
    if app["queue"] != "root.train":
        _yarn.rest("PUT", f"apps/{_yarn_app}/queue", {"queue": "train"})
    if app["priority"] != PRIORITY:
        _yarn.rest("PUT", f"apps/{_yarn_app}/priority", {"priority": PRIORITY})
    return _yarn_app
