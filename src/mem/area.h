/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the address space share among themselves; all with its lock held. */
#ifndef AXVM_MEM_AREA_H
#define AXVM_MEM_AREA_H

#include "mem/addrspace.h"

static inline uint64_t area_end(const struct area *area)
{
    return area->gpa.v + area->size;
}

static inline bool area_is_ram(const struct area *area)
{
    return (area->flags & AXVM_MEM_DEVICE) == 0;
}

/* The flags of leaves that nothing is noted about. */
static inline uint32_t area_leaf_flags(const struct area *area)
{
    return area->dirty != NULL ? area->flags & ~(uint32_t)AXVM_MEM_WRITE : area->flags;
}

/* The index of the first area that ends after `addr`; area_count: none. */
unsigned area_index(const struct addrspace *as, uint64_t addr);

/* The area that contains `addr`, or NULL; it is mostly the one that was found last. */
struct area *area_find_afresh(struct addrspace *as, uint64_t addr);

static inline struct area *area_find(struct addrspace *as, uint64_t addr)
{
    struct area *area = &as->areas[as->recent];

    return addr - area->gpa.v < area->size ? area : area_find_afresh(as, addr);
}

/* Whether areas (only RAM: with `ram`) cover the range without a gap. */
bool area_covers(const struct addrspace *as, uint64_t start, uint64_t size, bool ram);

/* Take in a new area, which overlaps none and finds room. */
void area_insert(struct addrspace *as, const struct area *area);

/* Take out and forget, with its dirty bits. */
void area_remove(struct addrspace *as, unsigned index);

/* Have areas begin and end where the range does. AXVM_ENOMEM: too many areas, or no frames for their dirty bits. */
int area_isolate(struct addrspace *as, uint64_t start, uint64_t size);

/* Give the area dirty bits, all clear, or take them away. AXVM_ENOMEM. */
int area_log_alloc(struct area *area);
void area_log_free(struct area *area);

static inline bool area_log_test(const struct area *area, uint64_t addr)
{
    uint64_t page = (addr - area->gpa.v) >> AXVM_PAGE_SHIFT;

    return (area->dirty[page / 8] >> (page % 8) & 1) != 0;
}

/* Note the pages of a range inside the area, if it is logged at all. */
void area_log_set(struct area *area, uint64_t start, uint64_t size);
void area_log_clear(struct area *area, uint64_t addr);

/*
 * Map a zeroed frame, with `flags`, to the page at `addr` of the area if nothing is there. AXVM_EEXIST, not logged: it
 * is there already; AXVM_EFAULT, not logged: the area isn't lazy; AXVM_ENOMEM, not logged.
 */
int addrspace_populate(struct addrspace *as, const struct area *area, uint64_t addr, uint32_t flags);

/* Zero guest memory, if the host can reach it. */
void addrspace_zero_frames(const struct addrspace *as, hpa_t frames, uint64_t size);

/* Unmap what is mapped in the range, whose bounds are bounds of leaves, and give back the frames that are ours. */
void addrspace_clear(struct addrspace *as, uint64_t start, uint64_t size);

#endif
