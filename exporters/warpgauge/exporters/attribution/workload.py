"""What a workload is, and the claim that it holds a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Claim", "Holder", "Workload", "plain"]

_LONGEST_LABEL: Final = 128  # characters; a job's environment may hold megabytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Who uses something, in the words of whoever started it; what is unknown is empty."""

    scheduler: str  # kubernetes, slurm, yarn, docker or none: a process that somebody simply started
    namespace: str = ""
    pod: str = ""
    container: str = ""
    job_id: str = ""
    rank: str = ""
    user: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Values in the order of the info series' labels."""
        return (self.scheduler, self.namespace, self.pod, self.container, self.job_id, self.rank, self.user)

    def covers(self, other: Workload) -> bool:
        """Whether this one says all that the other says, and possibly more."""
        return all(theirs in {"", ours} for ours, theirs in zip(self.labels, other.labels, strict=True))


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a device open; the instance is that of a partitioned device, empty for a whole one."""

    pid: int
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """One workload has one device, or a part of it."""

    uuid: str
    instance_id: str
    workload: Workload


def plain(text: str) -> str:
    """A label value out of somebody else's bytes: printable and of bounded length."""
    return "".join(character for character in text[:_LONGEST_LABEL] if character.isprintable())
