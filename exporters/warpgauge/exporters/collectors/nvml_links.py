"""NVLink and C2C, link by link: bytes, errors, state, speed and version.

nvml.h: scopeId is the link, and UINT_MAX the sum over all of them. It does not say what scopeId means for C2C fields;
the link is the only reading that goes with "number of C2C links present on the device".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import device, link
from warpgauge.exporters.collectors.nvml_api import PYNVML, CallFailedError, Verdict, constant
from warpgauge.exporters.collectors.nvml_fields import Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.collectors.nvml_api import NvmlApi

__all__ = ["ALL_LINKS", "C2C_COUNT", "LINK_COUNT", "bit_error_ratio", "c2c_fields", "count_links", "link_fields"]

KIB: Final = 1024.0
MEGA: Final = 1e6
BER_MANTISSA_SHIFT: Final = 8  # NVML_NVLINK_BER_*, which nvidia-ml-py lacks; a test holds them to nvml.h
BER_MANTISSA_WIDTH: Final = 0xF
BER_EXP_SHIFT: Final = 0
BER_EXP_WIDTH: Final = 0xFF
ALL_LINKS: Final = 0xFFFFFFFF  # UINT_MAX; 0 would be link 0 alone
LINK_COUNT: Final = constant("NVML_FI_DEV_NVLINK_LINK_COUNT")
C2C_COUNT: Final = constant("NVML_FI_DEV_C2C_LINK_COUNT")
_MOST_LINKS: Final = (
    128  # a bound on what a driver says; the largest board so far has 72, nvml.h's own maximum is behind
)
_FATAL: Final = {Verdict.LOST, Verdict.NEEDS_RESET, Verdict.DRIVER}
_VERSION_PREFIX: Final = "NVML_NVLINK_VERSION_"
_VERSIONS: Final = tuple(
    (int(number), name.removeprefix(_VERSION_PREFIX).replace("_", "."))
    for name, number in vars(PYNVML).items()
    if name.startswith(_VERSION_PREFIX) and not name.endswith("INVALID")
)


def bit_error_ratio(packed: int) -> float:
    """A bit error rate, which nvml.h packs as decimal mantissa and negative exponent."""
    mantissa = packed >> BER_MANTISSA_SHIFT & BER_MANTISSA_WIDTH
    exponent = packed >> BER_EXP_SHIFT & BER_EXP_WIDTH
    return mantissa * 10.0**-exponent


def _link(
    suffix: str,
    metric: Metric,
    *labels: str,
    factor: float = 1.0,
    words: tuple[tuple[int, str], ...] = (),
    unpack: Callable[[int], float] | None = None,
) -> Callable[[int], Field]:
    """A field as a function of the link."""
    number = constant(f"NVML_FI_DEV_{suffix}")
    return lambda at: Field(
        id=number, metric=metric, labels=(str(at), *labels), factor=factor, scope=at, words=words, unpack=unpack
    )


def _errors(**kinds: str) -> list[Callable[[int], Field]]:
    return [_link(f"NVLINK_{suffix}", device.LINK_ERRORS, error) for suffix, error in kinds.items()]


_OF_A_LINK: Final = (
    # Of two fields for one series the first that a board supports counts: those from NVLink 5 on come second.
    _link("NVLINK_THROUGHPUT_DATA_TX", device.LINK_TRANSMIT, factor=KIB),
    _link("NVLINK_THROUGHPUT_DATA_RX", device.LINK_RECEIVE, factor=KIB),
    _link("NVLINK_COUNT_XMIT_BYTES", device.LINK_TRANSMIT),
    _link("NVLINK_COUNT_RCV_BYTES", device.LINK_RECEIVE),
    _link("NVLINK_GET_STATE", device.LINK_STATE),
    _link("NVLINK_GET_SPEED", device.LINK_SPEED, factor=MEGA),
    _link("NVLINK_GET_VERSION", link.LINK_INFO, words=_VERSIONS),
    *_errors(
        ERROR_DL_CRC="crc",
        ERROR_DL_REPLAY="replay",
        ERROR_DL_RECOVERY="recovery",
        COUNT_RCV_ERRORS="receive",
        COUNT_RCV_REMOTE_ERRORS="receive_remote",
        COUNT_RCV_GENERAL_ERRORS="receive_general",
        COUNT_MALFORMED_PACKET_ERRORS="malformed_packet",
        COUNT_BUFFER_OVERRUN_ERRORS="buffer_overrun",
        COUNT_LOCAL_LINK_INTEGRITY_ERRORS="link_integrity",
        COUNT_XMIT_DISCARDS="transmit_discard",
        COUNT_LINK_RECOVERY_FAILED_EVENTS="recovery_failed",
        COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS="recovery_successful",
        COUNT_EFFECTIVE_ERRORS="effective",
        COUNT_SYMBOL_ERRORS="symbol",
    ),
    _link("NVLINK_COUNT_EFFECTIVE_BER", link.LINK_BIT_ERRORS, "effective", unpack=bit_error_ratio),
    _link("NVLINK_COUNT_SYMBOL_BER", link.LINK_BIT_ERRORS, "symbol", unpack=bit_error_ratio),
)
_OF_ALL_LINKS: Final = tuple(
    Field(
        id=constant(f"NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_{suffix}"),
        metric=metric,
        labels=("all",),
        factor=KIB,
        scope=ALL_LINKS,
        stands_in=True,
    )
    for suffix, metric in (("TX", device.LINK_TRANSMIT), ("RX", device.LINK_RECEIVE))
)
_OF_A_C2C_LINK: Final = (
    _link("C2C_LINK_GET_STATUS", link.C2C_LINK_ACTIVE),
    _link("C2C_LINK_GET_MAX_BW", link.C2C_LINK_SPEED, factor=MEGA),
    _link("C2C_LINK_ERROR_INTR", link.C2C_LINK_ERRORS, "crc"),
    _link("C2C_LINK_ERROR_REPLAY", link.C2C_LINK_ERRORS, "replay"),
    _link("C2C_LINK_ERROR_REPLAY_B2B", link.C2C_LINK_ERRORS, "replay_back_to_back"),
)


def link_fields(links: int) -> tuple[Field, ...]:
    """What a board with so many NVLinks has for each, and the sums that stand in where it has no bytes link by link."""
    return (*(field(at) for at in range(links) for field in _OF_A_LINK), *_OF_ALL_LINKS)


def c2c_fields(links: int) -> tuple[Field, ...]:
    """What a board with so many links to its CPU has for each."""
    return tuple(field(at) for at in range(links) for field in _OF_A_C2C_LINK)


def count_links(api: NvmlApi, handle: Any, count: int) -> int:  # noqa: ANN401 - an opaque pointer
    """Links of a board, by the field that counts them; 0 where the driver does not tell, also because there are none.

    Raises:
        CallFailedError: the board or the driver is gone.

    """
    try:
        (answer,) = api.call("nvmlDeviceGetFieldValues", handle, [(count, 0)])
    except CallFailedError as failure:
        if failure.verdict in _FATAL:
            raise
        return 0
    return 0 if answer.nvmlReturn else min(int(answer.value.uiVal), _MOST_LINKS)
