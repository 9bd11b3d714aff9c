"""Plant known faults one at a time and see whether the tests notice: tests/mutants/SUBSYSTEM.toml says which.

python3 tools/mutants.py [WORD...]     those whose "subsystem/name" contains a word; exit 1 if one was not noticed

Works in a copy of the checkout, changes of today included; the checkout itself is only read. The named tests must pass
in the copy before anything is planted, and must import the copy, which is tried and not assumed.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import xml.etree.ElementTree as ET
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = "tests/mutants"
FEWEST: Final = 3  # of a subsystem
KEYS: Final = {"fault", "file", "old", "new", "tests"}
PATIENCE: Final = 5.0  # times what the tests take with nothing planted
START_SECONDS: Final = 60.0  # of Python, pytest and all that the tests import, on a busy machine
BASELINE_SECONDS: Final = 1_800.0
QUIETLY: Final = ("-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-profile=mutants")
PASSED, FAILED, COLLECTION_FAILED = 0, 1, 2  # exit statuses of pytest
GENERATED: Final = ("alerts", "dashboards")
KILLED, SURVIVED, TIMED_OUT, RED_BEFORE, NOT_RUN = "killed", "SURVIVED", "TIMED OUT", "RED BEFORE", "NOT RUN"
CANARY: Final = "only_in_the_copy"
CANARY_TEST: Final = """
import importlib, subprocess, sys
import pytest

@pytest.mark.parametrize("module", {modules})
def test_this_process_and_its_children_import_the_copy(module):
    importlib.import_module(module)
    subprocess.run([sys.executable, "-c", f"import {{module}}"], cwd="/", check=True)
"""


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


@dataclass(frozen=True, slots=True)
class Run:
    """What pytest made of some tests."""

    status: int | None  # None: it did not end in time
    output: str

    @property
    def first_failure(self) -> str:
        """Id of the test that noticed."""
        lines = [line for line in self.output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return lines[0].split(" - ")[0].partition(" ")[2] if lines else ""


@dataclass(slots=True)
class Baseline:
    """The named tests with nothing planted: which are red, and how long each file takes."""

    red: dict[str, str] = field(default_factory=dict)  # file -> its first test that fails
    skipped: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def limit(self, mutant: Mutant) -> float:
        """Seconds after which the mutant's tests hang."""
        return START_SECONDS + PATIENCE * sum(self.seconds[file] for file in mutant.test_files)


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


