"""The sections about logs: what is collected, and where it is sent."""

from __future__ import annotations

from dataclasses import dataclass

from warpgauge.core.config.settings import setting

__all__ = ["FluentdConfig", "LogsConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FluentdConfig:
    """Where log records are sent by Fluentd's forward protocol."""

    servers: tuple[str, ...] = setting(
        (),
        help="Receivers as HOST:PORT, in the order in which they are tried; empty means none; needs the extra fluentd.",
    )
    tag: str = setting("warpgauge.logs", help="Tag of what is sent, by which Fluentd routes it.")
    shared_key_file: str = setting(
        "", help="File that holds the key which the receivers share with us; empty means that they ask for none."
    )
    username: str = setting("", help="User to show to a receiver that asks for one.")
    password_file: str = setting("", help="File that holds that user's password.")
    hostname: str = setting("", help="Name that we show to a receiver; empty means the machine's name.")
    tls: bool = setting(default=False, help="Speak TLS, and trust only receivers whose certificate is vouched for.")
    ca_file: str = setting("", help="Certificate authorities to trust for the receivers instead of the system's.")
    client_cert: str = setting("", help="Certificate (PEM) to show to the receivers.")
    client_key: str = setting("", help="Its key, if it is not in the same file.")
    timeout_seconds: float = setting(
        10.0, help="How long a connection, a handshake step or an acknowledgement may take.", unit="seconds", above=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsConfig:
    """What is collected for the log sinks; nothing where there is none."""

    kernel: bool = setting(
        default=True, help="Reports of the kernel log (agent.kernel_log): XID, SXID, AER, MCE, OOM kills, bus errors."
    )
    events: bool = setting(default=True, help="The agent's own events.")
    findings: bool = setting(default=True, help="What the analyzer finds, where its settings have a log sink.")
    files: tuple[str, ...] = setting(
        (), help="Log files to follow, as absolute paths in which *, ? and ** stand for names; rotated ones are known."
    )
    journal: bool = setting(default=False, help="Entries of systemd's journal, which journalctl follows.")
    journal_units: tuple[str, ...] = setting(
        (), help="Units whose entries are taken, * and ? stand for characters; empty means all entries."
    )
    journal_priority: str = setting(
        "info",
        help="Least urgent entries that are taken.",
        choices=("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"),
    )
    journal_directory: str = setting("", help="Where the journal's files are; empty means the system's own.")
    max_files: int = setting(64, help="Files that are followed at most.", unit="files", at_least=1)
    max_line_bytes: int = setting(
        16384, help="A longer line is cut, and its record says is_cut; 65536 at most.", unit="bytes", at_least=80
    )
    max_records_per_second: int = setting(
        1000,
        help="Beyond it files are read later, and records of the kernel and our own are dropped and counted.",
        unit="records per second",
        at_least=1,
    )
