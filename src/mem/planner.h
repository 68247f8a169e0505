/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lays guest-physical ranges side by side before anything is mapped, and finds those that can't be: empty, misaligned,
 * wrapping or out of reach, or overlapping. The caller words the complaints; it knows what the ranges are.
 */
#ifndef AXVM_MEM_PLANNER_H
#define AXVM_MEM_PLANNER_H

#include <axvm/types.h>

#define PLANNER_MAX_RANGES 64U

struct planner_range {
    uint64_t first, last; /* inclusive: a range may end at 2^64 - 1 */
    const char *name;     /* for messages; may be NULL */
    const void *field;    /* what in the configuration asks for it */
    unsigned order;       /* when it was added */
};

/* `ranges` is sorted by `first` once planner_check() has run, else in the order added. */
struct planner {
    unsigned count;
    struct planner_range ranges[PLANNER_MAX_RANGES];
};

enum planner_fault {
    PLANNER_OK,
    PLANNER_EMPTY,
    PLANNER_MISALIGNED, /* start or size is not a multiple of `align` */
    PLANNER_OVERFLOW,   /* start + size wraps */
    PLANNER_TOO_HIGH,   /* its last byte is above `limit` */
    PLANNER_FULL,
};

/* Add a range if it is sound in itself. `align`: a power of two; `limit`: the last address there is. */
enum planner_fault planner_add(struct planner *planner, const char *name, const void *field, uint64_t start,
                               uint64_t size, uint64_t align, uint64_t limit);

/*
 * Report each range that overlaps one that begins before it (with the one that reaches furthest): `later` was added
 * after `earlier`. Returns how many there are.
 */
unsigned planner_check(struct planner *planner,
                       void (*overlap)(void *context, const struct planner_range *later,
                                       const struct planner_range *earlier),
                       void *context);

#endif
