"""Settings: one TOML file, environment variables and flags, with exact errors and the origin of each value."""

from __future__ import annotations

from warpgauge.core.config.dashboard_section import DashboardsConfig
from warpgauge.core.config.directories import data_directory
from warpgauge.core.config.history_section import HistoryConfig
from warpgauge.core.config.in_force import Config, Origin, origins
from warpgauge.core.config.loading import load
from warpgauge.core.config.log_sections import FluentdConfig, LogsConfig
from warpgauge.core.config.otlp_sections import OtlpConfig, OtlpLogsConfig, OtlpReceiverConfig
from warpgauge.core.config.planning_section import PlanningConfig
from warpgauge.core.config.sections import (
    ActingConfig,
    AgentConfig,
    AlertsConfig,
    AnalyzerConfig,
    DemoConfig,
    KubernetesConfig,
    PushConfig,
    RemoteWriteConfig,
    WebConfig,
)
from warpgauge.core.config.settings import Setting
from warpgauge.core.config.yarn_section import YarnConfig

__all__ = [
    "ActingConfig",
    "AgentConfig",
    "AlertsConfig",
    "AnalyzerConfig",
    "Config",
    "DashboardsConfig",
    "DemoConfig",
    "FluentdConfig",
    "HistoryConfig",
    "KubernetesConfig",
    "LogsConfig",
    "Origin",
    "OtlpConfig",
    "OtlpLogsConfig",
    "OtlpReceiverConfig",
    "PlanningConfig",
    "PushConfig",
    "RemoteWriteConfig",
    "Setting",
    "WebConfig",
    "YarnConfig",
    "data_directory",
    "load",
    "origins",
]
