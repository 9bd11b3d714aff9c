"""What differs from site to site in the generated dashboards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from warpgauge.core.promql_site import narrowed, relabeled

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Site"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Choices of one site; the defaults are those of everything on one machine.

    `warpgauge.dashboards.settings` makes a site from a configuration and says what is wrong with it.
    """

    selector: str = ""  # matchers without braces, such as env="prod", that every series read must match
    cluster_label: str = "cluster"
    disabled: frozenset[str] = frozenset()
    extra_variables: Mapping[str, str] = field(default_factory=dict)  # label of every target -> title of its drop-down
    extra_tags: tuple[str, ...] = ()
    extra_labels: Mapping[str, str] = field(default_factory=dict)  # of ConfigMaps
    runbooks_url: str = "http://127.0.0.1:9838"  # the analyzer serves /runbooks/NAME
    time_range: str = "1h"
    refresh: str = "30s"  # empty: never
    datasource: str = ""  # uid; empty: Grafana's default
    datasource_url: str = "http://127.0.0.1:9090"
    scrape_interval: str = "15s"

    def adapted(self, expression: str) -> str:
        """The query with the site's matchers and variables on every selector, and its name for the label `cluster`.

        The analyzer's own series carry the labels of the analyzer's place: they follow the selector alone.
        """
        chosen = ",".join(f'{label}=~"${label}"' for label in self.extra_variables)
        everywhere = narrowed(expression, self.selector)
        return self.relabeled(narrowed(everywhere, chosen, analyzers_too=False))

    def relabeled(self, text: str) -> str:
        """The text with the site's name for the label `cluster`."""
        return relabeled(text, self.cluster_label)
