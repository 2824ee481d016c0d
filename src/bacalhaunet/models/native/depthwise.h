/* Depthwise convolution of one frame without a case for the borders: the signal is laid into a buffer with its padding,
 * one part for each residue of the stride, so that every tap reads neighbouring rows.
 *
 * A row is `channels` floats. Channels that do not fill a vector are taken several rows at once.
 */
#ifndef BACALHAUNET_DEPTHWISE_H
#define BACALHAUNET_DEPTHWISE_H
#include <stdlib.h>
#include <string.h>

#include "rows.h"

typedef struct {
    int batch, length_in, length_out, inputs, outputs, kernel, stride, padding, dilation;
} block_shape;

/* Floats that go through the vectors together; a multiple of the channels and of a vector's width. */
static inline int lanes_of(int channels) { return channels % WIDTH ? WIDTH : channels; }

/* Zeros that start at a cache line; vectors that lie across two take twice as long. */
static inline float *line_of_zeros(size_t floats) {
    size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
    float *memory = aligned_alloc(64, bytes);
    if (memory) memset(memory, 0, bytes);
    return memory;
}

/* Rows of one residue of the padded input, and of the padded gradient before and after its own. */
static inline int part_rows(const block_shape *s) { return (s->length_in + 2 * s->padding + s->stride - 1) / s->stride; }
static inline int rows_before(const block_shape *s) { return (s->kernel - 1) * s->dilation / s->stride + 1; }
static inline int rows_within(const block_shape *s) {
    int last = (s->length_in - 1 + s->padding) / s->stride + 1;
    return last > s->length_out ? last : s->length_out;
}

static inline size_t input_floats(const block_shape *s) { return (size_t)part_rows(s) * s->stride * s->inputs + WIDTH; }
static inline size_t gradient_floats(const block_shape *s) {
    return (size_t)(rows_before(s) + rows_within(s) + 1) * s->inputs + 2 * WIDTH;
}

static inline __attribute__((always_inline)) void copy_row(float *to, const float *from, int channels) {
    int c = 0;
    for (; c + WIDTH <= channels; c += WIDTH) TO(to + c) = AT(from + c);
    for (; c < channels; c++) to[c] = from[c];
}

static inline void lay_in(const block_shape *s, const float *x, float *buffer) {
    int channels = s->inputs;
    size_t part = (size_t)part_rows(s) * channels;
    if (s->stride == 1) {
        memcpy(buffer + (size_t)s->padding * channels, x, sizeof(float) * (size_t)s->length_in * channels);
        return;
    }
    for (int i = 0, residue = s->padding % s->stride, row = s->padding / s->stride; i < s->length_in; i++) {
        copy_row(buffer + residue * part + (size_t)row * channels, x + (size_t)i * channels, channels);
        if (++residue == s->stride) residue = 0, row++;
    }
}

/* Where tap k of output 0 lies in the padded input. */
static inline void input_offsets(const block_shape *s, ptrdiff_t *offset) {
    size_t part = (size_t)part_rows(s) * s->inputs;
    for (int k = 0; k < s->kernel; k++) {
        int at = k * s->dilation;
        offset[k] = (ptrdiff_t)((at % s->stride) * part) + (ptrdiff_t)(at / s->stride) * s->inputs;
    }
}

/* taps[k][lane] = w[k][lane mod channels] */
static inline void widen(const float *w, float *taps, int count, int channels) {
    int lanes = lanes_of(channels);
    for (int k = 0; k < count; k++)
        for (int c = 0; c < lanes; c++) taps[(size_t)k * lanes + c] = w[(size_t)k * channels + c % channels];
}

/* out[l] = add[l] + sum_k taps[k] buffer[offset[k] + l] for one row or eight. */
static inline __attribute__((always_inline)) void correlate_rows(
    const float *buffer, const ptrdiff_t *offset, const float *taps, int count, const float *add, float *out, int lanes,
    const int rows) {
    for (int c = 0; c < lanes; c += WIDTH) {
        vec sum[8];
        for (int j = 0; j < rows; j++) sum[j] = add ? AT(add + (size_t)j * lanes + c) : (vec){0};
        for (int k = 0; k < count; k++) {
            vec weight = AT(taps + (size_t)k * lanes + c);
            const float *p = buffer + offset[k] + c;
            for (int j = 0; j < rows; j++) sum[j] += weight * AT(p + (size_t)j * lanes);
        }
        for (int j = 0; j < rows; j++) TO(out + (size_t)j * lanes + c) = sum[j];
    }
}

