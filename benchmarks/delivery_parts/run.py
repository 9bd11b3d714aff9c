"""One sender through its faults: what it was given, what arrived, and what that cost."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.delivery_parts.ledger import ids_in
from benchmarks.delivery_parts.proxy import Proxy
from benchmarks.delivery_parts.receivers import freeze, receiver_of
from warpgauge.core.queue import DurableQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.delivery_parts.receivers import Receiver
    from benchmarks.delivery_parts.sinks import Entry

__all__ = ["Outcome", "Plan", "account", "commands_of", "run"]

DRAIN_SECONDS = 600.0
LOOK_SECONDS = 0.1
HTTP_FAULTS = ("429", "500", "400")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything."""

    burst: int  # records as fast as it can, without faults
    fault_seconds: float  # each receiver's fault
    rest_seconds: float  # between two
    boundaries: Sequence[str]  # where the sender kills itself, one life each
    kills: int  # lives that end at a random moment
    life_seconds: tuple[float, float]  # of these


@dataclass(kw_only=True)
class Outcome:
    """What became of the records."""

    given: int = 0  # the append, or the library's own word, said that they were taken
    arrived: int = 0  # of these, by the receiver's log
    set_aside: int = 0  # kept as dead letters because the receiver answered 400
    lost: int = 0
    duplicates: int = 0
    lives: int = 0
    clean: dict[str, Any] = field(default_factory=dict)  # of the burst
    long: dict[str, Any] = field(default_factory=dict)  # of the life through the receiver's faults
    memory: list[int] = field(default_factory=list)  # resident bytes over that life


class Senders:
    """Starts one life after the other; `command` is the script with its first arguments."""

    def __init__(self, command: Sequence[str], folder: Path, outcome: Outcome) -> None:
        self._command = command
        self._folder = folder
        self._outcome = outcome

    def start(self, port: int, *options: str) -> subprocess.Popen[str]:
        """Return once it is at work."""
        self._outcome.lives += 1
        command = [*self._command, str(self._folder), str(port), str(self._outcome.lives), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None  # noqa: S101 - for the type checker
        if process.stdout.readline() != "started\n":
            msg = f"the sender did not start: {' '.join(command)}"
            raise RuntimeError(msg)
        return process


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a sender says at its end; nothing if it did not come so far."""
    out, _ = process.communicate(timeout=DRAIN_SECONDS)
    return json.loads(out) if out.strip() else {}


def run(  # noqa: PLR0913 - who, where, what and whose
    entry: Entry, command: Sequence[str], folder: Path, plan: Plan, *, seed: int, is_ours: bool
) -> Outcome:
    """All of the plan; the same seed gives the same faults at the same places."""
    chance, outcome = random.Random(seed), Outcome()
    senders = Senders(command, folder, outcome)
    receiver = receiver_of(entry, folder)
    proxy = Proxy(receiver.port, chance)
    try:
        outcome.clean = told(senders.start(receiver.port, "--burst", str(plan.burst)))
        faults = [lambda: None, *_faults(entry, receiver, proxy, plan.fault_seconds)]  # the first time it is well
        seconds = len(faults) * (plan.fault_seconds + plan.rest_seconds)
        _through_faults(faults, seconds, senders.start(proxy.port, "--seconds", str(seconds)), plan, outcome)
        if is_ours:
            for boundary in plan.boundaries:
                _until_it_dies(senders.start(proxy.port, "--seconds", "30", "--die-at", boundary))
        for _ in range(plan.kills):
            _killed_at_random(senders, receiver, proxy, plan, chance)
        proxy.mode = "pass"
        if is_ours:
            told(senders.start(receiver.port, "--drain"))
    finally:
        proxy.close()
        receiver.kill()
    account(entry, folder, receiver, outcome, is_ours=is_ours)
    return outcome


def _through_faults(
    faults: Sequence[Callable[[], None]], seconds: float, sender: subprocess.Popen[str], plan: Plan, outcome: Outcome
) -> None:
    """One long life, while the receiver has one fault after the other."""
    watched, end = psutil.Process(sender.pid), time.monotonic() + seconds
    for fault in faults:
        fault()
        calm = time.monotonic() + plan.rest_seconds
        while time.monotonic() < min(calm, end):
            outcome.memory.append(watched.memory_info().rss)
            time.sleep(LOOK_SECONDS)
    outcome.long = told(sender)


def _faults(entry: Entry, receiver: Receiver, proxy: Proxy, seconds: float) -> Iterator[Callable[[], None]]:
    def killed() -> None:
        receiver.kill()
        time.sleep(seconds)
        receiver.start()

    def answering(mode: str) -> Callable[[], None]:
        def answer() -> None:
            receiver.answer(mode)
            time.sleep(seconds)
            receiver.answer("")

        return answer

    def between(mode: str) -> Callable[[], None]:
        def pass_on() -> None:
            proxy.mode = mode
            time.sleep(seconds)
            proxy.mode = "pass"

        return pass_on

    yield killed
    yield lambda: freeze(receiver, seconds)
    yield between("slow")
    yield between("cut")
    if entry.is_http:
        yield from map(answering, HTTP_FAULTS)


def _until_it_dies(sender: subprocess.Popen[str]) -> None:
    try:
        sender.wait(30)
    except subprocess.TimeoutExpired:
        sender.kill()
    sender.communicate()


def _killed_at_random(senders: Senders, receiver: Receiver, proxy: Proxy, plan: Plan, chance: random.Random) -> None:
    """A life that ends with -9, mostly while something is wrong with the receiver too."""
    proxy.mode = chance.choice(("pass", "pass", "slow", "cut"))
    sender = senders.start(proxy.port, "--seconds", "60")
    time.sleep(chance.uniform(*plan.life_seconds))
    if is_down := chance.random() < 1 / 3:
        receiver.kill()
        time.sleep(chance.uniform(0, plan.life_seconds[0]))
    sender.kill()
    sender.communicate()
    if is_down:
        receiver.start()


def account(entry: Entry, folder: Path, receiver: Receiver, outcome: Outcome, *, is_ours: bool) -> None:
    """Hold what the sender was promised against what the receiver logged and the queue keeps."""
    given, arrived = set(ids_in(folder / "appended")), Counter(receiver.arrived())
    aside: set[int] = set()
    if is_ours:
        with DurableQueue(folder / "queue.db", max_bytes=8 << 30, max_age_seconds=1e9) as queue:
            aside = {number for batch, _ in queue.dead_letters(1 << 30) for number in entry.ids(batch.body)}
    outcome.given = len(given)
    outcome.arrived = len(given & arrived.keys())
    outcome.set_aside = len((given & aside) - arrived.keys())
    outcome.lost = len(given - arrived.keys() - aside)
    outcome.duplicates = sum(arrived.values()) - len(arrived)


def commands_of(entry: Entry, python_of: Callable[[str], str]) -> Iterator[tuple[str, list[str], bool]]:
    """Ours and the usual library, as (name, command, is ours)."""
    here = Path(__file__).parent
    yield "warpgauge", [sys.executable, str(here / "sender.py"), entry.name], True
    if entry.plain:
        python = python_of(entry.plain_environment) if entry.plain_environment else sys.executable
        yield entry.plain.removeprefix("plain_").removesuffix(".py"), [python, str(here / entry.plain)], False
