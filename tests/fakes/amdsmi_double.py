"""A double of amdsmi 7.0.2: answers shaped as amdsmi_interface.py of that version shapes them. No AMD GPU was asked."""

from __future__ import annotations

import ctypes
import time
from enum import IntEnum
from types import SimpleNamespace


class AmdSmiInitFlags(IntEnum):
    INIT_AMD_GPUS = 2


class AmdSmiTemperatureType(IntEnum):
    EDGE = 0
    HOTSPOT = 1
    VRAM = 2


class AmdSmiTemperatureMetric(IntEnum):
    CURRENT = 0


class AmdSmiClkType(IntEnum):
    GFX = 0
    MEM = 4
    VCLK0 = 7


class AmdSmiMemoryType(IntEnum):
    VRAM = 0


class AmdSmiLinkType(IntEnum):
    AMDSMI_LINK_TYPE_PCIE = 1
    AMDSMI_LINK_TYPE_XGMI = 2


class AmdSmiMemoryPageStatus(IntEnum):
    RESERVED = 0
    PENDING = 1


class AmdSmiGpuBlock(IntEnum):
    INVALID = 0
    UMC = 1
    GFX = 4


STATUS = {"NOT_SUPPORTED": 2, "NO_PERM": 10, "NOT_FOUND": 31}


class LibraryError(Exception):
    def __init__(self, name):
        super().__init__(f"Error code:\n\t{STATUS[name]} | {name}")
        self.err_code = STATUS[name]


class Amdsmi:
    """`answers` by function replace the usual ones; a string there is the name of the status to fail with."""

    amdsmi_wrapper = SimpleNamespace(**{f"AMDSMI_STATUS_{name}": code for name, code in STATUS.items()})
    (
        AmdSmiInitFlags, AmdSmiTemperatureType, AmdSmiTemperatureMetric, AmdSmiClkType, AmdSmiMemoryType,
        AmdSmiLinkType, AmdSmiMemoryPageStatus, AmdSmiGpuBlock,
    ) = (
        AmdSmiInitFlags, AmdSmiTemperatureType, AmdSmiTemperatureMetric, AmdSmiClkType, AmdSmiMemoryType,
        AmdSmiLinkType, AmdSmiMemoryPageStatus, AmdSmiGpuBlock,
    )  # fmt: skip

    def __init__(self, gpus=2, *, script=None):
        self.gpus, self.script = gpus, script
        self.joules, self.watts = 1000.0, 500
        self.answers, self.asked = {}, []

    def __getattr__(self, function):
        if function not in _USUAL:
            raise AttributeError(function)

        def ask(*arguments):
            self.asked.append(function)
            handle = arguments[0] if arguments and isinstance(arguments[0], str) else ""
            suffering = self._suffering(handle)
            if suffering == "hang":
                time.sleep(3600)
            if suffering == "crash":
                ctypes.string_at(0)
            if suffering == "garbage" and not function.startswith("amdsmi_get_gpu_device_"):
                return "\0nonsense"
            answer = self.answers.get(function, _USUAL[function])
            if isinstance(answer, str) and answer in STATUS:
                raise LibraryError(answer)
            return answer(self, *arguments) if callable(answer) else answer

        return ask

    def _suffering(self, handle):
        """What the script says about this GPU: `hang 1`, `crash 1`, `garbage 1`; `gone 1` is in the list of handles."""
        said = self.script.read_text().split() if self.script else []
        return said[0] if said and handle and said[1] == handle[-1] else ""


def _temperature(_, _handle, sensor, _metric):
    return {AmdSmiTemperatureType.HOTSPOT: 71, AmdSmiTemperatureType.VRAM: 62}.get(sensor, 0)


def _blocks(_, _handle, block):
    if block is AmdSmiGpuBlock.GFX:
        raise LibraryError(name="NOT_SUPPORTED")
    return {"correctable_count": 4, "uncorrectable_count": 1, "deferred_count": 0}


