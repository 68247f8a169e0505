/* SPDX-License-Identifier: Apache-2.0 */
/* Areas and what is mapped for them; copying is in addrspace_copy.c, the dirty log in addrspace_log.c. */
#include "mem/addrspace.h"

#include <stddef.h>
#include <string.h>

#include "lib/host.h"
#include "lib/log.h"
#include "mem/area.h"

#define LEVEL_ORDER(level) (9U * (level)) /* of the frames that a leaf maps */

/* ---- The table's hardware ---------------------------------------------------------------------------------------- */

static struct addrspace *as_of(struct pagetable *table)
{
    return (void *)((uint8_t *)table - offsetof(struct addrspace, table));
}

static void as_publish(struct pagetable *table)
{
    const struct addrspace_tlb *tlb = as_of(table)->tlb;

    if (tlb->publish != NULL) {
        tlb->publish();
    }
}

static void as_flush(struct pagetable *table, gpa_t start, uint64_t size)
{
    struct addrspace *as = as_of(table);

    if (size >> table->input_bits != 0) {
        as->tlb->flush_all(as);
    } else {
        as->tlb->flush_range(as, start, size);
    }
}

static const struct pt_sync as_sync = {
    .publish = as_publish,
    .flush = as_flush,
};

int addrspace_init(struct addrspace *as, const struct pt_format *format, unsigned gpa_bits,
                   const struct addrspace_tlb *tlb, uint32_t vmid)
{
    memset(as, 0, sizeof *as);
    as->tlb = tlb;
    as->vmid = vmid;
    return pagetable_init(&as->table, format, gpa_bits, &as_sync);
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

static inline void zero_frames(const struct addrspace *as, hpa_t frames, uint64_t size)
{
    void *memory = hal->hpa_to_hva(frames);

    if (memory == NULL) {
        return;
    }
    if (as->tlb->zero != NULL) {
        as->tlb->zero(memory, size);
    } else {
        memset(memory, 0, size);
    }
}

void addrspace_zero_frames(const struct addrspace *as, hpa_t frames, uint64_t size)
{
    zero_frames(as, frames, size);
}

static void leaf_release(void *context, const struct pt_leaf *leaf)
{
    struct addrspace *as = context;
    const struct area *area = area_find(as, leaf->gpa.v);

    if (area == NULL || area->backing != AREA_LINEAR) { /* no area: one that is just being made of frames */
        hal->frames_free(leaf->hpa, LEVEL_ORDER(leaf->level));
    }
}

void addrspace_clear(struct addrspace *as, uint64_t start, uint64_t size)
{
    (void)pagetable_unmap(&as->table, gpa(start), size, leaf_release, as);
}

/* Guests that touch a page touch its neighbours: so many pages, aligned, are populated together where nothing is. */
#define AROUND_ORDER 2U
#define AROUND_SIZE (AXVM_PAGE_SIZE << AROUND_ORDER)

/* While logging, pages are looked at one by one. */
static inline unsigned order_around(const struct addrspace *as, const struct area *area, uint64_t addr,
                                    const struct pt_slot *slot)
{
    uint64_t offset = (addr & ~(AROUND_SIZE - 1)) - area->gpa.v;

    return !as->logging && offset < area->size && AROUND_SIZE <= area->size - offset &&
                   pagetable_is_free(&as->table, slot, AROUND_ORDER)
               ? AROUND_ORDER
               : 0;
}

/* addrspace_populate(), inline for the fault. */
static inline int populate(struct addrspace *as, const struct area *area, uint64_t addr, uint32_t flags)
{
    struct pt_slot slot;
    unsigned order;
    hpa_t frames;

    if (pagetable_probe(&as->table, gpa(addr), &slot)) {
        return AXVM_EEXIST;
    }
    if (area->backing != AREA_LAZY) {
        return AXVM_EFAULT;
    }
    order = order_around(as, area, addr, &slot);
    if (order != 0 && hal->frames_alloc(order, &frames) != AXVM_OK) {
        order = 0;
    }
    if (order == 0 && hal->frames_alloc(0, &frames) != AXVM_OK) {
        return AXVM_ENOMEM;
    }
    zero_frames(as, frames, AXVM_PAGE_SIZE << order);
    if (pagetable_fill(&as->table, &slot, gpa(addr), order, frames, flags) != AXVM_OK) {
        hal->frames_free(frames, order);
        return AXVM_ENOMEM;
    }
    return AXVM_OK;
}

int addrspace_populate(struct addrspace *as, const struct area *area, uint64_t addr, uint32_t flags)
{
    return populate(as, area, addr, flags);
}

/* Map zeroed frames at `addr`, where nothing is, by one leaf of that level. No log when the host has none. */
static int leaf_populate(struct addrspace *as, uint64_t addr, unsigned level, uint32_t flags)
{
    uint64_t size = AXVM_PAGE_SIZE << LEVEL_ORDER(level);
    hpa_t frames;
    int error = hal->frames_alloc(LEVEL_ORDER(level), &frames);

    if (error != AXVM_OK) {
        return error;
    }
    addrspace_zero_frames(as, frames, size);
    error = pagetable_map(&as->table, gpa(addr), frames, size, flags, level);
    if (error != AXVM_OK) {
        hal->frames_free(frames, LEVEL_ORDER(level));
    }
    return error;
}

/* Map the largest leaf that fits at `addr` and that the host has frames for; its size. 0: not even a page. */
static uint64_t largest_populate(struct addrspace *as, const struct area *area, uint64_t addr)
{
    for (unsigned level = as->table.format->max_leaf_level;; level--) {
        uint64_t size = AXVM_PAGE_SIZE << LEVEL_ORDER(level);

        if ((addr & (size - 1)) == 0 && size <= area_end(area) - addr &&
            leaf_populate(as, addr, level, area_leaf_flags(area)) == AXVM_OK) {
            return size;
        }
        if (level == 0) {
            return 0;
        }
    }
}

static int area_populate(struct addrspace *as, const struct area *area)
{
    for (uint64_t addr = area->gpa.v; addr < area_end(area);) {
        uint64_t size = largest_populate(as, area, addr);

        if (size == 0) {
            addrspace_clear(as, area->gpa.v, area->size);
            return fail(AXVM_ENOMEM, "address space: no frames for %#llx of the area at %#llx, size %#llx",
                        (unsigned long long)addr, (unsigned long long)area->gpa.v, (unsigned long long)area->size);
        }
        addr += size;
    }
    return AXVM_OK;
}

void addrspace_destroy(struct addrspace *as)
{
    if (as->table.format == NULL) {
        return;
    }
    spin_lock(&as->lock);
    addrspace_clear(as, 0, UINT64_C(1) << as->table.input_bits);
    while (as->area_count != 0) {
        area_remove(as, as->area_count - 1);
    }
    as->logging = false;
    pagetable_destroy(&as->table);
    spin_unlock(&as->lock);
}

/* ---- Making areas ------------------------------------------------------------------------------------------------ */

static int range_check(const struct addrspace *as, gpa_t start, uint64_t size, uint32_t flags)
{
    if (pagetable_range_ok(&as->table, start, size) && pagetable_flags_ok(flags)) {
        return AXVM_OK;
    }
    return fail(AXVM_EINVAL, "address space: bad range %#llx, size %#llx, or flags %#x", (unsigned long long)start.v,
                (unsigned long long)size, flags);
}

static int overlap_check(const struct addrspace *as, const struct area *area)
{
    unsigned index = area_index(as, area->gpa.v);
    const struct area *other = &as->areas[index];

    if (index == as->area_count || other->gpa.v >= area_end(area)) {
        return AXVM_OK;
    }
    return fail(AXVM_EEXIST, "address space: %#llx, size %#llx, overlaps the area at %#llx, size %#llx",
                (unsigned long long)area->gpa.v, (unsigned long long)area->size, (unsigned long long)other->gpa.v,
                (unsigned long long)other->size);
}

static int area_map(struct addrspace *as, const struct area *area)
{
    switch (area->backing) {
    case AREA_LINEAR:
        return pagetable_map(&as->table, area->gpa, area->hpa, area->size, area_leaf_flags(area), PT_MAX_LEAF_LEVEL);
    case AREA_ALLOC:
        return area_populate(as, area);
    case AREA_LAZY:
        break;
    }
    return AXVM_OK;
}

static int area_make_locked(struct addrspace *as, struct area *area)
{
    int error = range_check(as, area->gpa, area->size, area->flags);

    if (error == AXVM_OK) {
        error = overlap_check(as, area);
    }
    if (error == AXVM_OK && as->area_count == ADDRSPACE_MAX_AREAS) {
        error = fail(AXVM_ENOMEM, "address space: more than %u areas", ADDRSPACE_MAX_AREAS);
    }
    if (error == AXVM_OK && as->logging && area_is_ram(area)) {
        error = area_log_alloc(area);
    }
    if (error != AXVM_OK) {
        return error;
    }
    error = area_map(as, area);
    if (error != AXVM_OK) {
        area_log_free(area);
        return error;
    }
    area_insert(as, area);
    return AXVM_OK;
}

static int area_make(struct addrspace *as, struct area *area)
{
    int error;

    spin_lock(&as->lock);
    error = area_make_locked(as, area);
    spin_unlock(&as->lock);
    return error;
}

int addrspace_map_linear(struct addrspace *as, gpa_t start, hpa_t target, uint64_t size, uint32_t flags)
{
    struct area area = {.gpa = start, .hpa = target, .size = size, .flags = flags, .backing = AREA_LINEAR};

    return area_make(as, &area);
}

int addrspace_map_alloc(struct addrspace *as, gpa_t start, uint64_t size, uint32_t flags, bool lazy)
{
    struct area area = {.gpa = start, .size = size, .flags = flags, .backing = lazy ? AREA_LAZY : AREA_ALLOC};

    return area_make(as, &area);
}

/* ---- Changing areas ---------------------------------------------------------------------------------------------- */

/* Have areas and leaves begin and end where the range does; all of it is in areas. */
static int range_isolate(struct addrspace *as, gpa_t start, uint64_t size)
{
    int error;

    if (!area_covers(as, start.v, size, false)) {
        return fail(AXVM_ENOENT, "address space: %#llx, size %#llx, is not all mapped", (unsigned long long)start.v,
                    (unsigned long long)size);
    }
    error = pagetable_split(&as->table, start);
    if (error == AXVM_OK) {
        error = pagetable_split(&as->table, gpa(start.v + size));
    }
    return error != AXVM_OK ? error : area_isolate(as, start.v, size);
}

static int unmap_locked(struct addrspace *as, gpa_t start, uint64_t size)
{
    unsigned index;
    int error = range_check(as, start, size, AXVM_MEM_READ);

    if (error == AXVM_OK) {
        error = range_isolate(as, start, size);
    }
    if (error != AXVM_OK) {
        return error;
    }
    addrspace_clear(as, start.v, size);
    index = area_index(as, start.v);
    while (index < as->area_count && as->areas[index].gpa.v < start.v + size) {
        area_remove(as, index);
    }
    return AXVM_OK;
}

int addrspace_unmap(struct addrspace *as, gpa_t start, uint64_t size)
{
    int error;

    spin_lock(&as->lock);
    error = unmap_locked(as, start, size);
    spin_unlock(&as->lock);
    return error;
}

/* Whether every area that the range touches is as much a device as `flags` say. */
static bool same_kind(const struct addrspace *as, gpa_t start, uint64_t size, uint32_t flags)
{
    for (unsigned i = area_index(as, start.v); i < as->area_count && as->areas[i].gpa.v < start.v + size; i++) {
        if (((as->areas[i].flags ^ flags) & AXVM_MEM_DEVICE) != 0) {
            return false;
        }
    }
    return true;
}

static int protect_locked(struct addrspace *as, gpa_t start, uint64_t size, uint32_t flags)
{
    int error = range_check(as, start, size, flags);

    if (error != AXVM_OK) {
        return error;
    }
    if (!same_kind(as, start, size, flags)) {
        return fail(AXVM_EINVAL, "address space: %#llx, size %#llx, can't change between RAM and device",
                    (unsigned long long)start.v, (unsigned long long)size);
    }
    error = range_isolate(as, start, size);
    if (error != AXVM_OK) {
        return error;
    }
    for (unsigned i = area_index(as, start.v); i < as->area_count && as->areas[i].gpa.v < start.v + size; i++) {
        as->areas[i].flags = flags;
        (void)pagetable_protect(&as->table, as->areas[i].gpa, as->areas[i].size, area_leaf_flags(&as->areas[i]));
    }
    return AXVM_OK;
}

int addrspace_protect(struct addrspace *as, gpa_t start, uint64_t size, uint32_t flags)
{
    int error;

    spin_lock(&as->lock);
    error = protect_locked(as, start, size, flags);
    spin_unlock(&as->lock);
    return error;
}

/* ---- Looking and faulting ---------------------------------------------------------------------------------------- */

int addrspace_translate(struct addrspace *as, gpa_t addr, hpa_t *target, uint32_t *flags, uint64_t *run)
{
    const struct area *area;
    struct pt_leaf leaf;
    int error = AXVM_ENOENT;

    spin_lock(&as->lock);
    area = area_find(as, addr.v);
    if (area != NULL && pagetable_find(&as->table, addr, &leaf)) {
        uint64_t offset = addr.v - leaf.gpa.v;

        error = AXVM_OK;
        if (target != NULL) {
            *target = hpa(leaf.hpa.v + offset);
        }
        if (flags != NULL) {
            *flags = area->flags;
        }
        if (run != NULL) {
            *run = leaf.size - offset;
        }
    }
    spin_unlock(&as->lock);
    return error;
}

bool addrspace_is_ram(struct addrspace *as, gpa_t start, uint64_t size)
{
    bool is;

    spin_lock(&as->lock);
    is = size != 0 && area_covers(as, start.v, size, true);
    spin_unlock(&as->lock);
    return is;
}

/* The page is there, but the hardware didn't let the access pass that the area allows. */
static __attribute__((noinline)) int present_resolve(struct addrspace *as, uint64_t page, uint32_t access,
                                                     uint32_t flags)
{
    struct pt_leaf leaf;

    if (pagetable_find(&as->table, gpa(page), &leaf) && (leaf.perms & access) == 0) {
        return pagetable_protect(&as->table, gpa(page), AXVM_PAGE_SIZE, flags); /* a write that is to be noted */
    }
    as->tlb->flush_range(as, gpa(page), AXVM_PAGE_SIZE); /* another vCPU was first, or the TLB is out of date */
    return AXVM_OK;
}

/* While the area is logged: a page that is read comes clean, one that is written is noted. */
static __attribute__((noinline)) int logged_resolve(struct addrspace *as, struct area *area, uint64_t page,
                                                    uint32_t access)
{
    bool writes = (access & AXVM_MEM_WRITE) != 0;
    uint32_t flags = writes ? area->flags : area_leaf_flags(area);
    int error = addrspace_populate(as, area, page, flags);

    if (error == AXVM_EEXIST) {
        error = present_resolve(as, page, access, flags);
    }
    if (error == AXVM_OK && writes) {
        area_log_set(area, page, AXVM_PAGE_SIZE);
    }
    return error;
}

static int fault_resolve(struct addrspace *as, struct area *area, uint64_t page, uint32_t access)
{
    int error;

    if (area->dirty != NULL) {
        return logged_resolve(as, area, page, access);
    }
    error = populate(as, area, page, area->flags);
    return error != AXVM_EEXIST ? error : present_resolve(as, page, access, area->flags);
}

int addrspace_fault(struct addrspace *as, gpa_t addr, uint32_t access)
{
    struct area *area;
    int error;

    spin_lock(&as->lock);
    area = area_find(as, addr.v);
    if (area == NULL) {
        error = AXVM_ENOENT;
    } else if ((area->flags & access) == 0) {
        error = AXVM_EFAULT;
    } else {
        error = fault_resolve(as, area, addr.v & ~(AXVM_PAGE_SIZE - 1), access);
    }
    spin_unlock(&as->lock);
    return error;
}
