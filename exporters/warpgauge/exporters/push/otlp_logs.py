"""Log records as OTLP requests (opentelemetry-proto, logs/v1), and the sink that sends them over HTTP or gRPC.

Attributes follow the semantic conventions where there is one (`log.record.uid`, `log.file.path`, `hw.id`,
`process.pid`), else they keep our names. https://opentelemetry.io/docs/specs/semconv/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.version import VERSION
from warpgauge.exporters.logs.record import Severity
from warpgauge.exporters.push.otlp import checked
from warpgauge.exporters.push.otlp_exchange import stored
from warpgauge.exporters.push.otlp_request import SCOPE, clean, nanoseconds, pairs, resource_of
from warpgauge.exporters.push.otlp_transport import transport_of
from warpgauge.exporters.push.reading import external_labels

try:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
    )
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.logs.v1 import logs_pb2
except ModuleNotFoundError as error:
    message = "Pushing over OTLP needs opentelemetry-proto: pip install '.[push]'"
    raise ModuleNotFoundError(message, name=error.name) from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.config import Config
    from warpgauge.exporters.logs.record import LogRecord
    from warpgauge.exporters.push.otlp_request import Attribute
    from warpgauge.exporters.push.sink import Outcome

__all__ = ["OtlpLogs", "log_refusals_of", "log_request"]

_METHOD: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_NUMBERS: Final = {
    Severity.INFO: logs_pb2.SEVERITY_NUMBER_INFO,
    Severity.WARNING: logs_pb2.SEVERITY_NUMBER_WARN,
    Severity.CRITICAL: logs_pb2.SEVERITY_NUMBER_ERROR2,
}
_SYSLOG_NUMBERS: Final = (  # by priority; appendix B of the specification's data model for logs, as are those above
    logs_pb2.SEVERITY_NUMBER_FATAL,
    logs_pb2.SEVERITY_NUMBER_ERROR3,
    logs_pb2.SEVERITY_NUMBER_ERROR2,
    logs_pb2.SEVERITY_NUMBER_ERROR,
    logs_pb2.SEVERITY_NUMBER_WARN,
    logs_pb2.SEVERITY_NUMBER_INFO2,
    logs_pb2.SEVERITY_NUMBER_INFO,
    logs_pb2.SEVERITY_NUMBER_DEBUG,
)
_RENAMED: Final = {"pid": "process.pid", "process": "process.executable.name"}
_UNTIMED: Final = "line"  # of a file: only when it was read is known
_UNNAMED: Final = frozenset({"line", "journal"})  # text of others, no event of ours


class OtlpLogs:
    """Sends batches of log records as OTLP requests."""

    name = "otlp_logs"

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        """Take the address and labels from the settings, headers from a file or the environment.

        Raises:
            ConfigError: a setting or a file that it names is unfit.
            ModuleNotFoundError: the library of an extra is not installed.

        """
        self._settings = config.otlp_logs
        self._transport = transport_of(config.otlp_logs, environ, _METHOD, log_refusals_of)
        self._resource = resource_of(external_labels(config.push))

    def encode(self, batch: Sequence[LogRecord]) -> bytes:
        """One request, compressed if the settings say so."""
        return stored(log_request(batch, self._resource), self._settings)

    def send(self, body: bytes) -> Outcome:
        """Send one request; success is the acknowledgement, and says how many records were refused."""
        return self._transport.send(body)

    def check(self) -> str:
        """What the receiver says to a request without records.

        Raises:
            OSError: it does not take even that.

        """
        return checked(self._transport)

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()


def log_request(records: Sequence[LogRecord], resource: Mapping[str, Attribute]) -> bytes:
    """The serialized request; everything is one resource, the sender."""
    request = ExportLogsServiceRequest()
    of_resource = request.resource_logs.add()
    of_resource.resource.attributes.extend(pairs(resource))
    scope = of_resource.scope_logs.add()
    scope.scope.name, scope.scope.version = SCOPE, VERSION
    scope.log_records.extend(_record(record) for record in records)
    return bytes(request.SerializeToString())


def log_refusals_of(body: bytes) -> tuple[int, str]:
    """How many records the receiver did not keep, and why, by its answer of success.

    Raises:
        ValueError: the answer is no answer to such a request.

    """
    try:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return partial.rejected_log_records, partial.error_message


def _record(record: LogRecord) -> logs_pb2.LogRecord:
    stamp = nanoseconds(record.time)
    return logs_pb2.LogRecord(
        time_unix_nano=0 if record.kind == _UNTIMED else stamp,
        observed_time_unix_nano=stamp,
        severity_number=_number(record),
        severity_text=record.severity.value,
        body=AnyValue(string_value=clean(record.message)),
        attributes=pairs(_attributes(record)),
        event_name="" if record.kind in _UNNAMED else f"{SCOPE}.{record.kind}",
    )


def _number(record: LogRecord) -> logs_pb2.SeverityNumber.ValueType:
    priority = record.attributes.get("priority")
    if type(priority) is int and 0 <= priority < len(_SYSLOG_NUMBERS):
        return _SYSLOG_NUMBERS[priority]
    return _NUMBERS[record.severity]


def _attributes(record: LogRecord) -> dict[str, Attribute]:
    """Those of the record, which its own fields may not replace."""
    is_file = record.kind == _UNTIMED
    fields: dict[str, Attribute] = {
        "log.record.uid": record.id,
        "kind": record.kind,
        "log.file.path" if is_file else "source": record.source,
        "node": record.node,
        "uuid": record.uuid,
        "hw.id": record.uuid,
        "hw.type": "gpu" if record.uuid else "",
        "pci_bus_id": record.pci_bus_id,
        "job_id": record.job_id,
    }
    own = {_RENAMED.get(name, name): value for name, value in record.attributes.items()}
    return {**own, **{name: value for name, value in fields.items() if value}}
