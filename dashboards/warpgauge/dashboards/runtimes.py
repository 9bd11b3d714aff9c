"""What the runtime of a workload tells of its devices: TPUs are read through it and through nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import runtime
from warpgauge.core.promql import aggregate, rate, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Section
from warpgauge.dashboards.queries import IDENTITY, WINDOW, each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.promql import LabelValue

__all__ = ["runtime_section"]

_TPU: Final = "Only TPUs have it."


def runtime_section(here: Mapping[str, LabelValue], one: str) -> Section:
    """Whether it answers, what waits in its queues, how long programs run; `one` is the legend of a device."""
    buckets = aggregate("sum", rate(runtime.PROGRAM_SECONDS, WINDOW, "bucket", **here), by=(*IDENTITY, "le"))
    return Section(
        "Runtime of the workload (TPU)",
        (
            grafana.state_timeline(
                runtime.RUNTIME_UP,
                each(select(runtime.RUNTIME_UP, **here), "min"),
                one,
                states=("silent", "answers"),
                title="Runtime answers",
                note=_TPU,
                width=12,
            ),
            grafana.graph(
                runtime.QUEUED_PROGRAMS,
                grafana.query(each(select(runtime.QUEUED_PROGRAMS, **here)), one),
                title="Programs that wait for the device",
                note=f"Some wait while the time without work grows: it hangs, or waits for another device. {_TPU}",
            ),
            grafana.graph(
                runtime.IDLE_SECONDS,
                grafana.query(each(select(runtime.IDLE_SECONDS, **here)), one),
                title="Time without work",
                note=_TPU,
            ),
            grafana.graph(
                runtime.PROGRAM_SECONDS,
                *(
                    grafana.query(f"histogram_quantile({share}, {buckets})", f"{one} {word}")
                    for share, word in ((0.5, "half are faster"), (0.99, "99 % are faster"))
                ),
                title="Duration of programs",
                note=_TPU,
            ),
        ),
    )
