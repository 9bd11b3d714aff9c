"""Every alert: when it fires, how urgent it is, what to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.alerts.groups import GROUPS
from warpgauge.alerts.rule import RecordingRule
from warpgauge.alerts.site import Site
from warpgauge.cli.docs.markdown import page_of, rows

if TYPE_CHECKING:
    from warpgauge.alerts.rule import Group, Rule

__all__ = ["page"]

_DEFAULT: Final = Site()
_INTRO: Final = """
`warpgauge generate alerts` writes these rules, for Prometheus 2.42 and newer, with the Alertmanager configuration
that groups and inhibits them. Every alert carries `severity` and `scope`, and its annotations link its runbook and
dashboard. Unit tests that fire each one, and keep it silent, stand in `alerts/unit/` and are run by promtool.
"""


def page() -> str:
    """The page of all groups."""
    return page_of("Alerts", _INTRO, *(_group(group) for group in GROUPS))


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
        f"Labels: {', '.join(f'`{name}`' for name in rule.labels) or 'none'}. Runbook: {runbook}.",
    ]
    text = " ".join(facts).replace(" .", ".")
    summary, expression = rule.annotations(_DEFAULT)["summary"], rule.expression(_DEFAULT)
    return f"### {rule.alert}\n\n{summary}\n\n{text}\n\n```promql\n{expression}\n```"
