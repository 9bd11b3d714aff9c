"""PromQL written from catalog rows, so that no query can name a metric or label that does not exist.

Only selectors and the functions around them are built here; operators stay plain PromQL in an f-string:

    f"{aggregate('sum', select(device.POWER), by=('cluster',))} > 5000"

Label values: a string is `=`, a tuple is `=~` over exactly those values, `Matches` and `Unlike` say the rest.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from warpgauge.core.catalog.metric import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog.metric import Metric

__all__ = [
    "TARGET_LABELS",
    "LabelValue",
    "Matches",
    "Unlike",
    "aggregate",
    "appeared",
    "increase",
    "matchers",
    "over_time",
    "own_labels",
    "rate",
    "select",
    "state_code",
]

TARGET_LABELS: Final = ("cluster", "node", "instance", "job")
"""Labels that the scrape configuration gives to every series of a target; the catalog does not hold them."""

Part = Literal["", "bucket", "sum", "count"]
Operation = Literal["sum", "min", "max", "avg", "count", "quantile", "topk", "bottomk"]
Reduction = Literal["min", "max", "avg", "sum", "last", "count"]


@dataclass(frozen=True, slots=True)
class Matches:
    """The label matches an RE2 expression or a dashboard variable: `Matches("$node")`."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Unlike:
    """The label differs from a value; `Unlike("")` asks that it be there at all."""

    value: str


LabelValue = str | tuple[str, ...] | Matches | Unlike


def select(metric: Metric, part: Part = "", /, **labels: LabelValue) -> str:
    """Instant vector of one catalog row; ValueError for a label that its series do not carry."""
    return f"{_wire_name(metric, part)}{matchers(metric, **labels)}"


def matchers(metric: Metric, /, **labels: LabelValue) -> str:
    """The matcher block in braces, "" without labels; ValueError for a label that the metric does not carry."""
    unknown = set(labels) - set(metric.every_label) - set(TARGET_LABELS)
    if unknown:
        msg = f"{metric.name} has no label {', '.join(sorted(unknown))}"
        raise ValueError(msg)
    block = ",".join(_matcher(name, value) for name, value in labels.items())
    return f"{{{block}}}" if block else ""


def rate(metric: Metric, window: str, part: Part = "", /, **labels: LabelValue) -> str:
    """Increase per second of a counter or histogram; ValueError for anything else."""
    return f"rate({_cumulative(metric, part, labels)}[{window}])"


def increase(metric: Metric, window: str, part: Part = "", /, **labels: LabelValue) -> str:
    """Increase of a counter or histogram over the window; ValueError for anything else."""
    return f"increase({_cumulative(metric, part, labels)}[{window}])"


def appeared(metric: Metric, window: str, memory: str, /, **labels: LabelValue) -> str:
    """Series of a counter that did not exist before `window`: the first event, which `increase` cannot see.

    A series that was there at any time in the `memory` before the window is not new, so gaps raise nothing.
    """
    series = _cumulative(metric, "", labels)
    return f"({series} unless present_over_time({series}[{memory}] offset {window}))"


def over_time(reduction: Reduction, metric: Metric, window: str, /, **labels: LabelValue) -> str:
    """A gauge or state reduced over the window; ValueError for a counter, whose levels mean nothing."""
    if metric.is_cumulative:
        msg = f"{metric.name} is a {metric.kind}: use rate or increase"
        raise ValueError(msg)
    return f"{reduction}_over_time({select(metric, **labels)}[{window}])"


def aggregate(operation: Operation, expression: str, *, by: Sequence[str] = (), argument: float | None = None) -> str:
    """`operation by (…) (…)`; `argument` is the k of topk or the quantile."""
    grouping = f" by ({', '.join(by)}) " if by else ""
    head = "" if argument is None else f"{argument:g}, "
    return f"{operation}{grouping}({head}{expression})"


def state_code(metric: Metric, *, by: Sequence[str], **labels: LabelValue) -> str:
    """Number of the state that holds (0 for the first of the row); of several, the last one in the row's order."""
    if metric.kind is not Kind.STATE:
        msg = f"{metric.name} is a {metric.kind}, not a state"
        raise ValueError(msg)
    last = metric.labels[-1]
    codes = [
        f"{number} * ({select(metric, **{**labels, last: state})} == 1)" for number, state in enumerate(metric.states)
    ]
    return aggregate("max", " or ".join(codes), by=by)


def own_labels(expression: str, *names: str) -> str:
    """Read labels from the page even where Prometheus renamed them to `exported_NAME` (honor_labels: false)."""
    for name in names:
        expression = f'label_replace({expression}, "{name}", "$1", "exported_{name}", "(.+)")'
    return expression


def _cumulative(metric: Metric, part: Part, labels: dict[str, LabelValue]) -> str:
    if not metric.is_cumulative:
        msg = f"{metric.name} is a {metric.kind}: rate and increase need a counter"
        raise ValueError(msg)
    return select(metric, part, **labels)


def _wire_name(metric: Metric, part: Part) -> str:
    if (metric.kind is Kind.HISTOGRAM) != bool(part):
        msg = f"{metric.name} is a {metric.kind}: part {part!r} does not exist"
        raise ValueError(msg)
    return f"{metric.name}_{part}" if part else metric.name


def _matcher(name: str, value: LabelValue) -> str:
    match value:
        case Matches(pattern):
            return f"{name}=~{_quoted(pattern)}"
        case Unlike(other):
            return f"{name}!={_quoted(other)}"
        case tuple():
            return f"{name}=~{_quoted('|'.join(re.escape(item) for item in value))}"
        case _:
            return f"{name}={_quoted(value)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
