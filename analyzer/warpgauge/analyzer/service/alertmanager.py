"""Pushes what the analyzer found to an Alertmanager, and stays quiet about what a rule already told there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from warpgauge.analyzer.service.alerting import (
    SOURCE,
    Naming,
    finding_alert,
    places_of,
    recommendation_alert,
    told_by_rules,
)
from warpgauge.analyzer.sources.fetch import get, json_of
from warpgauge.core.document import rfc3339
from warpgauge.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.analyzer.service.alerting import Alert, Told
    from warpgauge.core.clock import Clock
    from warpgauge.core.config import Config
    from warpgauge.core.finding import Finding
    from warpgauge.core.recommendation import Recommendation

__all__ = ["Pusher", "pushers_of"]

_LOG: Final = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 10.0
_LIMIT_BYTES: Final = 64 << 20  # of all alerts that stand; about 1 kB each
_LASTS_ROUNDS: Final = 4  # an alert ends by itself when so many rounds in a row brought no news of it
_LASTS_AT_LEAST_SECONDS: Final = 120.0


def pushers_of(config: Config, session: aiohttp.ClientSession, clock: Clock) -> tuple[Pusher, ...]:
    """One for each Alertmanager that the settings name."""
    naming, interval_seconds = Naming.of(config.alerts), config.analyzer.interval_seconds
    return tuple(
        Pusher(session, url, naming, clock, interval_seconds=interval_seconds) for url in config.analyzer.alertmanagers
    )


class Pusher:
    """One Alertmanager. It is asked before it is told, so that a fault that a rule told is not told again."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, naming: Naming, clock: Clock, *, interval_seconds: float
    ) -> None:
        self._session = session
        self._api = f"{url.rstrip('/')}/api/v2/alerts"
        self._naming = naming
        self._clock = clock
        self._lasts_seconds = max(_LASTS_ROUNDS * interval_seconds, _LASTS_AT_LEAST_SECONDS)
        self._sent: dict[str, Alert] = {}  # by id, what it was told last and has not been told the end of
        self._error = ""

    async def push(self, findings: Sequence[Finding], advice: Sequence[Recommendation]) -> None:
        """Tell what holds now and what ended; an Alertmanager that does not answer is logged once, and asked again."""
        try:
            standing = await self._standing()
            wanted = self._wanted(findings, advice, standing)
            await self._post([*wanted.values(), *self._ended(wanted)])
        except SourceError as error:
            if str(error) != self._error:
                _LOG.warning("alerts not pushed", extra={"error": str(error)})
            self._error = str(error)
            return
        self._sent, self._error = wanted, ""

    async def _standing(self) -> list[dict[str, str]]:
        """Labels of all alerts that stand there."""
        answer = await get(self._session, self._api, limit_bytes=_LIMIT_BYTES, timeout_seconds=_TIMEOUT_SECONDS)
        document = json_of(answer, self._api)
        if not isinstance(document, list):
            msg = f"{self._api} does not answer with a list of alerts"
            raise SourceError(msg)
        return [_labels(one) for one in document if isinstance(one, dict)]

    def _wanted(
        self, findings: Iterable[Finding], advice: Iterable[Recommendation], standing: Sequence[dict[str, str]]
    ) -> dict[str, Alert]:
        ends_at = self._clock.now() + self._lasts_seconds
        told: frozenset[Told] = frozenset().union(*(places_of(labels, self._naming) for labels in standing))
        ours = {labels.get("finding") for labels in standing if labels.get("source") == SOURCE}
        wanted: dict[str, Alert] = {}
        for finding in findings:
            alert = finding_alert(finding, self._naming, ends_at=ends_at)
            if alert and (finding.id in ours or not told_by_rules(alert, finding, self._naming, told)):
                wanted[finding.id] = alert
        for one in advice:
            alert = recommendation_alert(one, self._naming, ends_at=ends_at)
            if alert:
                wanted[one.id] = alert
        return wanted

    def _ended(self, wanted: dict[str, Alert]) -> list[Alert]:
        now = self._clock.now()
        return [{**alert, "endsAt": rfc3339(now)} for name, alert in self._sent.items() if name not in wanted]

    async def _post(self, alerts: Sequence[Alert]) -> None:
        if not alerts:
            return
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        try:
            async with self._session.post(self._api, json=alerts, timeout=timeout, allow_redirects=False) as response:
                if response.status // 100 != 2:  # noqa: PLR2004 - 2xx
                    msg = f"{self._api} refuses alerts with status {response.status}"
                    raise SourceError(msg)
        except TimeoutError as error:
            msg = f"{self._api} took no alerts within {_TIMEOUT_SECONDS:g} s"
            raise SourceError(msg) from error
        except (aiohttp.ClientError, OSError) as error:
            msg = f"{self._api} took no alerts: {error or type(error).__name__}"
            raise SourceError(msg) from error


def _labels(document: dict[str, Any]) -> dict[str, str]:
    labels = document.get("labels")
    return {str(name): str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}
