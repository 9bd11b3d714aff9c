"""Field values are read out of the driver's bytes as ctypes would read them."""

from __future__ import annotations

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import device
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.nvml_api import CallFailedError, NvmlApi
from warpgauge.exporters.collectors.nvml_field_batch import FieldBatch
from warpgauge.exporters.collectors.nvml_fields import FIELDS, Field, FieldValue, Unwrapped, to_readings
from warpgauge.exporters.collectors.nvml_links import link_fields

ENERGY = Field(id=pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, metric=device.ENERGY)
LINK = Field(id=pynvml.NVML_FI_DEV_NVLINK_GET_SPEED, metric=device.LINK_SPEED, labels=("5",), scope=5)


class Driver:
    """A module with pynvml's shape whose one function answers as a test says."""

    NVMLError = pynvml.NVMLError

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def _nvmlGetFunctionPointer(self, _):  # noqa: N802 - its name in pynvml
        return self._values

    def _values(self, _handle, count, values):
        slots = values._obj[: count.value]
        self.asked.append([(slot.fieldId, slot.scopeId, slot.nvmlReturn, slot.value.ullVal) for slot in slots])
        return self.answer(slots) or 0


def batch(answer, *fields):
    driver = Driver(answer)
    return FieldBatch(NvmlApi(driver, CallTimes(), ManualClock()), None, fields), driver


@pytest.mark.parametrize(
    ("kind", "member", "number", "bits"),
    [
        ("DOUBLE", "dVal", 1.5, 0),
        ("UNSIGNED_INT", "uiVal", 4_000_000_000, 32),
        ("UNSIGNED_LONG", "ulVal", 1 << 40, 64),
        ("UNSIGNED_LONG_LONG", "ullVal", 1 << 40, 64),
        ("SIGNED_LONG_LONG", "sllVal", -(1 << 40), 0),
        ("SIGNED_INT", "siVal", -7, 0),
        ("UNSIGNED_SHORT", "usVal", 65_000, 16),
    ],
)
def test_each_type_of_value_is_taken_from_its_member_of_the_union(kind, member, number, bits):
    def answer(slots):
        slots[0].value.ullVal = 0xFFFF_FFFF_FFFF_FFFF  # what the member does not cover is not read
        slots[0].valueType = getattr(pynvml, f"NVML_VALUE_TYPE_{kind}")
        setattr(slots[0].value, member, number)

    ((value),) = batch(answer, ENERGY)[0].ask()
    assert (value.field, value.code, value.number, value.bits) == (ENERGY, 0, float(number), bits)


def test_each_field_has_a_return_code_of_its_own_and_stands_at_its_place():
    def answer(slots):
        slots[1].nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED

    asked, driver = batch(answer, ENERGY, LINK)
    assert [(value.field, value.code) for value in asked.ask()] == [(ENERGY, 0), (LINK, 3)]
    assert [(field, scope) for field, scope, *_ in driver.asked[0]] == [(ENERGY.id, 0), (LINK.id, 5)]


def test_no_answer_of_before_is_left_when_it_is_asked_again():
    def answer(slots):
        for slot in slots:
            slot.nvmlReturn, slot.value.ullVal = 4, 99

    asked, driver = batch(answer, ENERGY, LINK)
    asked.ask()
    asked.ask()
    assert driver.asked[0] == driver.asked[1]


def test_a_refusal_of_the_whole_question_is_an_error():
    with pytest.raises(CallFailedError):
        batch(lambda _: pynvml.NVML_ERROR_UNKNOWN, ENERGY)[0].ask()


def test_answers_are_new_when_a_code_changed():
    codes = iter([0, 0, 3])

    def answer(slots):
        slots[0].nvmlReturn = next(codes)

    asked, _ = batch(answer, ENERGY)
    assert [asked.is_new(asked.ask()) for _ in range(3)] == [True, False, True]


TYPES = {"UNSIGNED_INT": ("uiVal", 32), "UNSIGNED_LONG_LONG": ("ullVal", 64), "DOUBLE": ("dVal", 0)}
ROWS = [field for field in (*FIELDS, *link_fields(2)) if not field.stands_in]
SINGLE = list({(field.metric.name, field.labels): field for field in ROWS}.values())  # one for each series
fields_answered = st.lists(
    st.tuples(st.sampled_from(SINGLE), st.sampled_from(sorted(TYPES)), st.integers(0, 5) | st.integers(0, 2**32 - 1)),
    min_size=1,
    max_size=8,
    unique_by=lambda asked: asked[0],
)


def says(answers):
    def answer(slots):
        for slot, (_, kind, number) in zip(slots, answers, strict=True):
            slot.valueType = getattr(pynvml, f"NVML_VALUE_TYPE_{kind}")
            setattr(slot.value, TYPES[kind][0], number)

    return answer


@given(fields_answered)
def test_an_answer_that_looks_like_the_last_one_reads_the_same_as_value_by_value(answers):
    asked, _ = batch(says(answers), *[field for field, _, _ in answers])
    values = [FieldValue(field, 0, float(number), TYPES[kind][1]) for field, kind, number in answers]
    assert asked.readings(Unwrapped(), 1.0) is None  # nothing is known yet
    assert asked.values() == values
    assert asked.readings(Unwrapped(), 1.0) == list(to_readings(values, Unwrapped(), 1.0))


def test_an_answer_of_another_shape_is_read_value_by_value():
    shapes = iter([("UNSIGNED_INT", 0), ("UNSIGNED_INT", 0), ("UNSIGNED_LONG_LONG", 0), ("UNSIGNED_LONG_LONG", 3)])

    def answer(slots):
        kind, slots[0].nvmlReturn = next(shapes)
        slots[0].valueType, slots[0].value.ullVal = getattr(pynvml, f"NVML_VALUE_TYPE_{kind}"), 7

    asked, _ = batch(answer, LINK)
    read = []
    for _ in range(4):
        read.append(asked.readings(Unwrapped(), 1.0))
        asked.values()
    assert read == [None, [(LINK.metric, ("5",), 7.0)], None, None]


def test_a_failed_answer_is_never_taken_for_a_number_however_often_it_comes():
    def answer(slots):
        slots[0].nvmlReturn = pynvml.NVML_ERROR_UNKNOWN

    asked, _ = batch(answer, ENERGY)
    for _ in range(3):
        assert asked.readings(Unwrapped(), 1.0) is None
        assert [value.code for value in asked.values()] == [pynvml.NVML_ERROR_UNKNOWN]


def test_of_two_fields_for_one_series_the_answers_decide():
    other = Field(id=pynvml.NVML_FI_DEV_POWER_INSTANT, metric=device.ENERGY)
    asked, _ = batch(lambda _: None, ENERGY, other)
    for _ in range(2):
        assert asked.readings(Unwrapped(), 1.0) is None
        asked.values()
