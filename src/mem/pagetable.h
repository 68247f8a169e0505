/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page-table walker for every format. A format is a const table of geometry and encodings; the walker has no code
 * that knows one.
 */
#ifndef AXVM_MEM_PAGETABLE_H
#define AXVM_MEM_PAGETABLE_H

#include <axvm/types.h>

#define PT_MAX_LEVELS 5U
#define PT_MAX_LEAF_LEVEL 2U

enum pt_memory {
    PT_NORMAL,
    PT_DEVICE,
    PT_UNCACHED,
    PT_MEMORY_COUNT
};

/*
 * Levels count up from the leaf: level 0 maps 4 KiB, 1 maps 2 MiB, 2 maps 1 GiB, each through 512 entries of 8 bytes,
 * except that the root may be wider (Arm's concatenated tables, RISC-V's x4 formats) or narrower.
 *
 * Invariants: bits 11:0 of present_mask hold all of it, so that a bare address is an entry that isn't present;
 * pa_mask, perm_mask and memory_mask are disjoint, and leaf_bits lie outside all three.
 */
struct pt_format {
    const char *name;
    unsigned min_input_bits, max_input_bits;
    unsigned min_levels, max_levels;
    unsigned max_root_bits;   /* log2 of the entries of the widest root: 9 is one table, 13 is 16 concatenated */
    bool fixed_root;          /* the root always has max_root_bits (RISC-V x4: 11), else as few as the width needs */
    unsigned max_leaf_level;  /* 2: 1 GiB */
    bool break_before_make;   /* a live entry must be made invalid and flushed before a different one is written */
    unsigned pa_shift;        /* entry = ((hpa >> pa_shift) & pa_mask) | bits */
    uint64_t pa_mask;
    uint64_t present_mask;    /* an entry is present if it has any of these bits */
    uint64_t table_bits;      /* of an entry that points to a table */
    uint64_t kind_mask;       /* above level 0: (entry & kind_mask) == table_kind tells a table from a leaf */
    uint64_t table_kind;
    uint64_t leaf_bits[PT_MAX_LEAF_LEVEL + 1]; /* by level */
    uint64_t perm_mask;
    uint64_t perm_bits[8];    /* by AXVM_MEM_READ | _WRITE | _EXEC; never used without READ, which not all have */
    uint64_t memory_mask;
    uint64_t memory_bits[PT_MEMORY_COUNT];
};

struct pagetable;

/*
 * What the hardware that walks the table must be told; both with the table's lock held. NULL in a table's `sync`: the
 * table isn't in use yet.
 */
struct pt_sync {
    /* Entries became valid that weren't: make them visible to the walkers (Arm: DSB ISHST; nothing elsewhere). */
    void (*publish)(struct pagetable *table);
    /* Entries changed: as publish, and no translation of [start, start+size), of any level, is cached on return. */
    void (*flush)(struct pagetable *table, gpa_t start, uint64_t size);
};

/*
 * A table isn't locked: one caller at a time, while any number of CPUs walk it. Entries are written with single 64-bit
 * stores, each after what it refers to. No table but the root is ever empty: the last unmap gives it back. Splitting
 * and merging may take a mapping away for a moment: not for what the caller itself runs by.
 */
struct pagetable {
    const struct pt_format *format; /* NULL: not set up */
    const struct pt_sync *sync;
    unsigned levels;
    unsigned root_bits; /* log2 of the root's entries */
    unsigned input_bits;
    hpa_t root;
    _Atomic uint64_t *root_entries;
    size_t frames; /* tables allocated, root included, in 4 KiB frames */
    /*
     * The last-level table that was probed last, for the 2 MiB at (tag - 1) * 2 MiB; tag 0: none. It isn't freed yet.
     */
    uint64_t recent_tag;
    _Atomic uint64_t *recent;
};

/* Where the walk for an address ends: at a leaf, or at nothing. Good until the table changes. */
struct pt_slot {
    _Atomic uint64_t *entry;
    uint64_t value; /* read there */
    uint64_t addr;  /* first input address that the entry translates */
    unsigned level;
};

/* One leaf as it stands in the table. */
struct pt_leaf {
    gpa_t gpa;
    hpa_t hpa;
    uint64_t size;
    unsigned level;
    uint32_t perms; /* AXVM_MEM_READ, _WRITE, _EXEC */
};

