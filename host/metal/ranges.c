/* SPDX-License-Identifier: Apache-2.0 */
#include "ranges.h"

#include <string.h>

/* Replace `removed` ranges from the index'th on by `added` others, whose content the caller then writes. */
static void ranges_splice(struct ranges *list, unsigned index, unsigned removed, unsigned added)
{
    unsigned behind = list->count - index - removed;

    if (index + added + behind > RANGES_MAX) {
        behind--;
    }
    memmove(&list->range[index + added], &list->range[index + removed], behind * sizeof(list->range[0]));
    list->count = index + added + behind;
}

bool ranges_add(struct ranges *list, uint64_t base, uint64_t end)
{
    const struct range *range = list->range;
    unsigned first = 0, last;

    if (base >= end) {
        return true;
    }
    while (first < list->count && range[first].end < base) {
        first++;
    }
    for (last = first; last < list->count && range[last].base <= end; last++) {
        base = range[last].base < base ? range[last].base : base;
        end = range[last].end > end ? range[last].end : end;
    }
    if (last == first && list->count == RANGES_MAX) {
        return false;
    }
    ranges_splice(list, first, last - first, 1);
    list->range[first] = (struct range){base, end};
    return true;
}

void ranges_remove(struct ranges *list, uint64_t base, uint64_t end)
{
    for (unsigned i = 0; i < list->count && base < end;) {
        struct range was = list->range[i];
        bool low = was.base < base, high = was.end > end;

        if (was.end <= base || was.base >= end) {
            i++;
            continue;
        }
        if (low && high && list->count == RANGES_MAX && i == RANGES_MAX - 1) {
            high = false;
        }
        ranges_splice(list, i, 1, (unsigned)low + (unsigned)high);
        if (low) {
            list->range[i++] = (struct range){was.base, base};
        }
        if (high) {
            list->range[i++] = (struct range){end, was.end};
        }
    }
}

bool ranges_touch(const struct ranges *list, uint64_t base, uint64_t end)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (list->range[i].base < end && base < list->range[i].end) {
            return base < end;
        }
    }
    return false;
}

bool ranges_hold(const struct ranges *list, uint64_t base, uint64_t end)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (list->range[i].base <= base && end <= list->range[i].end) {
            return base < end;
        }
    }
    return false;
}
