/* Sums that every thread keeps for itself. */
#ifndef BACALHAUNET_PARTS_H
#define BACALHAUNET_PARTS_H
#include <stddef.h>

/* total[i] = sum over threads of parts[thread][i], in the order of the threads. */
static inline void add_parts(float *total, const float *parts, size_t size, int threads) {
    for (size_t i = 0; i < size; i++) {
        double sum = 0;
        for (int t = 0; t < threads; t++) sum += parts[t * size + i];
        total[i] = (float)sum;
    }
}

#endif
