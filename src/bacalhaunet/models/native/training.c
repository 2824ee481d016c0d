/* The layers of a separable network, forward and backward, for training on a CPU.
 *
 * A signal is float32 (batch, length, channels): what torch calls channels-last memory of (batch, channels, 1, length).
 * Work is split over frames; sums over the batch are kept per thread and added in the order of the threads.
 * Vectors are eight channels wide. Channel counts that are no multiple of eight take the scalar path at the end of a row.
 */
#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

static void add_parts(float *total, const float *parts, size_t size, int threads) {
    for (size_t i = 0; i < size; i++) {
        double sum = 0;
        for (int t = 0; t < threads; t++) sum += parts[t * size + i];
        total[i] = (float)sum;
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

/* y = x w with x (rows, inputs), w (inputs, outputs). */
void product(const float *x, const float *w, float *y, int64_t rows, int inputs, int outputs, int threads) {
    int64_t tile = 128, tiles = (rows + tile - 1) / tile;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < tiles; t++) {
        int64_t begin = t * tile, count = begin + tile <= rows ? tile : rows - begin;
        product_rows(x + begin * inputs, w, y + begin * outputs, count, inputs, outputs);
    }
}

/* dw = x^T g, in tiles of rows that stay in the cache. */
int outer(const float *x, const float *g, float *dw, int64_t rows, int inputs, int outputs, int threads) {
    size_t size = (size_t)inputs * outputs;
    float *parts = calloc(size * threads, sizeof(float));
    if (!parts) return 1;
    int64_t tile = 128, tiles = (rows + tile - 1) / tile;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < tiles; t++) {
        int64_t begin = t * tile, count = begin + tile <= rows ? tile : rows - begin;
        float *mine = parts + size * omp_get_thread_num();
        outer_rows(x + begin * inputs, g + begin * outputs, mine, count, inputs, outputs);
    }
    add_parts(dw, parts, size, threads);
    free(parts);
    return 0;
}

#define MAX_CHANNELS 4096

/* Mean and sum of squared deviations of each channel: per tile in two passes, tiles merged after Chan et al. */
int statistics(const float *z, double *mean, double *squares, int64_t rows, int channels, int threads) {
    double *parts = calloc((size_t)threads * 2 * channels, sizeof(double));
    int64_t *counts = calloc((size_t)threads, sizeof(int64_t));
    if (!parts || !counts) {
        free(parts);
        free(counts);
        return 1;
    }
    int64_t tile = 128, tiles = (rows + tile - 1) / tile;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < tiles; t++) {
        float sum[MAX_CHANNELS], deviation[MAX_CHANNELS];
        int64_t begin = t * tile, count = begin + tile <= rows ? tile : rows - begin;
        int me = omp_get_thread_num();
        double *my_mean = parts + (size_t)me * 2 * channels, *my_squares = my_mean + channels;
        memset(sum, 0, sizeof(float) * channels);
        memset(deviation, 0, sizeof(float) * channels);
        for (int64_t r = begin; r < begin + count; r++)
            for (int c = 0; c < channels; c++) sum[c] += z[r * channels + c];
        for (int c = 0; c < channels; c++) sum[c] /= (float)count;
        for (int64_t r = begin; r < begin + count; r++)
            for (int c = 0; c < channels; c++) {
                float d = z[r * channels + c] - sum[c];
                deviation[c] += d * d;
            }
        double before = (double)counts[me], after = before + (double)count;
        for (int c = 0; c < channels; c++) {
            double delta = sum[c] - my_mean[c];
            my_mean[c] += delta * count / after;
            my_squares[c] += deviation[c] + delta * delta * before * count / after;
        }
        counts[me] += count;
    }
    double before = 0;
    memset(mean, 0, sizeof(double) * channels);
    memset(squares, 0, sizeof(double) * channels);
    for (int t = 0; t < threads; t++) {
        double count = (double)counts[t], after = before + count;
        if (count == 0) continue;
        for (int c = 0; c < channels; c++) {
            double delta = parts[(size_t)t * 2 * channels + c] - mean[c];
            mean[c] += delta * count / after;
            squares[c] += parts[((size_t)t * 2 + 1) * channels + c] + delta * delta * before * count / after;
        }
        before = after;
    }
    free(parts);
    free(counts);
    return 0;
}

/* y = quantize(relu(a z + b)); step 0 leaves the quantizer out. */
void activate(const float *restrict z, const float *restrict a, const float *restrict b, float *restrict y,
              int64_t rows, int channels, float step, float highest, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *from = z + r * channels;
        float *to = y + r * channels;
        if (step > 0)
            for (int c = 0; c < channels; c++) {
                float value = ATLEAST(a[c] * from[c] + b[c], 0.0f), level = rintf(value / step);
                to[c] = ATMOST(level, highest) * step;
            }
        else
            for (int c = 0; c < channels; c++) {
                float value = a[c] * from[c] + b[c];
                to[c] = ATLEAST(value, 0.0f);
            }
    }
}

/* What passes the activation: g where a z + b > 0 and its level was not clipped. Gives sums over the batch of it, of it
 * times the normalized z, and the gradient of the step. */
