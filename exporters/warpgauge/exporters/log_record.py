"""One thing that was logged, as the sinks get it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "MOST_MESSAGE_BYTES", "LogRecord", "Severity"]

KINDS: Final = ("xid", "sxid", "aer", "mce", "oom_kill", "bus_error", "line", "journal", "event", "finding")
"""What a record is about: the kernel's reports on hardware and memory, a line of a file, an entry of the journal, an
event of our own, a finding of the analyzer."""

MOST_MESSAGE_BYTES: Final = 16_384  # the default of logs.max_line_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """A structured record; what is unknown is empty here and absent in the document."""

    id: str  # the same when the record is sent twice
    time: float  # seconds since the epoch
    source: str  # kernel, warpgauge, journal, analyzer or the path of a file
    kind: str  # one of KINDS
    severity: Severity
    message: str
    node: str
    uuid: str = ""  # of the device
    pci_bus_id: str = ""
    job_id: str = ""
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The record for a sink, without its time; attributes never replace a field."""
        fields = {
            "id": self.id,
            "source": self.source,
            "kind": self.kind,
            "severity": self.severity.value,
            "message": self.message,
            "node": self.node,
            "uuid": self.uuid,
            "pci_bus_id": self.pci_bus_id,
            "job_id": self.job_id,
        }
        return {**self.attributes, **{name: value for name, value in fields.items() if value}}
