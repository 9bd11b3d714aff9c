"""What an analyzer would refuse to start with, asked without reading a fleet or keeping anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.analyzer.frame.layout import layout_of
from warpgauge.analyzer.recommend.site_rules import read_site_rules
from warpgauge.analyzer.service.advisor import webhook_of
from warpgauge.analyzer.service.receiver import RemoteWriteReceiver
from warpgauge.analyzer.sources.named import access_of, agent_terms_of
from warpgauge.core.clock import SystemClock

if TYPE_CHECKING:
    from warpgauge.core.config import Config

__all__ = ["check_settings"]


def check_settings(config: Config) -> None:
    """Ask each part that reads [analyzer] or [acting] whether it could start.

    Raises:
        ConfigError: a setting is unfit, or a file that one names cannot be used; the message names the place.
        ModuleNotFoundError: a setting needs an extra that is not installed here.

    """
    clock = SystemClock()
    agent_terms_of(config.analyzer)
    if config.analyzer.prometheus_url:
        access_of(config.analyzer)
    layout_of(config.analyzer)
    if config.analyzer.remote_write:
        RemoteWriteReceiver(config.analyzer, _refuse, clock)
    if config.acting.webhook_url:
        webhook_of(config.acting, clock)
    if config.acting.site_rules_file:
        read_site_rules(Path(config.acting.site_rules_file))


async def _refuse(_message: bytes) -> int:
    return 0
