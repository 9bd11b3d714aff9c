/* A small libnvidia-ml.so.1 for what a Python fake cannot do: calls that hang for ever or crash inside the library,
 * the GIL released for real, symbols that are not there. Built at test time; the few prototypes that pynvml calls are
 * declared here, after the names and shapes in nvidia-ml-py's own bindings. Values are plausible and move with time.
 *
 * NVML_STUB_GPUS     number of GPUs (8)
 * NVML_STUB_SCRIPT   file with one fault a line: "hang 2", "hang all", "lost 3", "reset 1", "crash 4", "unloaded",
 *                    "code 18", "code 4 2" (return code 4 for GPU 2), "gone 1", "new", "reversed" (order of indices), "mig 1", "lock"
 * NVML_STUB_LATENCY  "real": utilization 2.5 us, memory 12 us, fan 137 us, processes 4.5 ms (a laptop's figures)
 * -DNO_GPM, -DOLD    build without GPM, or without the symbols that drivers before 12.8 lack
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef int ret;
typedef struct gpu { int index; } *dev;
enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, TOO_SMALL = 7, UNLOADED = 9, LOST = 15, RESET = 16 };
#define MAX 64
static struct gpu gpus[MAX + 1];
static const unsigned long long MIB = 1ULL << 20;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int count(void) {
    const char *text = getenv("NVML_STUB_GPUS");
    int n = text ? atoi(text) : 8;
    return n < 0 ? 0 : n > MAX ? MAX : n;
}

/* busy waiting below a millisecond: sleeping is not that exact */
static void take(double us) {
    static int is_real = -1;
    if (is_real < 0) {
        const char *text = getenv("NVML_STUB_LATENCY");
        is_real = text && !strcmp(text, "real");
    }
    if (!is_real) return;
    if (us >= 1000) { usleep((useconds_t)us); return; }
    double end = now() + us * 1e-6;
    while (now() < end) {}
}

/* what the script says about a GPU (-1: the driver as a whole) */
static char text_of_script[4096];
static ret fault(int index) {
    char *text = text_of_script;
    static time_t read_s;
    static long read_ns;
    const char *path = getenv("NVML_STUB_SCRIPT");
    struct stat about;
    if (!path || stat(path, &about)) return OK;
    if (about.st_mtim.tv_sec != read_s || about.st_mtim.tv_nsec != read_ns) {
        FILE *file = fopen(path, "r");
        if (!file) return OK;
        size_t n = fread(text, 1, sizeof text_of_script - 1, file);
        text[n] = 0;
        fclose(file);
        read_s = about.st_mtim.tv_sec;
        read_ns = about.st_mtim.tv_nsec;
    }
    if (!text[0]) return OK;
    char copy[sizeof text_of_script], *rest = copy, *line;
    memcpy(copy, text, sizeof copy);
    while ((line = strsep(&rest, "\n"))) {
        char word[16] = "", place[16] = "", gpu[16] = "";
        if (sscanf(line, "%15s %15s %15s", word, place, gpu) < 1) continue;
        if (!strcmp(word, "unloaded")) return UNLOADED;
        if (!strcmp(word, "code") && (!gpu[0] || (index >= 0 && atoi(gpu) == index))) return atoi(place);
        if (!strcmp(word, "lock")) for (;;) pause();
        if (index < 0 || (strcmp(place, "all") && atoi(place) != index)) continue;
        if (!strcmp(word, "hang")) for (;;) pause();
        if (!strcmp(word, "crash")) *(volatile int *)0 = 1;
        if (!strcmp(word, "lost") || !strcmp(word, "gone")) return LOST;
        if (!strcmp(word, "reset")) return RESET;
    }
    return OK;
}

/* the GPU of a line "WORD GPU", -2 where the word stands alone, -1 where the script does not have it */
static int said(const char *word) {
    char copy[sizeof text_of_script], *rest = copy, *line, first[16];
    memcpy(copy, text_of_script, sizeof copy);
    while ((line = strsep(&rest, "\n"))) {
        int gpu = -2;
        if (sscanf(line, "%15s %d", first, &gpu) >= 1 && !strcmp(first, word)) return gpu;
    }
    return -1;
}
static int listed(void) { return count() + (said("new") != -1) - (said("gone") != -1); }
/* which GPU has an index today */
static int at(int index) {
    if (said("reversed") != -1) index = listed() - 1 - index;
    int gone = said("gone");
    return gone != -1 && index >= gone ? index + 1 : index;
}

#define ENTER(us) do { ret code = fault(d->index); if (code) return code; take(us); } while (0)
#define NUMBER(name, type, us, value) ret name(dev d, type *out) { ENTER(us); *out = (type)(value); return OK; }

