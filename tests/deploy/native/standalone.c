/* Runs frames of integers by one set of kernels without Python: reads a model and frames, writes memory and logits of
 * each. For kernels of other processors, under an emulator.
 *
 *     standalone KERNELS MODEL OUTPUT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static void *read_bytes(FILE *file, size_t bytes)
{
    void *memory = aligned_alloc(4096, (bytes + 8191) / 4096 * 4096);
    if (!memory || fread(memory, 1, bytes, file) != bytes)
        exit(3);
    return memory;
}

int main(int count, char **arguments)
{
    FILE *file = count == 4 ? fopen(arguments[2], "rb") : NULL;
    FILE *output = file ? fopen(arguments[3], "wb") : NULL;
    const kernel_set *kernels = NULL;
    for (const kernel_set *const *k = engine_available(); *k; k++)
        if (count > 1 && strcmp((*k)->name, arguments[1]) == 0)
            kernels = *k;
    if (!output || !kernels)
        return 2;
    model m = {0};
    int32_t *head = read_bytes(file, 15 * sizeof(int32_t));
    float *numbers = read_bytes(file, 6 * sizeof(float));
    m.instruction_count = head[0];
    m.record_count = head[1];
    m.entry_count = head[2];
    m.number_count = head[3];
    m.wide_count = head[4];
    m.arena_bytes = head[5];
    m.sums = head[6];
    m.classes = head[7];
    input_quantizer q = {.scale = numbers[0], .zero = numbers[1], .clip_low = numbers[2], .clip_high = numbers[3],
                         .low = numbers[4], .high = numbers[5], .clipped = head[8], .rows = {head[9], head[10]},
                         .length = head[11], .code = head[12]};
    engine_finish_quantizer(&q);
    m.input = q;
    int32_t frames = head[13], real = head[14];
    m.instructions = read_bytes(file, (size_t)m.instruction_count * sizeof(instruction));
    m.records = read_bytes(file, (size_t)m.record_count * sizeof(record));
    m.entries = read_bytes(file, (size_t)m.entry_count * sizeof(entry));
    m.numbers = read_bytes(file, (size_t)m.number_count * sizeof(int32_t));
    m.wides = read_bytes(file, (size_t)m.wide_count * sizeof(int64_t));
    m.initial = read_bytes(file, (size_t)m.arena_bytes);
    size_t frame_bytes = 2 * (size_t)q.length * (real ? sizeof(float) : 1);
    uint8_t *samples = read_bytes(file, (size_t)frames * frame_bytes);
    workspace w = {aligned_alloc(4096, ((size_t)m.arena_bytes + 8191) / 4096 * 4096),
                   calloc((size_t)m.sums + 64, sizeof(int32_t))};
    int32_t *logits = calloc((size_t)m.classes, sizeof(int32_t));
    if (!w.arena || !w.sums || !logits)
        return 3;
    memcpy(w.arena, m.initial, (size_t)m.arena_bytes);
    for (int32_t frame = 0; frame < frames; frame++) {
        const uint8_t *from = samples + (size_t)frame * frame_bytes;
        engine_frame(&m, kernels, &w, real ? (const float *)(const void *)from : NULL, real ? NULL : from, logits);
        fwrite(w.arena, 1, (size_t)m.arena_bytes, output);
        fwrite(logits, sizeof(int32_t), (size_t)m.classes, output);
    }
    return fclose(output) ? 4 : 0;
}
