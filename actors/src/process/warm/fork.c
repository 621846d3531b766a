/* What a fork server needs and Python lacks: a fork whose child is handed on to the server, and prctl.
 *
 * An extension module of the limited API (abi3), built without Python's headers, since a build needs no
 * Python. Linked against nothing: each symbol is found in the Python, and the libc, that loads it.
 */

#define _GNU_SOURCE
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <errno.h>

/* From Python's limited API, 3.7 and newer; their layout is frozen (PEP 384). */
typedef struct PyObject PyObject;
typedef PyObject *(*PyCFunction)(PyObject *self, PyObject *args);
typedef struct {
    const char *name;
    PyCFunction call;
    int flags;
    const char *doc;
} PyMethodDef;
typedef struct {
    ptrdiff_t references;
    void *type;
    void *init;
    ptrdiff_t index;
    void *copy;
    const char *name;
    const char *doc;
    ptrdiff_t size;
    PyMethodDef *methods;
    void *slots, *traverse, *clear, *free;
} PyModuleDef;
enum { NO_ARGUMENTS = 0x0004, ARGUMENTS = 0x0001, API_VERSION = 3 };

extern PyObject *PyExc_OSError;
extern int PyArg_ParseTuple(PyObject *arguments, const char *format, ...);
extern PyObject *PyErr_SetFromErrno(PyObject *kind);
extern PyObject *PyLong_FromLong(long value);
extern PyObject *PyModule_Create2(PyModuleDef *definition, int version);
extern void PyOS_AfterFork_Child(void);
extern void PyOS_AfterFork_Parent(void);
extern void PyOS_BeforeFork(void);

extern char **environ;

/* Where this process' initial environment holds the value of the play's sid. */
static char *sid;
static size_t room;

static PyObject *hand_on(PyObject *self, PyObject *nothing)
{
    (void)self, (void)nothing;
    volatile pid_t child = -1;
    volatile int failure = 0;
    PyOS_BeforeFork();
    /* The middle process shares this one's memory and is gone when vfork returns here: so its child is an
     * orphan at once, and a copy of this process, as fork(2) and libc's own hooks make it. */
    pid_t middle = vfork();
    if (middle == 0) {
        pid_t made = fork();
        if (made == 0) {
            PyOS_AfterFork_Child();
            return PyLong_FromLong(0);
        }
        failure = made < 0 ? errno : 0;
        child = made;
        _exit(0);
    }
    if (middle < 0)
        failure = errno;
    else
        while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
            ;
    PyOS_AfterFork_Parent();
    if (failure) {
        errno = failure;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyLong_FromLong(child);
}

static PyObject *control(PyObject *self, PyObject *arguments)
{
    (void)self;
    int option;
    unsigned long value;
    if (!PyArg_ParseTuple(arguments, "ik:control", &option, &value))
        return NULL;
    int answer = prctl(option, value, 0UL, 0UL, 0UL);
    return answer < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(answer);
}

static PyObject *call_play(PyObject *self, PyObject *arguments)
{
    (void)self;
    const char *name;
    if (!PyArg_ParseTuple(arguments, "s:call_play", &name))
        return NULL;
    size_t length = strlen(name);
    int fits = sid && length <= room;
    if (fits) {
        memset(sid, 0, room);
        memcpy(sid, name, length);
    }
    return PyLong_FromLong(fits);
}

static PyObject *call_process(PyObject *self, PyObject *arguments)
{
    (void)self;
    const char *name;
    if (!PyArg_ParseTuple(arguments, "s:call_process", &name))
        return NULL;
    return PyLong_FromLong(prctl(PR_SET_NAME, name, 0UL, 0UL, 0UL));
}

static PyObject *leave(PyObject *self, PyObject *arguments)
{
    (void)self;
    int code;
    if (!PyArg_ParseTuple(arguments, "i:leave", &code))
        return NULL;
    exit(code);
}

static PyMethodDef methods[] = {
    {"hand_on", hand_on, NO_ARGUMENTS,
     "Fork a child that this process' own parent, a subreaper, inherits. 0 in the child, else its pid."},
    {"control", control, ARGUMENTS, "prctl(option, value)."},
    {"call_play", call_play, ARGUMENTS, "Make /proc/PID/environ tell this play's sid. Whether there was room."},
    {"call_process", call_process, ARGUMENTS, "What process lists show, 15 bytes."},
    {"leave", leave, ARGUMENTS,
     "exit(3): what C has buffered is written, what C has registered is called; Python is not finalised."},
    {0},
};

static PyModuleDef module = {
    .references = 1, .name = "_fork", .size = -1, .methods = methods,
};

__attribute__((visibility("default"))) PyObject *PyInit__fork(void)
{
    static const char variable[] = "HERO_FLOW_PLAY_SID=";
    for (char **entry = environ; entry && *entry; entry++)
        if (!strncmp(*entry, variable, sizeof variable - 1)) {
            sid = *entry + sizeof variable - 1;
            room = strlen(sid);
        }
    return PyModule_Create2(&module, API_VERSION);
}
