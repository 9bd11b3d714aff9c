"""`warpgauge agent` as a process: how it starts and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest

from tests.fakes.nvml_c import build_stub, set_faults, stub_environment
from tests.real_servers import wait_until

pytestmark = pytest.mark.slow

LISTENS = re.compile(r"warpgauge agent listens on (http://127\.0\.0\.1:\d+)/metrics\n")


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    return build_stub(tmp_path_factory.mktemp("nvml"))


@contextlib.contextmanager
def agent(environment, *flags, **how):
    """A process and its first line's URL; whatever happens, it is gone afterwards."""
    command = [sys.executable, "-m", "warpgauge", "agent", "--web.listen-address=127.0.0.1:0", *flags]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
    )
    try:
        match = LISTENS.fullmatch(process.stdout.readline())
        assert match, process.stderr.read()
        yield process, match[1]
    finally:
        process.kill()
        process.communicate()


def environment_of(tmp_path, stub=None, **more):
    base = stub_environment(stub, tmp_path / "faults", gpus=2) if stub else dict(os.environ)
    here = dict.fromkeys(("XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY", "XDG_DATA_HOME"), str(tmp_path))
    return {**base, **here, **more}


def order(url, path, token):
    """Status and answer of a POST with this token."""
    request = urllib.request.Request(f"{url}{path}", method="POST", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def page(url):
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        return answer.read().decode()


def family(process):
    return [process, *psutil.Process(process.pid).children(recursive=True)]


def gone(processes):
    return all(not psutil.pid_exists(one.pid) or psutil.Process(one.pid).status() == "zombie" for one in processes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("fault", [None, "hang 1"])
def test_a_signal_ends_it_in_one_line_and_leaves_no_orphan(tmp_path, stub, number, fault):
    with agent(environment_of(tmp_path, stub)) as (process, url):
        wait_until(lambda: "accel_power_watts{" in page(url), what="devices are on the page")
        if fault:
            set_faults(tmp_path / "faults", fault)
            time.sleep(1.2)  # until a real tick is inside the call
        processes = family(process)[1:]
        assert processes
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out) == (0, "warpgauge agent stopped\n")
        assert "Traceback" not in err
        wait_until(lambda: gone(processes), what="the children are gone", seconds=3)


@pytest.mark.parametrize("fault", [None, "hang all"])
def test_killed_at_once_it_leaves_no_orphan_even_inside_a_hung_call(tmp_path, stub, fault):
    with agent(environment_of(tmp_path, stub)) as (process, url):
        wait_until(lambda: "accel_power_watts{" in page(url), what="devices are on the page")
        if fault:
            set_faults(tmp_path / "faults", fault)
            time.sleep(1.2)  # until a real tick is inside the call
        processes = family(process)[1:]
        assert processes
        process.kill()
        wait_until(lambda: gone(processes), what="the children are gone", seconds=3)


def test_it_ends_with_whoever_started_it_if_told_so(tmp_path):
    environment = environment_of(tmp_path, WARPGAUGE_EXIT_WITH_PARENT="1")
    with agent(environment, stdin=subprocess.PIPE) as (process, _):
        process.stdin.close()
        process.stdin = None
        assert process.wait(5) == 0


def test_a_closed_standard_input_means_nothing_otherwise(tmp_path):
    with agent(environment_of(tmp_path), stdin=subprocess.DEVNULL) as (process, url):
        time.sleep(0.5)
        assert process.poll() is None
        assert "warpgauge_agent_build_info" in page(url)


def test_a_taken_port_ends_in_one_sentence(tmp_path):
    with agent(environment_of(tmp_path)) as (_, url):
        address = url.removeprefix("http://")
        command = [sys.executable, "-m", "warpgauge", "agent", f"--web.listen-address={address}"]
        second = subprocess.run(
            command, env=environment_of(tmp_path), capture_output=True, text=True, timeout=20, check=False
        )
    last = second.stderr.splitlines()[-1]
    assert second.returncode == 2
    assert last.startswith(f"warpgauge: {address} is taken by another process")
    assert "Traceback" not in second.stderr


def test_collectors_are_chosen_by_flags(tmp_path):
    with agent(environment_of(tmp_path), "--no-collector.host", "--no-collector.training") as (_, url):
        time.sleep(1.0)
        assert "host_load1" not in page(url)


def test_it_needs_no_library_of_the_analyzer(tmp_path):
    script = (
        "import sys; import warpgauge.cli.verbs.agent, warpgauge.exporters.agent, warpgauge.exporters.routes;"
        "print(sorted({'numpy', 'pynvml', 'sklearn', 'grafanalib', 'prometheus_client'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout == "[]\n"


def test_the_operator_releases_the_devices_with_the_token_that_the_agent_made_and_no_log_has_it(tmp_path, stub):
    with agent(environment_of(tmp_path, stub), "--no-collector.host") as (process, url):
        wait_until(lambda: "accel_power_watts{" in page(url), what="devices are on the page")
        path = tmp_path / "warpgauge/operator.token"
        token = path.read_text().strip()
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        children = family(process)[1:]
        assert order(url, "/-/release", "guessed" * 7)[0] == 401
        status, answer = order(url, "/-/release?seconds=60", token)
        assert (status, '"state":"released"' in answer) == (200, True)
        assert gone(children)
        wait_until(
            lambda: len(re.findall(r'{[^}]*state="released"[^}]*} 1.0', page(url))) == 2, what="the state says so"
        )
        assert "accel_power_watts{" not in page(url)
        assert order(url, "/-/acquire", token)[0] == 200
        wait_until(lambda: "accel_power_watts{" in page(url), what="devices are on the page again")
        process.terminate()
        out, err = process.communicate(timeout=10)
        events = re.findall(r'event="([^"]+)"', err)
        assert [event for event in events if event.startswith(("order", "devices"))] == [
            "order refused", "devices released", "devices acquired",
        ]  # fmt: skip
        assert token not in out + err


def test_an_agent_that_cannot_keep_a_token_reads_on_and_takes_no_orders(tmp_path):
    (tmp_path / "warpgauge").write_text("a file where the data directory should be")
    with agent(environment_of(tmp_path), "--no-collector.host") as (process, url):
        status, answer = order(url, "/-/release", "x" * 43)
        assert (status, "set analyzer.data_directory" in answer) == (403, True)
        assert "warpgauge_agent_build_info" in page(url)
        process.terminate()
        assert 'event="no orders are taken"' in process.communicate(timeout=10)[1]
