"""The calls of scontrol that the executor makes, each with every argument checked.

Slurm reads `a,b`, `n[0-9]` and `ALL` where it takes a node's name: one that is not plainly a name could hit the whole
cluster, so the patterns here are narrower than Slurm's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Command",
    "drain",
    "exclude",
    "job_number",
    "mark",
    "mark_of",
    "node_name",
    "reason_of",
    "release",
    "remark",
    "requeue_and_hold",
    "reservation_of",
    "reserve",
    "restrict",
    "resume",
    "start_now",
    "unreserve",
    "weigh",
]

Command = tuple[str, ...]
"""The words after `scontrol`."""

_NODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_JOB: Final = re.compile(r"[1-9][0-9]{0,9}")
_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{7,63}")
_HOST_LIST: Final = re.compile(r"[A-Za-z0-9._,\[\]-]{1,4096}")  # Slurm's own, read from a job and given back to it
_MOST_COMMENT: Final = 1000  # letters; we read 1024
_MOST_WEIGHT: Final = 2**32 - 2
_MOST_MINUTES: Final = 7 * 24 * 60


def node_name(text: str) -> str:
    """`text`, if it is the name of one node; InputError if it is not plainly that."""
    if not _NODE.fullmatch(text) or text.upper() == "ALL":
        msg = f"{text[:80]!r} is not the name of one Slurm node"
        raise InputError(msg)
    return text


def job_number(text: str) -> int:
    """The number of a job; InputError if the text is no such number."""
    if not _JOB.fullmatch(text):
        msg = f"{text[:80]!r} is not the number of a Slurm job"
        raise InputError(msg)
    return int(text)


def reason_of(advice_id: str) -> str:
    """Why a node is drained, so that everybody sees by whom, and we know our own."""
    return f"warpgauge {_checked(advice_id)}"


def reservation_of(advice_id: str) -> str:
    """The name of the reservation made on a recommendation."""
    return f"warpgauge-{_checked(advice_id)}"


def drain(node: str, advice_id: str) -> Command:
    """Take no more work; what runs there ends by itself."""
    return ("update", f"nodename={node_name(node)}", "state=drain", f"reason={reason_of(advice_id)}")


def resume(node: str) -> Command:
    """Take work again."""
    return ("update", f"nodename={node_name(node)}", "state=resume")


def weigh(node: str, weight: int) -> Command:
    """Say how gladly the node is taken: the lightest first."""
    if not 0 <= weight <= _MOST_WEIGHT:
        msg = f"a node's weight is 0 to {_MOST_WEIGHT}, not {weight}"
        raise InputError(msg)
    return ("update", f"nodename={node_name(node)}", f"weight={weight}")


def reserve(node: str, advice_id: str, minutes: int) -> Command:
    """Keep a node free of new jobs from now on for so long; what runs there stays."""
    if not 1 <= minutes <= _MOST_MINUTES:
        msg = f"a reservation lasts 1 to {_MOST_MINUTES} minutes, not {minutes}"
        raise InputError(msg)
    return (
        *("create", "reservation", f"reservationname={reservation_of(advice_id)}", f"nodes={node_name(node)}"),
        *("starttime=now", f"duration={minutes}", "users=root", "flags=maint,ignore_jobs"),
    )


def unreserve(advice_id: str) -> Command:
    """Take the reservation away."""
    return ("delete", f"reservationname={reservation_of(advice_id)}")


def requeue_and_hold(job: int) -> Command:
    """End a running job and queue it again, held, so that it cannot start before it was told where not to."""
    return ("requeuehold", str(job_number(str(job))))


def exclude(job: int, nodes: Iterable[str], before: str = "") -> Command:
    """Keep a queued job off nodes, beside those it excluded `before`."""
    return restrict(job, ",".join([*([before] if before else []), *sorted(map(node_name, nodes))]))


def restrict(job: int, nodes: str) -> Command:
    """Keep a queued job off these nodes and no others, "" for none, in Slurm's own form."""
    return ("update", f"jobid={job_number(str(job))}", f"excnodelist={_host_list(job, nodes)}")


def mark(job: int, advice_id: str, excluded: str, comment: str = "") -> Command:
    """Write behind an administrator's comment for what it is moved, and which nodes it excluded before that."""
    return remark(job, f"{comment} {reason_of(advice_id)} excluded={_host_list(job, excluded)}".lstrip())


def mark_of(advice_id: str, comment: str) -> re.Match[str] | None:
    """Where in an administrator's comment our mark is, with `excluded`; None if it is not there."""
    return re.search(rf"(?:^| ){re.escape(reason_of(advice_id))} excluded=(?P<excluded>\S*)", comment)


def remark(job: int, comment: str) -> Command:
    """Give a job this administrator's comment."""
    if len(comment) > _MOST_COMMENT:
        msg = f"the administrator's comment of job {job} and ours are longer than {_MOST_COMMENT} letters together"
        raise InputError(msg)
    return ("update", f"jobid={job_number(str(job))}", f"admincomment={comment}")


def start_now(job: int) -> Command:
    """Lift the two minutes that Slurm lets a requeued job wait."""
    return ("update", f"jobid={job_number(str(job))}", "starttime=now")


def release(job: int) -> Command:
    """Let a held job start."""
    return ("release", str(job_number(str(job))))


def _host_list(job: int, text: str) -> str:
    if text and not _HOST_LIST.fullmatch(text):
        msg = f"job {job} excludes {text[:80]!r}, which is no list of nodes"
        raise InputError(msg)
    return text


def _checked(advice_id: str) -> str:
    if not _ID.fullmatch(advice_id):
        msg = f"{advice_id[:80]!r} is not the id of a recommendation"
        raise InputError(msg)
    return advice_id
