"""Our own lint over promql-parser: what a catalog lets us check without a server.

`complaints` follows pint's and dashboard-linter's rules (counter, range_query, series, aggregate); `labels_of` tells
which labels a result surely carries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import promql_parser as pp

from warpgauge.core.catalog import BY_NAME, Kind, Metric
from warpgauge.core.promql import TARGET_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHORTEST_RANGE: Final = timedelta(seconds=150)  # four scrapes of 30 s, and one on the edge that Prometheus 3 leaves out
FOREIGN: Final = {"up": frozenset(TARGET_LABELS), "ALERTS": frozenset({*TARGET_LABELS, "alertname", "alertstate"})}
DERIVATIVES: Final = {"rate", "irate", "increase"}
CUMULATIVE_IS_FINE: Final = {*DERIVATIVES, "resets", "absent", "present_over_time"}
MACROS: Final = {"$__rate_interval": "150s", "$__range": "1h", "$price": "0.15"}
RENAMED: Final = {"holt_winters"}  # gone under this name since Prometheus 3
PARTS: Final = ("_bucket", "_sum", "_count")
EXPORTED: Final = frozenset(f"exported_{name}" for name in TARGET_LABELS)


@dataclass(frozen=True)
class Foreign:
    """A series of another exporter: what a catalog row says about one of ours."""

    name: str
    kind: Kind
    labels: frozenset[str]

    @property
    def every_label(self) -> frozenset[str]:
        return self.labels

    @property
    def is_cumulative(self) -> bool:
        return self.kind is Kind.COUNTER


@dataclass(frozen=True)
class Lint:
    """Checks expressions; `recorded` are our own recording rules by name.

    `foreign` are another exporter's series by name, `site_labels` the labels that a site adds to every target.
    """

    recorded: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, Foreign] = field(default_factory=dict)
    site_labels: frozenset[str] = frozenset()

    def complaints(self, expression: str) -> list[str]:
        """Everything wrong with one expression, in words."""
        return list(self._visit(parsed(expression), ()))

    def labels_of(self, expression: str) -> frozenset[str]:
        """Labels that every series of the result can carry."""
        return self._labels(parsed(expression))

    def selectors(self, expression: str) -> list[Any]:
        """Every selector in the expression."""
        return list(_selectors(parsed(expression)))

    def _visit(self, node: Any, calls: tuple[str, ...]) -> Iterator[str]:
        match node:
            case pp.VectorSelector():
                yield from self._selector(node, calls)
            case pp.MatrixSelector():
                if node.range < SHORTEST_RANGE:
                    yield f"{node.vector_selector.name}: a range of {node.range} holds fewer than four scrapes"
                yield from self._visit(node.vector_selector, calls)
            case pp.Call():
                if node.func.name in RENAMED:
                    yield f"{node.func.name} has another name in Prometheus 3"
                for argument in node.args:
                    yield from self._visit(argument, (*calls, node.func.name))
            case pp.AggregateExpr():
                yield from self._grouping(node)
                yield from self._visit(node.expr, calls)
            case pp.BinaryExpr():
                yield from self._matching(node)
                born = str(node.op) == "unless" and "present_over_time" in str(node.rhs)
                yield from self._visit(node.lhs, (*calls, "present_over_time") if born else calls)
                yield from self._visit(node.rhs, calls)
            case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
                yield from self._visit(node.expr, calls)

    def _selector(self, node: Any, calls: tuple[str, ...]) -> Iterator[str]:
        if node.name in FOREIGN or node.name in self.recorded:
            return
        row = self.foreign.get(node.name) or row_of(node.name)
        if row is None:
            yield f"{node.name} is not in the catalog"
            return
        for matcher in node.matchers.matchers:
            if matcher.name == "le":
                yield f"{node.name} selects buckets by le, which Prometheus 3 writes otherwise (1.0 for 1)"
            if matcher.name not in self._labels(node):
                yield f"{node.name} has no label {matcher.name}"
            if row.kind is Kind.STATE and matcher.name == row.labels[-1] and "$" not in matcher.value:
                yield from (f"{row.name} has no state {s}" for s in matcher.value.split("|") if s not in row.states)
        if row.is_cumulative and not CUMULATIVE_IS_FINE & set(calls):
            yield f"{node.name} is cumulative and stands outside rate or increase"
        if not row.is_cumulative and DERIVATIVES & set(calls):
            yield f"{node.name} is a {row.kind} under rate or increase"

    def _grouping(self, node: Any) -> Iterator[str]:
        if node.modifier is not None:
            gone = set(node.modifier.labels) - self._labels(node.expr)
            yield from (f"{node.op} groups by {name}, which its input has not" for name in sorted(gone))

    def _matching(self, node: Any) -> Iterator[str]:
        modifier = node.modifier
        if modifier is None or modifier.matching is None:
            return
        for side in (node.lhs, node.rhs):
            gone = set(modifier.matching.labels) - self._labels(side)
            yield from (f"a join is on {name}, which one side has not" for name in sorted(gone))
        if "group_left" in str(modifier):
            gone = set(modifier.group_labels or ()) - self._labels(node.rhs)
            yield from (f"group_left takes {name}, which the right side has not" for name in sorted(gone))

    def _labels(self, node: Any) -> frozenset[str]:  # noqa: PLR0911 - one branch per node of the grammar
        match node:
            case pp.VectorSelector():
                return self._labels_of_selector(node.name)
            case pp.MatrixSelector():
                return self._labels(node.vector_selector)
            case pp.Call():
                return self._labels_of_call(node)
            case pp.AggregateExpr() if str(node.op) == "count_values":
                return frozenset({*node.modifier.labels, node.param.val})
            case pp.AggregateExpr():
                if str(node.op) in {"topk", "bottomk"}:
                    return self._labels(node.expr)
                return frozenset(node.modifier.labels if node.modifier else ())
            case pp.BinaryExpr():
                return self._labels_of_operation(node)
            case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
                return self._labels(node.expr)
            case _:
                return frozenset()

    def _labels_of_selector(self, name: str) -> frozenset[str]:
        if name in FOREIGN:
            return FOREIGN[name] | self.site_labels
        if name in self.recorded:
            return self.labels_of(self.recorded[name])
        row = self.foreign.get(name) or row_of(name)
        own = {*row.every_label, *({"le"} if name.endswith("_bucket") else ())} if row else set()
        return frozenset({*own, *TARGET_LABELS, *self.site_labels})

    def _labels_of_call(self, node: Any) -> frozenset[str]:
        name = node.func.name
        if name == "absent":
            selector = node.args[0]
            return frozenset(m.name for m in selector.matchers.matchers if m.op == pp.MatchOp.Equal)
        if name == "histogram_quantile":
            return self._labels(node.args[1]) - {"le"}
        if name == "label_replace":
            return self._labels(node.args[0]) | {node.args[1].val}
        return frozenset().union(*(self._labels(argument) for argument in node.args))

    def _labels_of_operation(self, node: Any) -> frozenset[str]:
        left, right = self._labels(node.lhs), self._labels(node.rhs)
        operation, modifier = str(node.op), node.modifier
        if operation in {"and", "unless"}:
            return left
        if operation == "or":
            return left & right
        if not (_is_vector(node.lhs) and _is_vector(node.rhs)):
            return left | right
        if modifier is not None and "group_left" in str(modifier):
            return left | frozenset(modifier.group_labels or ())
        if modifier is not None and str(modifier.matching).startswith("on"):
            return frozenset(modifier.matching.labels)
        return left


def parsed(expression: str) -> Any:
    """The syntax tree; dashboard macros become durations and numbers first."""
    for macro, value in MACROS.items():
        expression = expression.replace(macro, value)
    return pp.parse(expression)


def row_of(name: str) -> Metric | None:
    """Catalog row of a series name; histograms are reached by their parts."""
    for part in PARTS:
        row = BY_NAME.get(name.removesuffix(part)) if name.endswith(part) else None
        if row is not None and row.kind is Kind.HISTOGRAM:
            return row
    row = BY_NAME.get(name)
    return None if row is None or row.kind is Kind.HISTOGRAM else row


def _is_vector(node: Any) -> bool:
    match node:
        case pp.NumberLiteral() | pp.StringLiteral():
            return False
        case pp.Call():
            return node.func.name not in {"time", "scalar", "pi"}
        case pp.ParenExpr() | pp.UnaryExpr():
            return _is_vector(node.expr)
        case pp.BinaryExpr():
            return _is_vector(node.lhs) or _is_vector(node.rhs)
        case _:
            return True


def _selectors(node: Any) -> Iterator[Any]:
    match node:
        case pp.VectorSelector():
            yield node
        case pp.MatrixSelector():
            yield node.vector_selector
        case pp.Call():
            for argument in node.args:
                yield from _selectors(argument)
        case pp.BinaryExpr():
            yield from _selectors(node.lhs)
            yield from _selectors(node.rhs)
        case pp.AggregateExpr() | pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            yield from _selectors(node.expr)
