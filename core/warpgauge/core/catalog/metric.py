"""What a catalog row is: the one place where a metric gets its name, unit and meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Equivalent", "Family", "Kind", "Metric", "Stability", "Tier", "Unit"]


class Kind(StrEnum):
    """How values behave; also the TYPE on the wire, except as `exposition` says for STATE and INFO."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    STATE = "state"  # gauge 0/1 per value of the last label
    INFO = "info"  # always 1; carries labels to join with


class Unit(StrEnum):
    """Base units only; the value is the suffix that the metric's name must carry."""

    NONE = ""
    BYTES = "bytes"
    SECONDS = "seconds"
    TIMESTAMP = "timestamp_seconds"  # seconds since the epoch
    RATIO = "ratio"  # 0-1
    WATTS = "watts"
    JOULES = "joules"
    CELSIUS = "celsius"
    HERTZ = "hertz"
    BYTES_PER_SECOND = "bytes_per_second"

    @property
    def ucum(self) -> str:
        """The unit as OpenTelemetry writes it (UCUM)."""
        return _UCUM[self]


_UCUM: Final = {
    Unit.NONE: "1",
    Unit.BYTES: "By",
    Unit.SECONDS: "s",
    Unit.TIMESTAMP: "s",
    Unit.RATIO: "1",
    Unit.WATTS: "W",
    Unit.JOULES: "J",
    Unit.CELSIUS: "Cel",
    Unit.HERTZ: "Hz",
    Unit.BYTES_PER_SECOND: "By/s",
}


class Family(StrEnum):
    """Which chapter of the reference a metric stands in."""

    DEVICE = "device"
    HOST = "host"
    TRAINING = "training"
    SERVING = "serving"
    AGENT = "agent"
    ANALYZER = "analyzer"


class Tier(StrEnum):
    """How often it is read: fast 1 s, normal 10 s, slow 60 s; ON_DEMAND is never on a page by itself."""

    FAST = "fast"
    NORMAL = "normal"
    SLOW = "slow"
    ON_DEMAND = "on_demand"


class Stability(StrEnum):
    """What a user may rely on."""

    STABLE = "stable"  # renamed only with an overlap release
    EXPERIMENTAL = "experimental"  # may change with a BREAKING line in the changelog


@dataclass(frozen=True, slots=True)
class Equivalent:
    """The same quantity under a foreign name; ours = theirs x `factor`."""

    name: str
    factor: float = 1.0


_NAME: Final = re.compile(r"(accel|host|training|serving|warpgauge_agent|warpgauge_analyzer|warpgauge)_[a-z0-9_]+")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_]*")
_HISTOGRAM_SUFFIXES: Final = ("_count", "_sum", "_bucket")
_INSTANCE: Final = ("instance_id",)
_RESERVED_LABELS: Final = {"job", "instance", "le", "quantile"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the catalog. Breaking a naming rule is an error when the row is written, not in review."""

    name: str
    kind: Kind
    unit: Unit
    help: str
    labels: tuple[str, ...] = ()
    by_instance: bool = False  # on a partitioned device one series per part, with `instance_id` behind `labels`
    tier: Tier = Tier.NORMAL
    family: Family = Family.DEVICE
    stability: Stability = Stability.STABLE
    states: tuple[str, ...] = ()  # STATE: every value of the last label
    buckets: tuple[float, ...] = ()  # HISTOGRAM: upper bounds without +Inf, rising
    otel: Equivalent | None = None  # OpenTelemetry semantic convention
    dcgm: Equivalent | None = None  # dcgm-exporter field

    def __post_init__(self) -> None:
        """Hold the row to the Prometheus naming conventions and our own."""
        for wrong, rule in self._violations():
            if wrong:
                msg = f"catalog row {self.name!r}: {rule}"
                raise ValueError(msg)

    def _violations(self) -> list[tuple[bool, str]]:
        base = self.name.removesuffix("_total")
        return [
            (not _NAME.fullmatch(self.name), "needs a known prefix and lower snake case"),
            ((self.kind is Kind.COUNTER) != self.name.endswith("_total"), "_total belongs on counters and only there"),
            (self.unit.value not in base, f"must carry its unit {self.unit.value!r} in the name"),
            (not self.help.endswith("."), "help is a sentence with a full stop"),
            (any(not _LABEL.fullmatch(label) for label in self.labels), "labels are lower snake case"),
            (bool(_RESERVED_LABELS & set(self.labels)), "job, instance, le and quantile are not ours to set"),
            (len(set(self.labels)) != len(self.labels), "labels must differ"),
            ((self.kind is Kind.STATE) != bool(self.states), "a state lists its states, others have none"),
            ((self.kind is Kind.HISTOGRAM) != bool(self.buckets), "a histogram has buckets, others have none"),
            (list(self.buckets) != sorted(set(self.buckets)), "buckets must rise"),
            (self.by_instance and self.kind is Kind.HISTOGRAM, "no histogram is kept per instance"),
            (self.kind is Kind.INFO and not self.name.endswith("_info"), "an info metric ends in _info"),
            (self.name.endswith(_HISTOGRAM_SUFFIXES), "_count, _sum and _bucket belong to a histogram's parts"),
        ]

    def __hash__(self) -> int:
        """By name alone: names are unique, and rows are looked up for every sample."""
        return hash(self.name)

    @property
    def every_label(self) -> tuple[str, ...]:
        """Labels that a series of this metric can carry."""
        return (*self.labels, *_INSTANCE) if self.by_instance else self.labels

    def label_names(self, values: Sequence[str]) -> tuple[str, ...]:
        """Names for a series' label values, with `instance_id` at the end where they have one more than `labels`.

        Raises:
            ValueError: no series of this metric has so many labels.

        """
        if len(values) == len(self.labels):
            return self.labels
        if len(values) != len(self.every_label):
            msg = f"{self.name} has labels {self.labels}, got values {tuple(values)}"
            raise ValueError(msg)
        return self.every_label

    @property
    def is_cumulative(self) -> bool:
        """Whether only differences mean something (rate, increase)."""
        return self.kind in {Kind.COUNTER, Kind.HISTOGRAM}
