"""The sections of the configuration: every key with its default, unit and one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from warpgauge.core.config.settings import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAULTS", "AgentConfig", "AnalyzerConfig", "Config", "DemoConfig"]

FAULTS: Final = ("straggler", "thermal_limited", "idle_allocated", "input_bound")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """The agent on each node."""

    listen_address: str = setting("127.0.0.1:9837", help="Address and port of the agent's pages.")
    fast_interval_seconds: float = setting(1.0, help="Time between readings of the fast tier.", unit="seconds", above=0)
    normal_interval_seconds: float = setting(
        10.0, help="Time between readings of the normal tier.", unit="seconds", above=0
    )
    slow_interval_seconds: float = setting(
        60.0, help="Time between readings of the slow tier.", unit="seconds", above=0
    )
    deadline_seconds: float = setting(
        2.0, help="A driver call that takes longer counts as hung; its child process is replaced.",
        unit="seconds", above=0,
    )  # fmt: skip
    disabled_collectors: tuple[str, ...] = setting((), help="Collectors that are not started, by name.")
    training_socket: str = setting(
        "", help="Socket that step timers write to; empty means warpgauge-train.sock in the runtime directory."
    )
    proc_root: str = setting("/proc", help="Where the host's /proc is; in a container often a mount of it.")
    dcgm_view: bool = setting(default=False, help="Serve /metrics/dcgm: the same values under dcgm-exporter's names.")
    kernel_log: str = setting("/dev/kmsg", help="Kernel log to watch for driver errors; empty means none.")
    sys_root: str = setting("/sys", help="Where the host's /sys is; in a container often a mount of it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzerConfig:
    """The analyzer and its console."""

    listen_address: str = setting("127.0.0.1:9838", help="Address and port of the analyzer's console and API.")
    targets: tuple[str, ...] = setting((), help="Agents' metrics pages to read directly.", unit="URL", urls=True)
    discovery: tuple[str, ...] = setting(
        (), help="Prometheus http_sd documents that list more agents' pages.", unit="URL", urls=True
    )
    prometheus_url: str = setting(
        "", help="Base URL of a Prometheus to read instead of agents; empty means none.", unit="URL", urls=True
    )
    interval_seconds: float = setting(10.0, help="Time between passes of the detectors.", unit="seconds", above=0)
    window_seconds: float = setting(3600.0, help="How much past the detectors look at.", unit="seconds", at_least=60)
    agent_scrape_interval_seconds: float = setting(
        10.0, help="Time between scrapes of agents; agents on this machine are read each second.",
        unit="seconds", above=0,
    )  # fmt: skip
    cluster: str = setting("local", help="Cluster label of agents whose targets do not name one.")
    data_directory: str = setting(
        "",
        help="Where history, the outbox and the operator's token are kept, the agent's too; empty means "
        "STATE_DIRECTORY of systemd, else warpgauge in the user's data directory.",
    )
    snapshot_interval_seconds: float = setting(
        60.0, help="Time between snapshots of what the analyzer knows, which a restart goes on from; 0 keeps none.",
        unit="seconds", at_least=0,
    )  # fmt: skip
    mode: str = setting(
        "propose", help="observe finds only, propose also recommends; neither acts.", choices=("observe", "propose")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """The simulated fleet."""

    mode: str = setting(
        "never", help="Show a simulated fleet: never, auto (only where no accelerator is found) or always.",
        choices=("never", "auto", "always"),
    )  # fmt: skip
    seed: int = setting(42, help="Seed of the simulated fleet; another seed moves the faults.", at_least=0)
    faults: tuple[str, ...] = setting(FAULTS, help="Faults that the simulated fleet has.", choices=FAULTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings in force."""

    agent: AgentConfig = field(default_factory=AgentConfig)
    analyzer: AnalyzerConfig = field(default_factory=AnalyzerConfig)
    demo: DemoConfig = field(default_factory=DemoConfig)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)  # key -> where its value came from

    @staticmethod
    def sections() -> tuple[str, ...]:
        """Names of the sections in the order of the reference."""
        return tuple(item.name for item in fields(Config) if item.name != "origins")
