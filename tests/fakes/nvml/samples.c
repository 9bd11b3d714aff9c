/* nvmlDeviceGetSamples: the driver's rings, of its own rate and depth. As the real one's, the last sample seen is given
 * again, and every seventh stands before its predecessor. A sample is the mean over the period that ends at its stamp. */
#include "stub.h"

/* as recorded on an H100 and an H200, driver 580.159 */
#define POWER_DEPTH 119ULL
#define BUSY_DEPTH 71ULL

struct ring { unsigned long long period_us; double share; };

static struct ring ring_of(nvmlSamplingType_t type) {
    switch (type) {
    case NVML_TOTAL_POWER_SAMPLES: return (struct ring){20000, 0};
    case NVML_GPU_UTILIZATION_SAMPLES: return (struct ring){200000, 100};
    case NVML_MEMORY_UTILIZATION_SAMPLES: return (struct ring){200000, 50};
    case NVML_ENC_UTILIZATION_SAMPLES: return (struct ring){200000, 12};
    case NVML_DEC_UTILIZATION_SAMPLES: return (struct ring){200000, 30};
    case NVML_JPG_UTILIZATION_SAMPLES: return (struct ring){200000, 20};
    case NVML_OFA_UTILIZATION_SAMPLES: return (struct ring){200000, 10};
    default: return (struct ring){0, 0};
    }
}

static unsigned value_at(dev d, struct ring ring, unsigned long long slot) {
    double end = (double)(slot * ring.period_us) * 1e-6, period = (double)ring.period_us * 1e-6;
    if (!ring.share) return (unsigned)((energy_mj(d, end) - energy_mj(d, end - period)) / period);
    return (unsigned)(ring.share * (busy(d, end) - busy(d, end - period)) / period + 0.5);
}

static void put_in_the_wrong_order(nvmlSample_t *samples, unsigned n, unsigned long long first) {
    for (unsigned i = 1; i < n; i++) {
        if ((first + i) % 7) continue;
        nvmlSample_t later = samples[i];
        samples[i] = samples[i - 1];
        samples[i - 1] = later;
    }
}

ret nvmlDeviceGetSamples(dev d, nvmlSamplingType_t type, unsigned long long seen, nvmlValueType_t *value_type,
                         unsigned *n, nvmlSample_t *out) {
    ENTER(2.5);
    struct ring ring = ring_of(type);
    if (!ring.period_us) return UNSUPPORTED;
    if (ring.share) spend(measured_busy_ring_us());
    *value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
    unsigned long long depth = ring.share ? BUSY_DEPTH : POWER_DEPTH;
    if (!out) { *n = (unsigned)depth + 1; return OK; }
    unsigned long long newest = (unsigned long long)(now() * 1e6) / ring.period_us;
    unsigned long long oldest = newest - depth + 1, first = seen / ring.period_us + 1;
    if (first > newest) return NONE;
    if (first > oldest) first--; /* again */
    if (first < oldest) first = oldest;
    if (*n < newest - first + 1) return TOO_SMALL;
    *n = (unsigned)(newest - first + 1);
    for (unsigned i = 0; i < *n; i++) {
        out[i].timeStamp = (first + i) * ring.period_us;
        out[i].sampleValue.uiVal = value_at(d, ring, first + i);
    }
    put_in_the_wrong_order(out, *n, first);
    return OK;
}
