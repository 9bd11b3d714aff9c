"""Training steps: takes what step timers send to the agent's unix socket, and who sent it from the kernel."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.exporters.collectors.training_ledger import StepLedger
from warpgauge.exporters.collectors.training_message import MAX_BYTES
from warpgauge.exporters.collectors.training_senders import Senders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.device import Device
    from warpgauge.core.sample import ReadError, Sample

__all__ = ["TrainingCollector", "default_socket_path"]

_SOCKET_NAME: Final = "warpgauge-train.sock"
_CREDENTIALS: Final = struct.Struct("=iII")  # pid, uid, gid (man 7 unix, SCM_CREDENTIALS)
_POLL_SECONDS: Final = 5.0  # closing does not wait for it: it sends itself a message
# A flood costs its senders, not the agent: after so many messages in less than this time the receiver takes a rest.
_BURST_MESSAGES: Final = 256
_BURST_SECONDS: Final = 0.1


def default_socket_path(environ: Mapping[str, str]) -> Path:
    """Where step timers look: the service's runtime folder, else this user's, else one in the temporary folder."""
    service = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # systemd, RuntimeDirectory=warpgauge
    if service or os.getuid() == 0:
        return Path(service or "/run/warpgauge") / _SOCKET_NAME
    session = environ.get("XDG_RUNTIME_DIR")
    return Path(session or Path(tempfile.gettempdir()) / f"warpgauge-{os.getuid()}") / _SOCKET_NAME


class TrainingCollector:
    """Receives step messages in a thread of its own, so that a sender never waits for a tick of the agent."""

    name = "training"
    isolated = False

    def __init__(
        self,
        *,
        socket_path: str | Path = "",
        proc_root: str | Path = "/proc",
        clock: Clock | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._given_path = socket_path
        self._environ = environ
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # guards the ledger
        self._ledger = StepLedger(Senders(proc_root), self._clock)
        self._has_heard = False  # anything at all
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._path: Path | None = None
        self._thread: threading.Thread | None = None

    def check(self) -> str | None:
        """None once the socket is open (this opens it), else why it cannot be."""
        if self._socket is not None:
            return None
        if not hasattr(socket, "SO_PASSCRED"):
            return "this system's unix sockets do not tell who sends"
        path = Path(self._given_path) if self._given_path else default_socket_path(self._environ)
        try:
            self._open(path)
        except OSError as error:
            return f"cannot listen for training steps on {path}: {error.strerror or error}"
        return None

    def devices(self) -> Sequence[Device]:
        """None: ranks are no devices."""
        return ()

    def read(self, tier: Tier, device: Device | None = None) -> tuple[list[Sample], list[ReadError]]:  # noqa: ARG002 - the protocol's shape
        """Every rank's series each second, the count of messages every ten."""
        with self._lock:
            if tier is Tier.FAST:
                return self._ledger.samples(), []
            if tier is Tier.NORMAL:
                return self._ledger.own_samples(), []
        return [], []

    def has_never_changed(self) -> bool:
        """Whether no message ever came, as on every machine that trains nothing."""
        return not self._has_heard

    def close(self) -> None:
        """Stop receiving and take the socket away."""
        self._stop.set()
        if self._socket is None or self._path is None or self._thread is None:
            return
        _wake(self._path)
        self._thread.join()
        self._socket.close()
        self._path.unlink(missing_ok=True)
        self._socket = self._thread = None

    def _open(self, path: Path) -> None:
        _make_folder(path.parent)
        _clear_stale(path)
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            receiver.bind(str(path))
            path.chmod(0o666)  # any user trains; who it was the kernel tells with each message
        except OSError:
            receiver.close()
            raise
        receiver.settimeout(_POLL_SECONDS)
        self._socket, self._path = receiver, path
        self._thread = threading.Thread(target=self._receive, args=(receiver,), name="warpgauge-steps", daemon=True)
        self._thread.start()

    def _receive(self, receiver: socket.socket) -> None:
        burst, since = 0, self._clock.monotonic()
        while not self._stop.is_set():
            try:
                data, ancillary, _, _ = receiver.recvmsg(MAX_BYTES + 1, socket.CMSG_SPACE(_CREDENTIALS.size))
            except TimeoutError:
                continue
            if self._stop.is_set():
                return
            pid, uid = _credentials(ancillary)
            with self._lock:
                self._ledger.receive(data, pid=pid, uid=uid)
            self._has_heard = True
            burst += 1
            if burst >= _BURST_MESSAGES:
                self._stop.wait(max(since + _BURST_SECONDS - self._clock.monotonic(), 0))
                burst, since = 0, self._clock.monotonic()


def _credentials(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, int]:
    """Pid and uid of the sender as the kernel saw them, (0, 0xFFFFFFFF) when it did not say."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            pid, uid, _ = _CREDENTIALS.unpack_from(data)
            return pid, uid
    return 0, 0xFFFFFFFF


def _wake(path: Path) -> None:
    """Let the receiver see that it shall stop before its poll ends."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.settimeout(0)
        own.connect(str(path))
        own.send(b"")


def _make_folder(folder: Path) -> None:
    """The socket's folder; an existing one in a place where anybody may make folders must be ours."""
    if folder.name.startswith("warpgauge-"):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "its folder belongs to another user", str(folder))
        return
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)


def _clear_stale(path: Path) -> None:
    """Remove the socket of an agent that is gone; one that listens is left alone."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another agent listens there")
