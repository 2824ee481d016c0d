/* Keeps every column that is made, and counts the values; called through ctypes. */
#include <stdint.h>
#include <string.h>

#include "model.h"

static uint8_t *destination[64];
static int32_t widths[64];

void trace_into(int tensor, uint8_t *columns, int32_t width);
int trace_frame(const model_sample *i, const model_sample *q, int32_t *whole, int32_t *streamed);

void trace_into(int tensor, uint8_t *columns, int32_t width)
{
    destination[tensor] = columns;
    widths[tensor] = width;
}

void model_trace(int tensor, int32_t position, const uint8_t *column)
{
    if (destination[tensor])
        memcpy(destination[tensor] + position * widths[tensor], column, (size_t)widths[tensor]);
}

int trace_frame(const model_sample *i, const model_sample *q, int32_t *whole, int32_t *streamed)
{
    static model_state state;
    int best = model_classify(&state, i, q, whole);
    model_reset(&state);
    for (int32_t n = 0; n < MODEL_FRAME_LENGTH; n++)
        if (model_push(&state, i[n], q[n]) != (n == MODEL_FRAME_LENGTH - 1))
            return -2;
    return model_result(&state, streamed) == best ? best : -3;
}
