/* The Python module: holds models, runs frames without the interpreter lock. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define WORKSPACES 64

typedef struct {
    model m;
    void *arena_memory;
    workspace *idle[WORKSPACES]; /* under the interpreter lock */
    int idle_count;
} handle;

static void *aligned(size_t bytes, void **memory)
{
    *memory = calloc(1, bytes + 4096);
    return *memory ? (void *)(((uintptr_t)*memory + 4095) & ~(uintptr_t)4095) : NULL;
}

typedef struct {
    workspace w;
    void *memory;
} owned_workspace;

static workspace *take_workspace(handle *h)
{
    if (h->idle_count)
        return h->idle[--h->idle_count];
    owned_workspace *own = calloc(1, sizeof *own);
    if (!own)
        return NULL;
    own->w.arena = aligned((size_t)h->m.arena_bytes, &own->memory);
    own->w.sums = calloc((size_t)h->m.sums + 64, sizeof(int32_t));
    if (!own->w.arena || !own->w.sums) {
        free(own->memory);
        free(own->w.sums);
        free(own);
        return NULL;
    }
    memcpy(own->w.arena, h->m.initial, (size_t)h->m.arena_bytes);
    return &own->w;
}

static void free_workspace(workspace *w)
{
    owned_workspace *own = (owned_workspace *)(void *)w;
    free(own->memory);
    free(w->sums);
    free(own);
}

static void give_back(handle *h, workspace *w)
{
    if (h->idle_count < WORKSPACES)
        h->idle[h->idle_count++] = w;
    else
        free_workspace(w);
}

static void free_handle(PyObject *capsule)
{
    handle *h = PyCapsule_GetPointer(capsule, "bacalhaunet.model");
    if (!h)
        return;
    while (h->idle_count)
        free_workspace(h->idle[--h->idle_count]);
    free(h->m.instructions);
    free(h->m.records);
    free(h->m.entries);
    free(h->m.numbers);
    free(h->m.wides);
    free(h->m.initial);
    free(h);
}

/* Copy a buffer object; counts elements of `size` bytes. */
static int copy_table(PyObject *object, void **to, int32_t *count, size_t size)
{
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return 0;
    *to = malloc((size_t)view.len + 1);
    int good = *to != NULL && (size_t)view.len % size == 0;
    if (good) {
        memcpy(*to, view.buf, (size_t)view.len);
        *count = (int32_t)((size_t)view.len / size);
    } else {
        PyErr_SetString(PyExc_ValueError, "a table is not a whole number of records");
    }
    PyBuffer_Release(&view);
    return good;
}

/* model(instructions, records, entries, numbers, wides, initial, sums, classes, logit_scale, quantizer tuple) */
static PyObject *make_model(PyObject *self, PyObject *arguments)
{
    PyObject *tables[6];
    handle *h = calloc(1, sizeof *h);
    (void)self;
    if (!h)
        return PyErr_NoMemory();
    PyObject *capsule = PyCapsule_New(h, "bacalhaunet.model", free_handle);
    if (!capsule) {
        free(h);
        return NULL;
    }
    model *m = &h->m;
    input_quantizer *q = &m->input;
    if (!PyArg_ParseTuple(arguments, "OOOOOOiid(ffffffiiiii)", &tables[0], &tables[1], &tables[2], &tables[3],
                          &tables[4], &tables[5], &m->sums, &m->classes, &m->logit_scale, &q->scale, &q->zero, &q->clip_low, &q->clip_high, &q->low, &q->high, &q->clipped, &q->rows[0],
                          &q->rows[1], &q->length, &q->code) ||
        !copy_table(tables[0], (void **)&m->instructions, &m->instruction_count, sizeof(instruction)) ||
        !copy_table(tables[1], (void **)&m->records, &m->record_count, sizeof(record)) ||
        !copy_table(tables[2], (void **)&m->entries, &m->entry_count, sizeof(entry)) ||
        !copy_table(tables[3], (void **)&m->numbers, &m->number_count, sizeof(int32_t)) ||
        !copy_table(tables[4], (void **)&m->wides, &m->wide_count, sizeof(int64_t)) ||
        !copy_table(tables[5], (void **)&m->initial, &m->arena_bytes, 1)) {
        Py_DECREF(capsule);
        return NULL;
    }
    engine_finish_quantizer(q);
    return capsule;
}

