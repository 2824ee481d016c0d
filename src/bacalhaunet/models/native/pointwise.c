/* A pointwise convolution and a dense layer: the products of rows with a matrix, in tiles that stay in the cache. */
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>

#include "parts.h"
#include "rows.h"

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
