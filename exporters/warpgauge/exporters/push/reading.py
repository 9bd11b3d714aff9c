"""What is pushed: everything on the agent's page at one moment, or the part of it that the settings choose."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.config import PushConfig
    from warpgauge.core.sample import Sample

__all__ = ["Choice", "Reading", "external_labels"]

_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_JOB: Final = "warpgauge"


@dataclass(frozen=True, slots=True)
class Reading:
    """All samples of one moment."""

    time: float  # seconds since the epoch
    samples: Sequence[Sample]


class Choice:
    """Which metrics are pushed, by name; both expressions must match a whole name, as in Prometheus' relabeling."""

    def __init__(self, keep: str, drop: str) -> None:
        """Keep all that matches `keep` (empty: everything) and not `drop` (empty: nothing).

        Raises:
            ConfigError: an expression is malformed.

        """
        self._keep = _compiled("push.keep", keep)
        self._drop = _compiled("push.drop", drop)

    def takes(self, name: str) -> bool:
        """Whether a metric of this name is pushed."""
        if self._keep is not None and not self._keep.fullmatch(name):
            return False
        return self._drop is None or not self._drop.fullmatch(name)


def external_labels(settings: PushConfig) -> dict[str, str]:
    """Labels that every pushed series gets: `job` and `instance` as a scrape would give, and what is configured.

    Raises:
        ConfigError: one is not of the form NAME=VALUE.

    """
    labels = {"job": _JOB, "instance": platform.node()}
    for text in settings.external_labels:
        name, equals, value = text.partition("=")
        if not equals or not _LABEL_NAME.fullmatch(name) or name.startswith("__"):
            msg = f"push.external_labels must be a list of NAME=VALUE, got {text!r}"
            raise ConfigError(msg)
        labels[name] = value
    return {name: value for name, value in labels.items() if value}


def _compiled(key: str, expression: str) -> re.Pattern[str] | None:
    try:
        return re.compile(expression) if expression else None
    except re.error as error:
        msg = f"{key} is not a regular expression: {error}, got {expression!r}"
        raise ConfigError(msg) from error
