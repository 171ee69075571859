/*
 * A process that lies to mod_wsgi's intercept: what it passes for a tuple, an integer and a handler
 * is made to mislead whoever reads it. The offsets are those of CPython 3.11.
 *
 * It prints the address of its list of interpreters and that of its intercept; then each line of
 * standard input names a lie, with which the intercept is called, and is answered by "called".
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char *head, interpreter[4096], thread[4096], cframe[64], frame[128], code[4096], file[4096];
static char name[4096], table[64], tuple[64], number[64], handler[64];
static char integers[4096], functions[4096], methods[4096], endless[8192];
static char method[64];

static const unsigned long unmapped = 0x10000, kernel = 0xffffffff81000000;
enum { LONG = 1 << 24, HEAP = 1 << 9 };

static void put(char *object, int offset, unsigned long value)
{
    memcpy(object + offset, &value, sizeof value);
}

static void put_text(char *object, const char *text)
{
    put(object, 16, strlen(text));
    put(object, 32, 0x64); /* compact, ASCII, one byte per character */
    strcpy(object + 48, text);
}

/* An honest call: SIGTERM, and a function, from a stack of one frame. */
static void tell_the_truth(void)
{
    head = interpreter;
    put(interpreter, 16, (unsigned long)thread);
    put(thread, 16, (unsigned long)interpreter);
    put(thread, 152, pthread_self());
    put(thread, 56, (unsigned long)cframe);
    put(cframe, 8, (unsigned long)frame);
    put(frame, 32, (unsigned long)code);
    put(frame, 56, (unsigned long)code + 184);
    put_text(file, "/srv/liar.py");
    put_text(name, "lie");
    put(code, 112, (unsigned long)file);
    put(code, 128, (unsigned long)name);
    put(code, 136, (unsigned long)table);
    put(code, 72, 7);
    put(table, 16, 2);
    put(table, 32, 0x0080); /* one entry: the first line */

    put(integers, 24, (unsigned long)"int");
    put(integers, 168, LONG);
    put(functions, 24, (unsigned long)"function");
    put(functions, 168, 0);
    put(methods, 24, (unsigned long)"method");
    put(method, 8, (unsigned long)methods);
    put(method, 16, (unsigned long)handler);
    put(tuple, 16, 2);
    put(tuple, 24, (unsigned long)number);
    put(tuple, 32, (unsigned long)handler);
    put(number, 8, (unsigned long)integers);
    put(number, 16, 1);
    put(number, 24, 15);
    put(handler, 8, (unsigned long)functions);
    put(handler, 48, (unsigned long)code);
}

__attribute__((noinline)) void *SignalIntercept_call(void *self, void *args, void *kwds)
{
    __asm__ volatile("" : : "r"(self), "r"(args), "r"(kwds) : "memory");
    return args;
}

static char *lie(const char *what)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *hidden = pages + 4096;

    mprotect(hidden, 4096, PROT_NONE);
    tell_the_truth();
    if (!strcmp(what, "truth"))
        return tuple;
    if (!strcmp(what, "no-arguments"))
        return NULL;
    if (!strcmp(what, "unmapped-arguments"))
        return (char *)unmapped;
    if (!strcmp(what, "kernel-arguments"))
        return (char *)kernel;
    if (!strcmp(what, "last-address"))
        return (char *)~0UL;
    if (!strcmp(what, "half-arguments")) {
        memcpy(hidden - 24, tuple, 24);
        return hidden - 24;
    }
    if (!strcmp(what, "many-items")) {
        put(tuple, 16, ~0UL >> 1);
    } else if (!strcmp(what, "negative-items")) {
        put(tuple, 16, -2UL);
    } else if (!strcmp(what, "no-number")) {
        put(tuple, 24, 0);
    } else if (!strcmp(what, "tuple-in-itself")) {
        put(tuple, 24, (unsigned long)tuple);
        put(tuple, 8, (unsigned long)tuple);
    } else if (!strcmp(what, "unmapped-type")) {
        put(number, 8, unmapped);
    } else if (!strcmp(what, "type-of-itself")) {
        put(number, 8, (unsigned long)number);
    } else if (!strcmp(what, "endless-digits")) {
        put(number, 16, ~0UL >> 1);
    } else if (!strcmp(what, "least-digits")) {
        put(number, 16, 1UL << 63);
    } else if (!strcmp(what, "wide-digit")) {
        put(number, 24, ~0UL);
    } else if (!strcmp(what, "wide-digits")) {
        put(number, 16, -2UL);
        put(number, 24, ~0UL);
    } else if (!strcmp(what, "no-handler")) {
        put(tuple, 32, 0);
    } else if (!strcmp(what, "kernel-handler")) {
        put(tuple, 32, kernel);
    } else if (!strcmp(what, "kernel-class")) {
        put(handler, 8, kernel);
    } else if (!strcmp(what, "unmapped-name")) {
        put(functions, 24, unmapped);
    } else if (!strcmp(what, "endless-name")) {
        memset(endless, 'A', sizeof endless);
        put(functions, 24, (unsigned long)endless);
    } else if (!strcmp(what, "name-of-a-function")) {
        put(functions, 168, HEAP);
    } else if (!strcmp(what, "hidden-code")) {
        put(handler, 48, (unsigned long)hidden);
    } else if (!strcmp(what, "kernel-code")) {
        put(handler, 48, kernel);
    } else if (!strcmp(what, "method")) {
        put(tuple, 32, (unsigned long)method);
    } else if (!strcmp(what, "method-of-itself")) {
        put(tuple, 32, (unsigned long)method);
        put(method, 16, (unsigned long)method);
    } else if (!strcmp(what, "method-of-the-kernel")) {
        put(tuple, 32, (unsigned long)method);
        put(method, 16, kernel);
    } else if (!strcmp(what, "long-file")) {
        put(file, 16, ~0UL >> 1);
    } else if (!strcmp(what, "endless-integer-for-a-handler")) {
        put(handler, 8, (unsigned long)integers);
        put(handler, 16, ~0UL >> 1);
    } else {
        fprintf(stderr, "no lie is called %s\n", what);
        exit(2);
    }
    return tuple;
}

int main(void)
{
    char what[64];

    tell_the_truth();
    printf("%lu %lu\n", (unsigned long)&head, (unsigned long)SignalIntercept_call);
    fflush(stdout);
    while (scanf("%63s", what) == 1) {
        SignalIntercept_call(NULL, lie(what), (void *)kernel);
        puts("called");
        fflush(stdout);
    }
    return 0;
}
