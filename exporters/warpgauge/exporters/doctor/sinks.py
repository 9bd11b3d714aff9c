"""Whether each receiver that the agent is to push to takes what it sends, asked with a message that holds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.exporters.doctor.check import Check, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from warpgauge.exporters.push.sink import Sink

__all__ = ["sink_checks"]

_MEND = "mend the receiver or the url, headers_file and TLS files of [{}]; what is pushed meanwhile waits in the queue"


def sink_checks(sinks: Iterable[Sink[Any]]) -> Iterator[Check]:
    """One check for each sink: what its receiver answered, end to end."""
    for sink in sinks:
        subject = f"push {sink.name}"
        try:
            yield Check(subject, Verdict.OK, sink.check())
        except OSError as error:
            yield Check(subject, Verdict.FAIL, str(error), _MEND.format(sink.name))
        finally:
            sink.close()
