/* A depthwise convolution, forward and backward.
 *
 * A signal is float32 (batch, length, channels): what torch calls channels-last memory of (batch, channels, 1, length).
 * Work is split over frames; sums over the batch are kept per thread and added in the order of the threads.
 * Vectors are eight channels wide. Channel counts that are no multiple of eight take the scalar path at the end of a row.
 */
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"
#include "rows.h"

typedef struct {
    int batch, length_in, length_out, channels, kernel, stride, padding, dilation;
} depthwise_shape;

static int first_tap(const depthwise_shape *s, int start) {
    return start >= 0 ? 0 : (-start + s->dilation - 1) / s->dilation;
}

static int end_tap(const depthwise_shape *s, int start) {
    int room = s->length_in - 1 - start;
    int end = room < 0 ? 0 : room / s->dilation + 1;
    return end < s->kernel ? end : s->kernel;
}

/* y[l][c] = sum_k w[k][c] x[l stride + k dilation - padding][c] for one output. */
static void depthwise_one(const depthwise_shape *s, const float *x, const float *w, float *y, int l) {
    int channels = s->channels, start = l * s->stride - s->padding;
    int from = first_tap(s, start), to = end_tap(s, start), c = 0;
    for (; c + WIDTH <= channels; c += WIDTH) {
        vec sum = {0};
        for (int k = from; k < to; k++)
            sum += AT(w + (size_t)k * channels + c) * AT(x + (ptrdiff_t)(start + k * s->dilation) * channels + c);
        TO(y + (size_t)l * channels + c) = sum;
    }
    for (; c < channels; c++) {
        float sum = 0;
        for (int k = from; k < to; k++)
            sum += w[(size_t)k * channels + c] * x[(ptrdiff_t)(start + k * s->dilation) * channels + c];
        y[(size_t)l * channels + c] = sum;
    }
}

/* Four outputs whose taps all lie inside the signal. */
static void depthwise_four(const depthwise_shape *s, const float *x, const float *w, float *y, int l) {
    int channels = s->channels;
    size_t step = (size_t)s->stride * channels, tap = (size_t)s->dilation * channels;
    const float *begin = x + (size_t)(l * s->stride - s->padding) * channels;
    for (int c = 0; c < channels; c += WIDTH) {
        vec a = {0}, b = {0}, d = {0}, e = {0};
        const float *p = begin + c, *q = w + c;
        for (int k = 0; k < s->kernel; k++, p += tap, q += channels) {
            vec weight = AT(q);
            a += weight * AT(p);
            b += weight * AT(p + step);
            d += weight * AT(p + 2 * step);
            e += weight * AT(p + 3 * step);
        }
        float *out = y + (size_t)l * channels + c;
        TO(out) = a;
        TO(out + channels) = b;
        TO(out + 2 * channels) = d;
        TO(out + 3 * channels) = e;
    }
}

void depthwise_forward(const depthwise_shape *s, const float *x, const float *w, float *y, int threads) {
    int reach = (s->kernel - 1) * s->dilation;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < s->batch; b++) {
        const float *from = x + (size_t)b * s->length_in * s->channels;
        float *to = y + (size_t)b * s->length_out * s->channels;
        for (int l = 0; l < s->length_out;) {
            int start = l * s->stride - s->padding;
            int last = (l + 3) * s->stride - s->padding + reach;
            if (s->channels % WIDTH == 0 && l + 4 <= s->length_out && start >= 0 && last < s->length_in) {
                depthwise_four(s, from, w, to, l);
                l += 4;
            } else {
                depthwise_one(s, from, w, to, l);
                l += 1;
            }
        }
    }
}

