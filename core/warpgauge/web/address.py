"""What `--web.listen-address` means, as in Prometheus exporters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self

from warpgauge.core.errors import ConfigError

__all__ = ["ListenAddress"]

_FORM: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:/\s]*)):(?P<port>[0-9]{1,5})", re.ASCII)
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Host and port to listen on; an empty host means every interface, port 0 any free port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `127.0.0.1:9837`, `:9400` or `[::1]:9400`.

        Raises:
            ConfigError: the text has another form or the port is above 65535.

        """
        match = _FORM.fullmatch(text)
        if match is None or int(match["port"]) > _MAX_PORT:
            msg = f"listen address {text!r} must be HOST:PORT, :PORT or [IPV6]:PORT with a port up to {_MAX_PORT}"
            raise ConfigError(msg)
        return cls(match["v6"] or match["host"] or "", int(match["port"]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:  # a name or empty
            return False

    def with_port(self, port: int | str) -> str:
        """The same host with another port, as a flag would be written."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    def __str__(self) -> str:
        return self.with_port(self.port)
