"""An expression as one site needs it: its matchers on every selector, its name for the label `cluster`.

Only expressions of our own rules come here, so a name from the catalog outside of a string is always a selector.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import ALL, Kind

if TYPE_CHECKING:
    from warpgauge.alerts.site import Site

__all__ = ["adapted", "relabeled"]

_CLUSTER: Final = "cluster"
_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_BLOCK: Final = rf"\{{(?:[^}}\"]|{_STRING})*\}}"
_LABEL: Final = rf"(?<![\w:]){_CLUSTER}(?![\w:])"  # the word alone: no part of cluster_uuid or of a recorded name
_PARTS: Final = ("_bucket", "_sum", "_count")


def adapted(expression: str, site: Site) -> str:
    """The expression with the site's selector and cluster label."""
    if site.selector:
        expression = _selector().sub(lambda found: _narrowed(found, site.selector), expression)
    return relabeled(expression, site)


def relabeled(text: str, site: Site) -> str:
    """Expression or annotation with the site's name for the label `cluster`.

    A page's own label `cluster` is renamed to exported_cluster only where the target carries the same name.
    """
    if site.cluster_label == _CLUSTER:
        return text
    text = re.sub(rf"(?<!var-){_LABEL}", site.cluster_label, text)
    return text.replace(f"exported_{_CLUSTER}", _CLUSTER)


def _narrowed(found: re.Match[str], selector: str) -> str:
    if found["name"] is None:
        return found[0]  # a string
    own = (found["block"] or "{}")[1:-1]
    return f"{found['name']}{{{own}{',' if own else ''}{selector}}}"


@cache
def _selector() -> re.Pattern[str]:
    """A string, which is passed over, or a series that is scraped: ours, `up`, or DCGM's."""
    names = {"up"}
    for row in ALL:
        names |= {f"{row.name}{part}" for part in _PARTS} if row.kind is Kind.HISTOGRAM else {row.name}
    longest_first = "|".join(sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w:])(?P<name>(?:{longest_first}|DCGM_\w+))(?![\w:(])(?P<block>{_BLOCK})?|{_STRING}")
