/* A separable block of a network, forward and backward, for training on a CPU:
 *
 *     z1 = depthwise(x),  y1 = quantize(relu(norm(z1))),  z2 = pointwise(y1),  y2 = quantize(relu(norm(z2))),
 *     y  = quantize(y2 + x) where the block has a residual sum, else y2
 *
 * Training is bound by memory: of a block only x, z1, z2 and y exist, activations are computed again where they are
 * read, in tiles of rows that stay in the cache. A signal is float32 (batch, length, channels). Work is split over
 * frames; sums over the batch are kept per thread and added in the order of the threads.
 */
#include "separable.h"

/* Mean and sum of squared deviations of every lane, for one thread. */
typedef struct {
    double count;
    double mean[MAX_CHANNELS], squares[MAX_CHANNELS];
} moments;

static void add_moments(moments *m, const float *z, int rows, int lanes) {
    float sum[MAX_CHANNELS], deviation[MAX_CHANNELS];
    for (int c = 0; c < lanes; c += WIDTH) {
        vec total = {0}, squares = {0};
        for (int r = 0; r < rows; r++) total += AT(z + (size_t)r * lanes + c);
        vec mean = total / (float)rows;
        for (int r = 0; r < rows; r++) {
            vec d = AT(z + (size_t)r * lanes + c) - mean;
            squares += d * d;
        }
        TO(sum + c) = mean;
        TO(deviation + c) = squares;
    }
    double after = m->count + rows, share = rows / after, both = m->count * share;
    for (int c = 0; c < lanes; c++) {
        double delta = sum[c] - m->mean[c];
        m->mean[c] += delta * share;
        m->squares[c] += deviation[c] + delta * delta * both;
    }
    m->count = after;
}

/* Merge the lanes of all threads into channels (Chan et al.), and set what normalizes the batch. */
static void finish_norm(const moments *parts, int threads, int channels, norm_activation *n) {
    int lanes = lanes_of(channels);
    for (int c = 0; c < channels; c++) {
        double count = 0, mean = 0, squares = 0;
        for (int t = 0; t < threads; t++)
            for (int lane = c; lane < lanes && parts[t].count > 0; lane += channels) {
                double after = count + parts[t].count, delta = parts[t].mean[lane] - mean;
                squares += parts[t].squares[lane] + delta * delta * count * parts[t].count / after;
                mean += delta * parts[t].count / after;
                count = after;
            }
        double variance = squares / count, unbiased = squares / (count > 1 ? count - 1 : 1);
        n->mean[c] = (float)mean;
        n->inverse[c] = (float)(1 / sqrt(variance + n->epsilon));
        n->slope[c] = n->gamma[c] * n->inverse[c];
        n->shift[c] = n->beta[c] - n->mean[c] * n->slope[c];
        n->running_mean[c] += n->momentum * ((float)mean - n->running_mean[c]);
        n->running_variance[c] += n->momentum * ((float)unbiased - n->running_variance[c]);
    }
}

static void finish_rows(const norm_activation *n, const float *slope, const float *shift, const float *z,
                        const residual *sum, const float *x, float *y, int rows, int lanes) {
    if (!x)
        activate_rows(n, slope, shift, z, y, rows, lanes);
    else if (n->step > 0 && sum->step > 0)
        activate_tile(z, slope, shift, n->step, n->highest, x, sum, y, rows, lanes, 1, 1, 1);
    else if (n->step > 0)
        activate_tile(z, slope, shift, n->step, n->highest, x, sum, y, rows, lanes, 1, 1, 0);
    else if (sum->step > 0)
        activate_tile(z, slope, shift, 0, 0, x, sum, y, rows, lanes, 0, 1, 1);
    else
        activate_tile(z, slope, shift, 0, 0, x, sum, y, rows, lanes, 0, 1, 0);
}

