/* A GPU library without a GPU: two devices whose state is a text file of `name value` lines,
 * read again at every call, so that a test can lose a device while it is sampled.
 * `hang` is in seconds; the energy counter stands still unless `watts` are given.
 * Compiled by the tests with -DSTATE="path". Signatures as in NVIDIA's nvml.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int ret;
typedef long dev; /* index + 1 */

enum { OK = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, LOST = 15 };

static unsigned long long state(const char *name, long index, unsigned long long usual) {
  char key[64], line[128];
  snprintf(key, sizeof key, "%s%ld ", name, index);
  FILE *file = fopen(STATE, "r");
  if (!file) return usual;
  while (fgets(line, sizeof line, file))
    if (!strncmp(line, key, strlen(key))) usual = strtoull(line + strlen(key), 0, 10);
  fclose(file);
  return usual;
}
static ret check(dev d) {
  sleep(state("hang", d - 1, 0));
  return state("lost", d - 1, 0) ? LOST : OK;
}

ret nvmlInit_v2(void) { return state("lost", 0, 0) > 1 ? LOST : OK; }
ret nvmlInitWithFlags(unsigned f) { (void)f; return nvmlInit_v2(); }
ret nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(ret r) { (void)r; return "fake"; }
ret nvmlSystemGetDriverVersion(char *v, unsigned n) { snprintf(v, n, "580.fake"); return OK; }
ret nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return OK; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned i, dev *d) { *d = i + 1; return OK; }
ret nvmlDeviceGetUUID(dev d, char *v, unsigned n) { snprintf(v, n, "GPU-fake-%ld", d - 1); return OK; }
ret nvmlDeviceGetName(dev d, char *v, unsigned n) { (void)d; snprintf(v, n, "Fake H100"); return OK; }
ret nvmlDeviceGetEnforcedPowerLimit(dev d, unsigned *v) { (void)d; *v = 700000; return OK; }
ret nvmlDeviceGetCudaComputeCapability(dev d, int *a, int *b) { (void)d; *a = 9; *b = 0; return OK; }
ret nvmlDeviceGetPowerUsage(dev d, unsigned *v) { *v = state("power_mw", d - 1, 250000); return check(d); }
ret nvmlDeviceGetTotalEnergyConsumption(dev d, unsigned long long *v) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  unsigned long long millis = now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
  *v = state("energy_mj", d - 1, 5000000) + millis * state("watts", d - 1, 0);
  return check(d);
}
ret nvmlDeviceGetUtilizationRates(dev d, unsigned *v) {
  if (state("mig", d - 1, 0)) return NOT_SUPPORTED;
  v[0] = 87;
  v[1] = 40;
  return check(d);
}
ret nvmlDeviceGetTemperature(dev d, int s, unsigned *v) { (void)s; *v = 55; return check(d); }
ret nvmlDeviceGetClockInfo(dev d, int c, unsigned *v) { (void)c; *v = 1980; return check(d); }

struct memory { unsigned version; unsigned long long total, reserved, free, used; };
ret nvmlDeviceGetMemoryInfo_v2(dev d, struct memory *m) {
  m->total = 80ULL << 30;
  m->reserved = 0;
  m->used = state("used_mib", d - 1, 500) << 20;
  m->free = m->total - m->used;
  return check(d);
}
struct process { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };
ret nvmlDeviceGetComputeRunningProcesses_v3(dev d, unsigned *n, struct process *p) {
  unsigned room = *n;
  unsigned long long pid = state("process", d - 1, 0);
  *n = pid ? 1 : 0;
  if (pid && room < 1) return INSUFFICIENT_SIZE;
  if (pid) *p = (struct process){pid, 3ULL << 30, -1, -1};
  return OK;
}
