/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzers share: input that is taken piece by piece, zeroes once it has ended. */
#ifndef AXVM_FUZZ_H
#define AXVM_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

static inline uint64_t take(struct input *in, size_t bytes)
{
    uint64_t value = 0;

    bytes = bytes < in->size ? bytes : in->size;
    memcpy(&value, in->data, bytes);
    in->data += bytes;
    in->size -= bytes;
    return value;
}

/* The input in memory of exactly its size, so that the sanitizer sees a read beyond it. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1);

    memcpy(copy, data, size);
    return copy;
}

/* What must hold, whatever the input. */
#define require(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
