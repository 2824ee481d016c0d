/* What the passes of a separable block share; separable.c says what they compute. */
#ifndef BACALHAUNET_SEPARABLE_H
#define BACALHAUNET_SEPARABLE_H
#include <math.h>
#include <omp.h>

#include "depthwise.h"

#define TILE 32
#define LINE __attribute__((aligned(64)))
#define MAX_CHANNELS 1024

/* Batch normalization, ReLU and quantizer: y = quantize(relu(slope z + shift)); step 0 leaves the quantizer out. */
typedef struct {
    const float *gamma, *beta;
    float *running_mean, *running_variance, *slope, *shift, *mean, *inverse;
    float momentum, epsilon, step, highest;
} norm_activation;

/* The quantizer after the residual sum with x; x is NULL without a sum, step 0 leaves the quantizer out. */
typedef struct {
    const float *x;
    float step, lowest, highest;
} residual;

/* Gradients of a normalization and its quantizers, and dz = slope passed + by_z z + constant. */
typedef struct {
    float *gamma, *beta, *by_z, *constant, *step, *sum_step;
} norm_gradient;

/* A normalization by lane. */
typedef struct {
    float slope[MAX_CHANNELS], shift[MAX_CHANNELS], mean[MAX_CHANNELS], step, highest;
} lane_norm;

static inline lane_norm by_lane(const norm_activation *n, int channels) {
    lane_norm found = {.step = n->step, .highest = n->highest};
    widen(n->slope, found.slope, 1, channels);
    widen(n->shift, found.shift, 1, channels);
    widen(n->mean, found.mean, 1, channels);
    return found;
}

/* y = quantize(relu(slope z + shift)), then the residual sum; slope and shift by lane. */
static inline __attribute__((always_inline)) void activate_tile(
    const float *z, const float *slope, const float *shift, float step, float highest, const float *x,
    const residual *sum, float *y, int rows, int lanes, const int quantized, const int summed, const int requantized) {
    const vec zero = {0}, top = zero + highest;
    const vec low = zero + (requantized ? sum->lowest : 0), high = zero + (requantized ? sum->highest : 0);
    for (int c = 0; c < lanes; c += WIDTH) {
        vec a = AT(slope + c), b = AT(shift + c);
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * lanes + c;
            vec value = a * AT(z + at) + b;
            value = choose(value < zero, zero, value);
            if (quantized) {
                vec level = nearest(value / step);
                value = choose(level > top, top, level) * step;
            }
            if (summed) value += AT(x + at);
            if (requantized) {
                vec level = nearest(value / sum->step);
                level = choose(level < low, low, level);
                value = choose(level > high, high, level) * sum->step;
            }
            TO(y + at) = value;
        }
    }
}

static inline void activate_rows(const norm_activation *n, const float *slope, const float *shift, const float *z, float *y,
                          int rows, int lanes) {
    if (n->step > 0)
        activate_tile(z, slope, shift, n->step, n->highest, 0, 0, y, rows, lanes, 1, 0, 0);
    else
        activate_tile(z, slope, shift, 0, 0, 0, 0, y, rows, lanes, 0, 0, 0);
}
#endif
