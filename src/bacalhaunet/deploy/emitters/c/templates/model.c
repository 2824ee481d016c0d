/* Runs the layers of model_tables.h column by column. See model.h for how to use it.
 *
 * A tensor between layers is a ring buffer of columns, one byte a channel: value + zero of the tensor. As soon as the
 * columns that a layer's taps reach have been written, the layer makes its next output column. Right shifts of
 * negative numbers are arithmetic, as on every compiler this is tested with.
 */
#include "model.h"

#include <string.h>

enum { MODEL_POINTWISE, MODEL_DEPTHWISE, MODEL_FULL, MODEL_POOL, MODEL_RUNNING_POOL };
enum { MODEL_NARROW, MODEL_LONG, MODEL_SEARCH, MODEL_SUM };

typedef struct {
    int32_t length;    /* columns of a frame */
    uint16_t channels; /* bytes of a column */
    uint16_t columns;  /* columns of the ring */
    model_place offset; /* of the ring in the state's memory */
    uint8_t zero;      /* the byte that stands for 0 */
} model_tensor;

typedef struct {
    uint8_t kind;
    uint8_t requantizer;
    uint8_t sources;
    uint8_t output;                      /* a tensor, or MODEL_TENSORS for the logits */
    uint8_t source[MODEL_MAX_SOURCES];
    uint8_t group[MODEL_MAX_SOURCES];    /* accumulator of each source */
    uint8_t groups;
    uint8_t split;                       /* low bits of long multipliers */
    uint16_t outputs;
    uint16_t kernel;
    uint16_t stride;
    uint16_t dilation;
    int16_t pad;
    int16_t low;                         /* range of the output, for SEARCH the value below the first threshold */
    int16_t high;
    const model_index *counts;           /* taps of each output and source */
    const model_index *channels;         /* byte of each tap, or of all taps of an output if DEPTHWISE */
    const model_index *taps;             /* kernel position of each tap, unless POINTWISE */
    const model_weight *weights;
    const int32_t *start;                /* of each accumulator; 0: none */
    const int32_t *multiplier;           /* NARROW; thresholds if SEARCH */
    const int16_t *upper;                /* LONG: multiplier >> split, groups x outputs */
    const int16_t *lower;                /* LONG: the rest of it */
    const int32_t *offset;
    const int16_t *offset_low;
    const uint8_t *shift;
} model_layer;

#include "model_tables.h"

typedef const uint8_t *model_columns[MODEL_MAX_SOURCES][MODEL_MAX_KERNEL];

static uint8_t *model_column(model_state *state, const model_tensor *tensor, int32_t position)
{
    uint32_t slot = (uint32_t)position % tensor->columns;
    return state->memory + tensor->offset + slot * tensor->channels;
}

/* Find the column under each tap of each source; outside the frame it is one of zeros. */
static void model_find_columns(model_state *state, const model_layer *layer, int32_t first, model_columns columns)
{
    for (int s = 0; s < layer->sources; s++) {
        const model_tensor *tensor = &model_tensors[layer->source[s]];
        const uint8_t *outside = tensor->zero ? model_zeros_signed : model_zeros;
        int32_t position = first;
        for (int k = 0; k < layer->kernel; k++) {
            int inside = position >= 0 && position < tensor->length;
            columns[s][k] = inside ? model_column(state, tensor, position) : outside;
            position += layer->dilation;
        }
    }
}

typedef struct {
    const model_index *counts;
    const model_index *channels;
    const model_index *taps;
    const model_weight *weights;
} model_cursor;

