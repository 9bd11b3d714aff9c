"""What a step timer's datagram may hold; everything else is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from warpgauge.core.catalog.training import PHASES, TRANSFER
from warpgauge.core.errors import InputError

__all__ = ["MAX_BYTES", "StepMessage", "parse"]

MAX_BYTES: Final = 8192
_VERSION: Final = 1
_REQUIRED: Final = frozenset({"v", "job", "rank", "steps", "phases"})
_ALLOWED: Final = _REQUIRED | {"ranks", "stage", "device"}
_PHASES: Final = frozenset({*PHASES, TRANSFER})
_MAX_JOB_LENGTH: Final = 128
_MAX_RANK: Final = 1_000_000
_MAX_STEPS: Final = 512
_MAX_SECONDS: Final = 1e7  # four months in one message: more is a broken clock


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMessage:
    """Some steps of one rank, and the time it spent in each phase since its last message."""

    job_id: str
    rank: int
    ranks: int | None  # how many the job has, if its launcher said so
    stage: int | None
    step_seconds: tuple[float, ...]
    phase_seconds: dict[str, float]  # by the host's clock
    device_seconds: dict[str, float]  # by the device's


def parse(data: bytes) -> StepMessage:
    """Read one datagram strictly.

    Raises:
        InputError: it is too long, no JSON, or anything in it is not exactly as the step timer writes it.

    """
    _demand(f"at most {MAX_BYTES} bytes", holds=len(data) <= MAX_BYTES)
    document = _document(data)
    _demand("keys v, job, rank, steps, phases, ranks, stage and device", holds=_REQUIRED <= document.keys() <= _ALLOWED)
    _demand(f"version {_VERSION}", holds=_is_number(document["v"]) and document["v"] == _VERSION)
    rank = _small_number(document["rank"])
    return StepMessage(
        job_id=_job_id(document["job"]),
        rank=rank,
        ranks=_ranks(document["ranks"], rank) if "ranks" in document else None,
        stage=_small_number(document["stage"]) if "stage" in document else None,
        step_seconds=_steps(document["steps"]),
        phase_seconds=_phases(document["phases"]),
        device_seconds=_phases(document.get("device", {})),
    )


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data, object_pairs_hook=_without_twins, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # a JSONDecodeError and a UnicodeDecodeError are ValueErrors
        msg = f"step message: no JSON: {error}"
        raise InputError(msg) from error
    _demand("an object", holds=isinstance(document, dict))
    return dict(document)


def _job_id(value: Any) -> str:  # noqa: ANN401 - out of JSON, checked here; so are the ones below
    is_short = isinstance(value, str) and 0 < len(value) <= _MAX_JOB_LENGTH
    _demand("job: a short printable string", holds=is_short and value.isprintable())
    return str(value)


def _ranks(value: Any, rank: int) -> int:  # noqa: ANN401 - see _job_id
    ranks = _small_number(value)
    _demand("ranks: more than the number of any rank, which is from 0", holds=ranks > rank)
    return ranks


def _small_number(value: Any) -> int:  # noqa: ANN401 - see _job_id
    is_whole = isinstance(value, int) and _is_number(value)
    _demand(f"rank, ranks and stage: whole numbers from 0 to {_MAX_RANK}", holds=is_whole and 0 <= value <= _MAX_RANK)
    return int(value)


def _steps(value: Any) -> tuple[float, ...]:  # noqa: ANN401 - see _job_id
    _demand(f"steps: a list of at most {_MAX_STEPS}", holds=isinstance(value, list) and len(value) <= _MAX_STEPS)
    return tuple(_seconds(one) for one in value)


def _phases(value: Any) -> dict[str, float]:  # noqa: ANN401 - see _job_id
    _demand("phases: an object with known phases", holds=isinstance(value, dict) and value.keys() <= _PHASES)
    return {name: _seconds(one) for name, one in value.items()}


def _seconds(value: Any) -> float:  # noqa: ANN401 - see _job_id
    _demand("durations: numbers of seconds", holds=_is_number(value) and 0 <= value <= _MAX_SECONDS)
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    _demand("every key once", holds=len(document) == len(pairs))
    return document


def _no_number(_word: str) -> NoReturn:
    msg = "step message: NaN and Infinity are no durations"
    raise InputError(msg)


def _demand(rule: str, *, holds: bool) -> None:
    if not holds:
        msg = f"step message: must have {rule}"
        raise InputError(msg)