static const kernel_set *kernels_named(const char *name)
{
    for (const kernel_set *const *k = engine_available(); *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    PyErr_Format(PyExc_ValueError, "this processor has no kernels called %s", name);
    return NULL;
}

typedef struct {
    handle *h;
    const kernel_set *k;
    workspace *w;
} call;

static int begin_call(call *c, PyObject *capsule, PyObject *kernels)
{
    c->h = PyCapsule_GetPointer(capsule, "bacalhaunet.model");
    c->k = c->h ? PyCapsule_GetPointer(kernels, "bacalhaunet.kernels") : NULL;
    c->w = c->k ? take_workspace(c->h) : NULL;
    if (c->k && !c->w)
        PyErr_NoMemory();
    return c->w != NULL;
}

/* Run frames between two buffers: bytes or floats in, int32 or float logits out. */
static void run_frames(const call *c, const float *samples, const uint8_t *integers, Py_ssize_t frames, int32_t *exact,
                       float *real)
{
    const model *m = &c->h->m;
    size_t size = 2 * (size_t)m->input.length, bytes = size * (samples ? sizeof *samples : 1);
    int32_t logits[4096];
    for (Py_ssize_t f = 0; f < frames; f++) {
        c->w->ahead = (samples ? (const char *)samples : (const char *)integers) + (size_t)(f + 1) * bytes;
        c->w->ahead_bytes = f + 1 < frames ? (ptrdiff_t)bytes : 0;
        int32_t *to = exact ? exact + f * m->classes : logits;
        engine_frame(m, c->k, c->w, samples ? samples + (size_t)f * size : NULL,
                     integers ? integers + (size_t)f * size : NULL, to);
        if (real)
            for (int32_t n = 0; n < m->classes; n++)
                real[f * m->classes + n] = (float)(to[n] * m->logit_scale);
    }
}

/* run(model, kernels, frames, output, integers in, integers out): frames and output are contiguous buffers. */
static PyObject *run(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer in, out;
    call c;
    (void)self;
    if (count != 6) {
        PyErr_SetString(PyExc_TypeError, "run takes 6 arguments");
        return NULL;
    }
    PyObject *capsule = arguments[0], *kernels = arguments[1];
    int integers_in = arguments[4] == Py_True, integers_out = arguments[5] == Py_True;
    if (PyObject_GetBuffer(arguments[2], &in, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(arguments[3], &out, PyBUF_SIMPLE | PyBUF_WRITABLE) < 0) {
        PyBuffer_Release(&in);
        return NULL;
    }
    PyObject *result = NULL;
    if (begin_call(&c, capsule, kernels)) {
        Py_ssize_t size = 2 * (Py_ssize_t)c.h->m.input.length * (integers_in ? 1 : 4);
        Py_ssize_t frames = in.len / size;
        if (in.len % size || out.len != frames * c.h->m.classes * 4 || c.h->m.classes > 4096) {
            PyErr_SetString(PyExc_ValueError, "frames and output do not fit each other");
        } else {
            Py_BEGIN_ALLOW_THREADS
            run_frames(&c, integers_in ? NULL : in.buf, integers_in ? in.buf : NULL, frames,
                       integers_out ? out.buf : NULL, integers_out ? NULL : out.buf);
            Py_END_ALLOW_THREADS
            result = Py_None;
            Py_INCREF(result);
        }
        give_back(c.h, c.w);
    }
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    return result;
}

/* trace(model, kernels, frame): the arena after one frame of bytes, for tests. */
static PyObject *trace(PyObject *self, PyObject *arguments)
{
    PyObject *capsule, *kernels, *result = NULL;
    Py_buffer in;
    call c;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "OOy*", &capsule, &kernels, &in))
        return NULL;
    if (begin_call(&c, capsule, kernels)) {
        if (in.len == 2 * (Py_ssize_t)c.h->m.input.length) {
            int32_t logits[4096];
            run_frames(&c, NULL, in.buf, 1, logits, NULL);
            result = PyBytes_FromStringAndSize((const char *)c.w->arena, c.h->m.arena_bytes);
        } else {
            PyErr_SetString(PyExc_ValueError, "not one frame");
        }
        give_back(c.h, c.w);
    }
    PyBuffer_Release(&in);
    return result;
}

/* available(): names of the kernels this processor can run, the best first. */
static PyObject *available(PyObject *self, PyObject *arguments)
{
    PyObject *names = PyList_New(0);
    (void)self;
    (void)arguments;
    for (const kernel_set *const *k = engine_available(); names && *k; k++) {
        PyObject *name = PyUnicode_FromString((*k)->name);
        if (!name || PyList_Append(names, name) < 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

/* kernels(name) */
static PyObject *kernels(PyObject *self, PyObject *arguments)
{
    const char *name;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "s", &name))
        return NULL;
    const kernel_set *k = kernels_named(name);
    return k ? PyCapsule_New((void *)(uintptr_t)k, "bacalhaunet.kernels", NULL) : NULL;
}

/* chain(n): n additions, each waiting for the one before: one a cycle, to measure the clock by. What is added is in a
 * register: additions of constants are done on the way by some processors, several a cycle. */
static PyObject *chain(PyObject *self, PyObject *arguments)
{
    long long n;
    unsigned long long sum = 0, step = 1;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "L", &n))
        return NULL;
    __asm__ volatile("" : "+r"(step));
    for (long long i = 0; i < n; i += 8) {
#define ADD                                                                                                            \
    sum += step;                                                                                                       \
    __asm__ volatile("" : "+r"(sum));
        ADD ADD ADD ADD ADD ADD ADD ADD
#undef ADD
    }
    return PyLong_FromUnsignedLongLong(sum);
}

static PyMethodDef methods[] = {
    {"model", make_model, METH_VARARGS, "Take in the tables of a model."},
    {"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, "Run frames."},
    {"trace", trace, METH_VARARGS, "Return the memory after one frame."},
    {"available", available, METH_NOARGS, "Name the kernels of this processor."},
    {"chain", chain, METH_VARARGS, "Add again and again, one addition a cycle."},
    {"kernels", kernels, METH_VARARGS, "Find kernels by name."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_engine", "Native kernels of bacalhaunet.", -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__engine(void) { return PyModule_Create(&module); }
