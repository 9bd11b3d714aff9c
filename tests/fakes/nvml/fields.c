/* nvmlDeviceGetFieldValues: ids about the board as a whole; those about NVLink are in links.c. */
#include "fields.h"

ret whole(nvmlFieldValue_t *out, unsigned value) {
    out->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    out->value.uiVal = value;
    return OK;
}
ret counted(nvmlFieldValue_t *out, double value) {
    out->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    out->value.ullVal = (unsigned long long)value;
    return OK;
}
ret shared(nvmlFieldValue_t *out, double value) {
    out->valueType = NVML_VALUE_TYPE_DOUBLE;
    out->value.dVal = value;
    return OK;
}
static ret margin(nvmlFieldValue_t *out, int value) {
    out->valueType = NVML_VALUE_TYPE_SIGNED_INT;
    out->value.siVal = value;
    return OK;
}

/* all errors are in device memory; boards of this age do not tell other places apart */
static ret ecc(dev d, nvmlFieldValue_t *out) {
    unsigned long long errors = 0;
    nvmlMemoryErrorType_t type = NVML_MEMORY_ERROR_TYPE_CORRECTED;
    nvmlEccCounterType_t counter = NVML_VOLATILE_ECC;
    switch (out->fieldId) {
    case NVML_FI_DEV_ECC_CURRENT:
    case NVML_FI_DEV_ECC_PENDING: return whole(out, 1);
    case NVML_FI_DEV_ECC_SBE_VOL_TOTAL:
    case NVML_FI_DEV_ECC_SBE_VOL_DEV: break;
    case NVML_FI_DEV_ECC_SBE_AGG_TOTAL:
    case NVML_FI_DEV_ECC_SBE_AGG_DEV: counter = NVML_AGGREGATE_ECC; break;
    case NVML_FI_DEV_ECC_DBE_VOL_TOTAL:
    case NVML_FI_DEV_ECC_DBE_VOL_DEV:
    case NVML_FI_DEV_ECC_DBE_AGG_TOTAL:
    case NVML_FI_DEV_ECC_DBE_AGG_DEV: type = NVML_MEMORY_ERROR_TYPE_UNCORRECTED; break;
    default: return UNSUPPORTED;
    }
    ret code = nvmlDeviceGetTotalEccErrors(d, type, counter, &errors);
    return code ? code : counted(out, (double)errors);
}

/* nanoseconds that each limit held the clocks down: shares of the busy time */
static ret held_back(dev d, nvmlFieldValue_t *out) {
    double ns = busy(d, now()) * 1e9;
    switch (out->fieldId) {
    case NVML_FI_DEV_PERF_POLICY_POWER: return counted(out, ns * 0.08);
    case NVML_FI_DEV_PERF_POLICY_THERMAL:
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN: return counted(out, ns * 0.01);
    case NVML_FI_DEV_PERF_POLICY_SYNC_BOOST: return counted(out, ns * 0.002);
    case NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION: return counted(out, since_load(now()) * 1e9 - ns);
    case NVML_FI_DEV_PERF_POLICY_TOTAL_APP_CLOCKS: return counted(out, ns * 0.09);
    case NVML_FI_DEV_PERF_POLICY_TOTAL_BASE_CLOCKS: return counted(out, ns * 0.03);
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN: return counted(out, ns * 0.001);
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN:
    case NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT:
    case NVML_FI_DEV_PERF_POLICY_RELIABILITY: return counted(out, 0);
    default: return UNSUPPORTED;
    }
}

static ret pcie(dev d, nvmlFieldValue_t *out) {
    switch (out->fieldId) {
    case NVML_FI_DEV_PCIE_COUNT_TX_BYTES: return counted(out, busy(d, now()) * 8e9);
    case NVML_FI_DEV_PCIE_COUNT_RX_BYTES: return counted(out, busy(d, now()) * 11e9);
    case NVML_FI_DEV_PCIE_REPLAY_COUNTER: return counted(out, 3);
    case NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS:
    case NVML_FI_DEV_PCIE_COUNT_BAD_TLP: return counted(out, 5);
    case NVML_FI_DEV_PCIE_REPLAY_ROLLOVER_COUNTER:
    case NVML_FI_DEV_PCIE_L0_TO_RECOVERY_COUNTER:
    case NVML_FI_DEV_PCIE_COUNT_NAKS_RECEIVED:
    case NVML_FI_DEV_PCIE_COUNT_RECEIVER_ERROR:
    case NVML_FI_DEV_PCIE_COUNT_NAKS_SENT:
    case NVML_FI_DEV_PCIE_COUNT_BAD_DLLP:
    case NVML_FI_DEV_PCIE_COUNT_NON_FATAL_ERROR:
    case NVML_FI_DEV_PCIE_COUNT_FATAL_ERROR:
    case NVML_FI_DEV_PCIE_COUNT_UNSUPPORTED_REQ:
    case NVML_FI_DEV_PCIE_COUNT_LCRC_ERROR:
    case NVML_FI_DEV_PCIE_COUNT_LANE_ERROR: return counted(out, 0);
    default: return UNSUPPORTED;
    }
}