/* dx[l stride + k dilation - padding][c] += w[k][c] g[l][c] */
void depthwise_backward_input(const depthwise_shape *s, const float *g, const float *w, float *dx, int threads) {
    int channels = s->channels;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < s->batch; b++) {
        float *to = dx + (size_t)b * s->length_in * channels;
        const float *from = g + (size_t)b * s->length_out * channels;
        memset(to, 0, sizeof(float) * (size_t)s->length_in * channels);
        for (int l = 0; l < s->length_out; l++) {
            int start = l * s->stride - s->padding, first = first_tap(s, start), end = end_tap(s, start), c = 0;
            for (; c + WIDTH <= channels; c += WIDTH) {
                vec value = AT(from + (size_t)l * channels + c);
                for (int k = first; k < end; k++) {
                    float *out = to + (ptrdiff_t)(start + k * s->dilation) * channels + c;
                    TO(out) = AT(out) + AT(w + (size_t)k * channels + c) * value;
                }
            }
            for (; c < channels; c++)
                for (int k = first; k < end; k++)
                    to[(ptrdiff_t)(start + k * s->dilation) * channels + c] +=
                        w[(size_t)k * channels + c] * from[(size_t)l * channels + c];
        }
    }
}

/* Outputs l for which tap k lies inside the signal: low <= l < high. */
static void tap_range(const depthwise_shape *s, int k, int *low, int *high) {
    int shift = k * s->dilation - s->padding;
    *low = shift >= 0 ? 0 : (-shift + s->stride - 1) / s->stride;
    int room = s->length_in - 1 - shift;
    *high = room < 0 ? 0 : room / s->stride + 1;
    if (*high > s->length_out) *high = s->length_out;
    if (*low > *high) *low = *high;
}

/* dw[k][c] += sum_l x[l stride + k dilation - padding][c] g[l][c] for one frame and four taps. */
static void weight_four(const depthwise_shape *s, const float *x, const float *g, float *dw, int k) {
    int channels = s->channels, low, high, unused;
    tap_range(s, k, &low, &unused);
    tap_range(s, k + 3, &unused, &high);
    size_t tap = (size_t)s->dilation * channels;
    for (int c = 0; c < channels; c += WIDTH) {
        vec sum[4] = {{0}, {0}, {0}, {0}};
        for (int l = low; l < high; l++) {
            vec value = AT(g + (size_t)l * channels + c);
            const float *p = x + (size_t)(l * s->stride + k * s->dilation - s->padding) * channels + c;
            sum[0] += value * AT(p);
            sum[1] += value * AT(p + tap);
            sum[2] += value * AT(p + 2 * tap);
            sum[3] += value * AT(p + 3 * tap);
        }
        for (int j = 0; j < 4; j++) {
            int from, to;
            tap_range(s, k + j, &from, &to);
            vec rest = {0};
            for (int l = from; l < to; l++) {
                if (l == low && high > low) l = high;
                if (l >= to) break;
                rest += AT(g + (size_t)l * channels + c) *
                        AT(x + (size_t)(l * s->stride + (k + j) * s->dilation - s->padding) * channels + c);
            }
            float *out = dw + (size_t)(k + j) * channels + c;
            TO(out) = AT(out) + sum[j] + rest;
        }
    }
}

static void weight_one(const depthwise_shape *s, const float *x, const float *g, float *dw, int k) {
    int channels = s->channels, low, high, shift = k * s->dilation - s->padding;
    tap_range(s, k, &low, &high);
    for (int c = 0; c < channels; c++) {
        float sum = 0;
        for (int l = low; l < high; l++)
            sum += g[(size_t)l * channels + c] * x[(size_t)(l * s->stride + shift) * channels + c];
        dw[(size_t)k * channels + c] += sum;
    }
}

int depthwise_backward_weight(const depthwise_shape *s, const float *x, const float *g, float *dw, int threads) {
    size_t size = (size_t)s->kernel * s->channels;
    float *parts = calloc(size * threads, sizeof(float));
    if (!parts) return 1;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < s->batch; b++) {
        float *mine = parts + size * omp_get_thread_num();
        const float *from = x + (size_t)b * s->length_in * s->channels;
        const float *grad = g + (size_t)b * s->length_out * s->channels;
        int k = 0;
        if (s->channels % WIDTH == 0)
            for (; k + 4 <= s->kernel; k += 4) weight_four(s, from, grad, mine, k);
        for (; k < s->kernel; k++) weight_one(s, from, grad, mine, k);
    }
    add_parts(dw, parts, size, threads);
    free(parts);
    return 0;
}
