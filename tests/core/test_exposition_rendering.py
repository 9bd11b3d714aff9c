"""Pages: exactly these bytes, and exactly what prometheus_client would say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Timestamp,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as oracle_openmetrics
from prometheus_client.parser import text_string_to_metric_families as oracle_text

from warpgauge.core.catalog import ALL, Kind, Metric, Unit, device, own, training
from warpgauge.core.exposition import FamilyRenderer, Format, labels_of, page, parse
from warpgauge.core.sample import Histogram, Sample, Unavailable

MACHINE = (
    Sample(device.DEVICE_INFO, ("GPU-1", "0", "nvidia", "gpu", 'H200 "SXM"\\\n', "0000:1b:00.0", "Hopper", "0", ""), 1),
    Sample(device.POWER, ("GPU-1", "0"), 412.5),
    Sample(device.POWER, ("GPU-2", "1"), Unavailable("nvml: Not Supported")),
    *(Sample(device.DEVICE_STATE, ("GPU-1", "0", state), float(state == "ok")) for state in device.DEVICE_STATE.states),
    Sample(device.ENERGY, ("GPU-1", "0"), 1234567890.125),
    Sample(device.UTILIZATION, ("GPU-1", "0", "compute"), math.nan),
    Sample(training.STEP_SECONDS, ("llama-7b", "0", "0"), Histogram((0, 0, 0, 0, 2, 5, 5, 5, 5, 5, 5, 5, 5), 2.25)),
)
VALUES = st.floats() | st.integers(-(2**53), 2**53).map(float)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def rendered(samples, fmt: Format, timestamp: float | None = None) -> str:
    return page([FamilyRenderer().render(samples, timestamp)], fmt).decode()


def oracle_family(metric: Metric, samples: list[Sample]):
    """The same family as prometheus_client's own objects."""
    if metric.kind is Kind.HISTOGRAM:
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            bounds = [*map(go_float, metric.buckets), "+Inf"]
            buckets = list(zip(bounds, sample.value.counts, strict=True))
            family.add_metric(sample.labels, buckets, sum_value=sample.value.sum)
        return family
    kinds = {Kind.COUNTER: CounterMetricFamily, Kind.INFO: InfoMetricFamily}
    if metric.kind is Kind.INFO:
        family = InfoMetricFamily(metric.name.removesuffix("_info"), metric.help, labels=())
        for sample in samples:
            family.add_metric((), dict(zip(metric.labels, sample.labels, strict=True)))
        return family
    family = kinds.get(metric.kind, GaugeMetricFamily)(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        family.add_metric(sample.labels, sample.value)
    return family


def go_float(value: float) -> str:
    from prometheus_client.utils import floatToGoString  # noqa: PLC0415 - its own spelling of bounds

    return floatToGoString(value)


def oracle_page(samples: list[Sample], fmt: Format) -> str:
    families = {}
    for sample in samples:
        families.setdefault(sample.metric, []).append(sample)

    class Source:
        def collect(self):
            return [oracle_family(metric, members) for metric, members in families.items()]

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Source())
    return (generate_latest if fmt is Format.TEXT else generate_openmetrics)(registry).decode()


def comparable(text: str) -> list[tuple[str, float | str]]:
    """Lines with the number read: prometheus_client writes 1.0e+06 where Python writes 1000000.0."""
    lines = []
    for line in text.removesuffix("\n").split("\n"):
        start, _, number = line.rpartition(" ")
        lines.append((line, "") if line.startswith("#") or not line else (start, repr(float(number))))
    return lines


@pytest.mark.parametrize(("fmt", "name"), [(Format.TEXT, "exposition.txt"), (Format.OPENMETRICS, "exposition.om")])
def test_a_page_is_exactly_the_golden_text(golden, fmt, name):
    golden(name, rendered(MACHINE, fmt))


@st.composite
def catalog_samples(draw) -> list[Sample]:
    metrics = draw(st.lists(st.sampled_from(ALL), max_size=6, unique=True))
    samples = []
    for metric in sorted(metrics, key=ALL.index):
        label_sets = st.lists(st.tuples(*[TEXT] * len(metric.labels)), min_size=1, max_size=3, unique=True)
        samples += [Sample(metric, labels, draw(values_of(metric))) for labels in draw(label_sets)]
    return samples


def values_of(metric: Metric) -> st.SearchStrategy:
    if metric.kind is Kind.INFO:
        return st.just(1.0)
    if metric.kind is Kind.COUNTER:
        return st.floats(min_value=0, allow_infinity=False)
    if metric.kind is not Kind.HISTOGRAM:
        return VALUES
    steps = st.lists(st.integers(0, 9), min_size=len(metric.buckets) + 1, max_size=len(metric.buckets) + 1)
    counts = steps.map(lambda added: tuple(sum(added[: i + 1]) for i in range(len(added))))
    return st.builds(Histogram, counts, st.floats(min_value=0, allow_infinity=False))


