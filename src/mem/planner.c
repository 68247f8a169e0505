/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/planner.h"

enum planner_fault planner_add(struct planner *planner, const char *name, const void *field, uint64_t start,
                               uint64_t size, uint64_t align, uint64_t limit)
{
    if (!size) {
        return PLANNER_EMPTY;
    }
    if (size - 1 > UINT64_MAX - start) {
        return PLANNER_OVERFLOW;
    }
    if (start + (size - 1) > limit) {
        return PLANNER_TOO_HIGH;
    }
    if ((start | size) & (align - 1)) {
        return PLANNER_MISALIGNED;
    }
    if (planner->count == PLANNER_MAX_RANGES) {
        return PLANNER_FULL;
    }
    planner->ranges[planner->count] = (struct planner_range){start, start + (size - 1), name, field, planner->count};
    planner->count++;
    return PLANNER_OK;
}

/* Insertion sort: a VM has a handful of ranges. Equal starts keep the order they were added in. */
static void sort(struct planner *planner)
{
    for (unsigned i = 1; i < planner->count; i++) {
        struct planner_range range = planner->ranges[i];
        unsigned to = i;

        for (; to && planner->ranges[to - 1].first > range.first; to--) {
            planner->ranges[to] = planner->ranges[to - 1];
        }
        planner->ranges[to] = range;
    }
}

unsigned planner_check(struct planner *planner,
                       void (*overlap)(void *context, const struct planner_range *later,
                                       const struct planner_range *earlier),
                       void *context)
{
    const struct planner_range *furthest = &planner->ranges[0];
    unsigned overlaps = 0;

    sort(planner);
    for (unsigned i = 1; i < planner->count; i++) {
        const struct planner_range *range = &planner->ranges[i];

        if (range->first <= furthest->last) {
            bool in_order = range->order > furthest->order;

            overlap(context, in_order ? range : furthest, in_order ? furthest : range);
            overlaps++;
        }
        if (range->last > furthest->last) {
            furthest = range;
        }
    }
    return overlaps;
}
