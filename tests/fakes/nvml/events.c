/* Event sets. The script announces: "xid 79 3 once" is XID 79 of GPU 3, each distinct line one time. As on Linux, what
 * stood there before a GPU was registered is lost. */
#include "stub.h"

#include <poll.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 50
#define REMEMBERED 256

struct nvmlEventSet_st {
    unsigned long long mask[MAX + 1];
    unsigned long long told[REMEMBERED]; /* lines, by their hash */
    unsigned tellings;
    int watch; /* of the folder of the script; -1 where the kernel gives none */
};

static unsigned long long hash(const char *line) {
    unsigned long long h = 14695981039346656037ULL; /* FNV-1a */
    for (; *line; line++) h = (h ^ (unsigned char)*line) * 1099511628211ULL;
    return h;
}

/* whether the line is new, which it is once */
static int is_news(nvmlEventSet_t set, const char *line) {
    unsigned long long h = hash(line);
    for (unsigned i = 0; i < REMEMBERED && i < set->tellings; i++)
        if (set->told[i] == h) return 0;
    set->told[set->tellings++ % REMEMBERED] = h;
    return 1;
}

/* the next new line about a registered GPU, or about one alone (the others keep theirs) */
static int next_event(nvmlEventSet_t set, int only, int *index, unsigned *xid) {
    const char *path = getenv("NVML_STUB_SCRIPT");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[128];
    int is_found = 0;
    while (file && !is_found && fgets(line, sizeof line, file)) {
        if (sscanf(line, "xid %u %d", xid, index) != 2 || *index < 0 || *index >= count()) continue;
        if (only >= 0 ? *index != only : !(set->mask[*index] & nvmlEventTypeXidCriticalError)) continue;
        is_found = is_news(set, line);
    }
    if (file) fclose(file);
    return is_found;
}

static int watch(const char *path) {
    char folder[4096];
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!slash || slash - path >= (long)sizeof folder) return -1;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = 0;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 && inotify_add_watch(fd, folder, IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* sleeps in the kernel until something may have happened, as the driver's own does; where that cannot be, it looks again
 * and again */
static void rest(nvmlEventSet_t set, double seconds) {
    int ms = (int)(seconds * 1e3) + 1;
    struct pollfd one = {.fd = set->watch, .events = POLLIN};
    char drained[4096];
    if (poll(&one, 1, set->watch < 0 && ms > POLL_MS ? POLL_MS : ms) == 1)
        while (read(set->watch, drained, sizeof drained) > 0) {}
}

ret nvmlEventSetCreate(nvmlEventSet_t *out) {
    *out = calloc(1, sizeof **out);
    if (*out) (*out)->watch = watch(getenv("NVML_STUB_SCRIPT"));
    return *out ? OK : NVML_ERROR_MEMORY;
}
ret nvmlEventSetFree(nvmlEventSet_t set) {
    if (set->watch >= 0) close(set->watch);
    free(set);
    return OK;
}
NUMBER(nvmlDeviceGetSupportedEventTypes, unsigned long long, 2.5, nvmlEventTypeAll)

ret nvmlDeviceRegisterEvents(dev d, unsigned long long types, nvmlEventSet_t set) {
    int index;
    unsigned xid;
    ENTER(2.5);
    if (types & ~(unsigned long long)nvmlEventTypeAll) return UNSUPPORTED;
    while (next_event(set, d->index, &index, &xid)) {}
    set->mask[d->index] |= types;
    return OK;
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

ret nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *out, unsigned milliseconds) {
    double end = seconds() + milliseconds * 1e-3;
    for (;;) {
        int index;
        unsigned xid;
        ret code = fault(-1);
        if (code) return code;
        if (next_event(set, -1, &index, &xid)) {
            *out = (nvmlEventData_t){
                .device = gpu(index), .eventType = nvmlEventTypeXidCriticalError, .eventData = xid,
                .gpuInstanceId = 0xFFFFFFFF, .computeInstanceId = 0xFFFFFFFF,
            };
            return OK;
        }
        double left = end - seconds();
        if (left <= 0) return NVML_ERROR_TIMEOUT;
        rest(set, left);
    }
}
ret nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_t *out, unsigned ms) { return nvmlEventSetWait_v2(set, out, ms); }
