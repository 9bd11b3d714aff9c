"""The columns of the long table as history has it: the same in every file, so that readers need no merged schema.

`timestamp` (microseconds, UTC), `metric`, `value` (float64), then a column for each label that a catalog metric has,
that places a series or that tells switch, rail, rack and power domain. A label that a series does not have is null;
labels of other names are left out.
"""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import BY_NAME, Family
from warpgauge.core.finding import Level

__all__ = ["LABELS", "METRIC", "TIMESTAMP", "VALUE"]

TIMESTAMP: Final = "timestamp"
METRIC: Final = "metric"
VALUE: Final = "value"

_FIRST: Final = ("cluster", "node", "uuid", "instance_id", "index", "job_id", "rank", "job", "instance")
_OURS: Final = frozenset({Family.AGENT, Family.ANALYZER})
_OF_THE_CATALOG: Final = {label for row in BY_NAME.values() if row.family not in _OURS for label in row.labels}

LABELS: Final = (
    *_FIRST,
    *sorted((_OF_THE_CATALOG | {level.value for level in Level}) - {*_FIRST, TIMESTAMP, METRIC, VALUE}),
)
"""Names of the label columns, in their order."""
