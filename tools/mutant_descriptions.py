"""Known faults, as tests/mutants/SUBSYSTEM.toml describes them, and whether each still fits today's code."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FEWEST", "ROOT", "Mutant", "complaints", "mutants"]

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = "tests/mutants"
FEWEST: Final = 3  # of a subsystem


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One fault as somebody could have written it."""

    name: str  # subsystem/name
    fault: str  # what it would do to a user
    file: str
    old: str  # stands once in the file
    new: str
    tests: tuple[str, ...]  # files or ids, of which one must fail

    @property
    def subsystem(self) -> str:
        """The file that describes it, without its ending."""
        return self.name.partition("/")[0]

    @property
    def test_files(self) -> set[str]:
        """Where the tests stand."""
        return {test.partition("::")[0] for test in self.tests}

    def planted(self, source: str) -> str:
        """The file with the fault in it."""
        return source.replace(self.old, self.new)


def mutants(root: Path = ROOT) -> list[Mutant]:
    """All that are described, by subsystem.

    Raises:
        KeyError, TypeError: an entry lacks a key or has one that nobody reads.

    """
    return [
        Mutant(name=f"{path.stem}/{name}", **{**entry, "tests": tuple(entry["tests"])})
        for path in sorted((root / FOLDER).glob("*.toml"))
        for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()
    ]


def complaints(mutant: Mutant, root: Path = ROOT) -> Iterator[str]:
    """What makes a description useless, in words for whoever moved the code it speaks of."""
    path = root / mutant.file
    source = path.read_text(encoding="utf-8") if path.is_file() else ""
    times = source.count(mutant.old)
    if times != 1:
        yield f"{mutant.name}: `old` stands {times} times in {mutant.file}; describe the fault anew in today's code"
    elif mutant.new == mutant.old:
        yield f"{mutant.name}: `new` is `old`"
    elif path.suffix == ".py" and not _parses(mutant.planted(source)):
        yield f"{mutant.name}: {mutant.file} is no Python any more with `new` in it"
    for test in mutant.tests:
        file, _, name = test.partition("::")
        text = (root / file).read_text(encoding="utf-8") if (root / file).is_file() else ""
        if not text or f"def {name.partition('[')[0]}" not in text:
            yield f"{mutant.name}: there is no test {test}"
    if not mutant.tests:
        yield f"{mutant.name}: no test is named that must notice it"


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True
