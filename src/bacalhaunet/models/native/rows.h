/* Vectors of eight channels, or of sixteen where the processor has them (build.py compiles both), and the two products
 * of a pointwise convolution on rows that lie in the cache. */
#ifndef BACALHAUNET_ROWS_H
#define BACALHAUNET_ROWS_H
#include <stddef.h>
#include <stdint.h>

#ifndef WIDTH
#define WIDTH 8
#endif
/* Written so that a value that is not a number stays one. */
#define ATLEAST(x, low) ((x) < (low) ? (low) : (x))
#define ATMOST(x, high) ((x) > (high) ? (high) : (x))
typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef float loose __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias)); /* as it lies in memory */
typedef int32_t mask __attribute__((vector_size(4 * WIDTH)));
#define AT(p) ((vec)(*(const loose *)(p)))
#define TO(p) (*(loose *)(p))


/* Ask for the floats from p on, which the next tile needs, while this one is computed. */
static inline __attribute__((always_inline)) void fetch(const float *p, size_t floats) {
    for (size_t i = 0; i < floats; i += 16) __builtin_prefetch(p + i, 0, 2);
}

/* a where m is set, else b. */
static inline __attribute__((always_inline)) vec choose(mask m, vec a, vec b) {
    return (vec)((m & (mask)a) | (~m & (mask)b));
}

/* The nearest whole number, ties to even, of magnitudes up to 2^22; larger ones stay large, NaN stays. */
static inline __attribute__((always_inline)) vec nearest(vec x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    return (x + shift) - shift;
}

/* y[r][o] = sum_i x[r][i] w[i][o] for `rows` rows and `blocks` vectors of outputs. */
static inline __attribute__((always_inline)) void product_block(
    const float *x, const float *w, float *y, int inputs, int outputs, const int rows, const int blocks) {
    vec sum[4][3];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < blocks; j++) sum[r][j] = (vec){0};
    for (int i = 0; i < inputs; i++) {
        for (int j = 0; j < blocks; j++) {
            vec weight = AT(w + (size_t)i * outputs + j * WIDTH);
            for (int r = 0; r < rows; r++) sum[r][j] += weight * x[(size_t)r * inputs + i];
        }
    }
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < blocks; j++) TO(y + (size_t)r * outputs + j * WIDTH) = sum[r][j];
}

static inline __attribute__((always_inline)) void product_group(
    const float *x, const float *w, float *y, int inputs, int outputs, const int rows) {
    int o = 0;
    for (; o + 3 * WIDTH <= outputs && o + 4 * WIDTH != outputs; o += 3 * WIDTH)
        product_block(x, w + o, y + o, inputs, outputs, rows, 3);
    for (; o + 2 * WIDTH <= outputs; o += 2 * WIDTH) product_block(x, w + o, y + o, inputs, outputs, rows, 2);
    for (; o + WIDTH <= outputs; o += WIDTH) product_block(x, w + o, y + o, inputs, outputs, rows, 1);
    for (; o < outputs; o++)
        for (int r = 0; r < rows; r++) {
            float sum = 0;
            for (int i = 0; i < inputs; i++) sum += x[(size_t)r * inputs + i] * w[(size_t)i * outputs + o];
            y[(size_t)r * outputs + o] = sum;
        }
}

/* y = x w with x (rows, inputs), w (inputs, outputs). */
static inline void product_rows(const float *x, const float *w, float *y, int64_t rows, int inputs, int outputs) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) product_group(x + r * inputs, w, y + r * outputs, inputs, outputs, 4);
    for (; r < rows; r++) product_group(x + r * inputs, w, y + r * outputs, inputs, outputs, 1);
}

/* dw[i][o] += sum_r x[r][i] g[r][o] for four inputs and `blocks` vectors of outputs. */
static inline __attribute__((always_inline)) void outer_block(
    const float *x, const float *g, float *dw, int64_t rows, int inputs, int outputs, const int blocks) {
    vec sum[4][3];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < blocks; j++) sum[i][j] = (vec){0};
    for (int64_t r = 0; r < rows; r++)
        for (int j = 0; j < blocks; j++) {
            vec value = AT(g + r * outputs + j * WIDTH);
            for (int i = 0; i < 4; i++) sum[i][j] += value * x[r * inputs + i];
        }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < blocks; j++) {
            float *out = dw + (size_t)i * outputs + j * WIDTH;
            TO(out) = AT(out) + sum[i][j];
        }
}

static inline void outer_rows(const float *x, const float *g, float *dw, int64_t rows, int inputs, int outputs) {
    int i = 0;
    for (; i + 4 <= inputs; i += 4) {
        int o = 0;
        for (; o + 3 * WIDTH <= outputs; o += 3 * WIDTH)
            outer_block(x + i, g + o, dw + (size_t)i * outputs + o, rows, inputs, outputs, 3);
        for (; o + WIDTH <= outputs; o += WIDTH)
            outer_block(x + i, g + o, dw + (size_t)i * outputs + o, rows, inputs, outputs, 1);
        for (; o < outputs; o++)
            for (int j = i; j < i + 4; j++)
                for (int64_t r = 0; r < rows; r++) dw[(size_t)j * outputs + o] += x[r * inputs + j] * g[r * outputs + o];
    }
    for (; i < inputs; i++)
        for (int64_t r = 0; r < rows; r++) {
            float value = x[r * inputs + i];
            for (int o = 0; o < outputs; o++) dw[(size_t)i * outputs + o] += value * g[r * outputs + o];
        }
}

#endif
