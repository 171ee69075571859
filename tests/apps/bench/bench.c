/*
 * The watched half of `cargo xtask bench`: changes dispositions in a loop and says how long the
 * loop took. The time is the thread's own on the processor, so that whoever else wants the
 * processor meanwhile does not count.
 */
#include <signal.h>
#include <string.h>
#include <time.h>

#define KEPT __attribute__((noinline, visibility("default")))

static void first(int number) { (void)number; }
static void second(int number) { (void)number; }

static long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Alternates two handlers: each call changes something. Nanoseconds of all calls, or -1. */
KEPT long long bench_toggle(int number, int calls)
{
    struct sigaction actions[2];

    memset(actions, 0, sizeof actions);
    actions[0].sa_handler = first;
    actions[1].sa_handler = second;
    long long start = now();
    for (int call = 0; call < calls; call++) {
        if (sigaction(number, &actions[call & 1], NULL) != 0)
            return -1;
    }
    return now() - start;
}

/* The same from a stack that has `depth` frames of this library, two at least. */
KEPT long long bench_deep(int depth, int number, int calls)
{
    /* Used after the call, so that no compiler makes a jump of it. */
    volatile int here = depth;
    long long time = here > 2 ? bench_deep(here - 1, number, calls) : bench_toggle(number, calls);

    return here > 0 ? time : -1;
}

/* Sets what already stands, which is an event and no finding. Nanoseconds of all calls, or -1. */
KEPT long long bench_repeat(int number, int calls)
{
    struct sigaction action;

    if (sigaction(number, NULL, &action) != 0)
        return -1;
    long long start = now();
    for (int call = 0; call < calls; call++) {
        if (sigaction(number, &action, NULL) != 0)
            return -1;
    }
    return now() - start;
}
