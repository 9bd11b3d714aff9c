"""Which exporters and servers the analyzer reads besides our own agent, what it takes and what each cannot tell."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects import DIALECTS
from warpgauge.analyzer.dialects.all_smi import HOST_ROWS
from warpgauge.analyzer.dialects.node_exporter import ROWS
from warpgauge.analyzer.dialects.rows import DeviceDialect
from warpgauge.analyzer.dialects.serving import ServingDialect
from warpgauge.analyzer.dialects.verdicts import VERDICTS, missing_for
from warpgauge.cli.docs.markdown import code, page_of, rows
from warpgauge.core.catalog import Family

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from warpgauge.analyzer.dialects import Dialect
    from warpgauge.analyzer.dialects.rows import Row
    from warpgauge.analyzer.dialects.verdicts import Verdict

__all__ = ["page"]

_INTRO: Final = """
A fleet that runs one of these exporters gets verdicts without touching a node: point `warpgauge analyze` or
`analyzer.prometheus_url` at the Prometheus that scrapes them. Names, units and labels become those of our own metrics;
several exporters on one node complement each other. A verdict whose signals are missing is not guessed: it stands
under "could not be judged", with the names of what is missing.

Fields that only say how busy a device is (NVML's utilization, clocks, power, memory) tell idle from working and show
throttling, a full memory and the power limit. They cannot tell what a busy device is busy with: whether it computes,
moves data or waits in a collective stays undetermined without activity of its pipes or step phases.
"""

_VERDICTS: Final = """
## Verdicts

What a fleet with this exporter alone lacks for a verdict; `yes` where nothing is missing, provided that the exporter's
fields are enabled. Signals of several exporters add up.
"""

_SERVERS: Final = """
## Verdicts about inference servers

The same for servers whose own pages a Prometheus scrapes. The two verdicts about them need nothing else; about their
devices and nodes the exporters above tell.
"""

_BITS: Final = """
Whether a device is held by a workload is read off the labels of the exporter's series: `exported_pod` before `pod`,
never the exporter's own pod. Several pods that share a device by time slicing are several holders of one device;
`GPU_I_ID` is our `instance_id`. Pods that one controller starts and ends together are one job, called `NAMESPACE/NAME`
after that controller, where kube-state-metrics or the labels of pods tell it; other pods are
[jobs of their own](../howto/kubernetes.md#which-pods-are-one-job). Values that no device can have are an exporter's
marker for "not available" and are dropped (`blank` in the summary of `warpgauge analyze --json`).
"""


def page() -> str:
    """Verdicts of all, then each with its table."""
    return page_of(
        "Dialects",
        _INTRO,
        _VERDICTS,
        _verdicts([one for one in DIALECTS if not isinstance(one, ServingDialect)], VERDICTS),
        _SERVERS,
        _verdicts([one for one in DIALECTS if isinstance(one, ServingDialect)], list(filter(_is_of_servers, VERDICTS))),
        "## Workloads and blanks",
        _BITS,
        *_dialects(),
    )


def _verdicts(dialects: Sequence[Dialect], verdicts: Sequence[Verdict]) -> str:
    headers = ("Verdict", *(dialect.name for dialect in dialects))
    return rows(
        headers,
        [
            (
                ", ".join(code(kind.value) for kind in verdict.kinds),
                *(_lacking(dialect, verdict) for dialect in dialects),
            )
            for verdict in verdicts
        ],
    )


def _is_of_servers(verdict: Verdict) -> bool:
    return any(metric.family is Family.SERVING for group in verdict.needs for metric in group)


def _lacking(dialect: Dialect, verdict: Verdict) -> str:
    missing = missing_for(dialect, verdict)
    return ", ".join(code(metric.name) for metric in missing) or "yes"


def _dialects() -> Iterator[str]:
    for dialect in DIALECTS:
        table = rows(("Theirs", "Ours", "Labels", "Factor"), _cells(_readings(dialect)))
        yield "\n\n".join(
            block for block in (f"## {dialect.name}", inspect.getdoc(_module_of(dialect)) or "", table) if block
        )


def _module_of(dialect: Dialect) -> object:
    """The module that holds the dialect: its text says what the exporter can tell and what it cannot."""
    package = "warpgauge.analyzer.dialects."
    modules = (module for name, module in sys.modules.items() if name.startswith(package))
    return next(module for module in modules if any(value is dialect for value in vars(module).values()))


def _readings(dialect: Dialect) -> Iterator[tuple[str, Row]]:
    if isinstance(dialect, (DeviceDialect, ServingDialect)):
        yield from ((name, row) for name, group in dialect.rows.items() for row in group)
    yield from {"node_exporter": ROWS, "all-smi": HOST_ROWS}.get(dialect.name, {}).items()


def _cells(readings: Iterable[tuple[str, Row]]) -> list[tuple[str, str, str, str]]:
    return [(code(name), code(row.metric.name), _labels(row), _factor(row)) for name, row in readings]


def _labels(row: Row) -> str:
    fixed = [code(f"{name}={value}") for name, value in row.labels.items() if value]
    wanted = [f"where {name} is {' or '.join(sorted(filter(None, values)))}" for name, values in row.only]
    return ", ".join([*fixed, *(code(name) for name in row.copied), *wanted])


def _factor(row: Row) -> str:
    if row.mask:
        return f"bit {row.mask:#x}"
    if row.is_last_code:
        return "a change is an event"
    return "" if row.factor == 1.0 else f"{row.factor:g}"