/* z1 = depthwise(x) and its normalization. */
int separable_depthwise(const block_shape *s, const float *x, const float *w, float *z1, norm_activation *n,
                        int threads) {
    int lanes = lanes_of(s->inputs), rows = s->length_out * s->inputs / lanes, failed = 0;
    moments *parts = calloc(threads, sizeof(moments));
    float *taps = line_of_zeros((size_t)s->kernel * lanes);
    ptrdiff_t *offset = malloc(sizeof(ptrdiff_t) * s->kernel);
    if (parts && taps && offset) {
        widen(w, taps, s->kernel, s->inputs);
        input_offsets(s, offset);
#pragma omp parallel num_threads(threads) reduction(| : failed)
        {
            float *buffer = line_of_zeros(input_floats(s));
            failed = !buffer;
#pragma omp for schedule(static)
            for (int b = 0; b < s->batch; b++) {
                if (!buffer) continue;
                float *out = z1 + (size_t)b * s->length_out * s->inputs;
                lay_in(s, x + (size_t)b * s->length_in * s->inputs, buffer);
                for (int l = 0; l < rows; l += TILE) {
                    int count = rows - l < TILE ? rows - l : TILE;
                    size_t at = (size_t)l * lanes;
                    correlate(buffer + at, offset, taps, s->kernel, 0, out + at, count, lanes);
                    add_moments(parts + omp_get_thread_num(), out + at, count, lanes);
                }
            }
            free(buffer);
        }
        finish_norm(parts, threads, s->inputs, n);
    } else
        failed = 1;
    free(parts);
    free(taps);
    free(offset);
    return failed;
}

/* z2 = pointwise(y1) and its normalization; w is (inputs, outputs). */
int separable_pointwise(const block_shape *s, const float *z1, norm_activation *n1, const float *w, float *z2,
                        norm_activation *n2, int threads) {
    int inputs = s->inputs, outputs = s->outputs, wide = lanes_of(inputs), lanes = lanes_of(outputs), group = wide / inputs;
    moments *parts = calloc(threads, sizeof(moments));
    if (!parts) return 1;
    float slope[MAX_CHANNELS], shift[MAX_CHANNELS];
    widen(n1->slope, slope, 1, inputs);
    widen(n1->shift, shift, 1, inputs);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < s->batch; b++) {
        float y1[TILE * MAX_CHANNELS] LINE;
        for (int l = 0; l < s->length_out; l += TILE) {
            int count = s->length_out - l < TILE ? s->length_out - l : TILE;
            size_t row = (size_t)b * s->length_out + l;
            float *out = z2 + row * outputs;
            fetch(z1 + (row + TILE) * inputs, TILE * inputs);
            activate_rows(n1, slope, shift, z1 + row * inputs, y1, count / group, wide);
            product_rows(y1, w, out, count, inputs, outputs);
            add_moments(parts + omp_get_thread_num(), out, count * outputs / lanes, lanes);
        }
    }
    finish_norm(parts, threads, outputs, n2);
    free(parts);
    return 0;
}

/* y = quantize(y2 + x), or y2. */
void separable_output(const block_shape *s, const float *z2, const norm_activation *n2, const residual *sum, float *y,
                      int threads) {
    int lanes = lanes_of(s->outputs), rows = s->length_out * s->outputs / lanes;
    float slope[MAX_CHANNELS], shift[MAX_CHANNELS];
    widen(n2->slope, slope, 1, s->outputs);
    widen(n2->shift, shift, 1, s->outputs);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < s->batch; b++)
        for (int l = 0; l < rows; l += TILE) {
            int count = rows - l < TILE ? rows - l : TILE;
            size_t at = ((size_t)b * rows + l) * lanes;
            fetch(z2 + at + TILE * lanes, TILE * lanes);
            if (sum->x) fetch(sum->x + at + TILE * lanes, TILE * lanes);
            finish_rows(n2, slope, shift, z2 + at, sum, sum->x ? sum->x + at : 0, y + at, count, lanes);
        }
}
