"""How plans name things that others named, and devices by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_LETTERS", "devices_words", "shown"]

MOST_LETTERS: Final = 300  # Kubernetes allows 253 in a name, and a namespace of 63 before it


def shown(text: str) -> str:
    """The text with what does not print (controls, marks that turn the direction of writing) replaced, and cut."""
    cut = text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut)


def devices_words(gpus: Sequence[int]) -> str:
    """`GPU 0-3,6` for the numbers 0, 1, 2, 3 and 6; `no GPU` for none."""
    spans: list[list[int]] = []
    for number in sorted(gpus):
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    words = ",".join(str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans)
    return f"GPU {words}" if words else "no GPU"
