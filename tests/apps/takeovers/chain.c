/*
 * A library that takes a signal from whoever has it, hands it on to that one, and gives it back, as
 * language runtimes do that have to live with another one in the same process (libjsig, for Java).
 *
 * It is compiled twice, under two names, to have two of them.
 */
#include <signal.h>
#include <string.h>

#define KEPT __attribute__((noinline, visibility("default")))

static struct sigaction before[65];

static void hand_on(int number)
{
    if (before[number].sa_handler != SIG_DFL && before[number].sa_handler != SIG_IGN)
        before[number].sa_handler(number);
}

/* Takes a signal, and keeps what stood there. */
KEPT int chain_take(int number)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = hand_on;
    sigemptyset(&action.sa_mask);
    int result = sigaction(number, &action, &before[number]);
    /* Not a tail call: this frame has to be on the stack while the kernel is asked. */
    __asm__ volatile("" ::: "memory");
    return result;
}

/* What stood there before stands again. */
KEPT int chain_give_back(int number)
{
    int result = sigaction(number, &before[number], NULL);
    __asm__ volatile("" ::: "memory");
    return result;
}
