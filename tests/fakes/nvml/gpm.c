/* GPM: means between two samples. Engines and links that a board does not have are not supported, metric by metric. */
#include "stub.h"

#ifndef NO_GPM
struct nvmlGpmSample_st { dev d; double seconds; };

struct between { dev d; double from, to; };

#define SM_HERTZ (1.755e9 * 132)
#define DECODERS 7u
#define JPEGS 7u

static double mean_load(const struct between *b) { return (busy(b->d, b->to) - busy(b->d, b->from)) / (b->to - b->from); }
static double mib_per_second(const struct between *b, unsigned link, double rate) {
    double bytes = link_bytes(b->d, link, rate, b->to) - link_bytes(b->d, link, rate, b->from);
    return bytes / (b->to - b->from) / (double)MIB;
}
static double all_links(const struct between *b, double rate) {
    double sum = 0;
    for (unsigned link = 0; link < LINKS; link++) sum += mib_per_second(b, link, rate);
    return sum;
}

/* share of the load that an engine or pipe has, in percent; 0: not one of these */
static double share_of(unsigned id) {
    switch (id) {
    case NVML_GPM_METRIC_GRAPHICS_UTIL: return 100;
    case NVML_GPM_METRIC_SM_UTIL: return 92;
    case NVML_GPM_METRIC_SM_OCCUPANCY: return 38;
    case NVML_GPM_METRIC_INTEGER_UTIL: return 14;
    case NVML_GPM_METRIC_ANY_TENSOR_UTIL: return 47;
    case NVML_GPM_METRIC_DFMA_TENSOR_UTIL: return 2;
    case NVML_GPM_METRIC_HMMA_TENSOR_UTIL: return 41;
    case NVML_GPM_METRIC_IMMA_TENSOR_UTIL: return 3;
    case NVML_GPM_METRIC_DRAM_BW_UTIL: return 55;
    case NVML_GPM_METRIC_FP64_UTIL: return 1.5;
    case NVML_GPM_METRIC_FP32_UTIL: return 22;
    case NVML_GPM_METRIC_FP16_UTIL: return 6;
    case NVML_GPM_METRIC_HOSTMEM_CACHE_HIT: return 60;
    case NVML_GPM_METRIC_PEERMEM_CACHE_HIT: return 45;
    case NVML_GPM_METRIC_DRAM_CACHE_HIT: return 70;
    case NVML_GPM_METRIC_HOSTMEM_CACHE_MISS: return 40;
    case NVML_GPM_METRIC_PEERMEM_CACHE_MISS: return 55;
    case NVML_GPM_METRIC_DRAM_CACHE_MISS: return 30;
    default: break;
    }
    if (id - NVML_GPM_METRIC_NVDEC_0_UTIL < DECODERS) return 30 - 2.0 * (id - NVML_GPM_METRIC_NVDEC_0_UTIL);
    if (id - NVML_GPM_METRIC_NVJPG_0_UTIL < JPEGS) return 20 - 2.0 * (id - NVML_GPM_METRIC_NVJPG_0_UTIL);
    return id == NVML_GPM_METRIC_NVOFA_0_UTIL ? 10 : 0;
}

/* share of all SM cycles since reboot; 0: not one of these */
static double cycles_of(unsigned id) {
    switch (id) {
    case NVML_GPM_METRIC_SM_CYCLES_ACTIVE: return 0.92;
    case NVML_GPM_METRIC_MMA_CYCLES_ACTIVE: return 0.47;
    case NVML_GPM_METRIC_DMMA_CYCLES_ACTIVE: return 0.01;
    case NVML_GPM_METRIC_HMMA_CYCLES_ACTIVE: return 0.41;
    case NVML_GPM_METRIC_IMMA_CYCLES_ACTIVE: return 0.03;
    case NVML_GPM_METRIC_DFMA_CYCLES_ACTIVE: return 0.02;
    case NVML_GPM_METRIC_INTEGER_CYCLES_ACTIVE: return 0.14;
    case NVML_GPM_METRIC_FP64_CYCLES_ACTIVE: return 0.015;
    case NVML_GPM_METRIC_FP32_CYCLES_ACTIVE: return 0.22;
    case NVML_GPM_METRIC_FP16_CYCLES_ACTIVE: return 0.06;
    default: return 0;
    }
}

