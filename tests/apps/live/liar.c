/*
 * A process that lies: it exports httpd's functions and CPython's runtime, and what it calls its
 * interpreter is made to mislead whoever reads it. The offsets are those of CPython 3.11.
 *
 * Its child makes one registration for each line of standard input, and lives on until the input
 * ends. The first argument says which lie is told. Compiled with LIBRARY, it is the runtime alone,
 * which the program that is compiled with LATE loads with the first line only, or, where it is told
 * "moved", once more at another address.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

#ifndef LATE
SHOWN char _PyRuntime[4096] __attribute__((aligned(4096)));
SHOWN const unsigned long Py_Version = VERSION;
SHOWN void Py_InitializeFromConfig(void) { __asm__ volatile(".skip 64, 0x90"); }

static char interpreter[4096], thread[4096], cframe[64], code[4096], file[8192], name[4096];
static char table[4096], frames[1024][128];

static void put(char *object, int offset, unsigned long value)
{
    memcpy(object + offset, &value, sizeof value);
}

static void put_text(char *object, const char *text, unsigned long length)
{
    put(object, 16, length);
    put(object, 32, 0x64); /* compact, ASCII, one byte per character */
    strcpy(object + 48, text);
}

/* An honest stack of `depth` frames. */
static void tell_the_truth(int depth)
{
    put(_PyRuntime, 40, (unsigned long)interpreter);
    put(interpreter, 16, (unsigned long)thread);
    put(thread, 16, (unsigned long)interpreter);
    put(thread, 152, pthread_self());
    put(thread, 56, (unsigned long)cframe);
    put(cframe, 8, (unsigned long)frames[0]);
    for (int i = 0; i < depth; i++) {
        put(frames[i], 32, (unsigned long)code);
        put(frames[i], 48, i + 1 < depth ? (unsigned long)frames[i + 1] : 0);
        put(frames[i], 56, (unsigned long)code + 184);
    }
    put_text(file, "/srv/liar.py", 12);
    put_text(name, "lie", 3);
    put(code, 112, (unsigned long)file);
    put(code, 128, (unsigned long)name);
    put(code, 136, (unsigned long)table);
    put(code, 72, 7);
    put(table, 16, 2);
    put(table, 32, 0x0080); /* one entry: the first line */
}

SHOWN void lie(const char *what)
{
    const unsigned long unmapped = 0x10000, kernel = 0xffffffff81000000, odd = 0x123456789abcdef;
    void *hidden = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    tell_the_truth(3);
    if (!strcmp(what, "truth"))
        return;
    if (!strcmp(what, "cyclic-interpreters")) {
        put(interpreter, 0, (unsigned long)interpreter);
        put(interpreter, 16, 0);
    } else if (!strcmp(what, "cyclic-threads")) {
        put(thread, 152, 1);
        put(thread, 8, (unsigned long)thread);
    } else if (!strcmp(what, "cyclic-frames")) {
        put(frames[2], 48, (unsigned long)frames[0]);
    } else if (!strcmp(what, "unmapped-interpreters")) {
        put(_PyRuntime, 40, unmapped);
    } else if (!strcmp(what, "unreadable-runtime")) {
        mprotect(_PyRuntime, sizeof _PyRuntime, PROT_NONE);
    } else if (!strcmp(what, "unmapped-frame")) {
        put(frames[0], 48, unmapped);
    } else if (!strcmp(what, "kernel-frame")) {
        put(frames[0], 48, kernel);
    } else if (!strcmp(what, "odd-frame")) {
        put(frames[0], 48, odd);
    } else if (!strcmp(what, "hidden-code")) {
        put(frames[1], 32, (unsigned long)hidden);
    } else if (!strcmp(what, "kernel-code")) {
        put(frames[1], 32, kernel);
    } else if (!strcmp(what, "long-file")) {
        put(file, 16, ~0UL >> 1);
    } else if (!strcmp(what, "negative-lengths")) {
        put(file, 16, ~0UL);
        put(name, 16, 1UL << 63);
        put(table, 16, ~0UL);
    } else if (!strcmp(what, "unmapped-strings")) {
        put(code, 112, unmapped);
        put(code, 128, kernel);
        put(code, 136, (unsigned long)hidden);
    } else if (!strcmp(what, "not-compact")) {
        put(file, 32, 0x44);
        put(file, 72, kernel);
    } else if (!strcmp(what, "deep")) {
        tell_the_truth(1024);
    } else {
        fprintf(stderr, "no lie is called %s\n", what);
        exit(2);
    }
}

/* Where an interpreter calls native code. */
SHOWN int _PyEval_EvalFrameDefault(int number)
{
    signal(number, SIG_IGN);
    return number;
}
#endif

#ifndef LIBRARY
SHOWN int ap_server_conf;
SHOWN void ap_run_mpm(void) {}
SHOWN void ap_hook_post_config(void) {}
extern int wsgi_module;

#ifdef LATE
static void lie(const char *what) { (void)what; }

static void *library;

static int _PyEval_EvalFrameDefault(int number)
{
    if (library) {
        /* Loaded again, at another address: something else takes its place. */
        dlclose(library);
        library = NULL;
        for (int i = 0; i < 64; i++)
            mmap(NULL, 4096 << i % 8, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    void *loaded = dlopen("liblate.so", RTLD_NOW);
    int (*evaluate)(int) = (int (*)(int))dlsym(loaded, "_PyEval_EvalFrameDefault");

    ((void (*)(const char *))dlsym(loaded, "lie"))("truth");
    return evaluate(number);
}
#endif

int main(int count, char **arguments)
{
    char line[16];
    int lives[2];

    if (count != 2 || pipe(lives))
        return 2;
    wsgi_module = 1;
#ifdef LATE
    if (!strcmp(arguments[1], "moved"))
        library = dlopen("liblate.so", RTLD_NOW);
#endif
    if (fork() == 0) {
        close(lives[1]);
        lie(arguments[1]);
        /* The end of the parent ends the child. */
        while (read(lives[0], line, 1) == 1)
            _PyEval_EvalFrameDefault(SIGUSR2);
        _exit(0);
    }
    close(lives[0]);
    while (fgets(line, sizeof line, stdin))
        if (write(lives[1], line, 1) != 1)
            return 1;
    close(lives[1]);
    wait(NULL);
    return 0;
}
#endif
