"""Slurm's programs, run with argument lists and never through a shell; every call ends within its time limit."""

from __future__ import annotations

import shutil
import subprocess
from typing import IO, TYPE_CHECKING, Final

from warpgauge.core.errors import WarpgaugeError
from warpgauge.core.slurm.state import parse_jobs, parse_nodes
from warpgauge.core.unnamed_file import unnamed_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.core.slurm.state import SlurmJob, SlurmNode

__all__ = ["Slurm", "SlurmError"]

TIMEOUT_SECONDS: Final = 30.0  # a controller that fails over answers after SlurmctldTimeout; then we ask again
MOST_BYTES: Final = 256 * 2**20  # 100,000 jobs at about 2.5 KB each
_MOST_WORDS: Final = 500  # of what Slurm said, in an error
# What the programs need and nothing else: a variable such as SQUEUE_FORMAT would change what they answer.
_KEPT: Final = ("PATH", "HOME", "SLURM_CONF", "SLURM_JWT")


class SlurmError(WarpgaugeError):
    """Slurm refused, did not answer in time or is not installed; the message holds what it said."""


class Slurm:
    """A cluster as its programs show it; which cluster, SLURM_CONF says."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        run: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run,
    ) -> None:
        self._environ = {name: environ[name] for name in _KEPT if name in environ} | {"LC_ALL": "C", "TZ": "UTC"}
        self._timeout_seconds = timeout_seconds
        self._run = run

    def nodes(self) -> tuple[SlurmNode, ...]:
        """All nodes; SlurmError or InputError if they cannot be had."""
        return parse_nodes(self.call("sinfo", ["--json"]))

    def jobs(self) -> tuple[SlurmJob, ...]:
        """All jobs that the controller still knows and shows to this user; errors as for `nodes`."""
        return parse_jobs(self.call("squeue", ["--json"]))

    def job(self, job_id: int) -> SlurmJob | None:
        """One job, None if the controller does not know it (any more); errors as for `nodes`."""
        return next((job for job in self.jobs() if job.id == job_id), None)

    def job_state(self, job_id: int) -> str | None:
        """The state of one job, such as PENDING, None if it is unknown: cheap, where `jobs` reads them all.

        Raises:
            SlurmError: Slurm does not answer.

        """
        return self._of_job(job_id, "%T")

    def waits_for(self, job_id: int) -> str | None:
        """Why a job does not run, such as BeginTime or Resources; None if it does, or is unknown.

        It is "None" until the scheduler has looked at the job. Errors as for `job_state`.
        """
        state, _, reason = (self._of_job(job_id, "%T %r") or "").partition(" ")
        return reason or None if state == "PENDING" else None

    def _of_job(self, job_id: int, columns: str) -> str | None:
        try:
            said = self.call("squeue", ["--noheader", "--states=all", f"--jobs={job_id}", f"--format={columns}"])
        except SlurmError as error:
            if "Invalid job id" in str(error):
                return None
            raise
        return said.decode(errors="replace").strip() or None

    def node(self, name: str) -> SlurmNode | None:
        """One node, None if there is none of this name; errors as for `nodes`."""
        return next((node for node in self.nodes() if node.name == name), None)

    def has_reservation(self, name: str) -> bool:
        """Whether there is a reservation of this name; errors as for `control`."""
        try:
            return f"ReservationName={name} " in self.control(["-o", "show", "reservation", name])
        except SlurmError as error:
            if "not found" in str(error):
                return False
            raise

    def control(self, words: Sequence[str]) -> str:
        """Run `scontrol WORDS`; what it printed. SlurmError with what Slurm said if it refused."""
        return self.call("scontrol", words).decode(errors="replace")

    def call(self, program: str, words: Sequence[str]) -> bytes:
        """Run one program to its end and return its output.

        Raises:
            SlurmError: it is not installed, said no, took too long or printed more than `MOST_BYTES`.

        """
        path = shutil.which(program, path=self._environ.get("PATH"))
        if path is None:
            msg = f"{program} is not on PATH: install Slurm's client programs (Debian: slurm-client)"
            raise SlurmError(msg)
        shown = " ".join([program, *words])
        with unnamed_file() as out, unnamed_file() as err:
            try:
                done = self._run(
                    [path, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=self._environ,
                    timeout=self._timeout_seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                msg = f"{shown}: no answer within {self._timeout_seconds:.0f} s"
                raise SlurmError(msg) from error
            except OSError as error:
                msg = f"{shown}: {error.strerror or error}"
                raise SlurmError(msg) from error
            if done.returncode != 0:
                said = " ".join((_said(err) or _said(out) or "nothing").split())
                msg = f"{shown}: exit status {done.returncode}, Slurm said: {said}"
                raise SlurmError(msg)
            return _bounded(out, shown)


def _bounded(out: IO[bytes], shown: str) -> bytes:
    out.seek(0)
    data = out.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        msg = f"{shown}: printed more than {MOST_BYTES} bytes"
        raise SlurmError(msg)
    return data


def _said(stream: IO[bytes]) -> str:
    stream.seek(0)
    text = stream.read(4 * _MOST_WORDS).decode(errors="replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:_MOST_WORDS]
