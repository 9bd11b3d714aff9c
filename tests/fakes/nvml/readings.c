/* What a board does now. */
#include "stub.h"

ret nvmlDeviceGetUtilizationRates(dev d, nvmlUtilization_t *out) {
    ENTER(2.5);
    if (said("mig") == d->index) return UNSUPPORTED;
    out->gpu = percent(d, 1.0);
    out->memory = percent(d, 0.5);
    return OK;
}
static ret engine(dev d, unsigned *out, unsigned *period, double share) {
    ENTER(2.5);
    *out = percent(d, share);
    *period = 167000;
    return OK;
}
ret nvmlDeviceGetEncoderUtilization(dev d, unsigned *out, unsigned *period) { return engine(d, out, period, 0.12); }
ret nvmlDeviceGetDecoderUtilization(dev d, unsigned *out, unsigned *period) { return engine(d, out, period, 0.30); }
ret nvmlDeviceGetJpgUtilization(dev d, unsigned *out, unsigned *period) { return engine(d, out, period, 0.20); }
ret nvmlDeviceGetOfaUtilization(dev d, unsigned *out, unsigned *period) { return engine(d, out, period, 0.10); }

ret nvmlDeviceGetMemoryInfo(dev d, nvmlMemory_t *out) {
    ENTER(12);
    unsigned long long used = (used_mib(d) + RESERVED_MIB) * MIB; /* the first version counts what is reserved as used */
    *out = (nvmlMemory_t){.total = GPU_MEMORY_MIB * MIB, .free = GPU_MEMORY_MIB * MIB - used, .used = used};
    return OK;
}
ret nvmlDeviceGetMemoryInfo_v2(dev d, nvmlMemory_v2_t *out) {
    ENTER(12);
    VERSIONED(out, nvmlMemory_v2);
    unsigned long long used = used_mib(d) * MIB;
    out->total = GPU_MEMORY_MIB * MIB;
    out->reserved = RESERVED_MIB * MIB;
    out->used = used;
    out->free = out->total - out->reserved - used;
    return OK;
}
ret nvmlDeviceGetBAR1MemoryInfo(dev d, nvmlBAR1Memory_t *out) {
    ENTER(12);
    unsigned long long used = (unsigned long long)(2 + 10 * load(d, now())) * MIB;
    *out = (nvmlBAR1Memory_t){.bar1Total = 131072 * MIB, .bar1Free = 131072 * MIB - used, .bar1Used = used};
    return OK;
}

ret nvmlDeviceGetConfComputeMemSizeInfo(dev d, nvmlConfComputeMemSizeInfo_t *out) {
    ENTER(12);
    *out = (nvmlConfComputeMemSizeInfo_t){.protectedMemSizeKib = 0, .unprotectedMemSizeKib = GPU_MEMORY_MIB * 1024};
    return OK;
}

NUMBER(nvmlDeviceGetPowerUsage, unsigned, 2.5, power_mw(d, now()))
NUMBER(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, 2.5, energy_mj(d, now()))
ret nvmlDeviceGetTemperature(dev d, nvmlTemperatureSensors_t sensor, unsigned *out) {
    ENTER(2.5);
    if (sensor != NVML_TEMPERATURE_GPU) return INVALID;
    *out = (unsigned)temperature_c(d);
    return OK;
}
#ifndef OLD
ret nvmlDeviceGetTemperatureV(dev d, nvmlTemperature_t *out) {
    ENTER(2.5);
    VERSIONED(out, nvmlTemperature_v1);
    if (out->sensorType != NVML_TEMPERATURE_GPU) return INVALID;
    out->temperature = temperature_c(d);
    return OK;
}
ret nvmlDeviceGetMarginTemperature(dev d, nvmlMarginTemperature_t *out) {
    ENTER(2.5);
    VERSIONED(out, nvmlMarginTemperature_v1);
    out->marginTemperature = 87 - temperature_c(d);
    return OK;
}
#endif

static unsigned long long reasons(dev d) {
    double share = load(d, now());
    if (share < 0.15) return nvmlClocksEventReasonGpuIdle;
    return share > 0.85 ? nvmlClocksEventReasonSwPowerCap : nvmlClocksEventReasonNone;
}
#ifndef OLD
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, 2.5, reasons(d))
#endif
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, 2.5, reasons(d))

/* clocks sink as the power limit nears; that of the memory sinks with idleness, by a step */
static ret a_clock(dev d, nvmlClockType_t kind, unsigned *out, double depth) {
    static const unsigned most[] = {1980, 1980, 2619, 1545};
    ENTER(2.5);
    if ((unsigned)kind > 3) return INVALID;
    double sunk = kind == NVML_CLOCK_MEM ? (load(d, now()) < 0.3 ? 0.39 : 0) : 0.25 * load(d, now());
    unsigned steps = (unsigned)(most[kind] * sunk * depth / 15);
    *out = most[kind] - 15 * steps;
    return OK;
}
ret nvmlDeviceGetClockInfo(dev d, nvmlClockType_t kind, unsigned *out) { return a_clock(d, kind, out, 1.0); }
ret nvmlDeviceGetMaxClockInfo(dev d, nvmlClockType_t kind, unsigned *out) { return a_clock(d, kind, out, 0.0); }

NUMBER(nvmlDeviceGetNumFans, unsigned, 2.5, 1)
ret nvmlDeviceGetFanSpeed_v2(dev d, unsigned fan, unsigned *out) {
    ENTER(137);
    if (fan) return INVALID;
    *out = 30 + percent(d, 0.5);
    return OK;
}
ret nvmlDeviceGetFanSpeed(dev d, unsigned *out) { return nvmlDeviceGetFanSpeed_v2(d, 0, out); }

/* the real call counts for 20 ms; the answer is in KB a second */
ret nvmlDeviceGetPcieThroughput(dev d, nvmlPcieUtilCounter_t counter, unsigned *out) {
    ENTER(20000);
    if (counter != NVML_PCIE_UTIL_TX_BYTES && counter != NVML_PCIE_UTIL_RX_BYTES) return INVALID;
    *out = (unsigned)(load(d, now()) * (counter == NVML_PCIE_UTIL_TX_BYTES ? 8e6 : 11e6));
    return OK;
}
NUMBER(nvmlDeviceGetPcieReplayCounter, unsigned, 2.5, 3)
