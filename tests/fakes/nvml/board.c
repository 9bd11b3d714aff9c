/* What a board is: its name, versions, modes, limits; nothing here moves. */
#include "stub.h"

ret nvmlDeviceGetName(dev d, char *out, unsigned size) {
    ENTER(0);
    return text(out, size, is_blackwell() ? "NVIDIA B200" : "NVIDIA H100 80GB HBM3");
}
ret nvmlDeviceGetSerial(dev d, char *out, unsigned size) {
    char own[NVML_DEVICE_SERIAL_BUFFER_SIZE];
    ENTER(0);
    snprintf(own, sizeof own, "16521230%05d", d->index);
    return text(out, size, own);
}
ret nvmlDeviceGetVbiosVersion(dev d, char *out, unsigned size) { ENTER(0); return text(out, size, "96.00.74.00.01"); }
ret nvmlDeviceGetInforomImageVersion(dev d, char *out, unsigned size) { ENTER(0); return text(out, size, "G520.0200.00.05"); }
ret nvmlDeviceGetBoardPartNumber(dev d, char *out, unsigned size) { ENTER(0); return text(out, size, "692-2G520-0200-000"); }
NUMBER(nvmlDeviceGetArchitecture, nvmlDeviceArchitecture_t, 0, is_blackwell() ? NVML_DEVICE_ARCH_BLACKWELL : NVML_DEVICE_ARCH_HOPPER)
NUMBER(nvmlDeviceGetBrand, nvmlBrandType_t, 0, NVML_BRAND_NVIDIA)
NUMBER(nvmlDeviceGetNumGpuCores, unsigned, 0, 16896)
NUMBER(nvmlDeviceGetMemoryBusWidth, unsigned, 0, 5120)
NUMBER(nvmlDeviceGetBoardId, unsigned, 0, 0x1b00 + d->index)
NUMBER(nvmlDeviceGetMultiGpuBoard, unsigned, 0, 0)
ret nvmlDeviceGetCudaComputeCapability(dev d, int *major, int *minor) {
    ENTER(0);
    *major = is_blackwell() ? 10 : 9;
    *minor = 0;
    return OK;
}

NUMBER(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, 2.5, NVML_FEATURE_ENABLED)
NUMBER(nvmlDeviceGetComputeMode, nvmlComputeMode_t, 2.5, NVML_COMPUTEMODE_DEFAULT)
NUMBER(nvmlDeviceGetDisplayActive, nvmlEnableState_t, 2.5, NVML_FEATURE_DISABLED)
NUMBER(nvmlDeviceGetDisplayMode, nvmlEnableState_t, 2.5, NVML_FEATURE_DISABLED)
NUMBER(nvmlDeviceGetPerformanceState, nvmlPstates_t, 2.5, NVML_PSTATE_0)
NUMBER(nvmlDeviceGetPowerState, nvmlPstates_t, 2.5, NVML_PSTATE_0)
ret nvmlDeviceGetEccMode(dev d, nvmlEnableState_t *current, nvmlEnableState_t *pending) {
    ENTER(2.5);
    *current = *pending = NVML_FEATURE_ENABLED;
    return OK;
}
ret nvmlDeviceGetMigMode(dev d, unsigned *current, unsigned *pending) {
    ENTER(2.5);
    *current = *pending = said("mig") == d->index ? NVML_DEVICE_MIG_ENABLE : NVML_DEVICE_MIG_DISABLE;
    return OK;
}
NUMBER(nvmlDeviceGetMaxMigDeviceCount, unsigned, 2.5, 7)
NUMBER(nvmlDeviceIsMigDeviceHandle, unsigned, 0, 0)
ret nvmlDeviceGetMigDeviceHandleByIndex(dev d, unsigned index, dev *out) {
    (void)out;
    ENTER(2.5);
    return index < 7 ? NONE : INVALID;
}
/* Windows' alone; nvitop prints a traceback where the symbol is absent */
ret nvmlDeviceGetDriverModel_v2(dev d, nvmlDriverModel_t *current, nvmlDriverModel_t *pending) {
    (void)current, (void)pending;
    ENTER(0);
    return UNSUPPORTED;
}
ret nvmlDeviceGetDriverModel(dev d, nvmlDriverModel_t *current, nvmlDriverModel_t *pending) {
    return nvmlDeviceGetDriverModel_v2(d, current, pending);
}

NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, 2.5, LIMIT_MW)
NUMBER(nvmlDeviceGetPowerManagementLimit, unsigned, 2.5, LIMIT_MW)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, 2.5, LIMIT_MW)
NUMBER(nvmlDeviceGetPowerManagementMode, nvmlEnableState_t, 2.5, NVML_FEATURE_ENABLED)
ret nvmlDeviceGetPowerManagementLimitConstraints(dev d, unsigned *low, unsigned *high) {
    ENTER(2.5);
    *low = 200000;
    *high = LIMIT_MW;
    return OK;
}
ret nvmlDeviceGetTemperatureThreshold(dev d, nvmlTemperatureThresholds_t kind, unsigned *out) {
    static const unsigned limits[] = {92, 89, 95, 87};
    ENTER(2.5);
    if ((unsigned)kind > 3) return UNSUPPORTED;
    *out = limits[kind];
    return OK;
}
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, 2.5, 5)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, 2.5, 5)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, 2.5, 16)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, unsigned, 2.5, 16)
ret nvmlDeviceGetSupportedClocksEventReasons(dev d, unsigned long long *out) { ENTER(2.5); *out = 0x1ff; return OK; }
