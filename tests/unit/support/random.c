/* SPDX-License-Identifier: Apache-2.0 */
#include "support/random.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_SEED UINT64_C(1)

static uint64_t state = DEFAULT_SEED;

void random_start(const char *what)
{
    const char *seed = getenv("AXVM_SEED");

    state = seed != NULL ? strtoull(seed, NULL, 0) : DEFAULT_SEED;
    printf("%s: AXVM_SEED=%llu\n", what, (unsigned long long)state);
}

/* SplitMix64 */
uint64_t random_u64(void)
{
    uint64_t value = state += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint64_t random_below(uint64_t limit)
{
    return limit == 0 ? 0 : random_u64() % limit;
}
