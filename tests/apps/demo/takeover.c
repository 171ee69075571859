/*
 * The library of the demo site that takes signals behind Python's back, as database drivers,
 * language runtimes and crash reporters do. `signal.signal` is not involved, so mod_wsgi's
 * restriction does not see any of it.
 *
 * The functions are kept apart (noinline) so that a native stack has their names in it.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, visibility("default")))

static volatile sig_atomic_t heard;

/* Does not end the process, which is what hurts: httpd waits for a worker that never goes. */
KEPT void reports_on_signal(int number)
{
    heard = number;
}

/* The one place where this library changes a disposition. */
KEPT int reports_install(int number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    /* Not a tail call: this frame has to be on the stack while the kernel is asked. */
    int result = sigaction(number, &action, NULL);
    __asm__ volatile("" ::: "memory");
    return result;
}

/* What an application calls to start the library: it wants to flush its reports at the end. */
KEPT int reports_start(int number)
{
    int result = reports_install(number, reports_on_signal);
    __asm__ volatile("" ::: "memory");
    return result;
}

/* The signal that the handler heard last; 0 for none. */
KEPT int reports_heard(void)
{
    return heard;
}
