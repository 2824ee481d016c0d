/* A separable block of a network, backward; separable.c says what it computes.
 *
 * Each pass computes activations again from z1 and z2, and what a normalization needs of the whole batch is summed in
 * the pass before the one that uses it.
 */
#include "separable.h"

/* Sums of what passes an activation, by lane: of it, of it times z - mean, and for the steps of both quantizers. */
typedef struct {
    double plain[MAX_CHANNELS], centred[MAX_CHANNELS], step, sum_step;
} passed_sums;

static void add_lanes(double *to, vec values) {
    for (int j = 0; j < WIDTH; j++) to[j] += values[j];
}

static void add_all(double *to, vec values) {
    for (int j = 0; j < WIDTH; j++) *to += values[j];
}

/* passed = g where the activation lets it through; where there is a sum with a quantizer, g is first what passes that,
 * which goes to `through`. */
static inline __attribute__((always_inline)) void pass_tile(
    const lane_norm *n, const float *z, const float *g, const residual *sum, const float *x, float *through,
    float *passed, passed_sums *sums, int rows, int lanes, const int quantized, const int requantized) {
    const vec zero = {0}, top = zero + n->highest;
    const float step = quantized ? n->step : 1, by = 1 / step, sum_by = requantized ? 1 / sum->step : 1;
    const vec low = zero + (requantized ? sum->lowest : 0), high = zero + (requantized ? sum->highest : 0);
    for (int c = 0; c < lanes; c += WIDTH) {
        vec plain = zero, centred = zero, to_step = zero, to_sum = zero;
        vec a = AT(n->slope + c), b = AT(n->shift + c), mean = AT(n->mean + c);
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * lanes + c;
            vec before = AT(z + at), value = a * before + b, gradient = AT(g + at);
            vec ratio = value * by, level = nearest(ratio);
            mask on = value > zero, over = level > top;
            if (requantized) {
                vec active = value;
                if (quantized) active = choose(over, top, level) * step;
                vec total = (choose(on, active, zero) + AT(x + at)) * sum_by, whole = nearest(total);
                mask outside = (whole < low) | (whole > high);
                vec clipped = choose(whole < low, low, choose(whole > high, high, whole));
                to_sum += gradient * (clipped - choose(outside, zero, total));
                gradient = choose(outside, zero, gradient);
                TO(through + at) = gradient;
            }
            gradient = choose(on, gradient, zero);
            if (quantized) {
                to_step += gradient * choose(over, top, level - ratio);
                gradient = choose(over, zero, gradient);
            }
            plain += gradient;
            centred += gradient * (before - mean);
            if (passed) TO(passed + at) = gradient;
        }
        add_lanes(sums->plain + c, plain);
        add_lanes(sums->centred + c, centred);
        if (quantized) add_all(&sums->step, to_step);
        if (requantized) add_all(&sums->sum_step, to_sum);
    }
}

/* gamma's and beta's gradients from the sums of all threads, and the numbers of
 * dz = slope (passed - mean of passed - normalized z * mean of passed times normalized z) = a passed + b z + c. */
static void finish_sums(const passed_sums *parts, int threads, int channels, double rows, const norm_activation *n,
                        norm_gradient *to) {
    int lanes = lanes_of(channels);
    *to->step = *to->sum_step = 0;
    for (int t = 0; t < threads; t++) *to->step += (float)parts[t].step, *to->sum_step += (float)parts[t].sum_step;
    for (int c = 0; c < channels; c++) {
        double plain = 0, centred = 0;
        for (int t = 0; t < threads; t++)
            for (int lane = c; lane < lanes; lane += channels)
                plain += parts[t].plain[lane], centred += parts[t].centred[lane];
        double normal = centred * n->inverse[c];
        to->beta[c] = (float)plain;
        to->gamma[c] = (float)normal;
        double by_z = -n->slope[c] * n->inverse[c] * normal / rows;
        to->by_z[c] = (float)by_z;
        to->constant[c] = (float)(-n->slope[c] * plain / rows - by_z * n->mean[c]);
    }
}

static void gradient_rows(const float *restrict a, const float *restrict b, const float *restrict d,
                          const float *passed, const float *restrict z, float *dz, int rows, int lanes) {
    for (int c = 0; c < lanes; c += WIDTH) {
        vec slope = AT(a + c), by_z = AT(b + c), constant = AT(d + c);
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * lanes + c;
            TO(dz + at) = slope * AT(passed + at) + by_z * AT(z + at) + constant;
        }
    }
}

