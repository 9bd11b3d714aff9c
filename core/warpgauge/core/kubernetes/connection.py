"""Where a cluster's API server is and who we are there: settings, or what a pod finds in its service account's folder.

A kubeconfig is not read: its plugins and their tokens are kubectl's business, and `kubectl proxy` lends them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from warpgauge.core.client_tls import client_context
from warpgauge.core.errors import ConfigError
from warpgauge.core.posting import HttpClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.config import KubernetesConfig

__all__ = ["Connection", "connect"]

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_MOST_TOKEN_BYTES: Final = 1 << 16
_HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A server and how to be known there."""

    url: str  # without a slash at the end
    client: HttpClient
    token_file: Path | None = None  # read anew for each request: tokens of pods are exchanged within the hour

    def headers(self) -> dict[str, str]:
        """The credentials as headers.

        Raises:
            OSError: the token cannot be read.

        """
        if self.token_file is None:
            return {}
        with self.token_file.open("rb") as file:
            token = file.read(_MOST_TOKEN_BYTES).strip()
        return {"Authorization": f"Bearer {token.decode('ascii', 'replace')}"}


def connect(
    settings: KubernetesConfig, environ: Mapping[str, str], *, service_account: Path = SERVICE_ACCOUNT
) -> Connection:
    """The server that the settings name, else that of the cluster we run in.

    Raises:
        ConfigError: neither is there, a file cannot be used, or a secret would travel unencrypted.

    """
    if settings.server:
        return _connection(settings.server, settings, _path(settings.token_file), settings.ca_file)
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        msg = "no API server: set kubernetes.server (kubectl proxy serves http://127.0.0.1:8001), or run in a pod"
        raise ConfigError(msg)
    url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    token = _path(settings.token_file) or service_account / "token"
    return _connection(url, settings, token, settings.ca_file or str(service_account / "ca.crt"))


def _connection(url: str, settings: KubernetesConfig, token_file: Path | None, ca_file: str) -> Connection:
    parts = urlsplit(url)
    if token_file is not None and parts.scheme != "https" and parts.hostname not in _HERE:
        msg = f"kubernetes.server {url} would get the token unencrypted: use https"
        raise ConfigError(msg)
    context = client_context(ca_file, settings.client_cert, settings.client_key, of="kubernetes")
    client = HttpClient(context=context, timeout_seconds=settings.timeout_seconds)
    return Connection(url=url.rstrip("/"), client=client, token_file=token_file)


def _path(text: str) -> Path | None:
    return Path(text) if text else None