_USUAL = {
    "amdsmi_init": None,
    "amdsmi_shut_down": None,
    "amdsmi_get_processor_handles": lambda lib: [
        f"handle{n}" for n in range(lib.gpus) if not lib.script or lib.script.read_text() != f"gone {n}"
    ],
    "amdsmi_get_gpu_device_uuid": lambda _, handle: f"44ff74a1-0000-1000-80{handle[-1]}0-000000000000",
    "amdsmi_get_gpu_device_bdf": lambda _, handle: f"0000:{int(handle[-1]) + 5:02X}:00.0",
    "amdsmi_get_gpu_asic_info": {"market_name": "AMD Instinct MI300X", "target_graphics_version": "gfx942"},
    "amdsmi_get_gpu_kfd_info": {"kfd_id": 1, "node_id": 2, "current_partition_id": 0},
    "amdsmi_get_gpu_driver_info": {"driver_name": "amdgpu", "driver_version": "6.12.12", "driver_date": "N/A"},
    "amdsmi_get_lib_version": {"major": 26, "minor": 0, "release": 2},
    "amdsmi_get_gpu_activity": {"gfx_activity": 87, "umc_activity": 40, "mm_activity": "N/A"},
    "amdsmi_get_power_info": lambda lib, _: {
        "socket_power": lib.watts, "current_socket_power": lib.watts, "average_socket_power": "N/A",
        "gfx_voltage": "N/A", "power_limit": 750000000,
    },
    "amdsmi_get_power_cap_info": {
        "power_cap": 750000000, "default_power_cap": 750000000, "dpm_cap": 0, "min_power_cap": 0,
        "max_power_cap": 750000000,
    },
    "amdsmi_get_energy_count": lambda lib, _: {
        "energy_accumulator": round(lib.joules * 1e6 / 15.259), "counter_resolution": 15.259, "timestamp": 1,
    },
    "amdsmi_get_temp_metric": _temperature,
    "amdsmi_get_clock_info": {"clk": 2100, "min_clk": 132, "max_clk": 2100, "clk_locked": "N/A"},
    "amdsmi_get_gpu_memory_total": 206_141_652_992,
    "amdsmi_get_gpu_memory_usage": 100_000_000_000,
    "amdsmi_get_pcie_info": {
        "pcie_static": {"max_pcie_width": 16, "max_pcie_speed": 32000, "pcie_interface_version": 5},
        "pcie_metric": {
            "pcie_width": 16, "pcie_speed": 32000, "pcie_replay_count": 3, "pcie_replay_roll_over_count": 0,
            "pcie_nak_sent_count": 7, "pcie_nak_received_count": "N/A", "pcie_l0_to_recovery_count": 1,
        },
    },
    "amdsmi_get_gpu_total_ecc_count": {"correctable_count": 5, "uncorrectable_count": 1, "deferred_count": 2},
    "amdsmi_get_gpu_ecc_count": _blocks,
    "amdsmi_get_gpu_bad_page_info": [
        {"value": 0, "page_address": 4096, "page_size": 4096, "status": 0},
        {"value": 1, "page_address": 8192, "page_size": 4096, "status": 1},
    ],
    "amdsmi_get_link_metrics": {
        "num_links": 2,
        "links": [
            {"bdf": "0000:06:00.0", "bit_rate": 32, "max_bandwidth": 512, "link_type": 2, "read": 10, "write": 20},
            {"bdf": "0000:05:00.0", "bit_rate": 0, "max_bandwidth": 0, "link_type": 2, "read": 0, "write": 0},
            {"bdf": "0000:00:00.0", "bit_rate": 32, "max_bandwidth": 64, "link_type": 1, "read": 9, "write": 9},
        ],
    },
    "amdsmi_get_violation_status": {
        "per_ppt_pwr": 40, "per_socket_thrm": 0, "per_vr_thrm": "N/A", "per_hbm_thrm": 0, "per_prochot_thrm": 0,
        "active_ppt_pwr": True, "active_socket_thrm": False, "active_hbm_thrm": "N/A",
    },
    "amdsmi_get_gpu_process_list": [
        {"name": "python3", "pid": 4711, "mem": 5_000_000_000, "cu_occupancy": "N/A"},
        {"name": "N/A", "pid": 4712, "mem": 6_000_000_000, "cu_occupancy": "N/A"},
    ],
    "amdsmi_get_gpu_compute_partition": "SPX",
    "amdsmi_get_gpu_memory_partition": "NPS1",
}  # fmt: skip
