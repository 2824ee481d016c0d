/* Classifies the embedded frames, whole and streamed, and compares every logit. Exit code 0: all equal. */
#include <stdio.h>

#include "model.h"
#include "model_vectors.h"

static model_state state;

static int wrong_logits(int frame, const int32_t *logits)
{
    int wrong = 0;
    for (int c = 0; c < MODEL_CLASSES; c++)
        wrong += logits[c] != model_expected[frame][c];
    return wrong;
}

int main(void)
{
    int32_t logits[MODEL_CLASSES];
    int wrong = 0;
    for (int f = 0; f < MODEL_VECTORS; f++) {
        int best = model_classify(&state, model_frames[f][0], model_frames[f][1], logits);
        wrong += wrong_logits(f, logits);
        model_reset(&state);
        for (int32_t n = 0; n < MODEL_FRAME_LENGTH; n++)
            model_push(&state, model_frames[f][0][n], model_frames[f][1][n]);
        wrong += model_result(&state, logits) != best;
        wrong += wrong_logits(f, logits);
        printf("frame %d: %s\n", f, model_labels[best]);
    }
    printf(wrong ? "FAILED: %d values differ\n" : "ok: all values equal (%d differ)\n", wrong);
    return wrong != 0;
}