/* Sums for the second normalization; `through`, where there is a quantized sum, gets what passes its quantizer. */
int separable_output_backward(const block_shape *s, const float *z2, const float *g, const norm_activation *n2,
                              const residual *sum, float *through, norm_gradient *to, int threads) {
    int lanes = lanes_of(s->outputs), rows = s->length_out * s->outputs / lanes;
    int quantized = n2->step > 0, requantized = sum->x && sum->step > 0;
    passed_sums *parts = calloc(threads, sizeof(passed_sums));
    if (!parts) return 1;
    lane_norm n = by_lane(n2, s->outputs);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < s->batch; b++)
        for (int l = 0; l < rows; l += TILE) {
            int count = rows - l < TILE ? rows - l : TILE;
            size_t at = ((size_t)b * rows + l) * lanes;
            passed_sums *mine = parts + omp_get_thread_num();
            fetch(z2 + at + TILE * lanes, TILE * lanes);
            fetch(g + at + TILE * lanes, TILE * lanes);
            if (requantized) fetch(sum->x + at + TILE * lanes, TILE * lanes);
            const float *x = requantized ? sum->x + at : 0;
            float *out = requantized ? through + at : 0;
            if (quantized && requantized)
                pass_tile(&n, z2 + at, g + at, sum, x, out, 0, mine, count, lanes, 1, 1);
            else if (requantized)
                pass_tile(&n, z2 + at, g + at, sum, x, out, 0, mine, count, lanes, 0, 1);
            else if (quantized)
                pass_tile(&n, z2 + at, g + at, sum, x, out, 0, mine, count, lanes, 1, 0);
            else
                pass_tile(&n, z2 + at, g + at, sum, x, out, 0, mine, count, lanes, 0, 0);
        }
    finish_sums(parts, threads, s->outputs, (double)s->batch * s->length_out, n2, to);
    free(parts);
    return 0;
}

/* dz = slope passed + by_z z + constant, from g before the activation. */
static inline __attribute__((always_inline)) void gradient_tile(
    const lane_norm *n, const float *by_z, const float *constant, const float *z, const float *g, float *dz, int rows,
    int lanes, const int quantized) {
    const vec zero = {0}, top = zero + n->highest;
    const float by = quantized ? 1 / n->step : 1;
    for (int c = 0; c < lanes; c += WIDTH) {
        vec a = AT(n->slope + c), b = AT(n->shift + c), slope_z = AT(by_z + c), rest = AT(constant + c);
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * lanes + c;
            vec before = AT(z + at), value = a * before + b, passed = choose(value > zero, AT(g + at), zero);
            if (quantized) passed = choose(nearest(value * by) > top, zero, passed);
            TO(dz + at) = a * passed + slope_z * before + rest;
        }
    }
}

/* From the gradient of y2: of the pointwise weights (inputs, outputs), and what passes the first activation. */
int separable_pointwise_backward(const block_shape *s, const float *z2, const float *g, const norm_activation *n2,
                                 const norm_gradient *to2, const float *z1, const norm_activation *n1, const float *w,
                                 float *dw, float *passed1, norm_gradient *to1, int threads) {
    int inputs = s->inputs, outputs = s->outputs, wide = lanes_of(inputs), lanes = lanes_of(outputs), group = wide / inputs;
    int columns = inputs < WIDTH ? WIDTH : inputs;
    size_t size = (size_t)inputs * outputs;
    passed_sums *parts = calloc(threads, sizeof(passed_sums));
    float *sums = calloc(size * threads, sizeof(float)), *turned = calloc((size_t)outputs * columns, sizeof(float));
    lane_norm first = by_lane(n1, inputs), second = by_lane(n2, outputs);
    float by_z[MAX_CHANNELS], constant[MAX_CHANNELS];
    widen(to2->by_z, by_z, 1, outputs);
    widen(to2->constant, constant, 1, outputs);
    int failed = !parts || !sums || !turned;
    for (int i = 0; i < inputs && !failed; i++)
        for (int o = 0; o < outputs; o++) turned[(size_t)o * columns + i] = w[(size_t)i * outputs + o];
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < (failed ? 0 : s->batch); b++) {
        float y1[TILE * MAX_CHANNELS] LINE, dz2[TILE * MAX_CHANNELS] LINE, dy1[TILE * MAX_CHANNELS] LINE;
        for (int l = 0; l < s->length_out; l += TILE) {
            int count = s->length_out - l < TILE ? s->length_out - l : TILE, high = count * outputs / lanes;
            size_t row = (size_t)b * s->length_out + l;
            const float *z = z2 + row * outputs, *before = z1 + row * inputs;
            int me = omp_get_thread_num();
            fetch(z + TILE * outputs, TILE * outputs);
            fetch(g + (row + TILE) * outputs, TILE * outputs);
            fetch(before + TILE * inputs, TILE * inputs);
            if (n2->step > 0)
                gradient_tile(&second, by_z, constant, z, g + row * outputs, dz2, high, lanes, 1);
            else
                gradient_tile(&second, by_z, constant, z, g + row * outputs, dz2, high, lanes, 0);
            activate_rows(n1, first.slope, first.shift, before, y1, count / group, wide);
            outer_rows(y1, dz2, sums + size * me, count, inputs, outputs);
            product_rows(dz2, turned, dy1, count, outputs, columns);
            if (columns != inputs)
                for (int r = 0; r < count; r++)
                    for (int i = 0; i < inputs; i++) dy1[(size_t)r * inputs + i] = dy1[(size_t)r * columns + i];
            if (n1->step > 0)
                pass_tile(&first, before, dy1, 0, 0, 0, passed1 + row * inputs, parts + me, count / group, wide, 1, 0);
            else
                pass_tile(&first, before, dy1, 0, 0, 0, passed1 + row * inputs, parts + me, count / group, wide, 0, 0);
        }
    }
    if (!failed) {
        for (size_t i = 0; i < size; i++) {
            double sum = 0;
            for (int t = 0; t < threads; t++) sum += sums[t * size + i];
            dw[i] = (float)sum;
        }
        finish_sums(parts, threads, inputs, (double)s->batch * s->length_out, n1, to1);
    }
    free(parts);
    free(sums);
    free(turned);
    return failed;
}

