/* The maximum over time, forward and backward.
 *
 * A signal is float32 (batch, length, channels): what torch calls channels-last memory of (batch, channels, 1, length).
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rows.h"

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