/* of the last second; the memory's as nvidia-smi told it of an H200: 44 W idle, 139 W of 409 while it copies */
static ret average_power(dev d, nvmlFieldValue_t *out) {
    double until = now(), load = busy(d, until) - busy(d, until - 1);
    switch (out->scopeId) {
    case NVML_POWER_SCOPE_GPU: return whole(out, (unsigned)(energy_mj(d, until) - energy_mj(d, until - 1)));
    case NVML_POWER_SCOPE_MEMORY: return whole(out, (unsigned)(44e3 + 95e3 * load));
    default: return UNSUPPORTED;
    }
}

static ret power_and_heat(dev d, nvmlFieldValue_t *out) {
    switch (out->fieldId) {
    case NVML_FI_DEV_MEMORY_TEMP: return whole(out, (unsigned)temperature_c(d) + 9);
    case NVML_FI_DEV_GPU_TEMP: return shared(out, temperature_c(d) + 0.25);
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION:
    case NVML_FI_DEV_ENERGY: return counted(out, energy_mj(d, now()));
    case NVML_FI_DEV_POWER_AVERAGE: return average_power(d, out);
    case NVML_FI_DEV_POWER_INSTANT: return out->scopeId ? UNSUPPORTED : whole(out, (unsigned)power_mw(d, now()));
    case NVML_FI_DEV_POWER_MIN_LIMIT: return whole(out, 200000);
    case NVML_FI_DEV_POWER_MAX_LIMIT:
    case NVML_FI_DEV_POWER_DEFAULT_LIMIT:
    case NVML_FI_DEV_POWER_CURRENT_LIMIT:
    case NVML_FI_DEV_POWER_REQUESTED_LIMIT: return whole(out, LIMIT_MW);
    case NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT: return margin(out, -8);
    case NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT:
    case NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT: return margin(out, -2);
    case NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT: return margin(out, 0);
    case NVML_FI_DEV_MMA_STALL_PERCENT: return whole(out, percent(d, 0.2));
    default: return UNSUPPORTED;
    }
}

static ret memory_repair(nvmlFieldValue_t *out) {
    switch (out->fieldId) {
    case NVML_FI_DEV_REMAPPED_COR:
    case NVML_FI_DEV_REMAPPED_UNC:
    case NVML_FI_DEV_REMAPPED_PENDING:
    case NVML_FI_DEV_REMAPPED_FAILURE:
    case NVML_FI_DEV_REMAPPED_ROWS_COR_INACTIVE:
    case NVML_FI_DEV_REMAPPED_ROWS_UNC_INACTIVE:
    case NVML_FI_DEV_ACTIVE_BANK_REMAPPINGS:
    case NVML_FI_DEV_INACTIVE_BANK_REMAPPINGS:
    case NVML_FI_DEV_BANK_REMAPPER_HISTOGRAM_NONE:
    case NVML_FI_DEV_PENDING_BANK_REMAPPING: return whole(out, 0);
    case NVML_FI_DEV_BANK_REMAPPER_HISTOGRAM_MAX: return whole(out, 640);
    case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: return whole(out, NVML_GPU_RECOVERY_ACTION_NONE);
    case NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED:
    case NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE: return whole(out, 1);
    case NVML_FI_DEV_C2C_LINK_COUNT: return whole(out, 0);
    default: return UNSUPPORTED;
    }
}

static ret field(dev d, nvmlFieldValue_t *out) {
    ret code = ecc(d, out);
    if (code == UNSUPPORTED) code = held_back(d, out);
    if (code == UNSUPPORTED) code = pcie(d, out);
    if (code == UNSUPPORTED) code = power_and_heat(d, out);
    if (code == UNSUPPORTED) code = memory_repair(out);
    return code == UNSUPPORTED ? link_field(d, out) : code;
}

ret nvmlDeviceGetFieldValues(dev d, int n, nvmlFieldValue_t *out) {
    ENTER(20);
    if (n <= 0 || !out) return INVALID;
    for (int i = 0; i < n; i++) {
        out[i].timestamp = (long long)(now() * 1e6);
        spend(measured_field_us(out[i].fieldId));
        out[i].latencyUsec = 1;
        out[i].nvmlReturn = field(d, &out[i]);
    }
    return OK;
}
