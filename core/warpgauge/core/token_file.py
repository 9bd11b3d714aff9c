"""The operator's token: whoever can read this file may act. It is the only role until there are users.

The file is read anew for each request, so that a mended or exchanged file needs no restart.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from typing import TYPE_CHECKING, Final

from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["TokenFile"]

NAME: Final = "operator.token"
_RANDOM_BYTES: Final = 32
_MOST_BYTES: Final = 1024
_FORM: Final = re.compile(rb"[A-Za-z0-9._~+/=-]{32,}")  # RFC 6750, 2.1, and long enough not to be guessed
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_HAS_OWNERS: Final = os.name != "nt"


class TokenFile:
    """`operator.token` in a folder of ours, mode 0600."""

    def __init__(self, folder: Callable[[], Path], *, name: str = NAME) -> None:
        """`folder` gives the data directory, or raises StorageError where there is none."""
        self._folder = folder
        self._name = name

    @property
    def path(self) -> Path:
        """Where the token is.

        Raises:
            StorageError: there is no data directory.

        """
        return self._folder() / self._name

    def ensure(self) -> None:
        """Make a token if there is none yet.

        Raises:
            StorageError: none can be made, or the one that is there cannot be trusted; see `read`.

        """
        path = self.path
        if not os.path.lexists(path):
            write_atomically(path, secrets.token_urlsafe(_RANDOM_BYTES).encode() + b"\n", mode=0o600)
        self.read()

    def read(self) -> bytes:
        """The token.

        Raises:
            StorageError: there is no file, it is no plain file of our own that only we can read, or it holds no token;
                the message names the mend and never the content.

        """
        path = self.path
        descriptor = _open(path)
        try:
            why = _distrust(os.fstat(descriptor), path)
            content = b"" if why else os.read(descriptor, _MOST_BYTES + 1)
        finally:
            os.close(descriptor)
        if why:
            raise StorageError(why)
        token = content.strip()
        if len(content) > _MOST_BYTES or not _FORM.fullmatch(token):
            msg = f"{path} holds no token of 32 or more letters and digits; {_RENEW}"
            raise StorageError(msg)
        return token


_RENEW: Final = "delete it and restart warpgauge, which makes a new one"


def _open(path: Path) -> int:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, flags)
    except OSError as error:
        mends = {
            errno.ENOENT: "there is none; restart warpgauge, which makes one",
            errno.ELOOP: f"it is a symbolic link; {_RENEW}",
            errno.EACCES: "it is not ours to read; chown it to the user that warpgauge runs as",
        }
        msg = f"cannot use the token file {path}: {mends.get(error.errno or 0, error.strerror)}"
        raise StorageError(msg) from error


def _distrust(about: os.stat_result, path: Path) -> str:
    """Why a file cannot be trusted, empty if it can."""
    if not stat.S_ISREG(about.st_mode):
        return f"cannot use the token file {path}: it is no plain file; {_RENEW}"
    if _HAS_OWNERS and about.st_uid != os.geteuid():
        return f"cannot use the token file {path}: it belongs to user {about.st_uid}; chown {os.geteuid()} {path}"
    if _HAS_OWNERS and about.st_mode & _OTHERS:
        mode = stat.S_IMODE(about.st_mode)
        return (
            f"cannot use the token file {path}: others have rights on it (mode {mode:04o}); chmod 600 {path}, or, if "
            f"somebody may have read it, {_RENEW}"
        )
    return ""
