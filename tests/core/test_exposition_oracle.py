"""The parser against prometheus_client's own: equal on valid pages, and none is read that the oracle reads otherwise.

WARPGAUGE_TEST_EXAMPLES=5000 looks deeper than the suite has time for.
"""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as oracle_openmetrics
from prometheus_client.parser import text_string_to_metric_families as oracle_text
from prometheus_client.samples import Timestamp

from warpgauge.core.errors import InputError
from warpgauge.core.exposition import labels_of, parse

NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", fullmatch=True)
# Names that begin with two underscores are reserved: the oracle refuses them, we read them.
LABEL_NAMES = st.from_regex(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r"), max_size=12)
VALUES = st.floats().map(repr) | st.integers(-(10**20), 10**20).map(str) | st.sampled_from(["+Inf", "-Inf", "NaN"])
EXAMPLES = settings(max_examples=int(os.environ.get("WARPGAUGE_TEST_EXAMPLES", "50")), deadline=None)
COMPLAINT = re.compile(r"x:([0-9]+): .+")


def escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def block(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


@st.composite
def text_pages(draw: st.DrawFn) -> str:
    """Text 0.0.4: samples, comments and empty lines, with spaces and tabs where the format allows them."""
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["sample", "sample", "sample", "comment", "empty"]))
        if kind == "comment":
            lines.append("# " + draw(TEXTS).replace("\n", " "))
        elif kind == "empty":
            lines.append("")
        else:
            space = draw(st.sampled_from([" ", "  ", "\t"]))
            stamp = draw(st.none() | st.integers(-(10**15), 10**15))
            labels = block(draw(st.dictionaries(LABEL_NAMES, TEXTS, max_size=3)))
            tail = "" if stamp is None else f"{space}{stamp}"
            lines.append(f"{draw(NAMES)}{labels}{space}{draw(VALUES)}{tail}")
    return "".join(f"{line}\n" for line in lines)


@st.composite
def openmetrics_pages(draw: st.DrawFn) -> str:
    """OpenMetrics 1.0: families one after the other, each with a TYPE, counters with _total, labels in any order."""
    parts = []
    for name in draw(st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,8}[a-z]", fullmatch=True), unique=True, max_size=4)):
        assume(not name.endswith(("_total", "_created", "_bucket", "_count", "_sum", "_info", "_gcount", "_gsum")))
        kind = draw(st.sampled_from(["gauge", "unknown", "counter"]))
        parts.append(f"# TYPE {name} {kind}\n")
        series = draw(st.lists(st.dictionaries(LABEL_NAMES, TEXTS, max_size=3), max_size=3, unique_by=block))
        for labels in series:
            value = str(draw(st.integers(0, 10**9))) if kind == "counter" else draw(VALUES)
            stamp = draw(st.just("") | st.floats(0, 1e10).map(lambda at: f" {at:.3f}"))
            parts.append(f"{name}{'_total' if kind == 'counter' else ''}{block(labels)} {value}{stamp}\n")
    return "".join([*parts, "# EOF\n"])


def ours(text: str, *, openmetrics: bool) -> list[tuple[str, tuple[tuple[str, str], ...], str, str]]:
    return sorted(
        (line.name, tuple(sorted(labels_of(line.labels).items())), repr(line.value), repr(line.timestamp))
        for line in parse(text, place="x", openmetrics=openmetrics)
    )


def seconds(stamp: object) -> float | None:
    """The oracle keeps whole seconds and nanoseconds, and rounds twice when it adds them up."""
    return float(f"{stamp.sec}.{stamp.nsec:09d}") if isinstance(stamp, Timestamp) else stamp


def theirs(text: str, *, openmetrics: bool) -> list[tuple[str, tuple[tuple[str, str], ...], str, str]]:
    families = (oracle_openmetrics if openmetrics else oracle_text)(text)
    return sorted(
        (
            sample.name,
            tuple(sorted(sample.labels.items())),
            repr(float(sample.value)),
            repr(seconds(sample.timestamp)),
        )
        for family in families
        for sample in family.samples
    )


@EXAMPLES
@given(text_pages())
def test_any_valid_text_page_is_read_as_the_oracle_reads_it(page: str):
    assert ours(page, openmetrics=False) == theirs(page, openmetrics=False)


@EXAMPLES
@given(openmetrics_pages())
def test_any_valid_openmetrics_page_is_read_as_the_oracle_reads_it(page: str):
    assert ours(page, openmetrics=True) == theirs(page, openmetrics=True)


def broken(pages: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A valid page with a piece cut out and another put in."""
    pieces = st.sampled_from([*'{}",=\\# \t\n+-.eE0:', "NaN", "# EOF\n", '\\"', "é"])
    return st.tuples(pages, st.integers(0, 200), st.integers(0, 3), st.lists(pieces, max_size=3).map("".join)).map(
        lambda cut: cut[0][: cut[1]] + cut[3] + cut[0][cut[1] + cut[2] :]
    )


def refusal(page: str, *, openmetrics: bool) -> str:
    """What our parser complains about, "" if it does not."""
    try:
        ours(page, openmetrics=openmetrics)
    except InputError as error:
        return str(error)
    return ""


def oracle_reads(page: str, *, openmetrics: bool) -> bool:
    """What the oracle refuses beyond the grammar (order of families, names of kinds) is not ours to judge."""
    try:
        theirs(page, openmetrics=openmetrics)
    except (ValueError, KeyError, IndexError):
        return False
    return True


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_a_broken_page_is_refused_with_its_line_or_read_as_the_oracle_reads_it(openmetrics: bool):  # noqa: FBT001
    @EXAMPLES
    @given(broken(openmetrics_pages() if openmetrics else text_pages()))
    def check(page: str) -> None:
        complaint = refusal(page, openmetrics=openmetrics)
        if complaint:
            line = COMPLAINT.fullmatch(complaint)
            assert line is not None
            assert 1 <= int(line[1]) <= page.count("\n") + 1
        elif oracle_reads(page, openmetrics=openmetrics):
            assert ours(page, openmetrics=openmetrics) == theirs(page, openmetrics=openmetrics)

    check()