@given(catalog_samples(), st.sampled_from(Format))
def test_a_page_says_what_prometheus_client_says(samples, fmt):
    ours = comparable(rendered(samples, fmt))
    theirs = comparable(oracle_page(samples, fmt))
    infos = {sample.metric.name for sample in samples if sample.metric.kind is Kind.INFO}
    theirs = [(line.replace("# UNKNOWN", "#"), number) for line, number in theirs]
    assert sorted(ours) == sorted(theirs), infos


@given(catalog_samples())
def test_prometheus_clients_parsers_accept_every_page(samples):
    list(oracle_text(rendered(samples, Format.TEXT)))
    list(oracle_openmetrics(rendered(samples, Format.OPENMETRICS)))


@given(catalog_samples(), st.sampled_from(Format), st.none() | st.integers(0, 2**41).map(lambda ms: ms / 1000))
def test_parsing_a_rendered_page_gives_the_samples_back(samples, fmt, timestamp):
    text = rendered(samples, fmt, timestamp)
    lines = list(parse(text, place="page", openmetrics=fmt is Format.OPENMETRICS))
    simple = [sample for sample in samples if sample.metric.kind is not Kind.HISTOGRAM]
    names = {sample.metric.name for sample in simple}
    got = sorted(
        (line.name, sorted(labels_of(line.labels).items()), repr(line.value)) for line in lines if line.name in names
    )
    expected = [
        (s.metric.name, sorted(zip(s.metric.labels, s.labels, strict=True)), repr(float(s.value))) for s in simple
    ]
    assert got == sorted(expected)
    assert {line.timestamp for line in lines} <= {timestamp}


def test_the_whole_catalog_fits_on_one_openmetrics_page_without_clashing_names():
    zeros = [
        Sample(
            metric,
            tuple(f"x{number}" for number in range(len(metric.labels))),
            Histogram((0,) * (len(metric.buckets) + 1), 0.0) if metric.buckets else 1.0,
        )
        for metric in ALL
    ]
    families = list(oracle_openmetrics(rendered(zeros, Format.OPENMETRICS)))
    assert len(families) == len(ALL)


def test_an_unavailable_value_leaves_no_line_and_no_family():
    assert FamilyRenderer().render([Sample(device.POWER, ("GPU-1", "0"), Unavailable("lost"))]) == {}


def test_infinities_are_written_as_go_writes_them():
    samples = [Sample(device.POWER, ("a", "0"), math.inf), Sample(device.POWER, ("b", "1"), -math.inf)]
    assert [line.rsplit(" ", 1)[1] for line in rendered(samples, Format.TEXT).splitlines()[2:]] == ["+Inf", "-Inf"]


def test_infinities_of_series_that_were_seen_before_are_written_so_too():
    renderer = FamilyRenderer()
    first, second = ([Sample(device.POWER, ("a", "0"), one), Sample(device.POWER, ("b", "1"), two)]
                     for one, two in ((1.0, 2.0), (math.inf, math.nan)))  # fmt: skip
    renderer.render(first)
    lines = renderer.render(second)[device.POWER].text.decode().splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["+Inf", "NaN"]


def test_a_family_that_is_gone_is_forgotten():
    renderer = FamilyRenderer()
    renderer.render([Sample(device.POWER, ("GPU-1", "0"), 1.0)])
    renderer.render([Sample(own.COLLECTOR_UP, ("host",), 1.0)])
    assert list(renderer._kept) == [own.COLLECTOR_UP.name]


def test_a_series_that_is_gone_is_forgotten():
    renderer = FamilyRenderer()
    first, second = (Sample(device.POWER, (uuid, "0"), 1.0) for uuid in ("GPU-1", "GPU-2"))
    renderer.render([first, second])
    renderer.render([second])
    assert list(renderer._kept[device.POWER.name]) == [("GPU-2", "0")]


def test_a_device_that_disappears_leaves_no_line():
    renderer = FamilyRenderer()
    renderer.render([Sample(device.POWER, ("GPU-1", "0"), 1.0)])
    text = page([renderer.render([Sample(device.POWER, ("GPU-2", "1"), 1.0)])], Format.TEXT)
    assert b"GPU-1" not in text


def test_the_second_rendering_shows_the_new_values():
    renderer = FamilyRenderer()
    renderer.render([Sample(device.POWER, ("GPU-1", "0"), 1.0)])
    family = renderer.render([Sample(device.POWER, ("GPU-1", "0"), 2.0)])[device.POWER]
    assert family.text == b'accel_power_watts{index="0",uuid="GPU-1"} 2.0\n'


