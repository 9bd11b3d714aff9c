"""What an API server's refusal means for an order: the code of the ack, and whether it may be taken later."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError
from warpgauge.core.kubernetes import KubernetesError
from warpgauge.executors.protocol import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.core.kubernetes import Call

__all__ = ["CONFLICT", "MALFORMED", "PDB_REFUSED", "fault_of", "is_eviction", "may_be_asked"]

CONFLICT: Final = "kubernetesConflict"
MALFORMED: Final = "malformedTarget"
PDB_REFUSED: Final = "pdbRefused"
_UNREACHABLE: Final = "kubernetesUnreachable"
_REFUSED: Final = "kubernetesRefused"
_CODES: Final = {401: "kubernetesUnauthorized", 403: "kubernetesForbidden", 409: CONFLICT, 429: "kubernetesOverloaded"}
_TOO_MANY: Final = 429  # of an eviction: a budget does not allow it now


def is_eviction(call: Call) -> bool:
    """Whether a change ends a pod."""
    return call.method == "POST" and call.path.endswith("/eviction")


def fault_of(error: KubernetesError, of_eviction: bool = False) -> ExecutionError:  # noqa: FBT001, FBT002 - a fact, not a mode
    """The error for the ack."""
    if of_eviction and error.status == _TOO_MANY:
        return ExecutionError(PDB_REFUSED, str(error), may_succeed_later=True)
    code = _CODES.get(error.status, _UNREACHABLE if error.may_pass else _REFUSED)
    return ExecutionError(code, str(error), may_succeed_later=error.may_pass or error.is_conflict)


@contextmanager
def may_be_asked() -> Iterator[None]:
    """Turn what reading the cluster can raise into the error for the ack."""
    try:
        yield
    except InputError as error:
        raise ExecutionError(MALFORMED, str(error)) from error
    except KubernetesError as error:
        raise fault_of(error) from error
