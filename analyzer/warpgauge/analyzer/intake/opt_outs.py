"""Nodes that nothing disruptive is to be done to: a scrape target says so by the label `warpgauge_opt_out="true"`.

A target says it until it says otherwise, with whatever brings its series: a page, a poll of a Prometheus, a Prometheus
that writes to us. Several targets may speak of one node; one of them is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPT_OUT", "OptOuts"]

OPT_OUT: Final = "warpgauge_opt_out"

_Node = tuple[str, str]


class OptOuts:
    """Who says what; for one thread, but anybody may look at `nodes`, which are replaced as a whole."""

    def __init__(self) -> None:
        self.nodes: frozenset[_Node] = frozenset()  # (cluster, node)
        self._said: dict[tuple[_Node, str], tuple[int, bool]] = {}

    def hear(self, node: _Node, origin: str, labels: Mapping[str, str], at_ms: int) -> None:
        """Take what a target says by its labels; what it said at a later time stands, whatever is read last."""
        says = labels.get(OPT_OUT) == "true"
        key = (node, origin)
        if at_ms < self._said.get(key, (0, False))[0]:
            return
        self._said[key] = (at_ms, says)
        if says != (node in self.nodes):
            self.nodes = frozenset(one for (one, _), (_, is_so) in self._said.items() if is_so)
