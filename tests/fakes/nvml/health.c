/* What wears out: ECC errors, remapped rows, retired pages. A healthy board corrects an error now and then. */
#include "stub.h"

#define CORRECTED_BEFORE 11u /* those before the driver was loaded; aggregate counts go on over that */
#define SECONDS_PER_ERROR 1e6

static unsigned long long corrected(dev d) { return (unsigned long long)(busy(d, now()) / SECONDS_PER_ERROR); }

static unsigned long long errors(dev d, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter) {
    if (type == NVML_MEMORY_ERROR_TYPE_UNCORRECTED) return 0;
    return corrected(d) + (counter == NVML_AGGREGATE_ECC ? CORRECTED_BEFORE : 0);
}
ret nvmlDeviceGetTotalEccErrors(dev d, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter, unsigned long long *out) {
    ENTER(2.5);
    *out = errors(d, type, counter);
    return OK;
}
/* all of them in device memory: SRAM has none, and boards of this age do not tell other places apart */
ret nvmlDeviceGetMemoryErrorCounter(dev d, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter,
                                    nvmlMemoryLocation_t place, unsigned long long *out) {
    ENTER(2.5);
    if (place != NVML_MEMORY_LOCATION_DRAM && place != NVML_MEMORY_LOCATION_SRAM) return UNSUPPORTED;
    *out = place == NVML_MEMORY_LOCATION_DRAM ? errors(d, type, counter) : 0;
    return OK;
}
ret nvmlDeviceGetSramEccErrorStatus(dev d, nvmlEccSramErrorStatus_t *out) {
    ENTER(2.5);
    VERSIONED(out, nvmlEccSramErrorStatus_v1);
    unsigned version = out->version;
    memset(out, 0, sizeof *out);
    out->version = version;
    return OK;
}

ret nvmlDeviceGetRemappedRows(dev d, unsigned *corrected_rows, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    ENTER(2.5);
    *corrected_rows = *uncorrected = *pending = *failed = 0;
    return OK;
}
ret nvmlDeviceGetRowRemapperHistogram(dev d, nvmlRowRemapperHistogramValues_t *out) {
    ENTER(2.5);
    *out = (nvmlRowRemapperHistogramValues_t){.max = 640};
    return OK;
}
/* pages are retired on boards without row remapping only */
ret nvmlDeviceGetRetiredPages(dev d, nvmlPageRetirementCause_t cause, unsigned *n, unsigned long long *out) {
    (void)cause, (void)n, (void)out;
    ENTER(2.5);
    return UNSUPPORTED;
}
ret nvmlDeviceGetRetiredPagesPendingStatus(dev d, nvmlEnableState_t *out) { (void)out; ENTER(2.5); return UNSUPPORTED; }
