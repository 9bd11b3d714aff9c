"""The one printer of tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["table"]

_GAP: Final = "  "


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], numeric: Collection[int | str] = ()) -> str:
    """Aligned columns under a header line; `numeric` names columns (by position or header) to align right.

    Control characters in cells are replaced, so that a label from outside cannot steer the terminal.
    """
    lines = [list(headers), *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [position in numeric or header in numeric for position, header in enumerate(headers)]
    return "\n".join(_line(line, widths, right) for line in lines)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    )
    return _GAP.join(padded).rstrip()
