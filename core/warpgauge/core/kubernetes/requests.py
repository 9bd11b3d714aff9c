"""What pods ask for and nodes have: cores, memory and whole devices, as the scheduler counts them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

from warpgauge.core.kubernetes.json_object import Object
from warpgauge.core.kubernetes.quantity import parse_quantity

__all__ = ["Requests", "amounts_of", "requests_of"]

# Whole devices as device plugins name them; nvidia.com/mig-* and shares are parts of one.
_GPU: Final = re.compile(r"(?:nvidia|amd)\.com/gpu|google\.com/tpu|habana\.ai/gaudi|gpu\.intel\.com/(?:i915|xe)")
_PART: Final = re.compile(r"nvidia\.com/(?:mig-.+|gpu\.shared)")
_MOST_GPUS: Final = 1024  # of a node
_MEBI: Final = 2**20
_MILLI: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """What a pod asks for, or what a node has for pods. Parts of devices (MIG, shares) are told but not counted."""

    cpu_milli: int = 0
    memory_mib: int = 0
    gpus: int = 0
    has_parts: bool = False


def amounts_of(amounts: Object, rounding: str) -> Requests:
    """Sizes of a list of resources; what a node has is rounded down, what a pod asks for up."""

    def amount(name: str, scale: Decimal) -> int:
        try:
            value = parse_quantity(amounts.fields.get(name, 0))
        except ValueError as error:
            why = f"{name}: {error}"
            raise amounts.error(why) from error
        return max(0, int((value * scale).to_integral_value(rounding=rounding)))

    gpus = sum(amount(name, Decimal(1)) for name in amounts.fields if _GPU.fullmatch(name))
    if gpus > _MOST_GPUS:
        amounts.refuse(f"{gpus} GPUs, more than {_MOST_GPUS}")
    return Requests(
        cpu_milli=amount("cpu", Decimal(_MILLI)),
        memory_mib=amount("memory", Decimal(1) / _MEBI),
        gpus=gpus,
        has_parts=any(amount(name, Decimal(1)) > 0 for name in amounts.fields if _PART.fullmatch(name)),
    )


def requests_of(spec: Object) -> Requests:
    """What the scheduler reserves: containers and sidecars, or the largest step of the start, plus overhead."""
    always, peak = Requests(), Requests()
    for container in spec.objects("initContainers"):
        asked = _asked(container)
        if container.text("restartPolicy") == "Always":  # a sidecar: it stays
            always = _sum(always, asked)
            peak = _most(peak, always)
        else:
            peak = _most(peak, _sum(always, asked))
    for container in spec.objects("containers"):
        always = _sum(always, _asked(container))
    overhead = amounts_of(spec.object("overhead"), ROUND_CEILING)
    return _sum(_most(always, peak), overhead)


def _asked(container: Object) -> Requests:
    resources = container.object("resources")
    limits, requests = resources.object("limits").fields, resources.object("requests").fields
    return amounts_of(Object({**limits, **requests}, resources.place), ROUND_CEILING)  # a limit alone is a request


def _sum(one: Requests, other: Requests) -> Requests:
    return Requests(
        cpu_milli=one.cpu_milli + other.cpu_milli,
        memory_mib=one.memory_mib + other.memory_mib,
        gpus=one.gpus + other.gpus,
        has_parts=one.has_parts or other.has_parts,
    )


def _most(one: Requests, other: Requests) -> Requests:
    return Requests(
        cpu_milli=max(one.cpu_milli, other.cpu_milli),
        memory_mib=max(one.memory_mib, other.memory_mib),
        gpus=max(one.gpus, other.gpus),
        has_parts=one.has_parts or other.has_parts,
    )
