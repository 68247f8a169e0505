/* SPDX-License-Identifier: Apache-2.0 */
/* The host's access to guest RAM: checked at every piece, one piece of contiguous host memory at a time. */
#include <string.h>

#include "lib/host.h"
#include "lib/log.h"
#include "mem/area.h"

/* The host memory behind `addr` and what it allows. */
struct piece {
    struct area *area;
    uint8_t *memory;
    uint64_t size; /* contiguous from there on */
};

static int piece_find(struct addrspace *as, uint64_t addr, uint32_t access, struct piece *piece)
{
    struct area *area = area_find(as, addr);
    struct pt_leaf leaf;
    int error;

    if (area == NULL || !area_is_ram(area) || (area->flags & access) != access) {
        return AXVM_EFAULT;
    }
    error = addrspace_populate(as, area, addr & ~(AXVM_PAGE_SIZE - 1), area_leaf_flags(area));
    if (error != AXVM_OK && error != AXVM_EEXIST) {
        return error;
    }
    (void)pagetable_find(&as->table, gpa(addr), &leaf);
    piece->area = area;
    piece->memory = hal->hpa_to_hva(hpa(leaf.hpa.v + (addr - leaf.gpa.v)));
    piece->size = leaf.size - (addr - leaf.gpa.v);
    return piece->memory != NULL ? AXVM_OK : AXVM_EFAULT;
}

/* One direction of a copy: what to do with `size` bytes of guest memory. */
struct copy {
    uint32_t access; /* what the area must allow */
    void (*piece)(const struct copy *copy, struct addrspace *as, const struct piece *piece, uint64_t done,
                  uint64_t size);
    uint8_t *to;
    const uint8_t *from;
};

static void piece_read(const struct copy *copy, struct addrspace *as, const struct piece *piece, uint64_t done,
                       uint64_t size)
{
    (void)as;
    memcpy(copy->to + done, piece->memory, size);
}

static void piece_write(const struct copy *copy, struct addrspace *as, const struct piece *piece, uint64_t done,
                        uint64_t size)
{
    (void)as;
    memcpy(piece->memory, copy->from + done, size);
}

static void piece_load(const struct copy *copy, struct addrspace *as, const struct piece *piece, uint64_t done,
                       uint64_t size)
{
    if (copy->from != NULL) {
        piece_write(copy, as, piece, done, size);
    } else {
        memset(piece->memory, 0, size);
    }
    if (as->tlb->written != NULL) {
        as->tlb->written(piece->memory, size);
    }
}

static int copy_piece(const struct copy *copy, struct addrspace *as, uint64_t addr, uint64_t done, uint64_t *size)
{
    struct piece piece;
    int error = piece_find(as, addr, copy->access, &piece);

    if (error != AXVM_OK) {
        return error;
    }
    if (piece.size < *size) {
        *size = piece.size;
    }
    copy->piece(copy, as, &piece, done, *size);
    if (copy->to == NULL) {
        area_log_set(piece.area, addr, *size);
    }
    return AXVM_OK;
}

static int copy_all(const struct copy *copy, struct addrspace *as, gpa_t start, uint64_t size)
{
    uint64_t done = 0;

    while (done < size) { /* no sum wraps: areas end well below 2^64, and the first piece outside them is an error */
        uint64_t piece = size - done;
        int error;

        /* The lock isn't kept from piece to piece: vCPUs that fault get in between. */
        spin_lock(&as->lock);
        error = copy_piece(copy, as, start.v + done, done, &piece);
        spin_unlock(&as->lock);
        if (error != AXVM_OK) {
            return error;
        }
        done += piece;
    }
    return AXVM_OK;
}

int addrspace_read(struct addrspace *as, gpa_t from, void *to, uint64_t size)
{
    const struct copy copy = {.access = AXVM_MEM_READ, .piece = piece_read, .to = to};

    return copy_all(&copy, as, from, size);
}

int addrspace_write(struct addrspace *as, gpa_t to, const void *from, uint64_t size)
{
    const struct copy copy = {.access = AXVM_MEM_WRITE, .piece = piece_write, .from = from};

    return copy_all(&copy, as, to, size);
}

int addrspace_load(struct addrspace *as, gpa_t to, const void *from, uint64_t size)
{
    const struct copy copy = {.piece = piece_load, .from = from};
    int error = copy_all(&copy, as, to, size);

    if (error == AXVM_EFAULT) {
        return fail(error, "address space: %#llx, size %#llx, is not all RAM", (unsigned long long)to.v,
                    (unsigned long long)size);
    }
    return error;
}

int addrspace_buffer(struct addrspace *as, gpa_t addr, void **data, uint64_t *run)
{
    struct piece piece;
    int error;

    spin_lock(&as->lock);
    error = piece_find(as, addr.v, 0, &piece);
    spin_unlock(&as->lock);
    if (error == AXVM_OK) {
        *data = piece.memory;
        *run = piece.size;
    }
    return error;
}

/* ---- Zeroing ----------------------------------------------------------------------------------------------------- */

/* So much at once: of memory that is zeroed, and of memory that is given back. */
#define ZERO_STEP (UINT64_C(256) << 10)
#define CLEAR_STEP (UINT64_C(2) << 20)

static uint64_t part_end(const struct area *area, uint64_t at, uint64_t step)
{
    uint64_t end = (at & ~(step - 1)) + step;

    return end < area_end(area) ? end : area_end(area);
}

static uint64_t part_zero(struct addrspace *as, const struct area *area, uint64_t at)
{
    uint64_t end = part_end(area, at, ZERO_STEP);
    struct pt_leaf leaf;

    while (pagetable_next(&as->table, gpa(at), end - at, &leaf)) {
        uint64_t start = leaf.gpa.v > at ? leaf.gpa.v : at;

        at = leaf.gpa.v + leaf.size < end ? leaf.gpa.v + leaf.size : end;
        addrspace_zero_frames(as, hpa(leaf.hpa.v + (start - leaf.gpa.v)), at - start);
    }
    return end;
}

/* No leaf is split: that could want a frame. */
static uint64_t part_clear(struct addrspace *as, const struct area *area, uint64_t at)
{
    uint64_t end = part_end(area, at, CLEAR_STEP);
    struct pt_leaf leaf;

    if (pagetable_find(&as->table, gpa(end - 1), &leaf)) {
        end = leaf.gpa.v + leaf.size;
    }
    addrspace_clear(as, at, end - at);
    return end;
}

static uint64_t area_zero(struct addrspace *as, struct area *area, uint64_t at)
{
    uint64_t end = area->backing == AREA_LAZY ? part_clear(as, area, at) : part_zero(as, area, at);

    area_log_set(area, at, end - at);
    return end;
}

bool addrspace_zero(struct addrspace *as, gpa_t *at)
{
    unsigned index;
    bool found;

    spin_lock(&as->lock);
    index = area_index(as, at->v);
    while (index < as->area_count && !area_is_ram(&as->areas[index])) {
        index++;
    }
    found = index < as->area_count;
    if (found) {
        struct area *area = &as->areas[index];

        at->v = area_zero(as, area, at->v > area->gpa.v ? at->v : area->gpa.v);
    }
    spin_unlock(&as->lock);
    return found;
}
