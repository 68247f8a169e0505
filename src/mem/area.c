/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/area.h"

#include <string.h>

#include "lib/host.h"
#include "lib/log.h"

unsigned area_index(const struct addrspace *as, uint64_t addr)
{
    unsigned low = 0;
    unsigned high = as->area_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (area_end(&as->areas[middle]) > addr) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

struct area *area_find_afresh(struct addrspace *as, uint64_t addr)
{
    unsigned index = area_index(as, addr);

    if (index == as->area_count || as->areas[index].gpa.v > addr) {
        return NULL;
    }
    as->recent = index;
    return &as->areas[index];
}

bool area_covers(const struct addrspace *as, uint64_t start, uint64_t size, bool ram)
{
    for (unsigned i = area_index(as, start); i < as->area_count; i++) {
        const struct area *area = &as->areas[i];

        if (area->gpa.v > start || (ram && !area_is_ram(area))) {
            return false;
        }
        if (size <= area_end(area) - start) {
            return true;
        }
        size -= area_end(area) - start;
        start = area_end(area);
    }
    return false;
}

void area_insert(struct addrspace *as, const struct area *area)
{
    unsigned index = area_index(as, area->gpa.v);

    memmove(&as->areas[index + 1], &as->areas[index], (as->area_count - index) * sizeof *area);
    as->areas[index] = *area;
    as->area_count++;
}

void area_remove(struct addrspace *as, unsigned index)
{
    area_log_free(&as->areas[index]);
    as->area_count--;
    memmove(&as->areas[index], &as->areas[index + 1], (as->area_count - index) * sizeof as->areas[0]);
    as->areas[as->area_count] = (struct area){0};
}

/* ---- Dirty bits -------------------------------------------------------------------------------------------------- */

static unsigned log_order(uint64_t size)
{
    uint64_t bytes = ((size >> AXVM_PAGE_SHIFT) + 7) / 8;
    unsigned order = 0;

    while (AXVM_PAGE_SIZE << order < bytes) {
        order++;
    }
    return order;
}

int area_log_alloc(struct area *area)
{
    unsigned order = log_order(area->size);
    hpa_t frames;

    if (hal->frames_alloc(order, &frames) != AXVM_OK) {
        return fail(AXVM_ENOMEM, "dirty log: no %u contiguous frames for %#llx, size %#llx", 1U << order,
                    (unsigned long long)area->gpa.v, (unsigned long long)area->size);
    }
    area->dirty = hal->hpa_to_hva(frames);
    memset(area->dirty, 0, AXVM_PAGE_SIZE << order);
    return AXVM_OK;
}

void area_log_free(struct area *area)
{
    if (area->dirty != NULL) {
        hal->frames_free(hal->hva_to_hpa(area->dirty), log_order(area->size));
        area->dirty = NULL;
    }
}

void area_log_set(struct area *area, uint64_t start, uint64_t size)
{
    uint64_t first = (start - area->gpa.v) >> AXVM_PAGE_SHIFT;
    uint64_t last = (start - area->gpa.v + size - 1) >> AXVM_PAGE_SHIFT;

    if (area->dirty == NULL) {
        return;
    }
    for (uint64_t page = first; page <= last; page++) {
        area->dirty[page / 8] |= (uint8_t)(1U << page % 8);
    }
}

void area_log_clear(struct area *area, uint64_t addr)
{
    uint64_t page = (addr - area->gpa.v) >> AXVM_PAGE_SHIFT;

    area->dirty[page / 8] &= (uint8_t)~(1U << page % 8);
}

/* ---- Splitting --------------------------------------------------------------------------------------------------- */

/* New dirty bits for a part, a copy of the whole's. */
static int log_copy(struct area *part, const struct area *whole)
{
    int error;

    if (whole->dirty == NULL) {
        return AXVM_OK;
    }
    error = area_log_alloc(part);
    if (error != AXVM_OK) {
        return error;
    }
    for (uint64_t addr = part->gpa.v; addr < area_end(part); addr += AXVM_PAGE_SIZE) {
        if (area_log_test(whole, addr)) {
            area_log_set(part, addr, AXVM_PAGE_SIZE);
        }
    }
    return AXVM_OK;
}

static int area_split(struct addrspace *as, uint64_t addr)
{
    struct area *whole = area_find(as, addr);
    struct area lower, upper;
    int error;

    if (whole == NULL || whole->gpa.v == addr) {
        return AXVM_OK;
    }
    lower = upper = *whole;
    lower.dirty = upper.dirty = NULL;
    lower.size = addr - whole->gpa.v;
    upper.gpa = gpa(addr);
    upper.hpa = hpa(whole->hpa.v + lower.size);
    upper.size -= lower.size;
    error = log_copy(&lower, whole);
    if (error == AXVM_OK) {
        error = log_copy(&upper, whole);
    }
    if (error != AXVM_OK) {
        area_log_free(&lower);
        return error;
    }
    area_log_free(whole);
    *whole = lower;
    area_insert(as, &upper);
    return AXVM_OK;
}

static bool splits(struct addrspace *as, uint64_t addr)
{
    const struct area *area = area_find(as, addr);

    return area != NULL && area->gpa.v != addr;
}

int area_isolate(struct addrspace *as, uint64_t start, uint64_t size)
{
    unsigned more = (splits(as, start) ? 1U : 0U) + (splits(as, start + size) ? 1U : 0U);
    int error;

    if (as->area_count + more > ADDRSPACE_MAX_AREAS) {
        return fail(AXVM_ENOMEM, "address space: more than %u areas", ADDRSPACE_MAX_AREAS);
    }
    error = area_split(as, start);
    return error != AXVM_OK ? error : area_split(as, start + size);
}
