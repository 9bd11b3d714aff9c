"""A real analyzer that starts into trouble: nobody answers where it reads, or takes what it has long had to say."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from warpgauge.core.clock import ManualClock
from warpgauge.core.queue import DurableQueue

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real_servers import Servers

__all__ = ["start_ill_analyzer"]

OLD_SECONDS = 3600.0
DOCUMENT = b'{"id":"old","specversion":"1.0","data":{"recommendationId":"old"}}'
CONFIG = """\
[analyzer]
listen_address = "127.0.0.1:{port}"
targets = ["http://127.0.0.1:{deaf}/metrics"]
data_directory = "{data}"

[acting]
webhook_url = "http://127.0.0.1:{deaf}/hook"
webhook_secret_file = "{secret}"
"""


def start_ill_analyzer(servers: Servers, folder: Path, deaf_port: int) -> str:
    """Base URL of it; `deaf_port` answers everything with 503."""
    data, secret = folder / "data", folder / "secret"
    data.mkdir(parents=True)
    secret.write_text(f"whsec_{'MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0'}\n")
    secret.chmod(0o600)
    queue = DurableQueue(
        data / "outbox-webhook.sqlite",
        max_bytes=1 << 20,
        max_age_seconds=10 * OLD_SECONDS,
        clock=ManualClock(time.time() - OLD_SECONDS),
        synchronous="FULL",
    )
    queue.append(DOCUMENT)
    queue.close()

    def command(port: int, home: Path) -> list[str | Path]:
        config = home / "warpgauge.toml"
        config.write_text(CONFIG.format(port=port, deaf=deaf_port, data=data, secret=secret))
        return [sys.executable, "-m", "warpgauge", "--config", config, "analyzer"]

    return servers.start("analyzer", command, ready="/metrics", ready_seconds=60.0)
