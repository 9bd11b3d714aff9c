"""Whether the receivers of log records answer as they must."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.core.errors import ConfigError, MissingExtraError
from warpgauge.exporters.doctor.check import Check, Verdict
from warpgauge.exporters.logs.shipping import log_sinks

if TYPE_CHECKING:
    from warpgauge.core.config import Config

__all__ = ["log_sink_checks"]


def log_sink_checks(config: Config) -> list[Check]:
    """One check per configured sink; the handshake is tried with every server, and no record is sent."""
    try:
        sinks = log_sinks(config)
    except (ConfigError, MissingExtraError) as error:
        return [Check("log sinks", Verdict.FAIL, "no log record can be sent", str(error))]
    checks = []
    for sink in sinks:
        subject = f"sink {sink.name}"
        try:
            checks.append(Check(subject, Verdict.OK, sink.check()))
        except OSError as error:
            mend = (
                f"see that the receiver runs and that [{sink.name}] is as it wants it; until then records wait on disk"
            )
            checks.append(Check(subject, Verdict.WARN, str(error), mend))
        finally:
            sink.close()
    return checks
