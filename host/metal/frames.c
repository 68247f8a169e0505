/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include "lib/log.h"

#define HAND_ORDER 7U /* small runs are dealt from runs of this order: 512 KiB */
#define RUN_ORDER 2U  /* what lazy memory is populated by, as long as it can be */

/*
 * A free extent: a node of a treap, ordered by address (the node's own) and heap-ordered by a hash of the address, so
 * that its depth is logarithmic whatever the order of frees. Recursion is as deep as the treap.
 */
struct extent {
    struct extent *below, *above;
    uint64_t size;  /* in bytes */
    unsigned order; /* of the largest aligned run inside */
    unsigned best;  /* the largest `order` of this subtree */
};

static uint64_t extent_base(const struct extent *extent)
{
    return (uint64_t)(uintptr_t)extent;
}

static uint64_t extent_end(const struct extent *extent)
{
    return extent_base(extent) + extent->size;
}

/* Fibonacci hashing of the frame number: neighbouring frames get unrelated priorities. */
static uint64_t extent_rank(const struct extent *extent)
{
    return (extent_base(extent) >> AXVM_PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t run_size(unsigned order)
{
    return AXVM_PAGE_SIZE << order;
}

/* The first address of an aligned run of `order` in [base, base+size), if there is room for one. */
static bool run_fits(uint64_t base, uint64_t size, unsigned order, uint64_t *start)
{
    uint64_t pad = -base & (run_size(order) - 1);

    *start = base + pad;
    return pad <= size && size - pad >= run_size(order);
}

/* A run of half the extent's size (rounded down to a power of two) always fits; one of the whole may. */
static unsigned largest_order(uint64_t base, uint64_t size)
{
    unsigned order = (63U - (unsigned)__builtin_clzll(size)) - AXVM_PAGE_SHIFT;
    uint64_t start;

    return order == 0 || run_fits(base, size, order, &start) ? order : order - 1;
}

static void extent_update(struct extent *extent)
{
    unsigned best = extent->order;

    if (extent->below && extent->below->best > best) {
        best = extent->below->best;
    }
    if (extent->above && extent->above->best > best) {
        best = extent->above->best;
    }
    extent->best = best;
}

static struct extent *extent_make(uint64_t base, uint64_t size)
{
    struct extent *extent = (struct extent *)(uintptr_t)base;
    unsigned order = largest_order(base, size);

    *extent = (struct extent){.size = size, .order = order, .best = order};
    return extent;
}

/* Split a subtree into the extents that begin below `addr` and the others. */
static void treap_cut(struct extent *root, uint64_t addr, struct extent **below, struct extent **others)
{
    if (!root) {
        *below = *others = NULL;
    } else if (extent_base(root) < addr) {
        treap_cut(root->above, addr, &root->above, others);
        *below = root;
        extent_update(root);
    } else {
        treap_cut(root->below, addr, below, &root->below);
        *others = root;
        extent_update(root);
    }
}

/* Make one of two subtrees; all of `low` lies below all of `high`. */
static struct extent *treap_join(struct extent *low, struct extent *high)
{
    if (!low || !high) {
        return low ? low : high;
    }
    if (extent_rank(low) < extent_rank(high)) {
        low->above = treap_join(low->above, high);
        extent_update(low);
        return low;
    }
    high->below = treap_join(low, high->below);
    extent_update(high);
    return high;
}

static void treap_insert(struct frames *frames, uint64_t base, uint64_t size)
{
    struct extent *below, *above;

    if (size == 0) {
        return;
    }
    treap_cut(frames->root, base, &below, &above);
    frames->root = treap_join(treap_join(below, extent_make(base, size)), above);
}

static void treap_remove(struct frames *frames, const struct extent *extent)
{
    struct extent *below, *it, *above;

    treap_cut(frames->root, extent_base(extent), &below, &it);
    treap_cut(it, extent_base(extent) + 1, &it, &above);
    frames->root = treap_join(below, above);
}

/* The last extent that begins at or below `addr`, and the first that begins above it. */
static void treap_find(const struct frames *frames, uint64_t addr, struct extent **at, struct extent **next)
{
    struct extent *extent = frames->root;

    *at = *next = NULL;
    while (extent) {
        if (extent_base(extent) <= addr) {
            *at = extent;
            extent = extent->above;
        } else {
            *next = extent;
            extent = extent->below;
        }
    }
}

/* The lowest extent with room for an aligned run of `order`. */
static struct extent *treap_first_fit(const struct frames *frames, unsigned order)
{
    struct extent *extent = frames->root;

    if (!extent || extent->best < order) {
        return NULL;
    }
    for (;;) {
        if (extent->below && extent->below->best >= order) {
            extent = extent->below;
        } else if (extent->order >= order) {
            return extent;
        } else {
            extent = extent->above;
        }
    }
}

/* Take [base, base+size) out of the extent that holds it. */
static void extent_carve(struct frames *frames, const struct extent *extent, uint64_t base, uint64_t size)
{
    uint64_t first = extent_base(extent), end = extent_end(extent);

    treap_remove(frames, extent);
    treap_insert(frames, first, base - first);
    treap_insert(frames, base + size, end - (base + size));
}

/* Put free memory into the treap, merged with what it touches. False: some of it is free already. */
static bool extent_put(struct frames *frames, uint64_t base, uint64_t size)
{
    struct extent *at, *next;
    uint64_t end = base + size;

    treap_find(frames, base, &at, &next);
    if ((at && extent_end(at) > base) || (next && extent_base(next) < end)) {
        return false;
    }
    if (next && extent_base(next) == end) {
        end = extent_end(next);
        treap_remove(frames, next);
    }
    if (at && extent_end(at) == base) {
        base = extent_base(at);
        treap_remove(frames, at);
    }
    treap_insert(frames, base, end - base);
    return true;
}

static void hand_return(struct frames *frames)
{
    struct range hand = frames->hand;

    frames->hand = (struct range){0, 0};
    if (hand.base != hand.end) {
        extent_put(frames, hand.base, hand.end - hand.base);
    }
}

static bool take_run(struct frames *frames, unsigned order, uint64_t *run)
{
    struct extent *extent = treap_first_fit(frames, order);

    if (!extent) {
        return false;
    }
    run_fits(extent_base(extent), extent->size, order, run);
    extent_carve(frames, extent, *run, run_size(order));
    return true;
}

static bool hand_fill(struct frames *frames)
{
    struct range *hand = &frames->hand;

    for (unsigned order = HAND_ORDER;; order--) {
        if (take_run(frames, order, &hand->base)) {
            hand->end = hand->base + run_size(order);
            return true;
        }
        if (order == 0) {
            return false;
        }
    }
}

/*
 * Out of the hand: single frames from its end, runs of RUN_ORDER from its beginning, which so stays aligned for them (a
 * hand that is large enough for one begins aligned). False: there isn't enough.
 */
static inline bool hand_deal(struct frames *frames, unsigned order, hpa_t *run)
{
    struct range *hand = &frames->hand;
    uint64_t size = run_size(order);

    if (hand->end - hand->base < size) {
        return false;
    }
    if (order == 0) {
        hand->end -= size;
        *run = hpa(hand->end);
    } else {
        *run = hpa(hand->base);
        hand->base += size;
    }
    frames->free -= UINT64_C(1) << order;
    return true;
}

static bool run_deal(struct frames *frames, unsigned order, hpa_t *run)
{
    bool found = take_run(frames, order, &run->v);

    if (!found) {
        hand_return(frames);
        found = take_run(frames, order, &run->v);
    }
    frames->free -= found ? UINT64_C(1) << order : 0;
    return found;
}

/* With the lock held, which it drops: what isn't in the hand. What is left there goes back first: it may be a part. */
static __attribute__((noinline)) int alloc_more(struct frames *frames, unsigned order, hpa_t *run)
{
    bool found;

    if (order == 0 || order == RUN_ORDER) {
        hand_return(frames);
        found = hand_fill(frames) && hand_deal(frames, order, run);
    } else {
        found = run_deal(frames, order, run);
    }
    spin_unlock(&frames->lock);
    return found ? AXVM_OK : AXVM_ENOMEM;
}

/* What lazy memory and page tables ask for is mostly in the hand. */
int frames_alloc(struct frames *frames, unsigned order, hpa_t *run)
{
    spin_lock(&frames->lock);
    if ((order != 0 && order != RUN_ORDER) || !hand_deal(frames, order, run)) {
        return alloc_more(frames, order, run);
    }
    spin_unlock(&frames->lock);
    return AXVM_OK;
}

static bool is_frames(uint64_t base, uint64_t size)
{
    return (base | size) % AXVM_PAGE_SIZE == 0 && base + size > base;
}

void frames_release(struct frames *frames, uint64_t base, uint64_t size)
{
    const struct range *hand = &frames->hand;
    bool sound = is_frames(base, size) && ranges_hold(&frames->owned, base, base + size);

    spin_lock(&frames->lock);
    sound = sound && (hand->base >= base + size || hand->end <= base) && extent_put(frames, base, size);
    if (sound) {
        frames->free += size >> AXVM_PAGE_SHIFT;
    }
    spin_unlock(&frames->lock);
    if (!sound) {
        log_error("frames: 0x%llx..0x%llx was freed but not in use", (unsigned long long)base,
                  (unsigned long long)(base + size));
    }
}

void frames_free(struct frames *frames, hpa_t run, unsigned order)
{
    frames_release(frames, run.v, run_size(order));
}

int frames_claim(struct frames *frames, uint64_t base, uint64_t size)
{
    struct extent *at, *next;
    int error = AXVM_OK;

    if (!is_frames(base, size)) {
        return AXVM_EINVAL;
    }
    if (!ranges_hold(&frames->owned, base, base + size)) {
        return AXVM_ENOENT;
    }
    spin_lock(&frames->lock);
    hand_return(frames);
    treap_find(frames, base, &at, &next);
    if (at && extent_end(at) >= base + size) {
        extent_carve(frames, at, base, size);
        frames->free -= size >> AXVM_PAGE_SHIFT;
    } else {
        error = AXVM_EBUSY;
    }
    spin_unlock(&frames->lock);
    return error;
}
