"""The sources that the settings name: agents, and a Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from warpgauge.analyzer.sources.access import Access, Credentials, Terms, tls_context
from warpgauge.analyzer.sources.agent import AgentSource, Intervals
from warpgauge.analyzer.sources.poll import PrometheusPoll
from warpgauge.analyzer.sources.prometheus import matchers_of
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiohttp

    from warpgauge.analyzer.sources import Page, Ranges
    from warpgauge.core.clock import Clock
    from warpgauge.core.config import AnalyzerConfig

__all__ = ["access_of", "agent_terms_of", "sources_of"]


def agent_terms_of(config: AnalyzerConfig) -> Terms:
    """On what terms agents are asked.

    Raises:
        ConfigError: a file that the settings name cannot be used.

    """
    credentials = Credentials(
        bearer_token_file=_file(config.agent_bearer_token_file), basic_auth_file=_file(config.agent_basic_auth_file)
    )
    credentials.current()  # a file that is not there ends the start, not the first scrape
    tls = tls_context(_file(config.agent_ca_file), _file(config.agent_client_cert), _file(config.agent_client_key))
    return Terms(headers=credentials.current, tls=tls)


def sources_of(  # noqa: PLR0913 - what is read, on what terms, and where to
    config: AnalyzerConfig,
    session: aiohttp.ClientSession,
    clock: Clock,
    agent_terms: Terms,
    *,
    take_page: Callable[[Page], Awaitable[None]],
    take: Callable[[Ranges], Awaitable[None]],
    forget: Callable[[str], Awaitable[None]],
) -> tuple[AgentSource | PrometheusPoll, ...]:
    """The agents, and the Prometheus if one is named.

    Raises:
        ConfigError: a file that the settings name cannot be used.

    """
    agents = AgentSource(
        session,
        take_page,
        targets=config.targets,
        discovery=config.discovery,
        intervals=Intervals(remote=config.agent_scrape_interval_seconds),
        clock=clock,
        forget=forget,
        terms=agent_terms,
    )
    if not config.prometheus_url:
        return (agents,)
    poll = PrometheusPoll(
        session,
        take,
        access=access_of(config),
        match=config.prometheus_match or None,
        replica_labels=config.replica_labels,
        interval_seconds=config.interval_seconds,
        window_seconds=config.window_seconds,
        clock=clock,
    )
    return (agents, poll)


def access_of(config: AnalyzerConfig) -> Access:
    """On what terms the Prometheus of the settings is asked, whose selector is checked too.

    Raises:
        ConfigError: a setting is unfit, or a file that one names cannot be used; the message names it.

    """
    if "@" in urlsplit(config.prometheus_url).netloc:
        msg = (
            "analyzer.prometheus_url must hold no user and password, they end up in process lists and logs: "
            "set analyzer.prometheus_basic_auth_file"
        )
        raise ConfigError(msg)
    if config.prometheus_match:
        matchers_of(config.prometheus_match, "analyzer.prometheus_match")
    credentials = Credentials(
        bearer_token_file=_file(config.prometheus_bearer_token_file),
        basic_auth_file=_file(config.prometheus_basic_auth_file),
        tenant=config.prometheus_tenant,
    )
    credentials.current()  # a file that is not there ends the start, not the first poll
    tls = tls_context(
        _file(config.prometheus_ca_file), _file(config.prometheus_client_cert), _file(config.prometheus_client_key)
    )
    return Access(url=config.prometheus_url, headers=credentials.current, tls=tls)


def _file(name: str) -> Path | None:
    return Path(name) if name else None
