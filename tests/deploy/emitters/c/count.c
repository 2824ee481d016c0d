/* Prints the instructions of one frame: under -icount shift=0 an instruction is 1 ns and SysTick runs at 25 MHz. */
#include <stdint.h>
#include <stdio.h>

#include "model.h"
#include "model_vectors.h"

static model_state state;

int main(void)
{
    volatile uint32_t *systick = (volatile uint32_t *)0xE000E010;
    systick[1] = 0xFFFFFF;
    systick[2] = 0;
    systick[0] = 5;
    uint32_t before = systick[2];
    int best = model_classify(&state, model_frames[0][0], model_frames[0][1], 0);
    uint32_t ticks = (before - systick[2]) & 0xFFFFFF;
    printf("%s %u instructions\n", model_labels[best], (unsigned)(ticks * 40u));
    return 0;
}