ret nvmlInitWithFlags(unsigned flags) { (void)flags; return fault(-1); }
ret nvmlShutdown(void) { /* leaves a trace, so that a test can tell an orderly end from a kill */
    const char *path = getenv("NVML_STUB_SCRIPT");
    char name[4096];
    if (!path) return OK;
    snprintf(name, sizeof name, "%s.shutdown", path);
    FILE *file = fopen(name, "a");
    if (file) { fprintf(file, "%d\n", (int)getpid()); fclose(file); }
    return OK;
}
const char *nvmlErrorString(ret code) {
    switch (code) {
    case UNSUPPORTED: return "Not Supported";
    case LOST: return "GPU is lost";
    case RESET: return "GPU requires reset";
    case UNLOADED: return "Driver Not Loaded";
    default: return "Unknown Error";
    }
}
static ret text(char *out, unsigned size, const char *value) { snprintf(out, size, "%s", value); return OK; }
ret nvmlSystemGetDriverVersion(char *out, unsigned size) { return text(out, size, "580.65.06"); }
ret nvmlSystemGetNVMLVersion(char *out, unsigned size) { return text(out, size, "13.580.65.06"); }
ret nvmlSystemGetCudaDriverVersion(int *out) { *out = 13000; return OK; }
ret nvmlDeviceGetCount_v2(unsigned *out) { ret code = fault(-1); *out = (unsigned)listed(); return code; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned index, dev *out) {
    fault(-1); /* for the newest script */
    if ((int)index >= listed()) return INVALID;
    int gpu = at((int)index);
    gpus[gpu].index = gpu;
    *out = &gpus[gpu];
    dev d = *out;
    ENTER(0);
    return OK;
}

