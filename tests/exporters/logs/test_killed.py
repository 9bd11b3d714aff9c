"""Collector and receiver are killed at random moments while files grow and are rotated: every line arrives."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real_servers import wait_until

CHILD = Path(__file__).with_name("shipping_child.py")
SEED = 7
LIVES = 8
LINES = 4000


def start(folder, pattern, port):
    command = [sys.executable, str(CHILD), str(folder), pattern, str(port)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "started\n"
    return child


def kill(child):
    child.kill()
    child.wait()
    child.stdout.close()


@pytest.mark.real
@pytest.mark.slow
def test_every_line_arrives_though_both_ends_are_killed_again_and_again(fluent_server, tmp_path):
    chance = random.Random(SEED)
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "app.log"
    server = fluent_server()
    pattern = str(logs / "*.log")
    kill(start(tmp_path, pattern, server.port))  # met for the first time while there is nothing
    (tmp_path / "positions.json").write_text('{"schema": "warpgauge.log-positions/v1", "files": {}}')
    log.touch()
    number = 0
    for life in range(LIVES):
        child = start(tmp_path, pattern, server.port)
        while number < LINES * (life + 1) // LIVES:
            with log.open("a") as file:
                file.writelines(f"line {it}\n" for it in range(number, number + 20))
            number += 20
            time.sleep(chance.uniform(0, 0.004))
        if life % 2:
            server.kill()
        kill(child)
        if life % 2:
            server.start()
        if life % 3 == 0:
            log.rename(logs / f"app.log.{LIVES - life}")
            log.touch()
    child = start(tmp_path, pattern, server.port)
    wanted = {f"line {it}" for it in range(LINES)}
    wait_until(lambda: {it["record"]["message"] for it in server.entries} >= wanted, what="every line arrived")
    kill(child)
    ids = {}
    for entry in server.entries:
        ids.setdefault(entry["record"]["message"], set()).add(entry["record"]["id"])
    assert all(len(it) == 1 for it in ids.values())  # a repetition can be known
    assert set(ids) == wanted
