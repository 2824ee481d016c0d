/* The native engine: a model is a list of instructions over one block of memory, the arena; kernels know only shapes.
 *
 * A tensor is one row of bytes a channel, value + zero, with rows of that zero byte around it where taps reach
 * beyond the frame. A tensor of length 1 is one row, a byte a channel. Every instruction reads and writes offsets in
 * bytes from the arena's start. plan.py writes the tables; the numbers of the enums and the fields' places are its too.
 */
#ifndef BACALHAUNET_ENGINE_H
#define BACALHAUNET_ENGINE_H

#include <stddef.h>
#include <stdint.h>

enum instruction_kind {
    DO_PAIRS,    /* interleave the rows of two channels, or four, for the kernels' own order of positions */
    DO_GATHER,   /* put bytes of up to four rows side by side, any stride */
    DO_CONV16,   /* sums of byte pairs in 16 bits, requantized */
    DO_MAX16,    /* the same, the largest sum of a row */
    DO_WIDE16,   /* two 16-bit sums, requantized together by long multipliers */
    DO_CONV32,   /* sums of four bytes in 32 bits, requantized in floating point that was proven exact */
    DO_ANY,      /* any convolution, plainly */
    DO_POOL,     /* max pool of rows */
    DO_SPARSE,   /* sums of a vector's bytes: few each */
    DO_DENSE,    /* sums of a vector's bytes: a matrix */
    DO_ROUND,    /* requantize the sums of the instruction before, or bytes, into a vector */
    DO_LOGITS,   /* the sums of the instruction before are the logits */
    DO_SUM       /* two rows of bytes added and rescaled */
};

/* How the bytes of an entry lie: two (pair) or four (quad) together, and so many from one output to the next. LOCAL:
 * made by DO_PAIRS. PAIR_1 takes two entries at a time: the bytes at the first one's offset plus j go to output j
 * by its weights, and to output j + 1 by the second one's, j even. LOCAL_4: fours made by DO_PAIRS, summed in 32
 * bits; the sum fits 16. */
enum pattern { PATTERN_PAIR_1, PATTERN_PAIR_2, PATTERN_LOCAL, PATTERN_QUAD_1, PATTERN_QUAD_2, PATTERN_QUAD_4, PATTERN_LOCAL_4 };

/* Requantization of 16-bit sums, in the flags of DO_CONV16. FULL: unsigned product, offset, shift. SHIFT: signed
 * product, shift. PLAIN: signed product. BELOW: the byte minus `offset`, 0 if less. CONV16_TWO: of the saturated sum
 * of two. */
enum form { FORM_FULL, FORM_SHIFT, FORM_SHIFT_BELOW, FORM_PLAIN, FORM_PLAIN_BELOW, CONV16_TWO = 8 };

/* In the flags of DO_SUM: no sum of two bytes passes 63. */
enum { SUM_SMALL = 1 };

/* In the flags of DO_WIDE16: no upper offset, WIDE_SPLIT bits multiplied apart, the level from bit 16 on. */
enum { WIDE16_EVEN = 1 };
#define WIDE_SPLIT 15

typedef struct {
    int32_t kind;
    int32_t pattern;
    int32_t n;        /* outputs of a row */
    int32_t channels; /* rows to make */
    int32_t first;    /* first record in `records`, or first number in `numbers` */
    int32_t high;     /* largest output byte */
    int32_t stride;
    int32_t source;   /* offset or count, by kind */
    int32_t output;
    int32_t extra;
    int32_t groups;
    int32_t kernel;
    int32_t pad;
    int32_t length;   /* of the source */
    int32_t zero;
    int32_t flags;
} instruction;

