"""All settings in force, and where each value came from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from warpgauge.core.config.dashboard_section import DashboardsConfig
from warpgauge.core.config.history_section import HistoryConfig
from warpgauge.core.config.log_sections import FluentdConfig, LogsConfig
from warpgauge.core.config.otlp_sections import OtlpConfig, OtlpLogsConfig
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
from warpgauge.core.config.settings import settings_of
from warpgauge.core.config.yarn_section import YarnConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.config.settings import Setting, Value

__all__ = ["Config", "Origin", "origins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings in force."""

    agent: AgentConfig = field(default_factory=AgentConfig)
    analyzer: AnalyzerConfig = field(default_factory=AnalyzerConfig)
    acting: ActingConfig = field(default_factory=ActingConfig)
    kubernetes: KubernetesConfig = field(default_factory=KubernetesConfig)
    demo: DemoConfig = field(default_factory=DemoConfig)
    web: WebConfig = field(default_factory=WebConfig)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    dashboards: DashboardsConfig = field(default_factory=DashboardsConfig)
    push: PushConfig = field(default_factory=PushConfig)
    remote_write: RemoteWriteConfig = field(default_factory=RemoteWriteConfig)
    otlp: OtlpConfig = field(default_factory=OtlpConfig)
    otlp_logs: OtlpLogsConfig = field(default_factory=OtlpLogsConfig)
    fluentd: FluentdConfig = field(default_factory=FluentdConfig)
    logs: LogsConfig = field(default_factory=LogsConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    yarn: YarnConfig = field(default_factory=YarnConfig)
    planning: PlanningConfig = field(default_factory=PlanningConfig)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)  # key -> where its value came from

    @staticmethod
    def sections() -> tuple[str, ...]:
        """Names of the sections in the order of the reference."""
        return tuple(item.name for item in fields(Config) if item.name != "origins")


@dataclass(frozen=True, slots=True)
class Origin:
    """A setting, the value in force and where that came from: default, a file, a variable or the command line."""

    setting: Setting
    value: Value
    origin: str


def origins(config: Config) -> list[Origin]:
    """Every setting with its value and where the value came from, in the order of the reference."""
    return [
        Origin(row, getattr(getattr(config, section), name), config.origins.get(row.key, "default"))
        for section in config.sections()
        for name, row in settings_of(section, type(getattr(config, section))).items()
    ]
