"""An expression as one site needs it: its matchers on every selector, its name for the label `cluster`.

Only our own expressions come here, so a name from the catalog outside of a string is always a selector.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from warpgauge.core.catalog import ALL, Family, Kind

__all__ = ["CLUSTER", "narrowed", "relabeled"]

CLUSTER: Final = "cluster"
"""Our own name of the label that a site may call otherwise."""

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_BLOCK: Final = rf"\{{(?:[^}}\"]|{_STRING})*\}}"
_WORD: Final = rf"(?<![\w:$]){CLUSTER}(?![\w:])"  # alone: no part of cluster_uuid or of a recorded name, no $cluster
_PARTS: Final = ("_bucket", "_sum", "_count")


def narrowed(expression: str, matchers: str, *, analyzers_too: bool = True) -> str:
    """The expression with `matchers` (without braces) on every selector of a series that is scraped.

    Without `analyzers_too` the analyzer's own series stay as they are: it speaks of every place, and stands in one.
    """
    if not matchers:
        return expression
    return _selector(analyzers_too).sub(lambda found: _with(found, matchers), expression)


def relabeled(text: str, cluster_label: str) -> str:
    """Expression or text with the site's name for the label `cluster`; variables of dashboards keep their names.

    A page's own label `cluster` is renamed to exported_cluster only where the target carries the same name.
    """
    if cluster_label == CLUSTER:
        return text
    text = re.sub(rf"(?<!var-){_WORD}", cluster_label, text)
    return text.replace(f"exported_{CLUSTER}", CLUSTER)


def _with(found: re.Match[str], matchers: str) -> str:
    if found["name"] is None:
        return found[0]  # a string
    own = (found["block"] or "{}")[1:-1]
    return f"{found['name']}{{{own}{',' if own else ''}{matchers}}}"


@cache
def _selector(analyzers_too: bool) -> re.Pattern[str]:  # noqa: FBT001 - the cache's key
    """A string, which is passed over, or a series that is scraped: ours, `up`, or DCGM's."""
    names = {"up"}
    for row in ALL:
        if analyzers_too or row.family is not Family.ANALYZER:
            names |= {f"{row.name}{part}" for part in _PARTS} if row.kind is Kind.HISTOGRAM else {row.name}
    longest_first = "|".join(sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w:])(?P<name>(?:{longest_first}|DCGM_\w+))(?![\w:(])(?P<block>{_BLOCK})?|{_STRING}")