/* One output row of DO_CONV16, MAX16, WIDE16 and CONV32. */
typedef struct {
    int32_t first;      /* entry */
    int32_t count;      /* entries; of the first sum if WIDE16 */
    int32_t count2;     /* entries of the second sum, if WIDE16 or CONV16_TWO */
    int32_t output;     /* offset of the row, or number of the sum if MAX16 */
    int32_t start;      /* of the sum, both if WIDE16: low half, high half */
    int32_t multiplier; /* CONV16: 16 bits, unsigned if FORM_FULL. WIDE16: upper parts of both, a half each */
    int32_t lower;      /* WIDE16: lower parts */
    int32_t offset;     /* CONV16: 16 bits, or 8 if BELOW. WIDE16: upper */
    int32_t offset_low; /* WIDE16 */
    int32_t shift;
    int32_t split;      /* WIDE16 */
    float scale_float;  /* CONV32: level = rint(scale * sum + bias) */
    float bias_float;
    int32_t exact_float; /* whether float is enough, else double */
    double scale;
    double bias;
} record;

typedef struct {
    int32_t offset;  /* of the bytes under output 0 */
    int32_t weights; /* two or four signed bytes, pairs twice */
} entry;

typedef struct {
    float scale, reciprocal, reciprocal_low, zero, clip_low, clip_high, low, high;
    int32_t clipped;          /* whether the clip does what the range of integers does not */
    int32_t exact_reciprocal; /* whether the fast division was proven to give the same levels */
    int32_t rows[2];          /* offsets of I and Q; -1: not read */
    int32_t length;
    int32_t code;             /* the byte that stands for 0 */
    int32_t plain;            /* signed bytes, no zero point */
} input_quantizer;

typedef struct {
    int32_t instruction_count, record_count, entry_count, number_count, wide_count;
    int32_t arena_bytes, sums, classes;
    instruction *instructions;
    record *records;
    entry *entries;
    int32_t *numbers; /* whatever a instruction's kind lists in 32 bits */
    int64_t *wides;   /* and in 64 */
    uint8_t *initial; /* the arena before the first frame: zero bytes and constant channels */
    input_quantizer input;
    double logit_scale;
} model;

/* Memory of one thread. */
typedef struct {
    uint8_t *arena;
    int32_t *sums;    /* of a vector, or of the rows of DO_ANY */
    const char *ahead; /* what is read after this frame and may be fetched meanwhile */
    ptrdiff_t ahead_bytes;
} workspace;

/* The kernels of one instruction set. */
typedef struct {
    const char *name;
    void (*quantize)(const input_quantizer *q, const float *samples, uint8_t *arena);
    void (*pairs)(const model *m, const instruction *s, uint8_t *arena);
    void (*conv16)(const model *m, const instruction *s, uint8_t *arena);
    void (*max16)(const model *m, const instruction *s, uint8_t *arena, int32_t *sums);
    void (*wide16)(const model *m, const instruction *s, uint8_t *arena);
    void (*conv32)(const model *m, const instruction *s, uint8_t *arena);
    void (*dense)(const model *m, const instruction *s, const uint8_t *arena, int32_t *sums);
    void (*round)(const model *m, const instruction *s, uint8_t *arena, int32_t *sums);
    void (*sum)(const model *m, const instruction *s, uint8_t *arena);
} kernel_set;

extern const kernel_set kernels_portable;
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define ENGINE_X86 1
extern const kernel_set kernels_avx2;
extern const kernel_set kernels_avx512;
extern const kernel_set kernels_avx512_vbmi; /* by the same name: for processors that also look up bytes */
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define ENGINE_ARM64 1
extern const kernel_set kernels_neon;
#endif

/* Steps that are the same for every instruction set. */
void engine_gather(const model *m, const instruction *s, uint8_t *arena);
void engine_pool(const model *m, const instruction *s, uint8_t *arena);
void engine_any(const model *m, const instruction *s, uint8_t *arena, int32_t *sums);
void engine_sparse(const model *m, const instruction *s, const uint8_t *arena, int32_t *sums);

/* Run one frame: either samples (float, quantized here) or integers (one byte a sample, value + code). */
void engine_frame(const model *m, const kernel_set *k, workspace *w, const float *samples, const uint8_t *integers,
                  int32_t *logits);

/* The instruction sets this processor has, the best first; ends with a null. */
const kernel_set *const *engine_available(void);

/* Work out what follows from a quantizer's numbers; proves or refutes the fast division on every level's boundary. */
void engine_finish_quantizer(input_quantizer *q);

#endif
