"""Write a new collector that works: `python3 tools/new_collector.py NAME`, or `make new-collector NAME=x`.

It reads the count of open file handles from /proc, as an example to replace by your own source: the catalog row, the
collector, its line in the table of collectors, its note in the reference and its test. Everything passes `make check`
and `make test` as it stands. Exit 2 and one sentence when the name will not do; nothing is written then.
"""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from string import Template
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
COLLECTORS: Final = Path("exporters/warpgauge/exporters/collectors")
TABLE: Final = COLLECTORS / "__init__.py"
CATALOG: Final = Path("core/warpgauge/core/catalog")
CHAPTERS: Final = CATALOG / "__init__.py"
NOTES: Final = Path("core/warpgauge/cli/docs/notes/host.py")
TESTS: Final = Path("tests/exporters")
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,29}")
IMPORT: Final = re.compile(
    r"^(from warpgauge\.core\.catalog import )([a-z_, 0-9]+|\((?:\n    [a-z_0-9]+,)+\n\))$", re.MULTILINE
)
LONGEST_LINE: Final = 120
EXPORTED: Final = re.compile(r'^    "([a-z_0-9]+)",\n', re.MULTILINE)
LAST_CLASS: Final = '    "Unit",\n'
CHAPTER_LIST: Final = re.compile(r"^(_MODULES: Final = \((?:\n    [a-z_0-9]+,)+)(\n\))", re.MULTILINE)

ROWS: Final = Template('''\
"""Metrics of the collector ${name}."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.metric import Family, Kind, Metric, Unit

OPEN_FILES: Final = Metric(
    "host_${name}_open_files",
    Kind.GAUGE,
    Unit.NONE,
    "File handles that the kernel holds open (collector ${name}).",
    family=Family.HOST,
)
''')

ENTRY: Final = Template("""\
    "${name}": Entry(
        "warpgauge.exporters.collectors.${name}:${title}Collector",
        isolated=False,
        help="open file handles of this machine",
    ),
}
""")

NOTE: Final = Template("""\
    ${name}.OPEN_FILES: Note(
        "`NAME 1120`: the kernel holds 1120 file handles open, for all processes together.",
        "what one process may open: that limit is per process and is not in here.",
    ),
}
""")

COLLECTOR: Final = Template('''\
"""Open file handles of this machine, from /proc/sys/fs/file-nr (man 5 proc)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.catalog import Tier, ${name}
from warpgauge.core.sample import ReadError, Sample, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.device import Device

__all__ = ["${title}Collector"]


class ${title}Collector:
    """Reads one file once per normal tick; needs no privilege."""

    name = "${name}"
    isolated = False

    def __init__(self, *, proc_root: str | Path = "/proc") -> None:
        self._path = Path(proc_root) / "sys/fs/file-nr"

    def check(self) -> str | None:
        """None if the file is there, else why nothing can be read."""
        return None if self._path.exists() else f"no {self._path} on this machine"

    def devices(self) -> Sequence[Device]:
        """None: this is about the host."""
        return ()

    def read(self, tier: Tier, device: Device | None = None) -> tuple[list[Sample], list[ReadError]]:
        """One sample at each normal tick, Unavailable where the file cannot be read."""
        del device  # the host is none
        if tier is not Tier.NORMAL:
            return [], []
        try:
            text = self._path.read_text(encoding="ascii")
        except OSError as error:
            reason = f"{self._path}: {error.strerror}"
            return to_samples(Unavailable(reason)), [ReadError("unreadable", reason)]
        value = open_files(text)
        errors = [ReadError("malformed", f"{self._path}: {value.reason}")] if isinstance(value, Unavailable) else []
        return to_samples(value), errors

    def close(self) -> None:
        """Nothing is held open."""


def open_files(text: str) -> float | Unavailable:
    """Handles in use: the first of the file's three numbers less the second (allocated, but free)."""
    try:
        allocated, free, _limit = (int(word) for word in text.split())
    except ValueError:
        return Unavailable(f"expected three numbers, got {text[:60]!r}")
    return float(allocated - free)


def to_samples(value: float | Unavailable) -> list[Sample]:
    """The catalog row with its value or the reason why there is none."""
    return [Sample(${name}.OPEN_FILES, (), value)]
''')

