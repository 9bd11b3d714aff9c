"""Find code that stands in two files: eight or more equal lines in a row, ignoring blank lines, comments and imports.

python3 tools/duplicates.py [PATH...]     exit 1 and one line per copy when there is one
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
PLACES: Final = (
    "core",
    "exporters",
    "analyzer",
    "executors",
    "dashboards",
    "alerts",
    "tools",
    "benchmarks",
    "examples",
)
MINIMUM_LINES: Final = 8
TEMPLATES: Final = {"new_alert.py", "new_collector.py"}  # their texts are meant to stand again in what they write


@dataclass(frozen=True, slots=True)
class Line:
    """One line of code as it is compared, and where it stands."""

    path: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same `lines` lines begin at `first` and at `second`."""

    first: Line
    second: Line
    lines: int

    def __str__(self) -> str:
        """One line for the terminal."""
        places = f"{self.first.path}:{self.first.number} and {self.second.path}:{self.second.number}"
        return f"{places}: {self.lines} equal lines; give them one home"


def code_lines(path: str, source: str) -> list[Line]:
    """Lines that hold code, stripped; without blank lines, comments, imports and lone brackets."""
    imports = {
        number
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    comments = {
        token.start[0]: token.start[1]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    lines = []
    for number, raw in enumerate(source.splitlines(), 1):
        text = raw[: comments.get(number)].strip()
        if number not in imports and text.strip("()[]{},:"):
            lines.append(Line(path, number, text))
    return lines


def duplicates(files: Iterable[Sequence[Line]]) -> Iterator[Duplicate]:
    """Every longest run of at least `MINIMUM_LINES` equal lines in two different files, reported once."""
    seen: dict[tuple[str, ...], list[tuple[Sequence[Line], int]]] = defaultdict(list)
    for lines in files:
        covered: dict[str, int] = {}  # other file -> index up to which a copy was already reported
        for start in range(len(lines) - MINIMUM_LINES + 1):
            window = tuple(line.text for line in lines[start : start + MINIMUM_LINES])
            for other, place in seen[window]:
                path = other[0].path
                if path != lines[0].path and start >= covered.get(path, 0):
                    length = _equal_from(other, place, lines, start)
                    covered[path] = start + length
                    yield Duplicate(other[place], lines[start], length)
            seen[window].append((lines, start))


def _equal_from(first: Sequence[Line], at: int, second: Sequence[Line], start: int) -> int:
    length = 0
    while at + length < len(first) and start + length < len(second):
        if first[at + length].text != second[start + length].text:
            break
        length += 1
    return length


def main(arguments: Sequence[str]) -> int:
    """Compare all Python files under the given paths, or under the whole project's."""
    places = [Path(place) for place in arguments] or [ROOT / place for place in PLACES]
    paths = sorted(path for place in places for path in place.rglob("*.py") if path.name not in TEMPLATES)
    found = list(duplicates(code_lines(str(path), path.read_text()) for path in paths))
    for duplicate in found:
        print(duplicate)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
