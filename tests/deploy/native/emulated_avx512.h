/* The instructions of avx512.c in C: SIMDe's, and those it lacks. */
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#include <math.h>
#include <string.h>

static inline void emulated_store8(void *to, uint64_t mask, simde__m512i a)
{
    uint8_t all[64];
    memcpy(all, &a, sizeof all);
    for (int n = 0; n < 64; n++)
        if (mask >> n & 1)
            ((uint8_t *)to)[n] = all[n];
}
static inline void emulated_store32(void *to, uint32_t mask, simde__m512i a)
{
    uint64_t bytes = 0;
    for (int n = 0; n < 16; n++)
        if (mask >> n & 1)
            bytes |= (uint64_t)15 << (4 * n);
    emulated_store8(to, bytes, a);
}
static inline simde__m512i emulated_load32(uint32_t mask, const void *from)
{
    int32_t all[16] = {0};
    simde__m512i a;
    for (int n = 0; n < 16; n++)
        if (mask >> n & 1)
            all[n] = ((const int32_t *)from)[n];
    memcpy(&a, all, sizeof a);
    return a;
}

typedef union {
    simde__m512i all;
    simde__m512 floats;
    simde__m512d doubles;
    int32_t i32[16];
    uint16_t u16[32];
    float f[16];
    double d[8];
} emulated;

static inline simde__m512i emulated_high16(simde__m512i a, simde__m512i b)
{
    emulated x = {.all = a}, y = {.all = b};
    for (int n = 0; n < 32; n++)
        x.u16[n] = (uint16_t)((uint32_t)x.u16[n] * y.u16[n] >> 16);
    return x.all;
}
static inline simde__m512i emulated_shift32(simde__m512i a, int bits)
{
    emulated x = {.all = a};
    for (int n = 0; n < 16; n++)
        x.i32[n] >>= bits;
    return x.all;
}
static inline simde__m512 emulated_to_float(simde__m512i a)
{
    emulated x = {.all = a};
    for (int n = 0; n < 16; n++)
        x.f[n] = (float)x.i32[n];
    return x.floats;
}
static inline simde__m512i emulated_from_float(simde__m512 a)
{
    emulated x = {.floats = a};
    for (int n = 0; n < 16; n++) /* what no integer holds becomes the smallest */
        x.i32[n] = x.f[n] >= -2147483648.0f && x.f[n] < 2147483648.0f ? (int32_t)rintf(x.f[n]) : INT32_MIN;
    return x.all;
}
static inline simde__m512d emulated_to_double(simde__m256i a)
{
    emulated x;
    int32_t from[8];
    memcpy(from, &a, sizeof from);
    for (int n = 0; n < 8; n++)
        x.d[n] = from[n];
    return x.doubles;
}
static inline simde__m256i emulated_from_double(simde__m512d a)
{
    emulated x = {.doubles = a};
    int32_t to[8];
    simde__m256i result;
    for (int n = 0; n < 8; n++)
        to[n] = x.d[n] >= -2147483648.0 && x.d[n] < 2147483648.0 ? (int32_t)rint(x.d[n]) : INT32_MIN;
    memcpy(&result, to, sizeof result);
    return result;
}

#define _mm512_mask_storeu_epi8(to, mask, a) emulated_store8(to, mask, a)
#define _mm512_mask_storeu_epi32(to, mask, a) emulated_store32(to, mask, a)
#define _mm512_maskz_loadu_epi32(mask, from) emulated_load32(mask, from)
#define _mm512_mulhi_epu16(a, b) emulated_high16(a, b)
#define _mm512_sra_epi32(a, bits) emulated_shift32(a, _mm_cvtsi128_si32(bits))
#define _mm512_srai_epi32(a, bits) emulated_shift32(a, bits)
#define _mm512_cvtepi32_ps(a) emulated_to_float(a)
#define _mm512_cvtps_epi32(a) emulated_from_float(a)
#define _mm512_cvtepi32_pd(a) emulated_to_double(a)
#define _mm512_cvtpd_epi32(a) emulated_from_double(a)
