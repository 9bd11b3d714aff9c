/* The session, its versions, and handles. */
#include "stub.h"

#include <stdatomic.h>
#include <unistd.h>

static struct nvmlDevice_st gpus[MAX + 1]; /* and the one that "new" adds */
static atomic_int sessions;

int is_open(void) { return sessions > 0; }
int is_known(dev d) { return d >= gpus && d < gpus + count() + 1 && d->index == (int)(d - gpus); }
dev gpu(int index) {
    gpus[index].index = index;
    return &gpus[index];
}

ret text(char *out, unsigned size, const char *value) {
    if (!out) return INVALID;
    return (unsigned)snprintf(out, size, "%s", value) < size ? OK : TOO_SMALL;
}

static ret open_session(void) {
    ret code = fault(-1);
    if (!code) sessions++;
    return code;
}
ret nvmlInitWithFlags(unsigned flags) { (void)flags; return open_session(); }
ret nvmlInit_v2(void) { return open_session(); }
ret nvmlInit(void) { return open_session(); }
ret nvmlShutdown(void) { /* leaves a trace, so that a test can tell an orderly end from a kill */
    if (!is_open()) return NVML_ERROR_UNINITIALIZED;
    sessions--;
    const char *path = getenv("NVML_STUB_SCRIPT");
    char name[4096];
    if (!path) return OK;
    snprintf(name, sizeof name, "%s.shutdown", path);
    FILE *file = fopen(name, "a");
    if (!file) return OK;
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    return OK;
}

const char *nvmlErrorString(ret code) {
    switch (code) {
    case NVML_SUCCESS: return "The operation was successful";
    case NVML_ERROR_UNINITIALIZED: return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT: return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
    case NVML_ERROR_NOT_FOUND: return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE: return "Insufficient Size";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_ERROR_TIMEOUT: return "Timeout";
    case NVML_ERROR_GPU_IS_LOST: return "GPU is lost";
    case NVML_ERROR_RESET_REQUIRED: return "GPU requires reset";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH: return "Argument version mismatch";
    default: return "Unknown Error";
    }
}

ret nvmlSystemGetDriverVersion(char *out, unsigned size) { return text(out, size, "580.65.06"); }
ret nvmlSystemGetNVMLVersion(char *out, unsigned size) { return text(out, size, "13.580.65.06"); }
ret nvmlSystemGetCudaDriverVersion(int *out) { *out = 13000; return OK; }
ret nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = 13000; return OK; }

ret nvmlDeviceGetCount_v2(unsigned *out) {
    if (!is_open()) return NVML_ERROR_UNINITIALIZED;
    ret code = fault(-1);
    *out = (unsigned)listed();
    return code;
}
ret nvmlDeviceGetCount(unsigned *out) { return nvmlDeviceGetCount_v2(out); }

ret nvmlDeviceGetHandleByIndex_v2(unsigned index, dev *out) {
    if (!is_open()) return NVML_ERROR_UNINITIALIZED;
    fault(-1); /* for the newest script */
    if (index >= (unsigned)listed()) return INVALID;
    *out = gpu(at((int)index));
    return enter(*out, 0, __func__);
}
ret nvmlDeviceGetHandleByIndex(unsigned index, dev *out) { return nvmlDeviceGetHandleByIndex_v2(index, out); }

static void uuid_of(dev d, char out[NVML_DEVICE_UUID_V2_BUFFER_SIZE]) {
    snprintf(out, NVML_DEVICE_UUID_V2_BUFFER_SIZE, "GPU-%08x-0000-4000-8000-%012x", d->index, d->index);
}
static void bus_id_of(dev d, char out[NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE]) {
    snprintf(out, NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE, "00000000:%02X:00.0", 0x1b + d->index);
}

ret nvmlDeviceGetHandleByUUID(const char *uuid, dev *out) {
    char own[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    for (int index = 0; index < count(); index++) {
        uuid_of(gpu(index), own);
        if (!strcmp(own, uuid)) return nvmlDeviceGetHandleByIndex_v2((unsigned)index, out);
    }
    return NONE;
}
ret nvmlDeviceGetHandleByPciBusId_v2(const char *address, dev *out) {
    unsigned domain, bus, slot;
    if (sscanf(address, "%x:%x:%x", &domain, &bus, &slot) != 3) return INVALID;
    int index = (int)bus - 0x1b;
    return domain || slot || index < 0 || index >= count() ? NONE : nvmlDeviceGetHandleByIndex_v2((unsigned)index, out);
}
ret nvmlDeviceGetHandleByPciBusId(const char *address, dev *out) { return nvmlDeviceGetHandleByPciBusId_v2(address, out); }

NUMBER(nvmlDeviceGetIndex, unsigned, 0, d->index)
NUMBER(nvmlDeviceGetMinorNumber, unsigned, 0, d->index)
ret nvmlDeviceGetUUID(dev d, char *out, unsigned size) {
    char own[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    ENTER(0);
    uuid_of(d, own);
    return text(out, size, own);
}
ret nvmlDeviceGetPciInfo_v3(dev d, nvmlPciInfo_t *out) {
    ENTER(0);
    memset(out, 0, sizeof *out);
    out->bus = 0x1b + (unsigned)d->index;
    out->pciDeviceId = is_blackwell() ? 0x290110de : 0x233010de;
    out->pciSubSystemId = 0x16c110de;
    bus_id_of(d, out->busId);
    snprintf(out->busIdLegacy, sizeof out->busIdLegacy, "0000:%02X:00.0", out->bus);
    return OK;
}
ret nvmlDeviceGetPciInfo_v2(dev d, nvmlPciInfo_t *out) { return nvmlDeviceGetPciInfo_v3(d, out); }
ret nvmlDeviceGetPciInfo(dev d, nvmlPciInfo_t *out) { return nvmlDeviceGetPciInfo_v3(d, out); }
