/* A receiver's loop: samples come one by one, as from a converter, and every 1024 of them give an answer. */
#include <stdint.h>
#include <stdio.h>

#include "modulation.h"
#include "modulation_vectors.h"

static modulation_state state;
static int32_t logits[MODULATION_CLASSES];

int main(void)
{
    for (int frame = 0; frame < MODULATION_VECTORS; frame++) {
        modulation_reset(&state);
        int n = 0;
        while (!modulation_push(&state, modulation_frames[frame][0][n], modulation_frames[frame][1][n]))
            n++;
        int best = modulation_result(&state, logits);
        printf("frame %d: %s, logit %ld\n", frame, modulation_labels[best], (long)logits[best]);
    }
    printf("%u bytes of state\n", (unsigned)sizeof state);
    return 0;
}
