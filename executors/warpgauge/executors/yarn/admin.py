"""`yarn rmadmin`, for what the REST API cannot do: an argument list from the settings, never a shell."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

from warpgauge.core.yarn import YarnError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Admin"]

TIMEOUT_SECONDS: Final = 60.0  # a JVM starts, and a cluster of many nodes is gone through
_MOST_WORDS: Final = 500  # of what it said, in an error
# Where Hadoop and Java are and whose Kerberos ticket it is; nothing else changes what it does.
_KEPT: Final = (
    *("PATH", "HOME", "USER", "HADOOP_USER_NAME", "JAVA_HOME", "KRB5CCNAME", "KRB5_CONFIG"),
    *("HADOOP_HOME", "HADOOP_CONF_DIR", "HADOOP_OPTS", "YARN_CONF_DIR", "YARN_OPTS"),
)


class Admin:
    """Runs the admin's program; `words` are what stands before its own, such as `yarn rmadmin`."""

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str] = os.environ,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        run: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run,
    ) -> None:
        self.words = tuple(words)
        self._environ = {name: environ[name] for name in _KEPT if name in environ} | {"LC_ALL": "C"}
        self._timeout_seconds = timeout_seconds
        self._run = run

    def call(self, words: Sequence[str]) -> None:
        """Run it to its end.

        Raises:
            YarnError: it is not installed, said no or took too long; with what it said.

        """
        shown = " ".join(words)
        if not self.words:
            msg = f"rmadmin {shown}: yarn.rmadmin is empty, so nobody can be asked"
            raise YarnError(msg, is_refusal=True)
        try:
            done = self._run(
                [*self.words, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=self._environ, timeout=self._timeout_seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            msg = f"rmadmin {shown}: no answer within {self._timeout_seconds:.0f} s"
            raise YarnError(msg) from error
        except OSError as error:
            msg = f"rmadmin {shown}: {self.words[0]}: {error.strerror or error}; yarn.rmadmin says how to call it"
            raise YarnError(msg, is_refusal=True) from error
        if done.returncode != 0:
            msg = f"rmadmin {shown}: exit status {done.returncode}, it said: {_said(done.stderr)}"
            raise YarnError(msg, is_refusal=True)


def _said(output: bytes) -> str:
    """The line with the reason: of Java's, neither log lines nor the places in its code."""
    lines = output[:65536].decode(errors="replace").splitlines()
    telling = [line.strip() for line in lines if line.startswith(("updateNodeResource:", "refreshNodes:"))]
    text = (telling or [line.strip() for line in lines if line.strip() and not line.startswith("\t")] or ["nothing"])[0]
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_MOST_WORDS]
