/*
 * The hard cases: calls that fail, calls in a loop, and a struct that another thread rewrites
 * while the kernel is asked. They go to the kernel without the C library, which would copy the
 * struct and refuse some numbers itself.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, visibility("default")))

/* The kernel's own struct on x86_64 and aarch64. */
struct kernel_action {
    void (*volatile handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static void on_signal(int number)
{
    (void)number;
}

/* The call itself: whatever number, whatever pointer. */
KEPT long hard_raw(int number, const void *action)
{
    return syscall(SYS_rt_sigaction, number, action, NULL, sizeof(unsigned long));
}

static long set(int number, void (*handler)(int))
{
    struct kernel_action action = {.handler = handler};

    return hard_raw(number, &action);
}

/* A handler of this library. */
KEPT long hard_set(int number)
{
    return set(number, on_signal);
}

/* The same after a while in which the caller's interpreter can do other things. */
KEPT long hard_set_late(int number, int milliseconds)
{
    usleep(milliseconds * 1000);
    return hard_set(number);
}

/* The default. */
KEPT long hard_reset(int number)
{
    return set(number, SIG_DFL);
}

KEPT long hard_ignore(int number)
{
    return set(number, SIG_IGN);
}

/*
 * Ignores a signal through the 32-bit entry, by signal(2), whose number is 48 there: what traces
 * rt_sigaction by its system call does not see it.
 */
KEPT long hard_32(int number)
{
#ifdef __x86_64__
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(48L), "b"((long)number), "c"(1L)
                     : "r8", "r9", "r10", "r11", "memory");
    return result;
#else
    return -1;
#endif
}

/* Handler and default in turn, with a rest after every thousand calls. */
KEPT int hard_loop(int number, int calls, int rest_milliseconds)
{
    int failed = 0;

    for (int call = 0; call < calls; call++) {
        failed += set(number, call % 2 ? SIG_DFL : on_signal) != 0;
        if (call % 1000 == 999)
            usleep(rest_milliseconds * 1000);
    }
    return failed;
}

static struct kernel_action shared;
static volatile int stopped;

static void *rewrite(void *nothing)
{
    while (!stopped) {
        shared.handler = SIG_IGN;
        shared.handler = on_signal;
    }
    return nothing;
}

/*
 * Sets one signal from a struct that another thread rewrites all the while, and notes what the
 * kernel says stands there after each call: 1 for ignore, 2 for a handler.
 */
KEPT int hard_contest(int number, int calls, unsigned char *stands)
{
    pthread_t rewriter;
    struct kernel_action now;

    stopped = 0;
    shared.handler = on_signal;
    if (pthread_create(&rewriter, NULL, rewrite, NULL) != 0)
        return -1;
    for (int call = 0; call < calls; call++) {
        /* Spread out: on a busy host the two run at the same time only now and then. */
        usleep(1000);
        hard_raw(number, &shared);
        syscall(SYS_rt_sigaction, number, NULL, &now, sizeof(unsigned long));
        stands[call] = now.handler == SIG_IGN ? 1 : 2;
    }
    stopped = 1;
    pthread_join(rewriter, NULL);
    return calls;
}