TEST: Final = Template('''\
"""The collector ${name}: open file handles from /proc/sys/fs/file-nr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import Tier, ${name}
from warpgauge.core.sample import Sample, Unavailable
from warpgauge.exporters.collectors import COLLECTORS, make
from warpgauge.exporters.collectors.${name} import ${title}Collector, open_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "sys" / "fs").mkdir(parents=True)
    (tmp_path / "sys" / "fs" / "file-nr").write_text("1120\\t0\\t9223372036854775807\\n")
    return tmp_path


def test_the_table_knows_the_collector(proc: Path):
    assert make("${name}", proc_root=proc).name == "${name}"
    assert COLLECTORS["${name}"].isolated is False


def test_it_reads_the_handles_in_use(proc: Path):
    samples, errors = ${title}Collector(proc_root=proc).read(Tier.NORMAL)
    assert (samples, errors) == ([Sample(${name}.OPEN_FILES, (), 1120.0)], [])


@pytest.mark.parametrize("tier", [Tier.FAST, Tier.SLOW])
def test_it_is_silent_in_other_tiers(proc: Path, tier: Tier):
    assert ${title}Collector(proc_root=proc).read(tier) == ([], [])


def test_a_machine_without_the_file_says_so(tmp_path: Path):
    assert "file-nr on this machine" in (${title}Collector(proc_root=tmp_path).check() or "")


def test_a_file_that_went_away_is_unavailable_and_never_0(tmp_path: Path):
    samples, errors = ${title}Collector(proc_root=tmp_path).read(Tier.NORMAL)
    assert isinstance(samples[0].value, Unavailable)
    assert errors[0].reason == "unreadable"


@given(st.text())
def test_no_content_of_the_file_is_taken_for_a_number_that_it_does_not_hold(text: str):
    value = open_files(text)
    assert isinstance(value, Unavailable) or len(text.split()) == 3
''')


class NameRefusedError(Exception):
    """The name cannot be used; the message says why in one sentence."""


def write(name: str, root: Path = ROOT) -> list[Path]:
    """Write all parts of a collector below `root` and return the files that changed.

    Raises:
        NameRefusedError: the name is no lower-case word or something has it already.

    """
    words = {"name": name, "title": "".join(map(str.capitalize, name.split("_")))}
    _refuse_unusable(name, root)
    new = {
        root / CATALOG / f"{name}.py": ROWS.substitute(words),
        root / COLLECTORS / f"{name}.py": COLLECTOR.substitute(words),
        root / TESTS / f"test_{name}_collector.py": TEST.substitute(words),
    }
    changed = {
        root / CHAPTERS: _with_chapter((root / CHAPTERS).read_text(), name),
        root / TABLE: _with_entry(root / TABLE, ENTRY.substitute(words)),
        root / NOTES: _with_import(_with_entry(root / NOTES, NOTE.substitute(words)), name),
    }
    for path, text in (new | changed).items():
        path.write_text(text)
    return [*new, *changed]


def _refuse_unusable(name: str, root: Path) -> None:
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        msg = f"{name!r} is no name for a collector: use letters a-z, digits and _, such as NAME=entropy"
        raise NameRefusedError(msg)
    files = [CATALOG / f"{name}.py", COLLECTORS / f"{name}.py", TESTS / f"test_{name}_collector.py"]
    if any((root / file).exists() for file in files) or f'"{name}": Entry(' in (root / TABLE).read_text():
        msg = f"there is a collector {name!r} already: choose another name"
        raise NameRefusedError(msg)


def _with_import(text: str, name: str) -> str:
    """The text with one more module of the catalog imported, in the order that ruff asks for."""
    return IMPORT.sub(
        lambda found: _import_line(found[1], sorted({*re.findall(r"\w+", found[2]), name})), text, count=1
    )


def _import_line(beginning: str, names: list[str]) -> str:
    line = beginning + ", ".join(names)
    return line if len(line) <= LONGEST_LINE else beginning + "(\n" + "".join(f"    {one},\n" for one in names) + ")"


def _with_chapter(text: str, name: str) -> str:
    """The catalog's __init__ with one more module: imported, exported, and its rows among all."""
    exported = "".join(f'    "{module}",\n' for module in sorted({*EXPORTED.findall(text), name}))
    listed = EXPORTED.sub("", text).replace(LAST_CLASS, LAST_CLASS + exported)
    return _with_import(CHAPTER_LIST.sub(rf"\g<1>\n    {name},\g<2>", listed, count=1), name)


def _with_entry(path: Path, entry: str) -> str:
    """The file's text with an entry before the closing brace of its (only) table."""
    text = path.read_text()
    before, brace, after = text.rpartition("\n}\n")
    if not brace:
        msg = f"{path} does not hold a table any more: add the entry by hand"
        raise NameRefusedError(msg)
    return f"{before}\n{entry}{after}"


def main(arguments: list[str]) -> int:
    """Write the collector named by the only argument."""
    try:
        paths = write(arguments[0] if arguments else "")
    except NameRefusedError as error:
        print(f"warpgauge: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
