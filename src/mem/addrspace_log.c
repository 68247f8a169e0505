/* SPDX-License-Identifier: Apache-2.0 */
/* The dirty log: RAM is write-protected, and the first write to a page after that faults and is noted. */
#include <string.h>

#include "lib/log.h"
#include "mem/area.h"

/* Area bounds are leaf bounds, so changing a whole area's leaves splits none and can't fail. */
static void area_log_stop(struct addrspace *as, struct area *area)
{
    if (area->dirty == NULL) {
        return;
    }
    area_log_free(area);
    (void)pagetable_protect(&as->table, area->gpa, area->size, area_leaf_flags(area));
    pagetable_merge(&as->table, area->gpa, area->size);
}

static void log_stop_locked(struct addrspace *as)
{
    for (unsigned i = 0; i < as->area_count; i++) {
        area_log_stop(as, &as->areas[i]);
    }
    as->logging = false;
}

static int log_start_locked(struct addrspace *as)
{
    if (as->logging) {
        return fail(AXVM_EBADSTATE, "dirty log: started already");
    }
    for (unsigned i = 0; i < as->area_count; i++) {
        struct area *area = &as->areas[i];
        int error;

        if (!area_is_ram(area)) {
            continue;
        }
        error = area_log_alloc(area);
        if (error != AXVM_OK) {
            log_stop_locked(as);
            return error;
        }
        (void)pagetable_protect(&as->table, area->gpa, area->size, area_leaf_flags(area));
    }
    as->logging = true;
    return AXVM_OK;
}

int addrspace_log_start(struct addrspace *as)
{
    int error;

    spin_lock(&as->lock);
    error = log_start_locked(as);
    spin_unlock(&as->lock);
    return error;
}

int addrspace_log_stop(struct addrspace *as)
{
    int error = AXVM_OK;

    spin_lock(&as->lock);
    if (as->logging) {
        log_stop_locked(as);
    } else {
        error = fail(AXVM_EBADSTATE, "dirty log: not started");
    }
    spin_unlock(&as->lock);
    return error;
}

/*
 * Move the noted pages of [start, end), a part of the area, into `bitmap`, whose first bit is for `origin`. Those that
 * the guest may write are pages by themselves; they are protected again by runs, so that a run costs one flush.
 */
static void area_fetch(struct addrspace *as, struct area *area, uint64_t start, uint64_t end, uint64_t origin,
                       uint8_t *bitmap)
{
    uint64_t run = 0; /* bytes before `addr` to protect */
    uint64_t addr;

    for (addr = start; addr < end; addr += AXVM_PAGE_SIZE) {
        uint64_t page = (addr - origin) >> AXVM_PAGE_SHIFT;
        struct pt_leaf leaf;

        if (area_log_test(area, addr)) {
            area_log_clear(area, addr);
            bitmap[page / 8] |= (uint8_t)(1U << page % 8);
            if (pagetable_find(&as->table, gpa(addr), &leaf) && (leaf.perms & AXVM_MEM_WRITE) != 0) {
                run += AXVM_PAGE_SIZE;
                continue;
            }
        }
        if (run != 0) {
            (void)pagetable_protect(&as->table, gpa(addr - run), run, area_leaf_flags(area));
            run = 0;
        }
    }
    if (run != 0) {
        (void)pagetable_protect(&as->table, gpa(addr - run), run, area_leaf_flags(area));
    }
}

static int log_fetch_locked(struct addrspace *as, gpa_t start, uint64_t size, uint8_t *bitmap)
{
    uint64_t end = start.v + size;

    if (!as->logging) {
        return fail(AXVM_EBADSTATE, "dirty log: not started");
    }
    if (!pagetable_range_ok(&as->table, start, size)) {
        return fail(AXVM_EINVAL, "dirty log: bad range %#llx, size %#llx", (unsigned long long)start.v,
                    (unsigned long long)size);
    }
    memset(bitmap, 0, ((size >> AXVM_PAGE_SHIFT) + 7) / 8);
    for (unsigned i = area_index(as, start.v); i < as->area_count && as->areas[i].gpa.v < end; i++) {
        struct area *area = &as->areas[i];
        uint64_t from = area->gpa.v > start.v ? area->gpa.v : start.v;
        uint64_t to = area_end(area) < end ? area_end(area) : end;

        if (area->dirty != NULL) {
            area_fetch(as, area, from, to, start.v, bitmap);
        }
    }
    return AXVM_OK;
}

int addrspace_log_fetch(struct addrspace *as, gpa_t start, uint64_t size, uint8_t *bitmap)
{
    int error;

    spin_lock(&as->lock);
    error = log_fetch_locked(as, start, size, bitmap);
    spin_unlock(&as->lock);
    return error;
}
