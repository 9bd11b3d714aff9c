"""Our tables against NVIDIA's own nvml.h: ids, units, kinds and enumerations, read from its text."""

from __future__ import annotations

import re

import pynvml
import pytest

from tests.nvml_header import parse, read_header
from warpgauge.core.catalog import Kind, Unit, cycles, detail, device, link
from warpgauge.exporters.collectors import nvml_links
from warpgauge.exporters.collectors.nvml_fabric import FAULTS
from warpgauge.exporters.collectors.nvml_fields import FIELDS
from warpgauge.exporters.collectors.nvml_gpm_counters import COUNTERS, link_counters
from warpgauge.exporters.collectors.nvml_gpm_metrics import ASKED
from warpgauge.exporters.collectors.nvml_links import C2C_COUNT, LINK_COUNT, c2c_fields, link_fields

# What a comment says -> unit and factor to it; the first that matches counts.
UNITS = (
    (r"\bmJ\b", Unit.JOULES, 1e-3),
    (r"\bmilliwatts\b", Unit.WATTS, 1e-3),
    (r"\bin KiB\b", Unit.BYTES, 1024.0),
    (r"\bMiB/sec\b", Unit.BYTES_PER_SECOND, 2.0**20),
    (r"\bMBps\b", Unit.BYTES_PER_SECOND, 1e6),
    (r"\bin ns\b|\bnanoseconds\b", Unit.SECONDS, 1e-9),
    (r"\bbytes\b", Unit.BYTES, 1.0),
    (r"^Percent(?:age)? .*0\.0 - 100\.0", Unit.RATIO, 0.01),
    (r"\bT\.Limit temperature\b|\bMemory temperature\b", Unit.CELSIUS, 1.0),
    (r"\bBER\b", Unit.RATIO, 1.0),
    (r"(?i)\bcounter\b|\berrors?\b|\bpages\b|\bpackets\b|\bnumber of\b|\bcycles\b|\bactivity\b", Unit.NONE, 1.0),
    (r"\b1=yes\b|\bone of\b|\bStatus\b|\bVersion\b|\bSee \\ref\b", Unit.NONE, 1.0),
)
WITH_UNITS = tuple(rule for rule in UNITS if rule[1] is not Unit.NONE)
# What a comment says -> whether the number only ever grows.
KINDS = (
    (r"^Throttling\b", True),
    (r"\bretired\b|\bpending\b|\b[Tt]emperature\b|\bpower\b|\bPercentage\b|/sec\b", False),
    (r"\bSpeed\b|\bState\b|\bStatus\b|\bVersion\b|\bBER\b|\bSee \\ref\b", False),
    (r"(?i)\bcounters?\b|\berrors?\b|\bsince (the driver|reboot)\b|\bTotal\b|\bNumber of times\b", True),
    (r"\bpackets\b|\bbytes\. Value can be wrapped\b", True),
)
# Where the header says nothing, and what we take instead.
SILENT = {
    **{
        f"NVML_FI_DEV_PERF_POLICY_{policy}": "unit: nvmlDeviceGetViolationStatus, whose twin it is, gives nanoseconds"
        for policy in ("THERMAL", "BOARD_LIMIT", "LOW_UTILIZATION", "RELIABILITY", "TOTAL_BASE_CLOCKS")
    },
}
SILENT_UNIT_OF_TOTALS = {
    "NVML_GPM_METRIC_PCIE_TX": "the driver's answer has to name the unit, else there is no value",
    "NVML_GPM_METRIC_PCIE_RX": "the driver's answer has to name the unit, else there is no value",
}


@pytest.fixture(scope="module")
def header():
    return read_header()


def names_of(prefix, module=pynvml):
    return {number: name for name, number in vars(module).items() if name.startswith(prefix)}


FIELD_NAMES = {**names_of("NVML_FI_DEV_"), LINK_COUNT: "NVML_FI_DEV_NVLINK_LINK_COUNT"}
GPM_NAMES = names_of("NVML_GPM_METRIC_")
EVERY_FIELD = {(field.id, field.stands_in): field for field in (*FIELDS, *link_fields(1), *c2c_fields(1))}.values()
EVERY_TOTAL = (*COUNTERS, *link_counters(72))


def first(rules, texts):
    """What the first rule says that matches the nearest text."""
    return next((answer for text in texts for pattern, *answer in rules if re.search(pattern, text)), None)


@pytest.mark.parametrize("field", EVERY_FIELD, ids=lambda field: FIELD_NAMES[field.id])
def test_a_field_has_the_id_unit_and_kind_that_the_header_states(header, field):
    entry = header[FIELD_NAMES[field.id]]
    assert entry.value == field.id
    assert first(KINDS, entry.texts) == [field.metric.kind is Kind.COUNTER]
    if entry.name in SILENT:
        assert first(WITH_UNITS, entry.texts) is None
    else:
        assert first(UNITS, entry.texts) == [field.metric.unit, field.factor]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: GPM_NAMES[asked.id])
def test_a_gpm_metric_has_the_id_and_unit_that_the_header_states(header, asked):
    entry = header[GPM_NAMES[asked.id]]
    assert entry.value == asked.id
    assert first(UNITS, entry.texts) == [asked.metric.unit, asked.factor]
    assert asked.metric.kind is Kind.GAUGE


