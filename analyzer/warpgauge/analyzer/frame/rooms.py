"""Arrays that grow with the number of series, one after the other: no tick pays for all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["doubled", "room", "roomy", "widened"]

_FIRST_CAPACITY: Final = 256
_TURNS: Final = 16


def room(turn: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Room for the first entries of an array; those of another turn, 0 to 15, are full at another size."""
    return np.zeros(_capacity(_FIRST_CAPACITY, turn), dtype=dtype)


def roomy(values: NDArray[Any], turn: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A copy with room for more, as `room` and `doubled` would have it by and by."""
    wider = np.zeros((_capacity(max(_FIRST_CAPACITY, len(values)), turn), *values.shape[1:]), dtype=dtype)
    wider[: len(values)] = values
    return wider


def doubled(array: NDArray[Any]) -> NDArray[Any]:
    """The array with room for as many more; the room is zero, and its memory is taken only where it is used."""
    wider = np.zeros((2 * len(array), *array.shape[1:]), dtype=array.dtype)
    wider[: len(array)] = array
    return wider


def widened(owner: object, names: Sequence[str], size: int) -> int:
    """Double those arrays of an object that are full at this size; gives how many entries all of them have room for."""
    for name in names:
        if len(getattr(owner, name)) == size:
            setattr(owner, name, doubled(getattr(owner, name)))
    return min(len(getattr(owner, name)) for name in names)


def _capacity(entries: int, turn: int) -> int:
    return entries * (_TURNS + turn) // _TURNS
