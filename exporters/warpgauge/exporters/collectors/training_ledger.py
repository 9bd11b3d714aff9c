"""The account of every rank on this node: who may speak for it, its step histogram and its time per phase."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from warpgauge.core.catalog import own
from warpgauge.core.catalog.training import JOB_RANKS, PHASE_SECONDS, STEP_SECONDS
from warpgauge.core.errors import InputError
from warpgauge.core.sample import Histogram, Sample
from warpgauge.exporters.attribution.speaking import Spoken
from warpgauge.exporters.collectors import training_message

if TYPE_CHECKING:
    from warpgauge.core.clock import Clock
    from warpgauge.exporters.collectors.training_message import StepMessage
    from warpgauge.exporters.collectors.training_senders import Sender, Senders

__all__ = ["Outcome", "StepLedger"]

_SILENCE_SECONDS: Final = 60.0
_TRUST_SECONDS: Final = 2.0  # a process that spoke so recently is alive: pids do not come around in that time
_MAX_RANKS_PER_PROCESS: Final = 16


class Outcome(StrEnum):
    """What became of a message."""

    ACCEPTED = "accepted"
    MALFORMED = "malformed"
    FOREIGN_JOB = "foreign_job"  # the job, or the rank, belongs to another process
    OVER_LIMIT = "over_limit"


class _Place(NamedTuple):
    """Which rank a message is about."""

    job_id: str
    rank: int
    stage: int | None

    @property
    def labels(self) -> tuple[str, str, str]:
        return (self.job_id, str(self.rank), "" if self.stage is None else str(self.stage))


@dataclass(slots=True)
class _Account:
    """What one rank has reported since its process began."""

    heard: float
    ranks: int | None = None  # how many the job has, as the last message says
    counts: list[int] = field(default_factory=lambda: [0] * (len(STEP_SECONDS.buckets) + 1))
    step_seconds: float = 0.0
    phase_seconds: dict[str, float] = field(default_factory=dict)
    device_seconds: dict[str, float] = field(default_factory=dict)

    def add(self, message: StepMessage, now: float) -> None:
        self.heard = now
        self.ranks = message.ranks
        for seconds in message.step_seconds:
            self.counts[bisect_left(STEP_SECONDS.buckets, seconds)] += 1
            self.step_seconds += seconds
        for sums, gained in (
            (self.phase_seconds, message.phase_seconds),
            (self.device_seconds, message.device_seconds),
        ):
            for phase, seconds in gained.items():
                sums[phase] = sums.get(phase, 0.0) + seconds

    def samples(self, place: _Place) -> list[Sample]:
        histogram = Histogram(tuple(accumulate(self.counts)), self.step_seconds)
        return [
            Sample(STEP_SECONDS, place.labels, histogram),
            *([] if self.ranks is None else [Sample(JOB_RANKS, place.labels, float(self.ranks))]),
            *(
                Sample(PHASE_SECONDS, (*place.labels, name, clock), seconds)
                for clock, sums in (("host", self.phase_seconds), ("device", self.device_seconds))
                for name, seconds in sums.items()
                if clock == "device" or not self.device_seconds  # a rank has one clock: the first steps had no other
            ),
        ]


@dataclass(frozen=True, slots=True)
class _Speaker:
    """A process and the one job it may speak for."""

    sender: Sender
    uid: int
    job_id: str
    accounts: dict[_Place, _Account] = field(default_factory=dict)

    @property
    def heard(self) -> float:
        return max(account.heard for account in self.accounts.values())

    def yields_to(self, other: _Speaker) -> bool:
        """Whether a process that a scheduler put into this job comes to claim it from one that only said so."""
        return self.sender.own_job_id is None and other.sender.own_job_id is not None


class StepLedger:
    """Books messages under the rank they are about, if their sender may speak for it.

    A process in a Slurm job speaks for that job only; any other for the job it named first, unless a process of
    another user speaks for that job already. A rank belongs to one process while that lives. Not thread-safe.
    """

    def __init__(self, senders: Senders, clock: Clock, *, max_ranks: int = 4096) -> None:
        self._senders = senders
        self._clock = clock
        self._max_ranks = max_ranks
        self._speakers: dict[int, _Speaker] = {}  # by pid; each has at least one account
        self._owners: dict[_Place, int] = {}  # pid that speaks for a place
        self._outcomes = dict.fromkeys(Outcome, 0)

    def receive(self, data: bytes, *, pid: int, uid: int) -> Outcome:
        """Book one datagram that the kernel says came from this process."""
        try:
            outcome = self._book(training_message.parse(data), pid, uid)
        except InputError:
            outcome = Outcome.MALFORMED
        self._outcomes[outcome] += 1
        return outcome

    def samples(self) -> list[Sample]:
        """Series of every rank that still speaks."""
        self._forget()
        accounts = (item for speaker in self._speakers.values() for item in speaker.accounts.items())
        return [sample for place, account in accounts for sample in account.samples(place)]

    def speakers(self) -> dict[int, Spoken]:
        """Which process reports what, by pid; of several places of one process, the lowest rank's."""
        return {
            pid: Spoken(speaker.job_id, min(place.rank for place in speaker.accounts))
            for pid, speaker in self._speakers.items()
        }

    def own_samples(self) -> list[Sample]:
        """How many messages came, by what became of them."""
        return [Sample(own.STEP_MESSAGES, (outcome.value,), float(count)) for outcome, count in self._outcomes.items()]

    def _book(self, message: StepMessage, pid: int, uid: int) -> Outcome:
        place = _Place(message.job_id, message.rank, message.stage)
        speaker = self._known(pid) or self._introduced(pid, uid, message.job_id)
        if speaker is None or speaker.job_id != message.job_id or not self._may_have(place, pid):
            return Outcome.FOREIGN_JOB
        now = self._clock.monotonic()
        if place not in speaker.accounts:
            if len(self._owners) >= self._max_ranks or len(speaker.accounts) >= _MAX_RANKS_PER_PROCESS:
                return Outcome.OVER_LIMIT
            speaker.accounts[place] = _Account(now)
            self._owners[place] = pid
            self._speakers[pid] = speaker
        speaker.accounts[place].add(message, now)
        return Outcome.ACCEPTED

    def _known(self, pid: int) -> _Speaker | None:
        """The speaker with this pid, if it is still the same process."""
        speaker = self._speakers.get(pid)
        if speaker is None or self._is_alive(speaker):
            return speaker
        self._drop(pid)
        return None

    def _introduced(self, pid: int, uid: int, job_id: str) -> _Speaker | None:
        """A process that speaks for the first time; None if it may not speak for that job."""
        if pid <= 0:  # of another pid namespace: nobody can tell who that is
            return None
        sender = self._senders.find(pid)
        speaker = _Speaker(sender, uid, job_id)
        if sender.own_job_id not in {None, job_id}:
            return None
        rivals = [(pid, one) for pid, one in self._speakers.items() if one.job_id == job_id and one.uid != uid]
        if not all(rival.yields_to(speaker) or not self._is_alive(rival) for _, rival in rivals):
            return None
        for rival_pid, _ in rivals:
            self._drop(rival_pid)
        return speaker

    def _may_have(self, place: _Place, pid: int) -> bool:
        """Whether nobody else alive speaks for this rank."""
        owner = self._owners.get(place, pid)
        return owner == pid or self._known(owner) is None

    def _is_alive(self, speaker: _Speaker) -> bool:
        is_fresh = self._clock.monotonic() - speaker.heard < _TRUST_SECONDS
        return is_fresh or self._senders.is_alive(speaker.sender)

    def _forget(self) -> None:
        """Drop ranks that went silent and processes that ended."""
        now = self._clock.monotonic()
        for pid, speaker in list(self._speakers.items()):
            if not self._is_alive(speaker):
                self._drop(pid)
                continue
            for place in [place for place, one in speaker.accounts.items() if now - one.heard > _SILENCE_SECONDS]:
                del speaker.accounts[place], self._owners[place]
            if not speaker.accounts:
                del self._speakers[pid]

    def _drop(self, pid: int) -> None:
        for place in self._speakers.pop(pid).accounts:
            del self._owners[place]