/* Sum the taps of one output and one source. */
static int32_t model_sum(int kind, model_cursor *at, const uint8_t *const *columns)
{
    int32_t sum = 0;
    model_index count = *at->counts++;
    const model_weight *weights = at->weights;
    const model_index *channels = at->channels;
    const model_index *taps = at->taps;
    if (kind == MODEL_POINTWISE) {
        const uint8_t *column = columns[0];
        for (int n = 0; n < count; n++)
            sum += (int32_t)weights[n] * (int32_t)column[channels[n]];
        at->channels += count;
    } else if (kind == MODEL_DEPTHWISE) {
        model_index channel = channels[0];
        for (int n = 0; n < count; n++)
            sum += (int32_t)weights[n] * (int32_t)columns[taps[n]][channel];
        at->channels += 1;
        at->taps += count;
    } else {
        for (int n = 0; n < count; n++)
            sum += (int32_t)weights[n] * (int32_t)columns[taps[n]][channels[n]];
        at->channels += count;
        at->taps += count;
    }
    at->weights += count;
    return sum;
}

static int32_t model_search(const int32_t *thresholds, int32_t count, int32_t acc)
{
    int32_t low = 0, high = count;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (acc >= thresholds[middle])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Turn the accumulators of one output into its value. */
static int32_t model_requantize(const model_layer *layer, int output, const int32_t *acc)
{
    int32_t value;
    if (layer->requantizer == MODEL_SUM)
        return acc[0] + layer->offset[output];
    if (layer->requantizer == MODEL_SEARCH) {
        int32_t count = layer->high - layer->low;
        return layer->low + model_search(layer->multiplier + (int32_t)output * count, count, acc[0]);
    }
    if (layer->requantizer == MODEL_NARROW) {
        value = (acc[0] * layer->multiplier[output] + layer->offset[output]) >> layer->shift[output];
    } else {
        int32_t high = layer->offset[output], low = layer->offset_low[output];
        for (int g = 0; g < layer->groups; g++) {
            int at = g * layer->outputs + output;
            high += acc[g] * (int32_t)layer->upper[at];
            low += acc[g] * (int32_t)layer->lower[at];
        }
        value = (high + (low >> layer->split)) >> layer->shift[output];
    }
    if (layer->output == MODEL_TENSORS)
        return value;
    return value < layer->low ? layer->low : value > layer->high ? layer->high : value;
}

static void model_convolve(model_state *state, const model_layer *layer, int32_t position)
{
    model_columns columns;
    int32_t acc[MODEL_MAX_GROUPS];
    model_cursor at = {layer->counts, layer->channels, layer->taps, layer->weights};
    int logits = layer->output == MODEL_TENSORS;
    const model_tensor *tensor = &model_tensors[logits ? 0 : layer->output];
    uint8_t *column = model_column(state, tensor, position);
    model_find_columns(state, layer, position * layer->stride - layer->pad, columns);
    for (int o = 0; o < layer->outputs; o++) {
        for (int g = 0; g < MODEL_MAX_GROUPS; g++)
            acc[g] = layer->start && g < layer->groups ? layer->start[o * layer->groups + g] : 0;
        for (int s = 0; s < layer->sources; s++)
            acc[layer->group[s]] += model_sum(layer->kind, &at, columns[s]);
        int32_t value = model_requantize(layer, o, acc);
        if (logits)
            state->logits[o] = value;
        else
            column[o] = (uint8_t)(value + tensor->zero);
    }
}

/* Largest value of a window whose columns are all in the ring. */
static void model_pool(model_state *state, const model_layer *layer, int32_t position)
{
    const model_tensor *from = &model_tensors[layer->source[0]];
    uint8_t *column = model_column(state, &model_tensors[layer->output], position);
    memset(column, 0, layer->outputs);
    for (int32_t k = 0; k < layer->kernel; k++) {
        int32_t reached = position * layer->stride - layer->pad + k;
        if (reached < 0 || reached >= from->length)
            continue;
        const uint8_t *values = model_column(state, from, reached);
        for (int o = 0; o < layer->outputs; o++)
            if (values[layer->channels[o]] > column[o])
                column[o] = values[layer->channels[o]];
    }
}

/* Take one column into a window that no other overlaps. Returns 1 if it ends the window. */
static int model_pool_column(model_state *state, const model_layer *layer, int index)
{
    int32_t taken = state->consumed[index]++;
    int32_t window = state->written[layer->output];
    int32_t place = taken - window * layer->stride;
    if (place < 0 || place >= layer->kernel)
        return 0;
    const uint8_t *values = model_column(state, &model_tensors[layer->source[0]], taken);
    uint8_t *column = model_column(state, &model_tensors[layer->output], window);
    for (int o = 0; o < layer->outputs; o++)
        if (place == 0 || values[layer->channels[o]] > column[o])
            column[o] = values[layer->channels[o]];
    return place == layer->kernel - 1;
}

/* Whether the columns that a layer's next step reads have been written. */
static int model_ready(const model_state *state, const model_layer *layer, int index)
{
    int32_t position = state->written[layer->output];
    if (position >= (layer->output == MODEL_TENSORS ? 1 : model_tensors[layer->output].length))
        return 0;
    int32_t last = position * layer->stride + (layer->kernel - 1) * layer->dilation - layer->pad;
    if (layer->kind == MODEL_RUNNING_POOL)
        last = state->consumed[index];
    for (int s = 0; s < layer->sources; s++) {
        int source = layer->source[s];
        int32_t end = model_tensors[source].length - 1;
        if (state->written[source] <= (last < end ? last : end))
            return 0;
    }
    return 1;
}

static void model_step(model_state *state, const model_layer *layer, int index)
{
    int32_t position = state->written[layer->output];
    if (layer->kind == MODEL_RUNNING_POOL) {
        if (!model_pool_column(state, layer, index))
            return;
    } else if (layer->kind == MODEL_POOL) {
        model_pool(state, layer, position);
    } else {
        model_convolve(state, layer, position);
    }
#ifdef MODEL_TRACE
    if (layer->output != MODEL_TENSORS)
        model_trace(layer->output, position, model_column(state, &model_tensors[layer->output], position));
#endif
    state->written[layer->output] = position + 1;
}

/* Run the layers as far as their inputs reach, the deepest first, so that rings stay short. */
static void model_advance(model_state *state)
{
    int index = 0;
    while (index >= 0) {
        if (model_ready(state, &model_layers[index], index)) {
            model_step(state, &model_layers[index], index);
            if (index < MODEL_LAYERS - 1)
                index++;
        } else {
            index--;
        }
    }
}

void model_reset(model_state *state)
{
    memset(state, 0, sizeof *state);
}

int model_push(model_state *state, model_sample i, model_sample q)
{
    const model_tensor *tensor = &model_tensors[0];
    if (state->written[0] >= tensor->length)
        return 1;
    uint8_t *column = model_column(state, tensor, state->written[0]);
    const model_sample sample[2] = {i, q};
    for (int c = 0; c < tensor->channels; c++)
        column[c] = (uint8_t)(sample[model_inputs[c]] + tensor->zero);
    state->written[0]++;
    model_advance(state);
    if (state->written[0] < tensor->length)
        return 0;
    while (state->written[MODEL_TENSORS] == 0) /* branches of unlike length may need the walk again */
        for (int index = 0; index < MODEL_LAYERS; index++)
            while (model_ready(state, &model_layers[index], index))
                model_step(state, &model_layers[index], index);
    return 1;
}

int model_result(const model_state *state, int32_t *logits)
{
    int best = 0;
    if (state->written[MODEL_TENSORS] == 0)
        return -1;
    for (int c = 1; c < MODEL_CLASSES; c++)
        if (state->logits[c] > state->logits[best])
            best = c;
    if (logits)
        memcpy(logits, state->logits, sizeof state->logits);
    return best;
}

int model_classify(model_state *state, const model_sample *i, const model_sample *q, int32_t *logits)
{
    model_reset(state);
    for (int32_t n = 0; n < MODEL_FRAME_LENGTH; n++)
        model_push(state, i[n], q[n]);
    return model_result(state, logits);
}
