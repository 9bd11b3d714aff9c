/* How busy each GPU is, and what follows from it. The two waves are short enough that every reading moves within a minute. */
#include "stub.h"

#include <math.h>
#include <time.h>

#define LOADED 1.7e9 /* when the driver was loaded, seconds since 1970 */
#define MEAN 0.5
#define SLOW 0.35
#define SLOW_SECONDS 9.7
#define QUICK 0.1
#define QUICK_SECONDS 1.9
#define IDLE_MW 90e3
#define BUSY_MW 560e3
#define WARMING_SECONDS 4.0

double now(void) {
    const char *text = getenv("NVML_STUB_TIME");
    if (text) return atof(text);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double since_load(double seconds) { return seconds - LOADED; }

static double slow_phase(dev d, double seconds) { return since_load(seconds) / SLOW_SECONDS + 0.8 * d->index; }
static double quick_phase(dev d, double seconds) { return since_load(seconds) / QUICK_SECONDS + 2.1 * d->index; }

double load(dev d, double seconds) {
    return MEAN + SLOW * sin(slow_phase(d, seconds)) + QUICK * sin(quick_phase(d, seconds));
}

double busy(dev d, double seconds) {
    double slow = cos(slow_phase(d, LOADED)) - cos(slow_phase(d, seconds));
    double quick = cos(quick_phase(d, LOADED)) - cos(quick_phase(d, seconds));
    return MEAN * since_load(seconds) + SLOW * SLOW_SECONDS * slow + QUICK * QUICK_SECONDS * quick;
}

double power_mw(dev d, double seconds) { return IDLE_MW + BUSY_MW * load(d, seconds); }
double energy_mj(dev d, double seconds) { return IDLE_MW * since_load(seconds) + BUSY_MW * busy(d, seconds); }
int temperature_c(dev d) { return (int)(36 + 38 * load(d, now() - WARMING_SECONDS)); }
unsigned used_mib(dev d) { return (unsigned)(24000 + 40000 * load(d, now())); }
unsigned percent(dev d, double share) { return (unsigned)(100 * share * load(d, now()) + 0.5); }

/* NVLink 4 may have one bit error in 1e12: at 2e11 bits a second of a link that is one damaged packet in 5 s, sent again */
unsigned long long link_errors(dev d, unsigned link) {
    return (unsigned long long)(busy(d, now()) * (0.15 + 0.01 * link));
}

double link_bytes(dev d, unsigned link, double rate, double seconds) {
    return busy(d, seconds) * rate * (1.0 - 0.01 * link);
}
