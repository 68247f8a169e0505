/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler turns loops like these into calls of the functions that they implement: this file is built with that
 * switched off (scripts/flags.mk). Names are in parentheses because <string.h> has macros of the same names.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Eight words at a time: one load-pair and one store-pair instruction for each 16 bytes. */
typedef uint64_t __attribute__((may_alias)) word;

#define WORD sizeof(word)
#define BLOCK (8 * WORD)

static bool word_aligned(const void *a)
{
    return (uintptr_t)a % WORD == 0;
}

/* Both reach a word boundary after the same number of bytes. */
static bool co_aligned(const void *a, const void *b)
{
    return ((uintptr_t)a ^ (uintptr_t)b) % WORD == 0;
}

static inline void copy_block(word *to, const word *from)
{
    /* All is read before any is written: areas may overlap. */
    word w0 = from[0], w1 = from[1], w2 = from[2], w3 = from[3];
    word w4 = from[4], w5 = from[5], w6 = from[6], w7 = from[7];

    to[0] = w0, to[1] = w1, to[2] = w2, to[3] = w3;
    to[4] = w4, to[5] = w5, to[6] = w6, to[7] = w7;
}

static inline void set_block(word *to, word value)
{
    to[0] = value, to[1] = value, to[2] = value, to[3] = value;
    to[4] = value, to[5] = value, to[6] = value, to[7] = value;
}

/* Lowest address first: right also for overlapping areas when `to` is below `from`. */
__attribute__((noinline)) static void *copy_up(void *start, const unsigned char *from, size_t size)
{
    unsigned char *to = start;

    if (size >= WORD && co_aligned(to, from)) {
        for (; !word_aligned(to); size--) {
            *to++ = *from++;
        }
        for (; size >= BLOCK; to += BLOCK, from += BLOCK, size -= BLOCK) {
            copy_block((word *)(void *)to, (const word *)(const void *)from);
        }
        for (; size >= WORD; to += WORD, from += WORD, size -= WORD) {
            *(word *)(void *)to = *(const word *)(const void *)from;
        }
    }
    for (; size > 0; size--) {
        *to++ = *from++;
    }
    return start;
}

/* Highest address first, from the ends: little is ever moved up. */
static void *copy_down(unsigned char *to, const unsigned char *from, size_t size)
{
    size_t word_size = co_aligned(to, from) && word_aligned(to) ? size / WORD * WORD : 0;

    while (size > word_size) {
        size--;
        to[size] = from[size];
    }
    while (size > 0) {
        size -= WORD;
        *(word *)(void *)(to + size) = *(const word *)(const void *)(from + size);
    }
    return to;
}

void *(memcpy)(void *restrict to, const void *restrict from, size_t size)
{
    return copy_up(to, from, size);
}

void *(memmove)(void *to, const void *from, size_t size)
{
    /* One comparison for both: below `from`, or not within `size` above it. */
    return (uintptr_t)to - (uintptr_t)from >= size ? copy_up(to, from, size) : copy_down(to, from, size);
}

void *(memset)(void *to, int byte, size_t size)
{
    unsigned char *p = to;
    word value = (unsigned char)byte * (UINT64_MAX / 0xff);

    if (size >= WORD) {
        for (; !word_aligned(p); size--) {
            *p++ = (unsigned char)byte;
        }
        for (; size >= BLOCK; p += BLOCK, size -= BLOCK) {
            set_block((word *)(void *)p, value);
        }
        for (; size >= WORD; p += WORD, size -= WORD) {
            *(word *)(void *)p = value;
        }
    }
    for (; size > 0; size--) {
        *p++ = (unsigned char)byte;
    }
    return to;
}

int (memcmp)(const void *a, const void *b, size_t size)
{
    const unsigned char *p = a;
    const unsigned char *q = b;

    if (word_aligned(p) && word_aligned(q)) {
        while (size >= WORD && *(const word *)(const void *)p == *(const word *)(const void *)q) {
            p += WORD;
            q += WORD;
            size -= WORD;
        }
    }
    for (; size > 0; p++, q++, size--) {
        if (*p != *q) {
            return *p - *q;
        }
    }
    return 0;
}

void *(memchr)(const void *in, int byte, size_t size)
{
    const unsigned char *p = in;

    for (; size > 0; p++, size--) {
        if (*p == (unsigned char)byte) {
            return (void *)(uintptr_t)p;
        }
    }
    return NULL;
}

size_t (strlen)(const char *s)
{
    const char *end = s;

    while (*end != '\0') {
        end++;
    }
    return (size_t)(end - s);
}

size_t (strnlen)(const char *s, size_t max)
{
    size_t length = 0;

    while (length < max && s[length] != '\0') {
        length++;
    }
    return length;
}

int (strcmp)(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

int (strncmp)(const char *a, const char *b, size_t max)
{
    for (; max > 0; a++, b++, max--) {
        if (*a != *b || *a == '\0') {
            return (unsigned char)*a - (unsigned char)*b;
        }
    }
    return 0;
}

char *(strchr)(const char *s, int c)
{
    for (; *s != (char)c; s++) {
        if (*s == '\0') {
            return NULL;
        }
    }
    return (char *)(uintptr_t)s;
}

char *(strrchr)(const char *s, int c)
{
    const char *last = NULL;

    do {
        if (*s == (char)c) {
            last = s;
        }
    } while (*s++ != '\0');
    return (char *)(uintptr_t)last;
}
