/*
 * The native side of the matrix: registrations from places that Python alone does not reach.
 *
 * Each call lets Python note the stack (`note`), from the very place in the caller's bytecode at
 * which the kernel is asked a moment before or after. One library serves every CPython from 3.6 on: it
 * keeps to the stable interface of 3.6 (PEP 384).
 */
#define Py_LIMITED_API 0x03060000
#define _GNU_SOURCE
#include <Python.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, visibility("default")))

/* The kernel's own struct on x86_64 and aarch64. */
struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

/* The call itself, without the C library. */
static long set(int number, void (*handler)(int))
{
    struct kernel_action action = {.handler = handler};

    return syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(unsigned long));
}

KEPT long matrix_ignore(int number)
{
    return set(number, SIG_IGN);
}

static void on_signal(int number)
{
    (void)number;
}

/* `note(number, (number,))`, which answers with `number`. */
static int note(PyObject *function, int number)
{
    PyObject *answer = PyObject_CallFunction(function, "i(i)", number, number);

    Py_XDECREF(answer);
    return answer != NULL;
}

static PyObject *hold(PyObject *self, PyObject *arguments)
{
    PyObject *function;
    int number;
    long result;

    if (!PyArg_ParseTuple(arguments, "Oi", &function, &number))
        return NULL;
    (void)self;
    /* Before the note: to look at a frame changes it (`frame_obj`, CPython 3.11 and later). */
    result = matrix_ignore(number);
    return note(function, number) ? PyLong_FromLong(result) : NULL;
}

static PyObject *give_up(PyObject *self, PyObject *arguments)
{
    PyObject *function;
    int number;
    long result;

    if (!PyArg_ParseTuple(arguments, "Oi", &function, &number) || !note(function, number))
        return NULL;
    (void)self;
    Py_BEGIN_ALLOW_THREADS
    /* Long enough for another thread to take the lock. */
    usleep(20000);
    result = matrix_ignore(number);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(result);
}

/* Registers and stays where it is until the file, a named pipe, was written to. */
static PyObject *park(PyObject *self, PyObject *arguments)
{
    PyObject *function;
    const char *path;
    char byte;
    int number, file;
    ssize_t length = -1;

    if (!PyArg_ParseTuple(arguments, "Ois", &function, &number, &path) || !note(function, number))
        return NULL;
    (void)self;
    Py_BEGIN_ALLOW_THREADS
    matrix_ignore(number);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        length = read(file, &byte, 1);
        close(file);
    }
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(length);
}

/* A frame of C between two of Python. */
static PyObject *call(PyObject *self, PyObject *function)
{
    (void)self;
    return PyObject_CallObject(function, NULL);
}

struct thread {
    PyObject *function;
    PyObject *answer;
    int number;
    long id;
    int done[2];
};

static void end(struct thread *thread)
{
    /* The creator waits for it; what is left of the thread touches nothing of ours. */
    if (write(thread->done[1], "!", 1) != 1)
        abort();
}

static void run_python(void *argument)
{
    struct thread *thread = argument;
    PyGILState_STATE state = PyGILState_Ensure();

    thread->answer = PyObject_CallObject(thread->function, NULL);
    if (thread->answer == NULL)
        PyErr_Print();
    PyGILState_Release(state);
    end(thread);
}

static void run_bare(void *argument)
{
    struct thread *thread = argument;

    thread->id = syscall(SYS_gettid);
    /* From such a thread, to ignore a signal could as well be the server's wish. */
    set(thread->number, on_signal);
    end(thread);
}

/*
 * Runs a function in a new thread. `PyThread_start_new_thread` is `pthread_create` and no more:
 * Python knows nothing of the thread. `pthread_create` itself has another version in glibc 2.34,
 * and this library is to be loaded with older ones, too.
 */
static int in_thread(void (*start)(void *), struct thread *thread)
{
    char byte;
    int failed;

    if (pipe(thread->done) != 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return 0;
    }
    Py_BEGIN_ALLOW_THREADS
    failed = PyThread_start_new_thread(start, thread) == (unsigned long)-1;
    if (!failed)
        failed = read(thread->done[0], &byte, 1) != 1;
    Py_END_ALLOW_THREADS
    close(thread->done[0]);
    close(thread->done[1]);
    if (failed)
        PyErr_SetString(PyExc_OSError, "no thread");
    return !failed;
}

/* A thread that Python did not start runs a function. */
static PyObject *foreign(PyObject *self, PyObject *function)
{
    struct thread thread = {.function = function};

    (void)self;
    if (!in_thread(run_python, &thread))
        return NULL;
    if (thread.answer == NULL)
        PyErr_SetString(PyExc_RuntimeError, "the function failed");
    return thread.answer;
}

/* A thread without any Python registers; its id. */
static PyObject *bare(PyObject *self, PyObject *number)
{
    struct thread thread = {.number = (int)PyLong_AsLong(number)};

    (void)self;
    return in_thread(run_bare, &thread) ? PyLong_FromLong(thread.id) : NULL;
}

static int child(void *number)
{
    matrix_ignore(*(int *)number);
    _exit(0);
}

/*
 * A child in the parent's memory registers, as it does under `vfork`: with the parent's thread
 * pointer, and with its own table of handlers. The child's id.
 */
static PyObject *clone_vm(PyObject *self, PyObject *argument)
{
    size_t size = 1 << 16;
    int number = (int)PyLong_AsLong(argument);
    int pid = -1;
    char *stack = malloc(size);

    (void)self;
    if (stack != NULL) {
        pid = clone(child, stack + size, CLONE_VM | SIGCHLD, &number);
        if (pid > 0)
            waitpid(pid, NULL, 0);
    }
    free(stack);
    return PyLong_FromLong(pid);
}

static PyMethodDef methods[] = {
    {"hold", hold, METH_VARARGS, "hold(note, number): registers and keeps the lock"},
    {"give_up", give_up, METH_VARARGS, "give_up(note, number): registers without the lock"},
    {"park", park, METH_VARARGS, "park(note, number, path): registers and waits"},
    {"call", call, METH_O, "call(function)"},
    {"foreign", foreign, METH_O, "foreign(function): calls it from a thread of C"},
    {"bare", bare, METH_O, "bare(number): registers from a thread of C; its id"},
    {"clone_vm", clone_vm, METH_O, "clone_vm(number): registers in a child; its id"},
    {NULL, NULL, 0, NULL},
};

/*
 * `Py_mod_multiple_interpreters` with `Py_MOD_PER_INTERPRETER_GIL_SUPPORTED` (Include/moduleobject.h,
 * CPython 3.12); before that an unknown slot is an error.
 */
static PyModuleDef_Slot shared[] = {{0, NULL}};
static PyModuleDef_Slot own_lock[] = {{3, (void *)2}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "matrix_native",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_matrix_native(void)
{
    const char *version = Py_GetVersion();
    int minor = strncmp(version, "3.", 2) == 0 ? atoi(version + 2) : 0;

    definition.m_slots = minor >= 12 ? own_lock : shared;
    return PyModuleDef_Init(&definition);
}
