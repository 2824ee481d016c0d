/* What the page calls: a frame of real samples goes in, integer logits come out. */
#include <string.h>

#include "modulation.h"

#define EXPORT(name) __attribute__((export_name(#name)))

static modulation_state state;
static float samples[2 * MODULATION_FRAME_LENGTH]; /* I, Q, I, Q ... */
static modulation_sample quantized[2][MODULATION_FRAME_LENGTH];
static int32_t logits[MODULATION_CLASSES];

EXPORT(samples) float *samples_place(void) { return samples; }
EXPORT(logits) int32_t *logits_place(void) { return logits; }
EXPORT(classes) int classes(void) { return MODULATION_CLASSES; }
EXPORT(frame_length) int frame_length(void) { return MODULATION_FRAME_LENGTH; }

/* Return the class of the largest logit of samples times factor; build.py defines the network's input quantizer. */
EXPORT(classify) int classify(float factor)
{
    for (int n = 0; n < 2 * MODULATION_FRAME_LENGTH; n++) {
        float x = samples[n] * factor;
        x = x < CLIP_LOW ? CLIP_LOW : x > CLIP_HIGH ? CLIP_HIGH : x;
        float level = __builtin_rintf(x / SCALE + ZERO);
        level = level < LOW ? LOW : level > HIGH ? HIGH : level;
        quantized[n & 1][n >> 1] = (modulation_sample)(level - ZERO);
    }
    return modulation_classify(&state, quantized[0], quantized[1], logits);
}

void *memset(void *to, int value, size_t count)
{
    for (unsigned char *byte = to; count--;)
        *byte++ = (unsigned char)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t count)
{
    const unsigned char *source = from;
    for (unsigned char *byte = to; count--;)
        *byte++ = *source++;
    return to;
}
