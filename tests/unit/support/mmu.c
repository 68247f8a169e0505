/* SPDX-License-Identifier: Apache-2.0 */
#include "support/mmu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/aarch64/stage2.h"
#include "support/fake_hal.h"

#define MAX_ENTRIES (1U << 17)
#define MAX_TABLES 8192U

const struct pt_format *mmu_format(enum mmu_kind kind)
{
    static const struct pt_format *const formats[MMU_KIND_COUNT] = {
        &pt_aarch64_stage2,        &pt_aarch64_el2,    &pt_x86_ept,
        &pt_riscv64_gstage_svpbmt, &pt_riscv64_gstage, &pt_riscv64_host};

    return formats[kind];
}

/* ---- Decoding, by the manuals ------------------------------------------------------------------------------------ */

static uint64_t bits(uint64_t value, unsigned high, unsigned low)
{
    return value >> low & ((UINT64_C(2) << (high - low)) - 1);
}

/* Sets `levels` and `root_bits`. */
static void geometry(struct mmu *mmu)
{
    unsigned width = mmu->table->input_bits;
    uint64_t vtcr;

    switch (mmu->kind) {
    case MMU_A64_STAGE2: /* Arm ARM D8.2.2: SL0 = 1 starts at level 1, 2 at level 0; T0SZ bounds the input */
        vtcr = stage2_vtcr(mmu->table, 48);
        assert_int_equal(64 - bits(vtcr, 5, 0), width);
        mmu->levels = bits(vtcr, 7, 6) == 2 ? 4 : 3;
        assert_true(bits(vtcr, 7, 6) == 1 || bits(vtcr, 7, 6) == 2);
        mmu->root_bits = width - 12 - 9 * (mmu->levels - 1);
        assert_in_range(mmu->root_bits, 1, mmu->levels == 4 ? 9 : 13);
        break;
    case MMU_A64_EL2: /* D8.2.3: T0SZ alone says it */
        mmu->levels = width > 39 ? 4 : 3;
        mmu->root_bits = width - 12 - 9 * (mmu->levels - 1);
        break;
    case MMU_EPT:
        mmu->levels = 4;
        mmu->root_bits = 9;
        break;
    case MMU_GSTAGE:
    case MMU_GSTAGE_SVPBMT: /* Sv39x4, Sv48x4, Sv57x4 */
        mmu->levels = width <= 41 ? 3 : width <= 50 ? 4 : 5;
        mmu->root_bits = 11;
        break;
    default: /* Sv39, Sv48, Sv57: the highest bit is a sign */
        mmu->levels = width <= 38 ? 3 : width <= 47 ? 4 : 5;
        mmu->root_bits = 8;
    }
}

enum what { NOTHING, TABLE, LEAF };

static enum what decode_a64(uint64_t e, unsigned level, struct mmu_result *result)
{
    if (bits(e, 0, 0) == 0) {
        return NOTHING;
    }
    result->hpa = bits(e, 47, 12) << 12;
    if (level > 0 && bits(e, 1, 1) == 1) {
        assert_int_equal(e & ~(UINT64_C(0xfffffffff000) | 3), 0); /* no hierarchical attributes */
        return TABLE;
    }
    assert_true(level == 0 ? bits(e, 1, 1) == 1 : level <= 2);
    assert_int_equal(bits(e, 10, 10), 1); /* AF, else an access flag fault */
    assert_int_equal(bits(e, 9, 8), 3);   /* inner shareable */
    assert_int_equal(bits(e, 11, 11), 0);
    assert_int_equal(bits(e, 63, 55), 0);
    assert_int_equal(bits(e, 53, 48), 0);
    return LEAF;
}

static enum what decode_a64_stage2(uint64_t e, unsigned level, struct mmu_result *result)
{
    enum what what = decode_a64(e, level, result);

    if (what == LEAF) {
        result->perms = (bits(e, 6, 6) ? AXVM_MEM_READ : 0U) | (bits(e, 7, 7) ? AXVM_MEM_WRITE : 0U) |
                        (bits(e, 54, 53) == 0 ? AXVM_MEM_EXEC : 0U);
        assert_true(bits(e, 5, 2) == 15 || bits(e, 5, 2) == 1 || bits(e, 5, 2) == 5);
        result->memory = bits(e, 5, 2) == 15 ? PT_NORMAL : bits(e, 5, 2) == 1 ? PT_DEVICE : PT_UNCACHED;
    }
    return what;
}

