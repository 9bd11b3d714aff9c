/* A libnvidia-ml.so.1 for what a Python fake cannot do: calls that hang for ever or crash inside the library, the GIL
 * released for real, symbols that are not there, other people's programs. Built at test time against NVIDIA's own nvml.h
 * (PyPI nvidia-nvml-dev), so the compiler holds every signature and struct to it.
 *
 * NVML_STUB_GPUS     number of GPUs (8)
 * NVML_STUB_BOARD    "h100" (the default) or "b200", which has NVLink 5's counters in place of NVLink 4's
 * NVML_STUB_SCRIPT   file with one fault or event a line, see faults.c and events.c
 * NVML_STUB_LATENCY  "real": utilization 2.5 us, memory 12 us, fan 137 us, process lists 4.5 ms, PCIe throughput 20 ms,
 *                    as published; "h100": as recorded on one, in CPU time of the caller (latencies.c)
 * NVML_STUB_TIME     seconds since 1970 at which the clock stands still, so that two readers see the same values
 * NVML_STUB_PIDS     process ids on every GPU, "1000,1001"
 * -DNO_GPM, -DOLD    build without GPM, or without the symbols that drivers before 12.8 lack
 *
 * Nothing is stored: each value is a function of the time alone (load.c), so any number of processes see the same
 * machine, counters go on over a child's end, and the energy really is what the power adds up to.
 */
#pragma once
#define _GNU_SOURCE
#define NVML_NO_UNVERSIONED_FUNC_DEFS /* the old names are old functions here, as in the real library */
#include <nvml.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef nvmlReturn_t ret;
typedef nvmlDevice_t dev;
struct nvmlDevice_st { int index; };

#define OK NVML_SUCCESS
#define INVALID NVML_ERROR_INVALID_ARGUMENT
#define UNSUPPORTED NVML_ERROR_NOT_SUPPORTED
#define NONE NVML_ERROR_NOT_FOUND
#define TOO_SMALL NVML_ERROR_INSUFFICIENT_SIZE
#define UNLOADED NVML_ERROR_DRIVER_NOT_LOADED
#define LOST NVML_ERROR_GPU_IS_LOST
#define RESET NVML_ERROR_RESET_REQUIRED

#define MAX 64    /* GPUs */
#define LINKS 18u /* NVLinks of a board */
#define MIB (1ULL << 20)
#define GPU_MEMORY_MIB (is_blackwell() ? 183359ULL : 81559ULL)
#define RESERVED_MIB 551ULL
#define LIMIT_MW (is_blackwell() ? 1000000u : 700000u)

/* what a client may call; everything between push and pop is ours alone */
#pragma GCC visibility push(hidden)
/* load.c */
double now(void);                     /* seconds since 1970 */
double since_load(double seconds);    /* seconds since the driver was loaded */
double load(dev d, double seconds);   /* how busy a GPU is at a time, 0.05-0.95 */
double busy(dev d, double seconds);   /* busy seconds since the driver was loaded: the integral of load */
double power_mw(dev d, double seconds);
double energy_mj(dev d, double seconds);
unsigned used_mib(dev d);
int temperature_c(dev d);             /* follows the power, some seconds late */
unsigned percent(dev d, double share);
unsigned long long link_errors(dev d, unsigned link);
double link_bytes(dev d, unsigned link, double rate, double seconds);
/* faults.c */
int count(void);
int is_blackwell(void);
void take(double microseconds, const char *function);
ret fault(int index);
int said(const char *word);
int listed(void);                     /* how many GPUs the driver lists today */
int at(int index);                    /* which GPU has an index today */
ret enter(dev d, double microseconds, const char *function);
void spend(double microseconds); /* of the caller's CPU, where latencies are those of an H100 */
double measured_us(const char *function);
double measured_field_us(unsigned id);
double measured_gpm_us(unsigned id, int is_first);
double measured_busy_ring_us(void);
/* session.c */
int is_open(void);
int is_known(dev d);
dev gpu(int index);
ret text(char *out, unsigned size, const char *value);
/* processes.c */
unsigned pids(unsigned *out, unsigned most);
#pragma GCC visibility pop

#define ENTER(us) do { ret code = enter(d, us, __func__); if (code) return code; } while (0)
#define NUMBER(name, type, us, value) ret name(dev d, type *out) { ENTER(us); *out = (type)(value); return OK; }
#define VERSIONED(out, wanted) do { if ((out)->version != (wanted)) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH; } while (0)

#define TX_RATE 9.5e9 /* bytes a second of one link at full load, data without overhead */
#define RX_RATE 9.1e9
