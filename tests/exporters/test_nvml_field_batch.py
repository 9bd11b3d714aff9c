"""Field values are read out of the driver's bytes as ctypes would read them."""

from __future__ import annotations

import pynvml
import pytest

from warpgauge.core.catalog import device
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.nvml_api import CallFailedError, NvmlApi
from warpgauge.exporters.collectors.nvml_field_batch import FieldBatch
from warpgauge.exporters.collectors.nvml_fields import Field

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