static enum what decode_a64_el2(uint64_t e, unsigned level, struct mmu_result *result)
{
    enum what what = decode_a64(e, level, result);

    if (what == LEAF) {
        uint64_t attr = bits(EL2_MAIR, (unsigned)bits(e, 4, 2) * 8 + 7, (unsigned)bits(e, 4, 2) * 8);

        result->perms = AXVM_MEM_READ | (bits(e, 7, 7) == 0 ? AXVM_MEM_WRITE : 0U) |
                        (bits(e, 54, 54) == 0 ? AXVM_MEM_EXEC : 0U);
        assert_int_equal(bits(e, 6, 6), 1);
        assert_int_equal(bits(e, 5, 5), 0);
        assert_true(attr == 0xff || attr == 0x04 || attr == 0x44);
        result->memory = attr == 0xff ? PT_NORMAL : attr == 0x04 ? PT_DEVICE : PT_UNCACHED;
    }
    return what;
}

static enum what decode_ept(uint64_t e, unsigned level, struct mmu_result *result)
{
    uint64_t type = bits(e, 5, 3);

    if (bits(e, 2, 0) == 0) {
        return NOTHING;
    }
    assert_true(bits(e, 1, 0) != 2 && bits(e, 2, 0) != 6); /* writable but not readable: EPT misconfiguration */
    assert_int_equal(bits(e, 63, 52), 0);
    result->hpa = bits(e, 51, 12) << 12;
    if (level > 0 && bits(e, 7, 7) == 0) {
        assert_int_equal(bits(e, 6, 3), 0); /* reserved */
        assert_int_equal(bits(e, 2, 0), 7);
        return TABLE;
    }
    assert_true(level <= 2);
    assert_true(type == 6 || type == 0 || type == 1);
    result->perms = (uint32_t)bits(e, 2, 0); /* R, W, X as in enum axvm_mem_flags */
    result->memory = type == 6 ? PT_NORMAL : type == 0 ? PT_DEVICE : PT_UNCACHED;
    return LEAF;
}

/* `user`: bit U, without which a G-stage leaf is a fault, and with which one of S mode's own is. */
static enum what decode_sv(uint64_t e, unsigned user, struct mmu_result *result)
{
    if (bits(e, 0, 0) == 0) {
        return NOTHING;
    }
    assert_int_equal(bits(e, 63, 54), 0);
    result->hpa = bits(e, 53, 10) << 12;
    if (bits(e, 3, 1) == 0) {
        assert_int_equal(bits(e, 9, 4), 0); /* D, A, U are reserved in a pointer */
        return TABLE;
    }
    assert_true(bits(e, 2, 1) != 2); /* W without R is reserved */
    assert_int_equal(bits(e, 4, 4), user);
    assert_int_equal(bits(e, 7, 6), 3); /* A and D */
    assert_int_equal(bits(e, 9, 8), 0);
    result->perms = (uint32_t)bits(e, 3, 1);
    return LEAF;
}

static enum what decode_gstage(uint64_t e, unsigned level, struct mmu_result *result)
{
    (void)level;
    return decode_sv(e, 1, result);
}

/* Chapter 14: bits 62:61 of a leaf alone; 3 is reserved. */
static enum what decode_gstage_svpbmt(uint64_t e, unsigned level, struct mmu_result *result)
{
    bool is_leaf = bits(e, 0, 0) == 1 && bits(e, 3, 1) != 0;
    enum what what = decode_gstage(is_leaf ? e & ~(UINT64_C(3) << 61) : e, level, result);

    if (is_leaf) {
        assert_int_not_equal(bits(e, 62, 61), 3);
        result->memory = bits(e, 62, 61) == 0 ? PT_NORMAL : bits(e, 62, 61) == 2 ? PT_DEVICE : PT_UNCACHED;
    }
    return what;
}

static enum what decode_hs(uint64_t e, unsigned level, struct mmu_result *result)
{
    (void)level;
    return decode_sv(e, 0, result);
}

static enum what decode(const struct mmu *mmu, uint64_t entry, unsigned level, struct mmu_result *result)
{
    static enum what (*const decoders[MMU_KIND_COUNT])(uint64_t, unsigned, struct mmu_result *) = {
        decode_a64_stage2, decode_a64_el2, decode_ept, decode_gstage_svpbmt, decode_gstage, decode_hs};
    enum what what;

    *result = (struct mmu_result){0};
    what = decoders[mmu->kind](entry, level, result);
    if (what == LEAF) {
        result->valid = true;
        result->leaf_size = AXVM_PAGE_SIZE << 9 * level;
        assert_int_equal(result->hpa & (result->leaf_size - 1), 0); /* misaligned large pages: reserved bits */
    } else if (what == TABLE) {
        assert_true(level > 0);
    }
    return what;
}