static ret links(const struct between *b, unsigned id, double *out) {
    unsigned rates = id - NVML_GPM_METRIC_NVLINK_L0_RX_PER_SEC; /* of each link first what it received */
    unsigned totals = id - NVML_GPM_METRIC_NVLINK_L0_RX;
    if (rates < 2 * LINKS) *out = mib_per_second(b, rates / 2, rates % 2 ? TX_RATE : RX_RATE);
    else if (totals < 2 * LINKS) *out = link_bytes(b->d, totals / 2, totals % 2 ? TX_RATE : RX_RATE, b->to);
    else return UNSUPPORTED;
    return OK;
}

static ret one(const struct between *b, unsigned id, double *out) {
    double share = share_of(id), cycles = cycles_of(id), mib = (double)MIB;
    switch (id) {
    case NVML_GPM_METRIC_DMMA_TENSOR_UTIL: return OK; /* as driver 580 on an H100: 0, success, and no name */
    case NVML_GPM_METRIC_PCIE_TX_PER_SEC: *out = mean_load(b) * 8e9 / mib; return OK;
    case NVML_GPM_METRIC_PCIE_RX_PER_SEC: *out = mean_load(b) * 11e9 / mib; return OK;
    case NVML_GPM_METRIC_PCIE_TX: *out = busy(b->d, b->to) * 8e9; return OK;
    case NVML_GPM_METRIC_PCIE_RX: *out = busy(b->d, b->to) * 11e9; return OK;
    case NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC: *out = all_links(b, TX_RATE); return OK;
    case NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC: *out = all_links(b, RX_RATE); return OK;
    case NVML_GPM_METRIC_SM_CYCLES_ELAPSED: *out = since_load(b->to) * SM_HERTZ; return OK;
    default: break;
    }
    if (share) { *out = share * mean_load(b); return OK; }
    if (cycles) { *out = cycles * SM_HERTZ * busy(b->d, b->to); return OK; }
    return links(b, id, out);
}

ret nvmlGpmQueryDeviceSupport(dev d, nvmlGpmSupport_t *out) {
    ENTER(0);
    VERSIONED(out, NVML_GPM_SUPPORT_VERSION);
    out->isSupportedDevice = 1;
    return OK;
}
ret nvmlGpmSampleAlloc(nvmlGpmSample_t *out) { *out = calloc(1, sizeof **out); return *out ? OK : NVML_ERROR_MEMORY; }
ret nvmlGpmSampleFree(nvmlGpmSample_t sample) { free(sample); return OK; }
ret nvmlGpmSampleGet(dev d, nvmlGpmSample_t sample) {
    ENTER(30);
    *sample = (struct nvmlGpmSample_st){d, now()};
    return OK;
}
ret nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *q) {
    VERSIONED(q, NVML_GPM_METRICS_GET_VERSION);
    if (q->numMetrics > NVML_GPM_METRIC_MAX || !q->sample1 || q->sample1->d != q->sample2->d) return INVALID;
    take(5, __func__);
    struct between b = {q->sample1->d, q->sample1->seconds, q->sample2->seconds};
    if (b.to <= b.from) b.from = b.to - 1; /* a clock that stands still: what it was like until now */
    static unsigned char asked[MAX]; /* whether this process asked a GPU for its memory's bandwidth before */
    for (unsigned i = 0; i < q->numMetrics; i++) {
        unsigned char *before = &asked[b.d->index];
        spend(measured_gpm_us(q->metrics[i].metricId, !*before));
        if (q->metrics[i].metricId == NVML_GPM_METRIC_DRAM_BW_UTIL) *before = 1;
        q->metrics[i].value = 0;
        q->metrics[i].nvmlReturn = one(&b, q->metrics[i].metricId, &q->metrics[i].value);
        int is_known = !q->metrics[i].nvmlReturn && q->metrics[i].metricId != NVML_GPM_METRIC_DMMA_TENSOR_UTIL;
        q->metrics[i].metricInfo.shortName = is_known ? (char *)"known" : NULL;
    }
    return OK;
}
#endif
