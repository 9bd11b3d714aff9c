/* How long a real driver takes for a call: the medians of a recording of an H100 (driver 580.159.04, 2026-11-26, twelve
 * kinds of load, tests/recordings). All of it is CPU time of the caller, which waits busily for the GPU's firmware; only
 * the PCIe throughput sleeps. */
#include "stub.h"

static const struct { const char *function; double us; } MEASURED[] = {
    {"nvmlDeviceGetClockInfo", 2},
    {"nvmlDeviceGetComputeRunningProcesses_v3", 42},
    {"nvmlDeviceGetCurrPcieLinkWidth", 80},
    {"nvmlDeviceGetCurrentClocksEventReasons", 4},
    {"nvmlDeviceGetEccMode", 290},
    {"nvmlDeviceGetFieldValues", 3},
    {"nvmlDeviceGetMarginTemperature", 942},
    {"nvmlDeviceGetMaxClockInfo", 1400},
    {"nvmlDeviceGetMemoryInfo_v2", 16},
    {"nvmlDeviceGetMigMode", 336},
    {"nvmlDeviceGetPersistenceMode", 23},
    {"nvmlDeviceGetSamples", 380}, /* of power; see measured_busy_ring_us */
    {"nvmlDeviceGetTemperatureThreshold", 300},
    {"nvmlDeviceGetUtilizationRates", 12},
    {"nvmlGpmMetricsGet", 2}, /* beside each metric; see measured_gpm_us */
    {"nvmlGpmSampleGet", 151},
};

double measured_us(const char *function) {
    for (unsigned i = 0; i < sizeof MEASURED / sizeof *MEASURED; i++)
        if (!strcmp(MEASURED[i].function, function)) return MEASURED[i].us;
    return 3;
}

/* of a buffer of utilization, beside the call */
double measured_busy_ring_us(void) { return 1327; }

/* of one field in a batch, beside the call */
double measured_field_us(unsigned id) {
    switch (id) {
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION:
    case NVML_FI_DEV_ENERGY: return 2862;
    case NVML_FI_DEV_PCIE_REPLAY_COUNTER:
    case NVML_FI_DEV_PCIE_REPLAY_ROLLOVER_COUNTER: return 120;
    case NVML_FI_DEV_PCIE_COUNT_TX_BYTES: return 235;
    case NVML_FI_DEV_PCIE_COUNT_RX_BYTES: return 135;
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN:
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN: return 281;
    default: return id >= NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS && id <= NVML_FI_DEV_PCIE_COUNT_LANE_ERROR ? 130 : 0.5;
    }
}

/* of one GPM metric in a question, beside the call. Asked for one by one, the engine's time took 1.9 ms and the memory's
 * bandwidth 2.0 ms (H200: 2.0 and 3.2), each other metric a microsecond. All 17 of an agent's together took 1.9 ms on the
 * idle board, 1.3 ms in the median of all loads, and 0.07 without the engine's time: so the bandwidth is dear the first
 * time only. */
double measured_gpm_us(unsigned id, int is_first) {
    switch (id) {
    case NVML_GPM_METRIC_GRAPHICS_UTIL: return 1320;
    case NVML_GPM_METRIC_DRAM_BW_UTIL: return is_first ? 1998 : 1.2;
    default: return 1.2;
    }
}
