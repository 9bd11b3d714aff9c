"""What stands on a node's page about an inference server that has its first device there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import own, serving
from warpgauge.exporters.synthetic.one_series import Series, still

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.exporters.synthetic.sessions import Server

__all__ = ["of_server"]

_SERVER: Final = "vllm"
_FIRST_PORT: Final = 8000  # the first server on a node; another one has another first device


def of_server(job: Server) -> Iterator[Series]:
    """Every series that the collector of inference servers would read from its page."""
    requests = job.requests
    endpoint = (_SERVER, f"http://127.0.0.1:{_FIRST_PORT + job.seats[0].gpu.index}/metrics")
    model = (*endpoint, job.owner.job_id)
    yield still(own.COLLECTOR_UP, ("serving",))
    yield still(serving.UP, endpoint)
    yield Series(serving.RUNNING, model, lambda: float(requests.running))
    yield Series(serving.WAITING, model, lambda: float(requests.waiting))
    yield Series(serving.KV_CACHE, model, lambda: round(requests.cache_used_ratio, 4))
    yield Series(serving.PREEMPTIONS, model, lambda: float(requests.preemptions), is_still=True)
    yield Series(serving.PROMPT_TOKENS, model, lambda: float(int(requests.prompt_tokens)))
    yield Series(serving.GENERATED_TOKENS, model, lambda: float(int(requests.generated_tokens)))
    yield Series(serving.FIRST_TOKEN, model, lambda: requests.first_token)