/*
 * An empty table with the fewest levels that have `input_bits`; its root is aligned to its size. AXVM_EUNSUPPORTED: the
 * format has no such geometry; AXVM_ENOMEM. `table` isn't set up after an error.
 */
int pagetable_init(struct pagetable *table, const struct pt_format *format, unsigned input_bits,
                   const struct pt_sync *sync);

/* Give all tables back, not what the leaves map. The hardware no longer uses the table. Nothing to do if not set up. */
void pagetable_destroy(struct pagetable *table);

/* Whether [start, start+size) is not empty, a multiple of 4 KiB, and inside the input range. */
bool pagetable_range_ok(const struct pagetable *table, gpa_t start, uint64_t size);

/*
 * Whether these flags are a mapping's: enum axvm_mem_flags, with READ, DEVICE and UNCACHED not both; USER is ignored.
 */
bool pagetable_flags_ok(uint32_t flags);

/*
 * Map [start, start+size) to [target, ...) by the largest leaves that fit, of at most `max_level`. AXVM_EINVAL (range,
 * alignment, flags, an hpa wider than the format's), AXVM_EEXIST (part of it is mapped), AXVM_ENOMEM; an error leaves
 * the table as it was.
 */
int pagetable_map(struct pagetable *table, gpa_t start, hpa_t target, uint64_t size, uint32_t flags,
                  unsigned max_level);

/*
 * Unmap what is mapped in [start, start+size), then, when no translation to it is cached any more, call `release` (if
 * not NULL) for each leaf. Leaves that reach out of the range are split. AXVM_EINVAL, AXVM_ENOMEM: nothing is unmapped.
 */
int pagetable_unmap(struct pagetable *table, gpa_t start, uint64_t size,
                    void (*release)(void *context, const struct pt_leaf *leaf), void *context);

/*
 * Give what is mapped in the range other flags. Leaves that reach out of it are split. AXVM_EINVAL, AXVM_ENOMEM: no
 * flags are changed.
 */
int pagetable_protect(struct pagetable *table, gpa_t start, uint64_t size, uint32_t flags);

/* Split leaves until none spans `addr`, a multiple of 4 KiB. AXVM_ENOMEM: some may have been, to the same effect. */
int pagetable_split(struct pagetable *table, gpa_t addr);

/* Make large leaves of neighbours within the range that are contiguous, aligned and alike. */
void pagetable_merge(struct pagetable *table, gpa_t start, uint64_t size);

/* The leaf that maps `addr`; false: nothing does. */
bool pagetable_find(const struct pagetable *table, gpa_t addr, struct pt_leaf *leaf);

/* The first leaf that maps any of [start, start+size), or false. It may begin before and end after the range. */
bool pagetable_next(const struct pagetable *table, gpa_t start, uint64_t size, struct pt_leaf *leaf);

/*
 * The quick way to map pages, with one walk. probe: whether something maps `addr`. If not, is_free: whether nothing
 * maps any of the 2^order pages, aligned, around it (at most a table of them); and fill maps those to `frames`. Range,
 * frames and flags must be sound. AXVM_ENOMEM, not logged: nothing has changed.
 */
bool pagetable_probe(struct pagetable *table, gpa_t addr, struct pt_slot *slot);
bool pagetable_is_free(const struct pagetable *table, const struct pt_slot *slot, unsigned order);
int pagetable_fill(struct pagetable *table, struct pt_slot *slot, gpa_t addr, unsigned order, hpa_t frames,
                   uint32_t flags);

extern const struct pt_format pt_aarch64_stage2; /* Arm ARM D8.3; VTCR_EL2 */
extern const struct pt_format pt_aarch64_el2;    /* EL2 stage 1 without VHE, for the metal host's own map */
extern const struct pt_format pt_riscv64_gstage; /* RISC-V Privileged, "Two-Stage Address Translation" */
extern const struct pt_format pt_riscv64_gstage_svpbmt; /* the same with memory types */
extern const struct pt_format pt_riscv64_host;   /* HS mode's Sv39, Sv48, Sv57, lower half, for the host's own map */
extern const struct pt_format pt_x86_ept;        /* Intel SDM 3C, "The Extended Page Table Mechanism" */

#endif
