/* Who computes on a board: the same processes on each, one after the other. */
#include "stub.h"

#define MOST 32u
#define PERIOD_US 1000000ULL
#define DEPTH 100ULL

unsigned pids(unsigned *out, unsigned most) {
    const char *text = getenv("NVML_STUB_PIDS");
    unsigned n = 0;
    for (const char *at = text ? text : "1000,1001"; *at && n < most; at += strcspn(at, ","), at += *at == ',')
        out[n++] = (unsigned)atoi(at);
    return n;
}

static ret running(dev d, unsigned *n, nvmlProcessInfo_t *out) {
    unsigned found[MOST];
    ENTER(4500);
    unsigned room = *n;
    *n = pids(found, MOST);
    if (room < *n || (*n && !out)) return TOO_SMALL;
    for (unsigned i = 0; i < *n; i++)
        out[i] = (nvmlProcessInfo_t){
            .pid = found[i],
            .usedGpuMemory = used_mib(d) / *n * MIB,
            .gpuInstanceId = 0xFFFFFFFF, /* no MIG */
            .computeInstanceId = 0xFFFFFFFF,
        };
    return OK;
}
static ret nobody(dev d, unsigned *n) { ENTER(4500); *n = 0; return OK; }

ret nvmlDeviceGetComputeRunningProcesses_v3(dev d, unsigned *n, nvmlProcessInfo_t *out) { return running(d, n, out); }
ret nvmlDeviceGetGraphicsRunningProcesses_v3(dev d, unsigned *n, nvmlProcessInfo_t *out) { (void)out; return nobody(d, n); }
ret nvmlDeviceGetMPSComputeRunningProcesses_v3(dev d, unsigned *n, nvmlProcessInfo_t *out) { (void)out; return nobody(d, n); }

/* without this symbol nvitop takes the library for one of driver 535, whose process structs were larger */
ret nvmlDeviceGetRunningProcessDetailList(dev d, nvmlProcessDetailList_t *out) {
    unsigned found[MOST];
    ENTER(4500);
    VERSIONED(out, nvmlProcessDetailList_v1);
    int is_compute = out->mode == NVML_PROCESS_MODE_COMPUTE || out->mode == NVML_PROCESS_MODE_ALL;
    unsigned room = out->numProcArrayEntries, n = is_compute ? pids(found, MOST) : 0;
    out->numProcArrayEntries = n;
    if (room < n || (n && !out->procArray)) return TOO_SMALL;
    for (unsigned i = 0; i < n; i++)
        out->procArray[i] = (nvmlProcessDetail_v1_t){
            .pid = found[i],
            .usedGpuMemory = used_mib(d) / n * MIB,
            .gpuInstanceId = 0xFFFFFFFF,
            .computeInstanceId = 0xFFFFFFFF,
        };
    return OK;
}

/* what clients of before CUDA 11.6 ask: the struct is the same */
ret nvmlDeviceGetComputeRunningProcesses_v2(dev d, unsigned *n, nvmlProcessInfo_v2_t *out) { return running(d, n, out); }
ret nvmlDeviceGetGraphicsRunningProcesses_v2(dev d, unsigned *n, nvmlProcessInfo_v2_t *out) { (void)out; return nobody(d, n); }

/* a ring of one sample a second and process */
ret nvmlDeviceGetProcessUtilization(dev d, nvmlProcessUtilizationSample_t *out, unsigned *n, unsigned long long seen) {
    unsigned found[MOST];
    ENTER(2.5);
    unsigned people = pids(found, MOST);
    unsigned long long newest = (unsigned long long)(now() * 1e6) / PERIOD_US;
    unsigned long long first = seen / PERIOD_US + 1;
    if (first + DEPTH <= newest) first = newest - DEPTH + 1;
    if (!people || first > newest) return NONE;
    unsigned room = *n;
    *n = (unsigned)(newest - first + 1) * people;
    if (!out || room < *n) return TOO_SMALL;
    for (unsigned i = 0; i < *n; i++) {
        unsigned long long slot = first + i / people;
        unsigned share = (unsigned)(100 * load(d, (double)slot) / people);
        out[i] = (nvmlProcessUtilizationSample_t){
            .pid = found[i % people], .timeStamp = slot * PERIOD_US, .smUtil = share, .memUtil = share / 2,
        };
    }
    return OK;
}
