/* SPDX-License-Identifier: Apache-2.0 */
/* A short list of address ranges. */
#ifndef METAL_RANGES_H
#define METAL_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#define RANGES_MAX 64U

struct range {
    uint64_t base, end; /* end is the first address behind it */
};

/* Invariant: sorted, not empty, and neither overlapping nor touching one another. */
struct ranges {
    unsigned count;
    struct range range[RANGES_MAX];
};

/* Add [base, end), merged with what it touches. False: the list is full and stays as it is. */
bool ranges_add(struct ranges *list, uint64_t base, uint64_t end);

/* Take [base, end) out. When that would need more pieces than the list has room for, the highest piece is lost. */
void ranges_remove(struct ranges *list, uint64_t base, uint64_t end);

/* Whether any of [base, end) lies in one of the ranges. */
bool ranges_touch(const struct ranges *list, uint64_t base, uint64_t end);

/* Whether all of [base, end), which must not be empty, lies in one range. */
bool ranges_hold(const struct ranges *list, uint64_t base, uint64_t end);

#endif
