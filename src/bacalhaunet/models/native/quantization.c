/* A quantizer of a signal, forward and backward. */
#include <math.h>
#include <stdint.h>

#include "rows.h"

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