class Copy:
    """A checkout of its own in which faults are planted."""

    def __init__(self, folder: Path, original: Path = ROOT) -> None:
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "WARPGAUGE_"))},
            "PYTHONPATH": os.pathsep.join(map(str, [*self._source_roots(original), folder])),
        }
        self._fill(original)

    def try_imports(self) -> Run:
        """Import from each package a module that stands in the copy alone, here and in a child."""
        packages = sorted(path.parent for path in self._folder.glob("*/warpgauge/*/__init__.py"))
        modules = [package / f"{CANARY}.py" for package in packages]
        test = self._folder / "tests" / f"test_{CANARY}.py"
        for module in modules:
            module.touch()
        test.write_text(CANARY_TEST.format(modules=[f"warpgauge.{package.name}.{CANARY}" for package in packages]))
        try:
            return self.run([str(test.relative_to(self._folder))], START_SECONDS)
        finally:
            for path in (test, *modules):
                path.unlink()

    def baseline(self, tests: Sequence[str]) -> Baseline:
        """Run the tests with nothing planted; what fails is tried once more, as a busy machine may be the reason.

        Raises:
            RuntimeError: they do not end, or cannot be collected.

        """
        found = self._measured(tests)
        if found.red:
            found.red = self._measured([test for test in tests if test.partition("::")[0] in found.red]).red
        return found

    def _measured(self, tests: Sequence[str]) -> Baseline:
        report = self._folder / "baseline.xml"
        run = self.run([f"--junit-xml={report}", "-o", "junit_family=xunit1", *tests], BASELINE_SECONDS)
        if run.status not in {PASSED, FAILED}:
            msg = f"the tests do not even run with nothing planted:\n{run.output[-4000:]}"
            raise RuntimeError(msg)
        found = Baseline()
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - our own pytest wrote it a moment ago
            file = case.attrib["file"]
            found.seconds[file] += float(case.attrib["time"])
            if case.find("skipped") is not None:
                found.skipped.add(file)
            if case.find("failure") is not None or case.find("error") is not None:
                found.red.setdefault(file, f"{file}::{case.attrib['name']}")
        return found

    @contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """The fault is in the copy, until it is not."""
        path = self._folder / mutant.file
        source = path.read_text(encoding="utf-8")
        self._write(path, mutant.planted(source))
        try:
            self._generate(mutant)
            yield
        finally:
            self._write(path, source)
            self._generate(mutant)

    def run(self, arguments: Sequence[str], seconds: float) -> Run:
        """Pytest in the copy, in one process, and whatever it started is ended with it."""
        command = [sys.executable, "-m", "pytest", *QUIETLY, *arguments]
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )
            try:
                status: int | None = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end_group(process)
            output.seek(0)
            return Run(status, output.read())

    def _generate(self, mutant: Mutant) -> None:
        """What whoever changes a rule or a panel runs before a commit: else the committed files alone would notice."""
        part = mutant.file.partition("/")[0]
        if part in GENERATED:
            command = [sys.executable, "-m", "warpgauge", "generate", part]
            subprocess.run(command, cwd=self._folder, env=self._environment, stdout=subprocess.DEVNULL, check=False)

    def _write(self, path: Path, source: str) -> None:
        """Write a file and forget what it was compiled to: the new one may be as old, in seconds, and as long."""
        path.write_text(source, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()

    def _source_roots(self, original: Path) -> list[Path]:
        return [self._folder / path.parent.name for path in sorted(original.glob("*/warpgauge"))]

    def _fill(self, original: Path) -> None:
        """What git knows, with today's changes, and links to the programs that the tests fetched or built."""
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=original, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            source, target = original / name, self._folder / name
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        (self._folder / ".cache").mkdir(exist_ok=True)
        for fetched in (original / ".cache" / "debian", original / ".cache" / "servers"):
            if fetched.exists():
                (self._folder / ".cache" / fetched.name).symlink_to(fetched)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def verdict(copy: Copy, baseline: Baseline, mutant: Mutant) -> tuple[str, str]:
    """What became of one mutant, and the test that says so."""
    red = sorted(test for file, test in baseline.red.items() if file in mutant.test_files)
    if red:
        return RED_BEFORE, ", ".join(red)
    with copy.planted(mutant):
        run = copy.run(["-x", *mutant.tests], baseline.limit(mutant))
    if run.status is None:
        return TIMED_OUT, f"after {baseline.limit(mutant):.0f} s"
    if run.status in {FAILED, COLLECTION_FAILED}:
        return KILLED, run.first_failure
    if run.status == PASSED:
        skipped = sorted(mutant.test_files & baseline.skipped)
        return SURVIVED, mutant.fault + (f" (Some tests are skipped in {', '.join(skipped)}.)" if skipped else "")
    return NOT_RUN, run.output.strip().rpartition("\n")[2]


def judge(chosen: Sequence[Mutant], copy: Copy) -> Mapping[str, int]:
    """Print a line per mutant as it is known; how many there are of each verdict."""
    canary = copy.try_imports()
    if canary.status != PASSED:
        msg = f"the tests import something else than the copy:\n{canary.output[-4000:]}"
        raise RuntimeError(msg)
    start = time.monotonic()
    baseline = copy.baseline(sorted({test for mutant in chosen for test in mutant.tests}))
    print(f"{len(chosen)} mutants; their tests alone took {time.monotonic() - start:.0f} s", flush=True)
    counts: dict[str, int] = defaultdict(int)
    for mutant in chosen:
        start = time.monotonic()
        result, detail = verdict(copy, baseline, mutant)
        counts[result] += 1
        print(f"{result:10} {time.monotonic() - start:5.1f} s  {mutant.name}  {detail}", flush=True)
    return counts


def main(words: Sequence[str], root: Path = ROOT) -> int:
    """Judge the chosen mutants; 2 if a description is wrong or nothing is chosen, 1 if one was not killed."""
    start = time.monotonic()
    chosen = [mutant for mutant in mutants(root) if not words or any(word in mutant.name for word in words)]
    wrong = [complaint for mutant in chosen for complaint in complaints(mutant, root)]
    if wrong or not chosen:
        print("\n".join(wrong) or f"no mutant's name contains {' or '.join(words)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="warpgauge-mutants-") as folder:
        counts = judge(chosen, Copy(Path(folder), root))
    told = ", ".join(f"{number} {result}" for result, number in sorted(counts.items()))
    print(f"{told}; {time.monotonic() - start:.0f} s")
    return 0 if set(counts) == {KILLED} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