int activate_backward_sums(const float *restrict z, const float *restrict g, const float *restrict a,
                           const float *restrict b, const float *restrict mean, const float *restrict inverse,
                           double *sums, double *step_gradient, int64_t rows, int channels, float step, float highest,
                           int threads) {
    size_t size = (size_t)2 * channels + 1;
    double *parts = calloc(size * threads, sizeof(double));
    if (!parts) return 1;
    int64_t tile = 128, tiles = (rows + tile - 1) / tile;
    float divisor = step > 0 ? step : 1.0f;
    int quantized = step > 0;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < tiles; t++) {
        float plain[MAX_CHANNELS], scaled[MAX_CHANNELS], to_step[MAX_CHANNELS];
        double *mine = parts + size * omp_get_thread_num();
        int64_t begin = t * tile, end = begin + tile <= rows ? begin + tile : rows;
        memset(plain, 0, sizeof(float) * channels);
        memset(scaled, 0, sizeof(float) * channels);
        memset(to_step, 0, sizeof(float) * channels);
        for (int64_t r = begin; r < end; r++) {
            const float *from = z + r * channels, *gradient = g + r * channels;
            for (int c = 0; c < channels; c++) {
                float value = a[c] * from[c] + b[c], ratio = value / divisor, level = rintf(ratio);
                float clipped = quantized && level > highest ? 1.0f : 0.0f, on = value > 0 ? gradient[c] : 0.0f;
                float passed = clipped > 0 ? 0.0f : on;
                plain[c] += passed;
                scaled[c] += passed * (from[c] - mean[c]) * inverse[c];
                to_step[c] += on * (clipped > 0 ? highest : level - ratio);
            }
        }
        for (int c = 0; c < channels; c++) {
            mine[c] += plain[c];
            mine[channels + c] += scaled[c];
            mine[2 * channels] += to_step[c];
        }
    }
    for (size_t i = 0; i < size; i++) {
        double sum = 0;
        for (int t = 0; t < threads; t++) sum += parts[t * size + i];
        if (i < size - 1)
            sums[i] = sum;
        else
            *step_gradient = sum;
    }
    free(parts);
    return 0;
}

/* dz = a (passed - offset - normalized z * slope), with offset and slope the sums divided by the count. */
void activate_backward(const float *restrict z, const float *restrict g, const float *restrict a,
                       const float *restrict b, const float *restrict mean, const float *restrict inverse,
                       const float *restrict offset, const float *restrict slope, float *restrict dz, int64_t rows,
                       int channels, float step, float highest, int threads) {
    float limit = step > 0 ? highest : INFINITY, divisor = step > 0 ? step : 1.0f;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *from = z + r * channels, *gradient = g + r * channels;
        float *to = dz + r * channels;
        for (int c = 0; c < channels; c++) {
            float value = a[c] * from[c] + b[c];
            float passed = value > 0 && rintf(value / divisor) <= limit ? gradient[c] : 0.0f;
            to[c] = a[c] * (passed - offset[c] - (from[c] - mean[c]) * inverse[c] * slope[c]);
        }
    }
}

/* y = step clip(round(x / step), lowest, highest) */
void quantize(const float *restrict x, float *restrict y, int64_t count, float step, float lowest, float highest,
              int threads) {
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (int64_t i = 0; i < count; i++) {
        float level = rintf(x[i] / step);
        level = ATLEAST(level, lowest);
        y[i] = ATMOST(level, highest) * step;
    }
}

/* dx = g inside the range, and the gradient of the step. */
double quantize_backward(const float *restrict x, const float *restrict g, float *restrict dx, int64_t count,
                         float step, float lowest, float highest, int threads) {
    double total = 0;
    int64_t tile = 1024, tiles = (count + tile - 1) / tile;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : total)
    for (int64_t t = 0; t < tiles; t++) {
        int64_t begin = t * tile, end = begin + tile <= count ? begin + tile : count;
        float sum = 0;
        for (int64_t i = begin; i < end; i++) {
            float ratio = x[i] / step, rounded = rintf(ratio);
            float raised = ATLEAST(rounded, lowest), level = ATMOST(raised, highest);
            float inside = level == rounded ? 1.0f : 0.0f;
            dx[i] = g[i] * inside;
            sum += g[i] * (level - ratio * inside);
        }
        total += sum;
    }
    return total;
}

/* y[c] = max_l x[l][c] of each frame, and the l it is at. A value that is not a number is the largest. */
void largest(const float *x, float *y, int32_t *at, int64_t batch, int length, int channels, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t b = 0; b < batch; b++) {
        const float *from = x + (size_t)b * length * channels;
        int c = 0;
        for (; c + WIDTH <= channels; c += WIDTH) {
            vec best = AT(from + c);
            mask place = {0};
            for (int l = 1; l < length; l++) {
                vec value = AT(from + (size_t)l * channels + c);
                mask larger = (value > best) | (value != value);
                best = choose(larger, value, best);
                place = (larger & ((mask){0} + l)) | (~larger & place);
            }
            TO(y + b * channels + c) = best;
            memcpy(at + b * channels + c, &place, sizeof(place));
        }
        for (; c < channels; c++) {
            int place = 0;
            for (int l = 1; l < length; l++) {
                float value = from[(size_t)l * channels + c];
                if (value > from[(size_t)place * channels + c] || value != value) place = l;
            }
            y[b * channels + c] = from[(size_t)place * channels + c];
            at[b * channels + c] = place;
        }
    }
}

/* dx = g where the largest is, else 0. */
void largest_backward(const float *g, const int32_t *at, float *dx, int64_t batch, int length, int channels,
                      int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t b = 0; b < batch; b++) {
        float *to = dx + (size_t)b * length * channels;
        memset(to, 0, sizeof(float) * (size_t)length * channels);
        for (int c = 0; c < channels; c++) to[(size_t)at[b * channels + c] * channels + c] = g[b * channels + c];
    }
}
