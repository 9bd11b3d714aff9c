"""Scheduling cores that the settings name, as the planner and the executor ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from warpgauge.core.client_tls import client_context
from warpgauge.core.errors import ConfigError
from warpgauge.core.posting import HttpClient
from warpgauge.core.yarn import Yarn
from warpgauge.exporters.push.http import headers_of_file

if TYPE_CHECKING:
    from warpgauge.core.config import YarnConfig

__all__ = ["yarn_of"]


def yarn_of(settings: YarnConfig) -> Yarn:
    """The YARN cluster of the settings.

    Raises:
        ConfigError: none is set, or a file that is named cannot be used.

    """
    if not settings.urls:
        msg = "yarn.urls is not set: give the ResourceManager's address, such as http://rm1.example:8088"
        raise ConfigError(msg)
    if any(urlsplit(url).username is not None for url in settings.urls):
        msg = "an address in yarn.urls must hold no user and password: it is shown in messages; use yarn.headers_file"
        raise ConfigError(msg)
    context = client_context(settings.ca_file, of="yarn.ca_file") if settings.ca_file else None
    client = HttpClient(context=context, timeout_seconds=settings.timeout_seconds)
    return Yarn(settings.urls, client, user=settings.user, headers=headers_of_file(settings.headers_file))