@pytest.mark.parametrize("total", EVERY_TOTAL, ids=lambda total: GPM_NAMES[total.id])
def test_a_gpm_total_is_counted_since_reboot_in_a_unit_that_somebody_states(header, total):
    entry = header[GPM_NAMES[total.id]]
    assert entry.value == total.id
    assert "since reboot" in entry.comment
    assert total.metric.kind is Kind.COUNTER
    is_silent = entry.name in SILENT_UNIT_OF_TOTALS
    assert total.says_unit is is_silent
    assert first(UNITS, entry.texts) == (None if is_silent else [total.metric.unit, 1.0])


def test_transmit_is_what_leaves_the_gpu_and_receive_what_comes_in(header):
    ways = {
        device.PCIE_TRANSMIT: r"transmit bytes|PCIe TX traffic",
        device.PCIE_RECEIVE: r"receive bytes|PCIe RX traffic",
        device.LINK_TRANSMIT: r"\bTX Data\b|Total Tx bytes|NvLink write for link",
        device.LINK_RECEIVE: r"\bRX Data\b|Total Rx bytes|NvLink read for link",
        device.PCIE_TRANSMIT_RATE: r"traffic from this GPU",
        device.PCIE_RECEIVE_RATE: r"traffic to this GPU",
        device.LINK_TRANSMIT_RATE: r"write bandwidth for all links",
        device.LINK_RECEIVE_RATE: r"read bandwidth for all links",
    }
    both = [(FIELD_NAMES[field.id], field.metric) for field in EVERY_FIELD]
    both += [(GPM_NAMES[asked.id], asked.metric) for asked in (*ASKED, *EVERY_TOTAL)]
    checked = [(name, metric) for name, metric in both if metric in ways]
    assert {metric for _, metric in checked} == set(ways)
    assert [name for name, metric in checked if not re.search(ways[metric], header[name].comment)] == []


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("NVML_GPU_RECOVERY_ACTION_", device.RECOVERY_ACTION.states),
        ("NVML_NVLINK_STATE_", device.LINK_STATE.states),
        ("NVML_COMPUTEMODE_", device.COMPUTE_MODE.states),
        ("NVML_GPU_FABRIC_STATE_", ("not_supported", *link.FABRIC_STATE.states)),
        ("NVML_GPU_FABRIC_HEALTH_SUMMARY_", ("not_supported", *link.FABRIC_HEALTH.states)),
    ],
)
def test_states_are_all_of_the_headers_enumeration_in_its_order(header, prefix, words):
    members = {entry.name: entry.value for entry in header.values() if entry.name.startswith(prefix)}
    assert members == {f"{prefix}{word.upper()}": number for number, word in enumerate(words)}


def test_the_fabrics_faults_are_all_parts_of_the_headers_health_mask(header):
    shift = "NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_"
    parts = {entry.name.removeprefix(shift) for entry in header.values() if entry.name.startswith(shift)}
    assert {part for _, part, _, _ in FAULTS} | {"INCORRECT_CONFIGURATION"} == parts
    for name in (name for name in header if name.startswith("NVML_GPU_FABRIC_")):
        assert getattr(pynvml, name) == header[name].value


def test_link_versions_and_the_packing_of_error_rates_are_the_headers(header):
    prefix = "NVML_NVLINK_VERSION_"
    assert {name: header[name].value for name in header if name.startswith(prefix)} == {
        name: number for number, name in names_of(prefix).items()
    }
    for name in ("BER_MANTISSA_SHIFT", "BER_MANTISSA_WIDTH", "BER_EXP_SHIFT", "BER_EXP_WIDTH"):
        assert getattr(nvml_links, name) == header[f"NVML_NVLINK_{name}"].value
    assert header["NVML_FI_DEV_NVLINK_LINK_COUNT"].value == LINK_COUNT
    assert header["NVML_FI_DEV_C2C_LINK_COUNT"].value == C2C_COUNT


def test_every_throttle_reason_that_the_driver_times_is_timed_by_us(header):
    prefix = "NVML_FI_DEV_CLOCKS_EVENT_REASON_"
    timed = {entry.value for entry in header.values() if entry.name.startswith(prefix)}
    assert timed <= {field.id for field in FIELDS if field.metric is device.THROTTLE_SECONDS}


def test_the_memorys_power_is_asked_with_the_scope_that_the_header_calls_memory(header):
    (field,) = (field for field in FIELDS if field.metric is detail.MEMORY_POWER)
    scope = header["NVML_POWER_SCOPE_MEMORY"]
    assert (field.scope, scope.comment) == (scope.value, "Targets the GPU Memory")


def test_each_engine_is_asked_for_by_its_own_name(header):
    words = {"decoder": "NVDEC", "encoder": "NVENC", "jpeg": "NVJPG", "ofa": "NVOFA"}
    engines = [asked for asked in ASKED if asked.metric is detail.ENGINE_ACTIVE]
    named = {f"NVML_GPM_METRIC_{words[kind]}_{number}_UTIL" for kind, number in (asked.labels for asked in engines)}
    assert named == {name for name in header if re.fullmatch(r"NVML_GPM_METRIC_NV(DEC|ENC|JPG|OFA)_\d+_UTIL", name)}
    assert {header[name].value for name in named} == {asked.id for asked in engines}


def test_cycles_have_no_unit_of_their_own():
    assert {metric.unit for metric in (cycles.COMPUTE_CYCLES, cycles.PIPE_ACTIVE_CYCLES)} == {Unit.NONE}


def test_a_comment_that_goes_on_in_the_next_line_and_an_alias_are_read():
    found = parse("#define NVML_A 1 //!< one\n         //!< and more\n#define NVML_B NVML_A //!< same\n")
    assert (found["NVML_A"].comment, found["NVML_B"].value) == ("one and more", 1)
