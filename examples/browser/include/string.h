/* What the emitted C needs of string.h; clang's WebAssembly target has no C library. */
#ifndef STRING_H
#define STRING_H
typedef __SIZE_TYPE__ size_t;
void *memset(void *to, int value, size_t count);
void *memcpy(void *to, const void *from, size_t count);
#endif
