"""What the fake boards are: rounded figures from public data sheets, and what boards of that age do not support."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    has_nvlink5: bool = False  # other error counters: nvml.h says of the old ones "unsupported for Blackwell+"
    link_speed_mb: int = 26562  # MB/s, one direction
    has_memory_temperature: bool = True
    has_row_remap: bool = True
    has_clock_event_counters: bool = True
    has_pcie_counters: bool = True
    has_encoder: bool = True
    has_mig: bool = False
    layout: str = "off"  # MIG; see nvml_abi_mig
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
    has_mig=True,
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
    has_mig=True,
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
H100_MIG = replace(H100, layout="1:3g.40gb/1+2 - 5:2g.20gb 13:1g.10gb")
A100_MIG = replace(A100, layout="2:3g.20gb 9:1g.5gb")
H200 = replace(
    H100,
    name="NVIDIA H200",
    memory_total=143771 * MIB,
    memory_reserved=609 * MIB,
    clocks_mhz={"GRAPHICS": 1980, "SM": 1980, "MEM": 3201, "VIDEO": 1545},
)
B200 = replace(
    H100,
    name="NVIDIA B200",
    architecture="BLACKWELL",
    memory_total=183359 * MIB,
    memory_reserved=716 * MIB,
    power_limit_mw=1_000_000,
    clocks_mhz={"GRAPHICS": 1965, "SM": 1965, "MEM": 3996, "VIDEO": 1965},
    has_nvlink5=True,
    link_speed_mb=53125,
)
L40S = replace(
    RTX_4090,
    name="NVIDIA L40S",
    memory_total=46068 * MIB,
    memory_reserved=538 * MIB,
    power_limit_mw=350_000,
    clocks_mhz={"GRAPHICS": 2520, "SM": 2520, "MEM": 9001, "VIDEO": 1965},
    limits_c={"SHUTDOWN": 96, "SLOWDOWN": 93, "GPU_MAX": 88},
    fans=0,
)
PROFILES = {
    "h100": H100,
    "a100": A100,
    "t4": T4,
    "rtx4090": RTX_4090,
    "h100-mig": H100_MIG,
    "a100-mig": A100_MIG,
    "h200": H200,
    "b200": B200,
    "l40s": L40S,
}
