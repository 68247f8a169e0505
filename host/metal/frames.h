/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's memory, in 4 KiB frames. Free memory keeps its own books: every maximal run of free frames (an extent)
 * holds its node of a treap in its first bytes, so allocation costs no memory at all and there is nothing to size in
 * advance. Runs are taken from low addresses first. VA = PA: a frame's address is a pointer to it; frame 0 is never
 * owned.
 *
 * All functions may be called on any pCPU; one lock guards all. None logs but for misuse by the caller.
 */
#ifndef METAL_FRAMES_H
#define METAL_FRAMES_H

#include "lib/spinlock.h"
#include "ranges.h"
#include <axvm/types.h>

struct extent;

/*
 * Invariants: extents are disjoint and never adjacent (a free that touches its neighbours merges with them), `hand`
 * included only when merged back; every extent lies in one of `owned`.
 */
struct frames {
    struct spinlock lock;
    struct extent *root;
    struct range hand;    /* a small run out of which still smaller ones are dealt, not in the treap */
    uint64_t free;        /* frames, hand included */
    struct ranges owned;  /* the host's memory, free or in use: claims there are busy, not unknown; set while booting */
};

/* Give owned memory, all of which is in use, to the allocator: at first, and what was claimed. */
void frames_release(struct frames *frames, uint64_t base, uint64_t size);

/* Take [base, base+size) if all of it is free. AXVM_ENOENT: not the host's memory; AXVM_EBUSY: in use; AXVM_EINVAL. */
int frames_claim(struct frames *frames, uint64_t base, uint64_t size);

/* 2^order frames, aligned to their size. AXVM_ENOMEM. */
int frames_alloc(struct frames *frames, unsigned order, hpa_t *run);
void frames_free(struct frames *frames, hpa_t run, unsigned order);

#endif
