/* BatchNorm, relu and the quantizer after them, forward and backward.
 *
 * A signal is float32 (batch, length, channels): what torch calls channels-last memory of (batch, channels, 1, length).
 */
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

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