struct mmu_result mmu_walk(const struct mmu *mmu, uint64_t addr)
{
    uint64_t frame = mmu->table->root.v;

    for (unsigned level = mmu->levels; level-- > 0;) {
        unsigned width = level == mmu->levels - 1 ? mmu->root_bits : 9;
        const uint64_t *entries = fake_hal_peek(hpa(frame));
        uint64_t entry = entries[bits(addr, 12 + 9 * level + width - 1, 12 + 9 * level)];
        struct mmu_result result;
        enum what what = decode(mmu, entry, level, &result);

        if (what != TABLE) {
            result.hpa += what == LEAF ? addr & (result.leaf_size - 1) : 0;
            return result;
        }
        frame = result.hpa;
    }
    fail_msg("a walk below level 0");
    return (struct mmu_result){0};
}

/* ---- Watching ---------------------------------------------------------------------------------------------------- */

static void table_cache(struct mmu *mmu, const struct mmu_entry *entry)
{
    for (size_t i = 0; i < mmu->tables_count; i++) {
        if (memcmp(&mmu->tables[i], entry, sizeof *entry) == 0) {
            return;
        }
    }
    assert_true(mmu->tables_count < MAX_TABLES);
    mmu->tables[mmu->tables_count++] = *entry;
}

static void collect(struct mmu *mmu, uint64_t frame, unsigned level, uint64_t base)
{
    unsigned count = 1U << (level == mmu->levels - 1 ? mmu->root_bits : 9);
    const uint64_t *entries = fake_hal_peek(hpa(frame));
    size_t before = mmu->now_count;

    for (unsigned i = 0; i < count; i++) {
        struct mmu_result result;
        struct mmu_entry entry = {0};
        enum what what = NOTHING;

        if (entries[i] != 0) { /* most are, and no format makes that present */
            what = decode(mmu, entries[i], level, &result);
        }
        if (what == NOTHING) {
            continue;
        }
        assert_true(mmu->now_count < MAX_ENTRIES);
        entry.level = level;
        entry.addr = base + ((uint64_t)i << (12 + 9 * level));
        entry.value = entries[i];
        mmu->now[mmu->now_count++] = entry;
        if (what == TABLE) {
            entry.value = result.hpa;
            table_cache(mmu, &entry);
            mmu->live_tables++;
            collect(mmu, result.hpa, level - 1, entry.addr);
        } else {
            mmu->leaves[level]++;
        }
    }
    mmu->empty_tables += level < mmu->levels - 1 && mmu->now_count == before;
}

static int order(const struct mmu_entry *a, const struct mmu_entry *b)
{
    if (a->addr != b->addr) {
        return a->addr < b->addr ? -1 : 1;
    }
    return a->level == b->level ? 0 : a->level > b->level ? -1 : 1;
}

/* Arm ARM D8.14.1: what was live at the last observation and is live now may differ in permissions alone. */
static void bbm_check(const struct mmu *mmu, const struct mmu_entry *before, const struct mmu_entry *after)
{
    struct mmu_result old, new;

    if (mmu->kind > MMU_A64_EL2 || before->value == after->value) {
        return;
    }
    if (decode(mmu, before->value, before->level, &old) != decode(mmu, after->value, after->level, &new) ||
        old.hpa != new.hpa || old.memory != new.memory) {
        fail_msg("live entry of level %u for %#llx changed from %#llx to %#llx without break-before-make",
                 before->level, (unsigned long long)before->addr, (unsigned long long)before->value,
                 (unsigned long long)after->value);
    }
}

/* Look at the whole table; the number of entries that became live since the last time. */
static size_t observe(struct mmu *mmu)
{
    struct mmu_entry *swap;
    size_t before = 0;
    size_t new_entries = 0;

    mmu->now_count = mmu->live_tables = mmu->empty_tables = 0;
    memset(mmu->leaves, 0, sizeof mmu->leaves);
    collect(mmu, mmu->table->root.v, mmu->levels - 1, 0);
    for (size_t i = 0; i < mmu->now_count; i++) {
        while (before < mmu->seen_count && order(&mmu->seen[before], &mmu->now[i]) < 0) {
            before++;
        }
        if (before < mmu->seen_count && order(&mmu->seen[before], &mmu->now[i]) == 0) {
            bbm_check(mmu, &mmu->seen[before], &mmu->now[i]);
        } else {
            new_entries++;
        }
    }
    swap = mmu->seen;
    mmu->seen = mmu->now;
    mmu->seen_count = mmu->now_count;
    mmu->now = swap;
    return new_entries;
}

