// A wall clock that is wrong, for one process: LD_PRELOAD=clock.so CLOCK_OFF=600 makes it ten minutes fast.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static time_t off(void) {
    const char *seconds = getenv("CLOCK_OFF");
    return seconds ? (time_t)strtoll(seconds, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += off();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec real;
    int failed = zone ? (int)syscall(SYS_gettimeofday, NULL, zone) : 0;
    if (failed) return failed;
    failed = clock_gettime(CLOCK_REALTIME, &real);
    now->tv_sec = real.tv_sec;
    now->tv_usec = real.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *out) {
    struct timespec real;
    if (clock_gettime(CLOCK_REALTIME, &real)) return (time_t)-1;
    if (out) *out = real.tv_sec;
    return real.tv_sec;
}

// Ends of waits were reckoned by the wrong clock, and the kernel holds them against the right one: librdkafka's waits would
// last ten minutes too long.
int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    int (*wait)(cnd_t *, mtx_t *, const struct timespec *) = NULL;
    *(void **)&wait = dlsym(RTLD_NEXT, "cnd_timedwait");
    struct timespec real = *until;
    real.tv_sec -= off();
    return wait(condition, mutex, &real);
}
