"""What the fake boards are: rounded figures from public data sheets, and what boards of that age do not support."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1 << 30
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    name: str
    architecture: str  # suffix of NVML_DEVICE_ARCH_
    memory_total: int
    memory_reserved: int
    power_limit_mw: int
    clocks_mhz: dict[str, int]  # highest, by suffix of NVML_CLOCK_
    limits_c: dict[str, int]  # by suffix of NVML_TEMPERATURE_THRESHOLD_
    pcie_generation: int
    fans: int = 0
    has_gpm: bool = False
    has_nvlink: bool = True
    has_memory_temperature: bool = True
    has_row_remap: bool = True
    has_clock_event_counters: bool = True
    has_pcie_counters: bool = True
    has_encoder: bool = True
    missing: frozenset[str] = frozenset()  # symbols that the library of that age lacks


H100 = Profile(
    name="NVIDIA H100 80GB HBM3",
    architecture="HOPPER",
    memory_total=81559 * MIB,
    memory_reserved=551 * MIB,
    power_limit_mw=700_000,
    clocks_mhz={"GRAPHICS": 1980, "SM": 1980, "MEM": 2619, "VIDEO": 1545},
    limits_c={"SHUTDOWN": 92, "SLOWDOWN": 89, "MEM_MAX": 95, "GPU_MAX": 87},
    pcie_generation=5,
    has_gpm=True,
    has_encoder=False,
)
A100 = Profile(
    name="NVIDIA A100-SXM4-40GB",
    architecture="AMPERE",
    memory_total=40960 * MIB,
    memory_reserved=571 * MIB,
    power_limit_mw=400_000,
    clocks_mhz={"GRAPHICS": 1410, "SM": 1410, "MEM": 1215, "VIDEO": 1275},
    limits_c={"SHUTDOWN": 92, "SLOWDOWN": 89, "MEM_MAX": 95, "GPU_MAX": 85},
    pcie_generation=4,
    has_encoder=False,
    has_pcie_counters=False,
)
T4 = Profile(
    name="Tesla T4",
    architecture="TURING",
    memory_total=15360 * MIB,
    memory_reserved=456 * MIB,
    power_limit_mw=70_000,
    clocks_mhz={"GRAPHICS": 1590, "SM": 1590, "MEM": 5001, "VIDEO": 1470},
    limits_c={"SHUTDOWN": 96, "SLOWDOWN": 93, "GPU_MAX": 85},
    pcie_generation=3,
    has_nvlink=False,
    has_memory_temperature=False,
    has_row_remap=False,
    has_clock_event_counters=False,
    has_pcie_counters=False,
    missing=frozenset(
        {"nvmlDeviceGetTemperatureV", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlGpmQueryDeviceSupport"}
    ),
)
RTX_4090 = Profile(
    name="NVIDIA GeForce RTX 4090",
    architecture="ADA",
    memory_total=24564 * MIB,
    memory_reserved=346 * MIB,
    power_limit_mw=450_000,
    clocks_mhz={"GRAPHICS": 3105, "SM": 3105, "MEM": 10501, "VIDEO": 2415},
    limits_c={"SHUTDOWN": 100, "SLOWDOWN": 97, "GPU_MAX": 90},
    pcie_generation=4,
    fans=2,
    has_nvlink=False,
    has_memory_temperature=False,
    has_pcie_counters=False,
)
PROFILES = {"h100": H100, "a100": A100, "t4": T4, "rtx4090": RTX_4090}
