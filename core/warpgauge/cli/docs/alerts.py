"""Every alert: when it fires, how urgent it is, what to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.alerts import dcgm
from warpgauge.alerts.groups import GROUPS
from warpgauge.alerts.rule import RecordingRule
from warpgauge.alerts.site import Site
from warpgauge.cli.docs.markdown import page_of, rows
from warpgauge.core.twins import TWINS

if TYPE_CHECKING:
    from warpgauge.alerts.rule import Group, Rule

__all__ = ["page"]

_DEFAULT: Final = Site()
_INTRO: Final = """
`warpgauge generate alerts` writes these rules, for Prometheus 2.42 and newer, with the Alertmanager configuration
that groups and inhibits them. Every alert carries `severity` and `scope`, and its annotations link its runbook and
dashboard. Unit tests that fire each one, and keep it silent, stand in `alerts/unit/` and are run by promtool.
Thresholds, durations, severities and labels are [configuration](configuration.md): see [the guide](../howto/alerts.md).
"""

_TWINS: Final = """
## Findings that say the same

With `analyzer.alertmanagers` the analyzer pushes findings as alerts. A finding goes by the name of the rule below that
has its severity, else by the first; kinds that are not listed have no rule and go by `Finding` and their own name.
"""

_DCGM: Final = """
## Over dcgm-exporter's series

`dcgm/dcgm.yml` holds these alerts for a fleet that runs dcgm-exporter and not our agent.
"""


def page() -> str:
    """The page of all groups."""
    return page_of("Alerts", _INTRO, *(_group(group) for group in GROUPS), _twins(), _over_dcgm())


def _twins() -> str:
    pairs = [
        (f"`{kind.value}`", ", ".join(f"`{twin.alert}` ({twin.severity.value})" for twin in twins))
        for kind, twins in TWINS.items()
    ]
    return f"{_TWINS.strip()}\n\n{rows(('Kind of finding', 'Alerts'), pairs)}"


def _over_dcgm() -> str:
    given = [(f"`{rule.alert}`", f"`{rule.expression(_DEFAULT)}`") for rule in dcgm.GROUP.alerts]
    gone = [(f"`{name}`", why) for name, why in dcgm.NOT_GIVEN.items()]
    tables = (rows(("Alert", "Expression"), given), rows(("Not there", "Because"), gone))
    return "\n\n".join((_DCGM.strip(), *tables))


def _group(group: Group) -> str:
    recorded = [
        (f"`{rule.record}`", f"`{rule.expression(_DEFAULT)}`")
        for rule in group.rules
        if isinstance(rule, RecordingRule)
    ]
    blocks = [
        f"## {group.name}\n\nEvaluated every {group.interval}.",
        rows(("Recorded series", "Expression"), recorded),
        *(_alert(rule) for rule in group.alerts),
    ]
    return "\n\n".join(block for block in blocks if block)


def _alert(rule: Rule) -> str:
    runbook = f"[{rule.alert}](../../alerts/runbooks/{rule.alert}.md)"
    lasting = f"goes on firing for {rule.keep_firing} after the condition ended" if rule.keep_firing else ""
    facts = [
        f"Severity **{rule.severity.value}**, scope {rule.scope}.",
        "Fires at once" if rule.hold == "0s" else f"Fires when the condition has held for {rule.hold}",
        f"and {lasting}." if lasting else ".",
        *([f"Threshold: {rule.threshold:g}."] if rule.threshold is not None else []),
        f"Labels: {', '.join(f'`{name}`' for name in rule.labels) or 'none'}. Runbook: {runbook}.",
    ]
    text = " ".join(facts).replace(" .", ".")
    summary, expression = rule.annotations(_DEFAULT)["summary"], rule.expression(_DEFAULT)
    return f"### {rule.alert}\n\n{summary}\n\n{text}\n\n```promql\n{expression}\n```"
