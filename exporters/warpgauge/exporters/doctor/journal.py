"""Whether systemd's journal can be read, where the settings want it."""

from __future__ import annotations

import os
import subprocess
from time import time
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.doctor.check import Check, Verdict
from warpgauge.exporters.logs.journal import journalctl
from warpgauge.exporters.logs.journal_entry import entry_of

if TYPE_CHECKING:
    from warpgauge.core.config import LogsConfig

__all__ = ["journal"]

_SUBJECT: Final = "journal"
_SECONDS: Final = 10.0
_MOST_WORDS: Final = 300
_RIGHTS: Final = "let the agent's user read it: SupplementaryGroups=systemd-journal, or usermod -aG systemd-journal"


def journal(settings: LogsConfig) -> Check | None:
    """What `journalctl` gives with the settings of the agent; None where no journal is wanted."""
    if not settings.journal:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - a program of the system, no shell
            [*journalctl(settings), "--lines=1"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        why = f"journalctl cannot be started: {error.strerror or error}"
        return Check(_SUBJECT, Verdict.FAIL, why, "install systemd's journalctl, or set logs.journal = false")
    except subprocess.TimeoutExpired:
        return Check(
            _SUBJECT, Verdict.FAIL, f"journalctl says nothing for {_SECONDS:g} s", "look at the journal's disk"
        )
    said = " ".join(done.stderr.decode(errors="replace").split())[:_MOST_WORDS]
    if done.returncode != 0:
        return Check(_SUBJECT, Verdict.FAIL, said or f"journalctl ends with exit code {done.returncode}", _RIGHTS)
    try:
        entry = entry_of(done.stdout.strip(), node="", max_message_bytes=settings.max_line_bytes)
    except ValueError:
        return Check(_SUBJECT, Verdict.WARN, "there is no entry that the settings want", _RIGHTS)
    return Check(_SUBJECT, Verdict.OK, f"the newest entry is {max(0.0, time() - entry.record.time):.0f} s old")