typedef struct {
    float *input, *gradient, *scratch, *taps, *sums;
    ptrdiff_t *offset, *back;
} frame_memory;

static int take_memory(const block_shape *s, frame_memory *m) {
    size_t weights = (size_t)s->kernel * lanes_of(s->inputs);
    m->input = line_of_zeros(input_floats(s));
    m->gradient = line_of_zeros(gradient_floats(s));
    m->scratch = line_of_zeros((size_t)(s->length_in / s->stride + 2) * s->inputs + 2 * WIDTH);
    m->taps = line_of_zeros(weights);
    m->sums = line_of_zeros(weights);
    m->offset = malloc(sizeof(ptrdiff_t) * s->kernel);
    m->back = malloc(sizeof(ptrdiff_t) * s->kernel);
    return m->input && m->gradient && m->scratch && m->taps && m->sums && m->offset && m->back;
}

static void give_memory(frame_memory *m) {
    free(m->input), free(m->gradient), free(m->scratch), free(m->taps), free(m->sums), free(m->offset), free(m->back);
}

/* From what passes the first activation: the gradient of the taps w (kernel, inputs), and of x if dx is not NULL, with
 * `add`, what came to x through the residual sum. */
int separable_depthwise_backward(const block_shape *s, const float *x, const float *z1, const float *passed1,
                                 const norm_activation *n1, const norm_gradient *to1, const float *add, const float *w,
                                 float *dx, float *dw, int threads) {
    int inputs = s->inputs, lanes = lanes_of(inputs), rows = s->length_out * inputs / lanes, failed = 0;
    size_t weights = (size_t)s->kernel * lanes;
    double *parts = calloc(weights * threads, sizeof(double));
    if (!parts) return 1;
    lane_norm n = by_lane(n1, inputs);
    float by_z[MAX_CHANNELS], constant[MAX_CHANNELS];
    widen(to1->by_z, by_z, 1, inputs);
    widen(to1->constant, constant, 1, inputs);
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        frame_memory m;
        double *mine = parts + weights * omp_get_thread_num();
        failed = !take_memory(s, &m);
        if (!failed) input_offsets(s, m.offset);
#pragma omp for schedule(static)
        for (int b = 0; b < s->batch; b++) {
            if (failed) continue;
            size_t in = (size_t)b * s->length_in * inputs, out = (size_t)b * s->length_out * inputs;
            float *dz = m.gradient + (size_t)rows_before(s) * inputs;
            gradient_rows(n.slope, by_z, constant, passed1 + out, z1 + out, dz, rows, lanes);
            lay_in(s, x + in, m.input);
            weigh(m.input, m.offset, s->kernel, dz, rows, lanes, m.sums);
            for (size_t i = 0; i < weights; i++) mine[i] += m.sums[i], m.sums[i] = 0;
            if (dx) correlate_back(s, m.gradient, w, add ? add + in : 0, dx + in, m.taps, m.back, m.scratch);
        }
        give_memory(&m);
    }
    for (int k = 0; k < s->kernel; k++)
        for (int c = 0; c < inputs; c++) {
            double sum = 0;
            for (int t = 0; t < threads; t++)
                for (int lane = c; lane < lanes; lane += inputs) sum += parts[weights * t + (size_t)k * lanes + lane];
            dw[(size_t)k * inputs + c] = (float)sum;
        }
    free(parts);
    return failed;
}