any_sample = st.builds(
    Sample,
    st.sampled_from([device.POWER, device.ENERGY]),
    st.sampled_from([("GPU-1", "0"), ("GPU-2", "1")]),
    VALUES | st.just(Unavailable("lost")),
) | st.builds(Sample, st.just(training.STEP_SECONDS), st.just(("job", "0", "0")), st.just(Histogram((0,) * 13, 1.5)))


@given(st.lists(st.lists(any_sample, max_size=6), max_size=4))
def test_a_renderer_that_was_used_writes_what_a_new_one_would(rounds):
    used = FamilyRenderer()
    for samples in rounds:
        for _ in range(2):  # the second time each series stands where it stood
            assert used.render(samples) == FamilyRenderer().render(samples)


def test_many_lines_are_written_in_several_portions_and_lose_none():
    renderer = FamilyRenderer()
    samples = [Sample(device.POWER, (f"GPU-{index}", str(index)), float(index)) for index in range(2000)]
    assert len(renderer.render(samples)[device.POWER].text.splitlines()) == 2000
    pauses = list(renderer.portions(samples))
    assert len(pauses) > 2


def test_a_family_of_two_sources_appears_once_in_catalog_order():
    one = FamilyRenderer().render([Sample(own.COLLECTOR_UP, ("host",), 1.0)])
    two = FamilyRenderer().render([Sample(own.COLLECTOR_UP, ("nvml",), 1.0), Sample(device.POWER, ("GPU-1", "0"), 1.0)])
    lines = page([one, two], Format.TEXT).decode().splitlines()
    names = [line.split("{")[0] for line in lines if not line.startswith("#")]
    assert names == ["accel_power_watts", "warpgauge_agent_collector_up", "warpgauge_agent_collector_up"]
    assert sum(line.startswith("# TYPE warpgauge_agent_collector_up") for line in lines) == 1


def test_series_of_a_devices_parts_stand_beside_those_of_whole_devices_under_a_label_that_these_lack():
    whole, part = (Sample(device.PIPE_ACTIVE, ("GPU-1", "0", "tensor", *more), 0.5) for more in ((), ("5",)))
    family = FamilyRenderer().render([whole, part])[device.PIPE_ACTIVE]
    assert family.text.decode().splitlines() == [
        'accel_pipe_active_ratio{index="0",pipe="tensor",uuid="GPU-1"} 0.5',
        'accel_pipe_active_ratio{index="0",instance_id="5",pipe="tensor",uuid="GPU-1"} 0.5',
    ]


def test_timestamps_are_milliseconds_in_text_and_seconds_in_openmetrics():
    family = FamilyRenderer().render([Sample(device.POWER, ("GPU-1", "0"), 1.0)], 1750000000.25)[device.POWER]
    assert family.text.endswith(b" 1.0 1750000000250\n")
    assert family.openmetrics.endswith(b" 1.0 1750000000.25\n")


def test_a_wrong_number_of_labels_is_refused():
    with pytest.raises(ValueError, match="accel_power_watts has labels"):
        FamilyRenderer().render([Sample(device.POWER, ("GPU-1",), 1.0)])


def test_a_histogram_value_on_a_gauge_is_refused():
    with pytest.raises(TypeError, match="accel_power_watts is a gauge"):
        FamilyRenderer().render([Sample(device.POWER, ("GPU-1", "0"), Histogram((1,), 1.0))])


def test_bytes_that_are_no_utf8_become_a_question_mark():
    assert 'uuid="?"' in rendered([Sample(device.POWER, ("\udcff", "0"), 1.0)], Format.TEXT)


def test_large_bucket_bounds_are_written_as_prometheus_client_writes_them():
    bounds = (0.001, 1.0, 250000.0, 1e6, 2.5e6, 123456789.0)
    metric = Metric("host_x_bytes", Kind.HISTOGRAM, Unit.BYTES, "Sizes.", buckets=bounds)
    text = rendered([Sample(metric, (), Histogram((0,) * 7, 0.0))], Format.TEXT)
    assert [labels_of(line.labels)["le"] for line in parse(text, place="x") if line.labels] == [
        *map(go_float, bounds), "+Inf",
    ]  # fmt: skip


def test_timestamped_pages_agree_with_prometheus_clients_reader():
    text = rendered([Sample(device.POWER, ("GPU-1", "0"), 1.5)], Format.OPENMETRICS, 1750000000.5)
    (family,) = oracle_openmetrics(text)
    assert family.samples[0].timestamp == Timestamp(1750000000, 500_000_000)
