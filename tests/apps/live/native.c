/*
 * Libraries that call one another, Python, and the kernel in ways in which only a native stack
 * tells who it was. The same file becomes several libraries, so that one can call another. None
 * of them keeps frame pointers.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, visibility("default")))
/* Keeps a call from becoming a jump: the frame has to be on the stack meanwhile. */
#define STAY __asm__ volatile("" ::: "memory")

KEPT void native_on_signal(int number)
{
    (void)number;
}

/* The one place where a disposition is changed. */
KEPT int native_install(int number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    int result = sigaction(number, &action, NULL);
    STAY;
    return result;
}

KEPT int native_take(int number)
{
    int result = native_install(number, native_on_signal);
    STAY;
    return result;
}

/* Calls back, as an event loop does. */
KEPT int native_dispatch(int (*callback)(int), int number)
{
    int result = callback(number);
    STAY;
    return result;
}

static void *ignore(void *number)
{
    native_install((int)(intptr_t)number, SIG_IGN);
    STAY;
    return NULL;
}

/* Ignores a signal from a thread of its own, in which no Python runs. */
KEPT int native_thread(int number)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, ignore, (void *)(intptr_t)number) != 0)
        return -1;
    return pthread_join(thread, NULL);
}

/* Loads another library and lets it take the signal at once. */
KEPT int native_load(const char *file, int number)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    int (*take)(int) = library ? (int (*)(int))dlsym(library, "native_take") : NULL;
    int result = take ? take(number) : -1;
    STAY;
    return result;
}

/* `return syscall(SYS_rt_sigaction, a, b, c, d)`, in machine code. */
#if defined(__x86_64__)
static const unsigned char code[] = {0x49, 0x89, 0xca,             /* mov r10, rcx */
                                     0xb8, 0x0d, 0,    0, 0,       /* mov eax, 13 */
                                     0x0f, 0x05,                   /* syscall */
                                     0xc3};                        /* ret */
#elif defined(__aarch64__)
static const unsigned char code[] = {0xc8, 0x10, 0x80, 0xd2,       /* mov x8, 134 */
                                     0x01, 0,    0,    0xd4,       /* svc 0 */
                                     0xc0, 0x03, 0x5f, 0xd6};      /* ret */
#endif

/* Ignores a signal from code that was made at run time, of which nobody has tables. */
KEPT long native_made(int number)
{
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask;
    } action = {.handler = SIG_IGN};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long (*call)(long, void *, void *, long);

    if (page == MAP_FAILED)
        return -1;
    memcpy(page, code, sizeof code);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    __builtin___clear_cache(page, (char *)page + sizeof code);
    memcpy(&call, &page, sizeof call);
    long result = call(number, &action, NULL, 8);
    STAY;
    return result;
}
