"""Which signals ask a service to end in order."""

from __future__ import annotations

import signal

__all__ = ["stop_signals"]


def stop_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, and the end of the terminal, unless who started us said that this is nothing to us (`nohup`)."""
    usual = (signal.SIGINT, signal.SIGTERM)
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    return usual if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN else (*usual, hangup)
