/* What goes wrong, as the script says, and how long a call takes. A line is one fault: "hang 2", "hang all", "lost 3",
 * "reset 1", "crash 4", "unloaded". */
#include "stub.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int count(void) {
    const char *text = getenv("NVML_STUB_GPUS");
    int n = text ? atoi(text) : 8;
    return n < 0 ? 0 : n > MAX ? MAX : n;
}

int is_blackwell(void) {
    const char *text = getenv("NVML_STUB_BOARD");
    return text && !strcmp(text, "b200");
}

static double monotonic(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* busy waiting below a millisecond: sleeping is not that exact */
void take(double us) {
    static int is_real = -1;
    if (is_real < 0) {
        const char *text = getenv("NVML_STUB_LATENCY");
        is_real = text && !strcmp(text, "real");
    }
    if (!is_real) return;
    if (us >= 1000) { usleep((useconds_t)us); return; }
    double end = monotonic() + us * 1e-6;
    while (monotonic() < end) {}
}

/* what the script says about a GPU (-1: the driver as a whole) */
ret fault(int index) {
    static char text[4096];
    static time_t read_s;
    static long read_ns;
    const char *path = getenv("NVML_STUB_SCRIPT");
    struct stat about;
    if (!path || stat(path, &about)) return OK;
    if (about.st_mtim.tv_sec != read_s || about.st_mtim.tv_nsec != read_ns) {
        FILE *file = fopen(path, "r");
        if (!file) return OK;
        size_t n = fread(text, 1, sizeof text - 1, file);
        text[n] = 0;
        fclose(file);
        read_s = about.st_mtim.tv_sec;
        read_ns = about.st_mtim.tv_nsec;
    }
    if (!text[0]) return OK;
    char copy[sizeof text], *rest = copy, *line;
    memcpy(copy, text, sizeof copy);
    while ((line = strsep(&rest, "\n"))) {
        char word[16] = "", place[16] = "";
        if (sscanf(line, "%15s %15s", word, place) < 1) continue;
        if (!strcmp(word, "unloaded")) return UNLOADED;
        if (index < 0 || (strcmp(place, "all") && atoi(place) != index)) continue;
        if (!strcmp(word, "hang")) for (;;) pause();
        if (!strcmp(word, "crash")) *(volatile int *)0 = 1;
        if (!strcmp(word, "lost")) return LOST;
        if (!strcmp(word, "reset")) return RESET;
    }
    return OK;
}

ret enter(dev d, double us) {
    if (!is_open()) return NVML_ERROR_UNINITIALIZED;
    if (!is_known(d)) return INVALID;
    ret code = fault(d->index);
    if (code) return code;
    take(us);
    return OK;
}
