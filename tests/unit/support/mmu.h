/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memory-management unit for tests of page tables. It decodes raw entries as the manuals say, without the format
 * tables that it is to judge, and it behaves as badly as a manual allows: its TLB caches all of a window of addresses,
 * tables included, as soon as it can, and forgets only what is flushed. Anything unlawful fails the cmocka test.
 */
#ifndef AXVM_TEST_MMU_H
#define AXVM_TEST_MMU_H

#include "mem/pagetable.h"

enum mmu_kind {
    MMU_A64_STAGE2,
    MMU_A64_EL2,
    MMU_EPT,
    MMU_GSTAGE_SVPBMT,
    MMU_GSTAGE,
    MMU_HS,
    MMU_KIND_COUNT
};

struct mmu_result {
    bool valid;
    uint64_t hpa;
    uint64_t leaf_size;
    uint32_t perms;
    enum pt_memory memory; /* always PT_NORMAL where the format has no memory types */
};

struct mmu_entry {
    unsigned level;
    uint64_t addr, value;
};

struct mmu {
    enum mmu_kind kind;
    const struct pagetable *table;
    unsigned levels, root_bits; /* by the manual, from the input width */
    uint64_t window, unit;      /* the TLB holds one translation for each of `units` pieces of `unit` bytes */
    unsigned units;
    struct mmu_result *tlb;
    struct mmu_entry *seen, *now; /* present entries at the last observation, in order */
    size_t seen_count, now_count;
    struct mmu_entry *tables; /* that walks may have cached: level and addr of the entry, value: the table's frame */
    size_t tables_count;
    size_t live_tables, empty_tables, leaves[PT_MAX_LEAF_LEVEL + 1]; /* at the last observation; without the root */
    size_t flushes, publishes;
};

const struct pt_format *mmu_format(enum mmu_kind kind);

/* Begin to watch a table. */
void mmu_init(struct mmu *mmu, enum mmu_kind kind, const struct pagetable *table, uint64_t window, uint64_t unit,
              unsigned units);
void mmu_fini(struct mmu *mmu);

/* What the hardware would do with an access to `addr`, without a TLB. */
struct mmu_result mmu_walk(const struct mmu *mmu, uint64_t addr);

/* What struct pt_sync's operations come to. */
void mmu_publish(struct mmu *mmu);
void mmu_flush(struct mmu *mmu, uint64_t start, uint64_t size);

/*
 * Before an operation: cache all there is. After it: all that is cached must be as it is now, all must be published,
 * and no table empty.
 */
void mmu_begin(struct mmu *mmu);
void mmu_end(struct mmu *mmu);

/* Frames are about to be given back: nothing cached may lead there. */
void mmu_frame_freed(const struct mmu *mmu, uint64_t hpa, uint64_t size);

#endif