ret nvmlDeviceGetName(dev d, char *out, unsigned size) { ENTER(0); return text(out, size, "NVIDIA H100 80GB HBM3"); }
ret nvmlDeviceGetUUID(dev d, char *out, unsigned size) {
    ENTER(0);
    snprintf(out, size, "GPU-%08x-0000-4000-8000-%012x", d->index, d->index);
    return OK;
}
struct pci { char old[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; };
ret nvmlDeviceGetPciInfo_v3(dev d, struct pci *out) {
    ENTER(0);
    memset(out, 0, sizeof *out);
    out->bus = 0x1b + (unsigned)d->index;
    return OK;
}
NUMBER(nvmlDeviceGetArchitecture, unsigned, 0, 9)

struct rates { unsigned gpu, memory; };
ret nvmlDeviceGetUtilizationRates(dev d, struct rates *out) {
    ENTER(2.5);
    if (said("mig") == d->index) return UNSUPPORTED;
    out->gpu = 40 + (unsigned)((long)now() % 40);
    out->memory = out->gpu / 2;
    return OK;
}
static ret engine(dev d, unsigned *out, unsigned *period, unsigned value) {
    ENTER(2.5);
    *out = value;
    *period = 167000;
    return OK;
}
ret nvmlDeviceGetEncoderUtilization(dev d, unsigned *out, unsigned *period) { return engine(d, out, period, 7); }
ret nvmlDeviceGetDecoderUtilization(dev d, unsigned *out, unsigned *period) { return engine(d, out, period, 3); }

ret nvmlDeviceGetMigMode(dev d, unsigned *current, unsigned *pending) {
    ENTER(2.5);
    *current = *pending = said("mig") == d->index;
    return OK;
}
struct memory { unsigned long long total, free, used; };
struct memory2 { unsigned version; unsigned long long total, reserved, free, used; };
ret nvmlDeviceGetMemoryInfo(dev d, struct memory *out) {
    ENTER(12);
    *out = (struct memory){81559 * MIB, 50559 * MIB, 31000 * MIB};
    return OK;
}
ret nvmlDeviceGetMemoryInfo_v2(dev d, struct memory2 *out) {
    ENTER(12);
    unsigned version = out->version;
    unsigned long long used = (30000 + (unsigned long long)now() % 500) * MIB;
    *out = (struct memory2){version, 81559 * MIB, 551 * MIB, 81008 * MIB - used, used};
    return OK;
}
NUMBER(nvmlDeviceGetPowerUsage, unsigned, 2.5, 350000 + (long)now() % 60 * 1000)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, 2.5, 700000)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, 2.5, 700000)
ret nvmlDeviceGetPowerManagementLimitConstraints(dev d, unsigned *low, unsigned *high) {
    ENTER(2.5);
    *low = 200000;
    *high = 700000;
    return OK;
}
ret nvmlDeviceGetTemperature(dev d, unsigned sensor, unsigned *out) { (void)sensor; ENTER(2.5); *out = 55; return OK; }
#ifndef OLD
struct temperature { unsigned version, sensor; int value; };
ret nvmlDeviceGetTemperatureV(dev d, struct temperature *out) {
    ENTER(2.5);
    out->value = 50 + (int)((long)now() % 15);
    return OK;
}
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, 2.5, (long)now() % 2 ? 4 : 0)
#endif
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, 2.5, 0)
ret nvmlDeviceGetTemperatureThreshold(dev d, unsigned kind, unsigned *out) {
    static const unsigned limits[] = {92, 89, 95, 87};
    ENTER(2.5);
    if (kind > 3) return UNSUPPORTED;
    *out = limits[kind];
    return OK;
}
static ret a_clock(dev d, unsigned kind, unsigned *out, unsigned less) {
    static const unsigned most[] = {1980, 1980, 2619, 1545};
    ENTER(2.5);
    if (kind > 3) return UNSUPPORTED;
    *out = most[kind] - less;
    return OK;
}
ret nvmlDeviceGetClockInfo(dev d, unsigned kind, unsigned *out) { return a_clock(d, kind, out, (unsigned)now() % 90); }
ret nvmlDeviceGetMaxClockInfo(dev d, unsigned kind, unsigned *out) { return a_clock(d, kind, out, 0); }
NUMBER(nvmlDeviceGetNumFans, unsigned, 2.5, 1)
ret nvmlDeviceGetFanSpeed_v2(dev d, unsigned fan, unsigned *out) { (void)fan; ENTER(137); *out = 40; return OK; }
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, 2.5, 5)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, 2.5, 5)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, 2.5, 16)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, unsigned, 2.5, 16)
ret nvmlDeviceGetRemappedRows(dev d, unsigned *a, unsigned *b, unsigned *c, unsigned *e) {
    ENTER(2.5);
    *a = *b = *c = *e = 0;
    return OK;
}
struct process { unsigned pid; unsigned long long memory; unsigned gi, ci; };
ret nvmlDeviceGetComputeRunningProcesses_v3(dev d, unsigned *n, struct process *out) {
    ENTER(4500);
    unsigned room = *n;
    *n = 2;
    if (room < 2) return TOO_SMALL;
    out[0] = (struct process){1000, 20 * MIB, 0, 0};
    out[1] = (struct process){1001, 30 * MIB, 0, 0};
    return OK;
}
struct field { unsigned id, scope; long long time, latency; unsigned type; ret code; union { double d; unsigned long long u; } value; };
ret nvmlDeviceGetFieldValues(dev d, int n, struct field *out) {
    ENTER(20);
    double seconds = now() - 1.7e9;
    for (int i = 0; i < n; i++) {
        out[i].code = OK;
        out[i].type = 3;
        switch (out[i].id) {
        case 82: out[i].value.u = 62; break;
        case 83: out[i].value.u = (unsigned long long)(seconds * 350e3); break;
        case 91: out[i].value.u = 18; break; /* NVLinks */
        case 164: out[i].value.u = 26562; break;
        case 165: out[i].value.u = 1; break;
        case 186: out[i].value.u = 360000; break;
        case 3: case 4: case 5: case 6: case 94: case 95: case 161: case 162: case 163: case 230:
            out[i].value.u = 0;
            break;
        case 74: case 76: case 77: case 138: case 139: case 197: case 198: case 269: case 270: case 271:
            out[i].value.u = (unsigned long long)(seconds * 1e6);
            break;
        default: out[i].code = UNSUPPORTED;
        }
    }
    return OK;
}
#ifndef NO_GPM
struct support { unsigned version, is_supported; };
ret nvmlGpmQueryDeviceSupport(dev d, struct support *out) { ENTER(0); out->is_supported = 1; return OK; }
ret nvmlGpmSampleAlloc(void **out) { *out = malloc(8); return *out ? OK : TOO_SMALL; }
ret nvmlGpmSampleFree(void *sample) { free(sample); return OK; }
ret nvmlGpmSampleGet(dev d, void *sample) { ENTER(30); *(double *)sample = now(); return OK; }
struct metric { unsigned id; ret code; double value; char *names[3]; };
struct question { unsigned version, n; void *first, *second; struct metric metrics[]; };
ret nvmlGpmMetricsGet(struct question *q) {
    take(5);
    for (unsigned i = 0; i < q->n; i++) {
        q->metrics[i].code = OK;
        q->metrics[i].value = 10.0 * q->metrics[i].id + (long)now() % 10;
        if (q->metrics[i].value > 100) q->metrics[i].value = 100;
    }
    return OK;
}
#endif
