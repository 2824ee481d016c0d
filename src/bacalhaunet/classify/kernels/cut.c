/* Frames out of samples: sums over a window, then I and Q apart and scaled, without the interpreter lock.
 *
 * numpy needs seven passes over the samples for this, which take as long as the fastest network. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16, RUN = 1024, BUFFERS = 5 };

typedef float lanes __attribute__((vector_size(4 * LANES))); /* gcc and clang split it into what the processor has */

typedef struct {
    double i, q, power;
} sums;

/* Add up count complex samples: in float over runs of 512 samples, in double beyond. Even lanes are I, odd ones Q. */
static sums add_up(const float *x, int64_t count)
{
    sums total = {0, 0, 0};
    int64_t floats = 2 * count;
    for (int64_t begin = 0; begin < floats; begin += RUN) {
        lanes plain = {0}, squares = {0};
        int64_t end = begin + RUN < floats ? begin + RUN : floats, n = begin;
        for (; n + LANES <= end; n += LANES) {
            lanes here;
            memcpy(&here, x + n, sizeof here);
            plain += here;
            squares += here * here;
        }
        for (; n < end; n++) {
            plain[n & 1] += x[n];
            squares[n & 1] += x[n] * x[n];
        }
        for (int lane = 0; lane < LANES; lane += 2) {
            total.i += plain[lane];
            total.q += plain[lane + 1];
            total.power += (double)squares[lane] + squares[lane + 1];
        }
    }
    return total;
}

/* 1 / max(sigma, rho / largest) of data.recordings.frames. */
static float deviation_factor(const float *x, int64_t count, double largest)
{
    sums total = add_up(x, count);
    double i = total.i / (double)count, q = total.q / (double)count, power = total.power / (double)count;
    double variance = power - (i * i + q * q), least = power / (largest * largest);
    return (float)(1 / sqrt(variance > least ? variance : least));
}

static void split(const float *restrict x, float *restrict i, float *restrict q, int64_t length, float factor)
{
    for (int64_t n = 0; n < length; n++) {
        i[n] = x[2 * n] * factor;
        q[n] = x[2 * n + 1] * factor;
    }
}

static int is_silent(const float *x, int64_t floats)
{
    for (int64_t n = 0; n < floats; n++)
        if (x[n] != 0)
            return 0;
    return 1;
}

/* cut(samples, starts, windows, frames, silent, length, width, largest, factor)
 *
 * samples: float32 I, Q, I, Q ...; starts, windows: int64, first sample of each frame and of the window that scales it;
 * frames: float32 (n, 2, length), written; silent: one byte a frame, written. width 0: every frame times factor. */
static PyObject *cut(PyObject *self, PyObject *arguments)
{
    PyObject *objects[BUFFERS];
    Py_buffer views[BUFFERS];
    long long length, width;
    double largest, factor;
    int taken = 0;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "OOOOOLLdd", &objects[0], &objects[1], &objects[2], &objects[3], &objects[4],
                          &length, &width, &largest, &factor))
        return NULL;
    for (; taken < BUFFERS; taken++)
        if (PyObject_GetBuffer(objects[taken], &views[taken], taken < 3 ? PyBUF_SIMPLE : PyBUF_WRITABLE) < 0)
            break;
    PyObject *result = NULL;
    if (taken == BUFFERS) {
        const float *samples = views[0].buf;
        const int64_t *starts = views[1].buf, *windows = views[2].buf;
        float *frames = views[3].buf;
        unsigned char *silent = views[4].buf;
        int64_t count = views[1].len / 8, total = views[0].len / 8;
        int fits = length > 0 && width >= 0 && views[2].len == views[1].len && views[4].len == count &&
                   views[3].len == count * 2 * length * 4;
        for (int64_t n = 0; fits && n < count; n++)
            fits = starts[n] >= 0 && starts[n] + length <= total && windows[n] >= 0 && windows[n] + width <= total;
        if (!fits) {
            PyErr_SetString(PyExc_ValueError, "frames, windows and samples do not fit each other");
        } else {
            Py_BEGIN_ALLOW_THREADS
            for (int64_t n = 0; n < count; n++) {
                const float *from = samples + 2 * starts[n];
                float *to = frames + 2 * length * n;
                silent[n] = (unsigned char)is_silent(from, 2 * length);
                float scale = (float)factor;
                if (width && !silent[n])
                    scale = deviation_factor(samples + 2 * windows[n], width, largest);
                if (!(scale < 3e38f)) { /* so small that their squares are zero */
                    silent[n] = 1;
                    scale = 1;
                }
                split(from, to, to + length, length, scale);
            }
            Py_END_ALLOW_THREADS
            result = Py_NewRef(Py_None);
        }
    }
    while (taken--)
        PyBuffer_Release(&views[taken]);
    return result;
}

static PyMethodDef methods[] = {{"cut", cut, METH_VARARGS, "Cut and scale frames."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_cut", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__cut(void)
{
    return PyModule_Create(&module);
}