static inline void correlate(const float *buffer, const ptrdiff_t *offset, const float *taps, int count, const float *add,
                      float *out, int rows, int lanes) {
    int l = 0;
    for (; l + 8 <= rows; l += 8) {
        size_t at = (size_t)l * lanes;
        correlate_rows(buffer + at, offset, taps, count, add ? add + at : 0, out + at, lanes, 8);
    }
    for (; l < rows; l++) {
        size_t at = (size_t)l * lanes;
        correlate_rows(buffer + at, offset, taps, count, add ? add + at : 0, out + at, lanes, 1);
    }
}

/* sums[k] += sum_l buffer[offset[k] + l] g[l] for `count` taps. */
static inline __attribute__((always_inline)) void weigh_taps(
    const float *buffer, const ptrdiff_t *offset, const float *g, int rows, int lanes, float *sums, const int count) {
    for (int c = 0; c < lanes; c += WIDTH) {
        vec sum[8];
        const float *p[8];
        for (int k = 0; k < count; k++) sum[k] = AT(sums + (size_t)k * lanes + c), p[k] = buffer + offset[k] + c;
        for (int l = 0; l < rows; l++) {
            vec value = AT(g + (size_t)l * lanes + c);
            for (int k = 0; k < count; k++) sum[k] += value * AT(p[k] + (size_t)l * lanes);
        }
        for (int k = 0; k < count; k++) TO(sums + (size_t)k * lanes + c) = sum[k];
    }
}

static inline void weigh(const float *buffer, const ptrdiff_t *offset, int count, const float *g, int rows, int lanes,
                  float *sums) {
    for (int begin = 0; begin < rows; begin += 64) {
        int tile = rows - begin < 64 ? rows - begin : 64, k = 0;
        const float *b = buffer + (size_t)begin * lanes, *from = g + (size_t)begin * lanes;
        for (; k + 8 <= count; k += 8) weigh_taps(b, offset + k, from, tile, lanes, sums + (size_t)k * lanes, 8);
        for (; k + 5 <= count; k += 5) weigh_taps(b, offset + k, from, tile, lanes, sums + (size_t)k * lanes, 5);
        for (; k + 3 <= count; k += 3) weigh_taps(b, offset + k, from, tile, lanes, sums + (size_t)k * lanes, 3);
        for (; k < count; k++) weigh_taps(b, offset + k, from, tile, lanes, sums + (size_t)k * lanes, 1);
    }
}

/* dx[i] = add[i] + sum_k w[k] dz[(i + padding - k dilation) / stride], the sum over the taps where that is whole.
 * `buffer` is dz behind rows_before rows of zeros; `scratch` holds the rows of one residue. */
static inline void correlate_back(const block_shape *s, const float *buffer, const float *w, const float *add, float *dx,
                           float *taps, ptrdiff_t *offset, float *scratch) {
    int channels = s->inputs, lanes = lanes_of(channels);
    for (int q = 0; q < s->stride; q++) {
        int from = s->padding > q ? (s->padding - q + s->stride - 1) / s->stride : 0, count = 0;
        int to = (s->length_in - 1 + s->padding - q) / s->stride, rows = to - from + 1;
        for (int k = 0; k < s->kernel; k++) {
            int away = q - k * s->dilation;
            if (away % s->stride) continue;
            offset[count] = (ptrdiff_t)(rows_before(s) + from + away / s->stride) * channels;
            widen(w + (size_t)k * channels, taps + (size_t)count * lanes, 1, channels);
            count++;
        }
        if (rows <= 0) continue;
        int wide = (rows * channels + lanes - 1) / lanes;
        if (s->stride == 1) {
            correlate(buffer, offset, taps, count, add, dx, wide, lanes);
            return;
        }
        correlate(buffer, offset, taps, count, 0, scratch, wide, lanes);
        for (int t = 0; t < rows; t++)
            copy_row(dx + (size_t)((from + t) * s->stride + q - s->padding) * channels,
                     scratch + (size_t)t * channels, channels);
    }
}
#endif
