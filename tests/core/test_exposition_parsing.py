"""Reading pages: what prometheus_client reads, strictly, with the line in every complaint."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as oracle_text

from warpgauge.core.errors import InputError
from warpgauge.core.exposition import Line, labels_of, parse, parsing

NODE_EXPORTER = """\
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 1.23456789e+06
node_cpu_seconds_total{cpu="0",mode="iowait"} 12.5 1750000000123

# a remark
node_load1 0.21
 node_boot_time_seconds\t1.7e9
# TYPE node_uname_info gauge
node_uname_info { domainname = "(none)" , nodename="a \\"b\\" \\\\ \\n {c}", } 1
go_gc_duration_seconds{quantile="0.5"} NaN
x:rule:sum{} -Inf
"""


def test_text_is_read_as_prometheus_client_reads_it():
    oracle = {
        (sample.name, tuple(sorted(sample.labels.items())), repr(float(sample.value)), sample.timestamp)
        for family in oracle_text(NODE_EXPORTER)
        for sample in family.samples
    }
    ours = {
        (line.name, tuple(sorted(labels_of(line.labels).items())), repr(line.value), line.timestamp)
        for line in parse(NODE_EXPORTER, place="page")
    }
    assert ours == oracle


def test_openmetrics_timestamps_are_seconds():
    text = '# TYPE a counter\na_total{b="c"} 1 1750000000.5\n# EOF\n'
    assert list(parse(text, place="x", openmetrics=True)) == [Line("a_total", 'b="c"', 1.0, 1750000000.5)]


def test_text_timestamps_are_milliseconds():
    assert next(parse("a 1 1500\n", place="x")).timestamp == 1.5


def test_a_timestamp_of_zero_is_a_timestamp():
    assert next(parse("a 1 0\n", place="x")).timestamp == 0.0


def test_exemplars_are_passed_over():
    text = 'a_bucket{le="+Inf"} 3 # {trace_id="x"} 0.67 1750000000.1\n# EOF\n'
    assert [line.value for line in parse(text, place="x", openmetrics=True)] == [3.0]


def test_braces_and_hashes_inside_label_values_are_text():
    (line,) = parse('a{b="}{ # 1"} 2\n', place="x")
    assert labels_of(line.labels) == {"b": "}{ # 1"}


def test_infinities_and_nan_are_values():
    values = [line.value for line in parse("a +Inf\na -Inf\na NaN\n", place="x")]
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a 1\nb\n", "x:2: expected a value and at most a timestamp after 'b', got ''"),
        ("a 1\n\nb one two\n", "x:3: expected a value and at most a timestamp after 'b', got 'one two'"),
        ("a one\n", "x:1: 'one' is not a number"),
        ("a 1_000\n", "x:1: expected a value and at most a timestamp after 'a', got '1_000'"),
        ("a 1 2 3\n", "x:1: expected a value and at most a timestamp after 'a', got '1 2 3'"),
        ("9a 1\n", "x:1: expected a metric name at '9a 1'"),
        ('{"a.b"} 1\n', "x:1: expected a metric name at"),
        ('a{b="c} 1\n', "x:1: labels are not closed at"),
        ('a{b="c"\n', "x:1: labels are not closed at"),
        ('a{b="c",b="d"} 1\n', "x:1: label 'b' stands twice"),
        ("a{b=c} 1\n", "x:1: malformed label at 'b=c'"),
        ('a{b="c",,} 1\n', "x:1: malformed label at ','"),
        ('a{b="c" d="e"} 1\n', "x:1: malformed label at"),
        ('a{b="\\x"} 1\n', "x:1: malformed label at"),
        ("a 1", "x:1: the last line does not end with a line feed (cut short?): 'a 1'"),
        ("a 1\r\n", "x:1: the line ends with CR LF, only LF is allowed"),
        ("# TYPE a thing\n", "x:1: malformed TYPE line '# TYPE a thing'"),
        ("a+1\n", "x:1: expected a value"),
    ],
)
def test_a_malformed_line_is_named_with_its_place(text, complaint):
    with pytest.raises(InputError) as caught:
        list(parse(text, place="x"))
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a 1\n", "x:2: the page does not end with # EOF (cut short?)"),
        ("# EOF\na 1\n", "x:2: nothing may follow # EOF"),
        ("a 1\n\n# EOF\n", "x:2: OpenMetrics allows no empty line"),
        ("# a remark\n# EOF\n", "x:1: OpenMetrics knows no comment such as '# a remark'"),
        ("a 1 1e999\n# EOF\n", "x:1: timestamp '1e999' is not a time"),
        ("a 1 now\n# EOF\n", "x:1: timestamp 'now' is not a time"),
        ("# TYPE a untyped\n# EOF\n", "x:1: malformed TYPE line"),
        ("a  1\n# EOF\n", "x:1: expected a value"),
    ],
)
def test_openmetrics_is_held_to_its_stricter_grammar(text, complaint):
    with pytest.raises(InputError) as caught:
        list(parse(text, place="x", openmetrics=True))
    assert str(caught.value).startswith(complaint)


def test_lines_before_the_malformed_one_are_read():
    lines = parse("a 1\nb 2\nc\n", place="x")
    assert [next(lines).name, next(lines).name] == ["a", "b"]


def test_a_complaint_stays_short_and_printable():
    with pytest.raises(InputError) as caught:
        list(parse("\x1b[31m" * 10_000 + "\n", place="x"))
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def test_an_empty_page_has_no_lines():
    assert list(parse("", place="x")) == []


def test_labels_are_read_only_because_they_are_kept():
    with pytest.raises(TypeError):
        labels_of('a="b"')["a"] = "c"  # type: ignore[index]


PIECES = st.sampled_from(
    [*'{}",=\\# \t\n\r+-.eE09aé_:', "# TYPE ", "# EOF\n", "NaN", '\\"', "\\n", "a{b=", "\ud800", "٣"]
)


@given(text=st.lists(PIECES, max_size=40).map("".join) | st.text(), openmetrics=st.booleans())
@example(text='a{b="' + "\\\\" * 5000, openmetrics=False)
@example(text="a" * 10_000, openmetrics=False)
@example(text="a{" + 'b="c",' * 3000, openmetrics=False)
@example(text="a 1 " + "9" * 5000 + "\n", openmetrics=True)
@example(text="a 1 " + "9" * 5000 + "\n", openmetrics=False)
def test_any_text_is_read_or_refused_with_its_line(text, openmetrics):
    assert complaint_about(text, openmetrics=openmetrics).startswith(("x:", "none"))


def complaint_about(text: str, *, openmetrics: bool) -> str:
    try:
        for line in parse(text, place="x", openmetrics=openmetrics):
            labels_of(line.labels)
    except InputError as error:
        return str(error)
    return "none"


@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_any_label_block_is_read_or_refused(block):
    try:
        labels_of(block)
    except InputError:
        return
    assert not block.strip(" \t") or labels_of(block)


def test_a_series_that_is_too_long_to_be_kept_is_read_all_the_same():
    long = f'a{{b="{"x" * 5000}"}}'
    kept = parsing._name_and_block.cache_info().currsize
    (line,) = parse(f"{long} 1\n", place="x")
    assert (line.name, line.value, len(line.labels)) == ("a", 1.0, 5004)
    assert parsing._name_and_block.cache_info().currsize == kept
