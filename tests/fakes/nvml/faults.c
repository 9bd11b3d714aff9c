/* What goes wrong, as the script says, and how long a call takes. A line is one fault: "hang 2", "hang all", "lost 3",
 * "reset 1", "crash 4", "unloaded", "code 18", "code 4 2" (return code 4 for GPU 2), "gone 1", "new", "reversed" (order of
 * indices), "mig 1" (mode on, no instance), "lock". */
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

enum latency { NONE_AT_ALL, PUBLISHED, MEASURED };

static enum latency latency(void) {
    static int mode = -1;
    if (mode < 0) {
        const char *text = getenv("NVML_STUB_LATENCY");
        mode = !text ? NONE_AT_ALL : !strcmp(text, "h100") ? MEASURED : !strcmp(text, "real") ? PUBLISHED : NONE_AT_ALL;
    }
    return (enum latency)mode;
}

static void burn(double begun, double us) {
    while (monotonic() < begun + us * 1e-6) {}
}

/* until a call has taken so long, what the fake itself needed included. The published ones tell nothing about CPU time:
 * busy below a millisecond, for sleeping is not that exact */
static void last(double begun, double us, const char *function) {
    enum latency mode = latency();
    if (mode == NONE_AT_ALL) return;
    if (mode == MEASURED && us < 20000) { burn(begun, measured_us(function)); return; }
    if (us >= 1000) { usleep((useconds_t)us); return; }
    burn(begun, us);
}

void take(double us, const char *function) { last(monotonic(), us, function); }

void spend(double us) {
    if (latency() == MEASURED) burn(monotonic(), us);
}

static char script[4096];

/* what the script says about a GPU (-1: the driver as a whole) */
ret fault(int index) {
    static time_t read_s;
    static long read_ns;
    const char *path = getenv("NVML_STUB_SCRIPT");
    struct stat about;
    if (!path || stat(path, &about)) return OK;
    if (about.st_mtim.tv_sec != read_s || about.st_mtim.tv_nsec != read_ns) {
        FILE *file = fopen(path, "r");
        if (!file) return OK;
        size_t n = fread(script, 1, sizeof script - 1, file);
        script[n] = 0;
        fclose(file);
        read_s = about.st_mtim.tv_sec;
        read_ns = about.st_mtim.tv_nsec;
    }
    if (!script[0]) return OK;
    char copy[sizeof script], *rest = copy, *line;
    memcpy(copy, script, sizeof copy);
    while ((line = strsep(&rest, "\n"))) {
        char word[16] = "", place[16] = "", gpu[16] = "";
        if (sscanf(line, "%15s %15s %15s", word, place, gpu) < 1) continue;
        if (!strcmp(word, "unloaded")) return UNLOADED;
        if (!strcmp(word, "code") && (!gpu[0] || (index >= 0 && atoi(gpu) == index))) return (ret)atoi(place);
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
int said(const char *word) {
    char copy[sizeof script], *rest = copy, *line, first[16];
    memcpy(copy, script, sizeof copy);
    while ((line = strsep(&rest, "\n"))) {
        int gpu = -2;
        if (sscanf(line, "%15s %d", first, &gpu) >= 1 && !strcmp(first, word)) return gpu;
    }
    return -1;
}

int listed(void) { return count() + (said("new") != -1) - (said("gone") != -1); }

int at(int index) {
    if (said("reversed") != -1) index = listed() - 1 - index;
    int gone = said("gone");
    return gone != -1 && index >= gone ? index + 1 : index;
}

ret enter(dev d, double us, const char *function) {
    if (!is_open()) return NVML_ERROR_UNINITIALIZED;
    if (!is_known(d)) return INVALID;
    double begun = monotonic();
    ret code = fault(d->index);
    if (code) return code;
    last(begun, us, function);
    return OK;
}
