"""Kubernetes' quantities (`500m`, `64Gi`, `1e3`): fixed-point numbers with a suffix.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

__all__ = ["parse_quantity"]

_FORM: Final = re.compile(
    r"([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))(?:([eE][+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII
)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def parse_quantity(text: object) -> Decimal:
    """The number, in the unit's base: cores, bytes, devices.

    Raises:
        ValueError: it is no quantity.

    """
    match = _FORM.fullmatch(str(text))
    if match is None:
        msg = f"{str(text)[:80]!r} is no quantity"
        raise ValueError(msg)
    number, exponent, suffix = Decimal(match[1]), match[2], match[3] or ""
    if exponent:
        return number * Decimal(10) ** int(exponent[1:])
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    return number * Decimal(10) ** _DECIMAL[suffix]