/* The TLB's slots that lie, in part at least, in the range. */
static void window_part(const struct mmu *mmu, uint64_t start, uint64_t size, unsigned *first, unsigned *end)
{
    uint64_t last = start + (size - 1);
    uint64_t window_last = mmu->window + mmu->unit * mmu->units - 1;

    if (last < mmu->window || start > window_last) {
        *first = *end = 0;
        return;
    }
    *first = start > mmu->window ? (unsigned)((start - mmu->window) / mmu->unit) : 0;
    *end = last < window_last ? (unsigned)((last - mmu->window) / mmu->unit) + 1 : mmu->units;
}

static void cache(struct mmu *mmu, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        if (!mmu->tlb[i].valid) {
            mmu->tlb[i] = mmu_walk(mmu, mmu->window + i * mmu->unit);
        }
    }
}

void mmu_publish(struct mmu *mmu)
{
    mmu->publishes++;
    observe(mmu);
}

void mmu_flush(struct mmu *mmu, uint64_t start, uint64_t size)
{
    unsigned first, end;
    size_t kept = 0;

    mmu->flushes++;
    for (size_t i = 0; i < mmu->tables_count; i++) {
        const struct mmu_entry *table = &mmu->tables[i];
        uint64_t last = table->addr + ((AXVM_PAGE_SIZE << 9 * table->level) - 1);

        if (last < start || table->addr > start + (size - 1)) {
            mmu->tables[kept++] = *table;
        }
    }
    mmu->tables_count = kept;
    observe(mmu);
    window_part(mmu, start, size, &first, &end);
    memset(&mmu->tlb[first], 0, (end - first) * sizeof mmu->tlb[0]);
    cache(mmu, first, end);
}

void mmu_begin(struct mmu *mmu)
{
    observe(mmu);
    cache(mmu, 0, mmu->units);
}

void mmu_end(struct mmu *mmu)
{
    assert_int_equal(observe(mmu), 0); /* else something became valid that wasn't published */
    assert_int_equal(mmu->empty_tables, 0);
    for (unsigned i = 0; i < mmu->units; i++) {
        struct mmu_result now;

        if (mmu->tlb[i].valid) {
            now = mmu_walk(mmu, mmu->window + i * mmu->unit);
            assert_true(now.valid);
            assert_int_equal(mmu->tlb[i].hpa, now.hpa);
            assert_int_equal(mmu->tlb[i].perms, now.perms);
            assert_int_equal(mmu->tlb[i].memory, now.memory);
        }
    }
}

void mmu_frame_freed(const struct mmu *mmu, uint64_t frames, uint64_t size)
{
    for (size_t i = 0; i < mmu->tables_count; i++) {
        if (mmu->tables[i].value >= frames && mmu->tables[i].value - frames < size) {
            fail_msg("table %#llx is given back while walks may have it cached", (unsigned long long)frames);
        }
    }
    for (unsigned i = 0; i < mmu->units; i++) {
        if (mmu->tlb[i].valid && mmu->tlb[i].hpa >= frames && mmu->tlb[i].hpa - frames < size) {
            fail_msg("frames %#llx are given back while the TLB has them for %#llx", (unsigned long long)frames,
                     (unsigned long long)(mmu->window + i * mmu->unit));
        }
    }
}

void mmu_init(struct mmu *mmu, enum mmu_kind kind, const struct pagetable *table, uint64_t window, uint64_t unit,
              unsigned units)
{
    *mmu = (struct mmu){.kind = kind, .table = table, .window = window, .unit = unit, .units = units};
    geometry(mmu);
    mmu->tlb = calloc(units, sizeof mmu->tlb[0]);
    mmu->seen = calloc(MAX_ENTRIES, sizeof mmu->seen[0]);
    mmu->now = calloc(MAX_ENTRIES, sizeof mmu->now[0]);
    mmu->tables = calloc(MAX_TABLES, sizeof mmu->tables[0]);
    assert_true(mmu->tlb != NULL && mmu->seen != NULL && mmu->now != NULL && mmu->tables != NULL);
}

void mmu_fini(struct mmu *mmu)
{
    free(mmu->tlb);
    free(mmu->seen);
    free(mmu->now);
    free(mmu->tables);
    *mmu = (struct mmu){0};
}
