"""Settings: one TOML file, environment variables and flags, with exact errors and the origin of each value."""

from __future__ import annotations

from warpgauge.core.config.dashboard_section import DashboardsConfig
from warpgauge.core.config.directories import data_directory
from warpgauge.core.config.loading import load
from warpgauge.core.config.log_sections import FluentdConfig, LogsConfig
from warpgauge.core.config.sections import (
    ActingConfig,
    AgentConfig,
    AlertsConfig,
    AnalyzerConfig,
    Config,
    DemoConfig,
    OtlpConfig,
    PushConfig,
    RemoteWriteConfig,
    WebConfig,
)
from warpgauge.core.config.settings import Origin, Setting, origins

__all__ = [
    "ActingConfig",
    "AgentConfig",
    "AlertsConfig",
    "AnalyzerConfig",
    "Config",
    "DashboardsConfig",
    "DemoConfig",
    "FluentdConfig",
    "LogsConfig",
    "Origin",
    "OtlpConfig",
    "PushConfig",
    "RemoteWriteConfig",
    "Setting",
    "WebConfig",
    "data_directory",
    "load",
    "origins",
]
