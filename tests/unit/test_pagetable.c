/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page-table walker, for every format, against a plain array and an MMU that knows the manuals (support/mmu.h).
 * AXVM_SEED=n replays a random run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/aarch64/stage2.h"
#include "lib/host.h"
#include "support/fake_hal.h"
#include "support/mmu.h"
#include "support/random.h"

#define UNITS 3072U

/* Where guest memory would be; nothing of it is touched: the walker only handles the addresses. */
#define TARGET GIB(64)

struct unit {
    bool mapped;
    uint64_t hpa;
    uint32_t flags;
};

static struct pagetable table;
static struct mmu mmu;
static struct axvm_hal spying;
static struct unit model[UNITS];
static uint64_t window, unit;

static void on_publish(struct pagetable *of)
{
    assert_ptr_equal(of, &table);
    mmu_publish(&mmu);
}

static void on_flush(struct pagetable *of, gpa_t start, uint64_t size)
{
    assert_ptr_equal(of, &table);
    assert_int_not_equal(size, 0);
    mmu_flush(&mmu, start.v, size);
}

static const struct pt_sync sync_ops = {.publish = on_publish, .flush = on_flush};

static void spy_free(hpa_t frames, unsigned order)
{
    if (mmu.table != NULL) {
        mmu_frame_freed(&mmu, frames.v, AXVM_PAGE_SIZE << order);
    }
    fake_hal.frames_free(frames, order);
}

/* An empty table of that kind, watched over UNITS pieces of `piece` bytes that straddle a boundary of the next size. */
static void begin_at(enum mmu_kind kind, unsigned bits, uint64_t first, uint64_t piece)
{
    spying = fake_hal;
    spying.frames_free = spy_free;
    hal = &spying;
    assert_int_equal(pagetable_init(&table, mmu_format(kind), bits, &sync_ops), AXVM_OK);
    window = first;
    unit = piece;
    memset(model, 0, sizeof model);
    mmu_init(&mmu, kind, &table, window, unit, UNITS);
    mmu_begin(&mmu);
}

static unsigned kind_bits(enum mmu_kind kind)
{
    return kind == MMU_GSTAGE || kind == MMU_GSTAGE_SVPBMT ? 41 : 40;
}

static void begin(enum mmu_kind kind)
{
    begin_at(kind, kind_bits(kind), GIB(5) - 700 * AXVM_PAGE_SIZE, AXVM_PAGE_SIZE);
}

static void end(void)
{
    mmu_fini(&mmu);
    pagetable_destroy(&table);
    assert_int_equal(fake_hal_frames_used(), 0);
    pagetable_destroy(&table); /* does no harm */
    hal = &fake_hal;
}

static int map(uint64_t start, uint64_t target, uint64_t size, uint32_t flags)
{
    return pagetable_map(&table, gpa(start), hpa(target), size, flags, PT_MAX_LEAF_LEVEL);
}

static uint64_t raw(uint64_t addr)
{
    uint64_t value = 0;

    mmu_begin(&mmu);
    for (size_t i = 0; i < mmu.seen_count; i++) {
        if (mmu.seen[i].addr <= addr && addr - mmu.seen[i].addr < AXVM_PAGE_SIZE << 9 * mmu.seen[i].level) {
            value = mmu.seen[i].value; /* the last one is the lowest */
        }
    }
    return value;
}

/* ---- Geometry ---------------------------------------------------------------------------------------------------- */

static void check_geometry(enum mmu_kind kind, unsigned bits, unsigned levels, unsigned frames)
{
    begin_at(kind, bits, 0, AXVM_PAGE_SIZE);
    assert_int_equal(table.levels, levels);
    assert_int_equal(table.levels, mmu.levels);
    assert_int_equal(table.root_bits, mmu.root_bits);
    assert_int_equal(table.frames, frames);
    assert_int_equal(table.root.v & (frames * AXVM_PAGE_SIZE - 1), 0);
    assert_int_equal(fake_hal_frames_used(), frames);

    /* The first and the last page there are. */
    assert_int_equal(map(0, TARGET, AXVM_PAGE_SIZE, AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(map((UINT64_C(1) << bits) - AXVM_PAGE_SIZE, TARGET, AXVM_PAGE_SIZE, AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(mmu_walk(&mmu, (UINT64_C(1) << bits) - 1).hpa, TARGET + AXVM_PAGE_SIZE - 1);
    assert_int_equal(map(UINT64_C(1) << bits, TARGET, AXVM_PAGE_SIZE, AXVM_MEM_RW), AXVM_EINVAL);
    end();
}

static void test_geometry_has_the_fewest_levels_that_the_width_allows(void **state)
{
    (void)state;
    check_geometry(MMU_A64_STAGE2, 32, 3, 1);
    check_geometry(MMU_A64_STAGE2, 36, 3, 1);
    check_geometry(MMU_A64_STAGE2, 39, 3, 1);
    check_geometry(MMU_A64_STAGE2, 40, 3, 2);
    check_geometry(MMU_A64_STAGE2, 42, 3, 8);
    check_geometry(MMU_A64_STAGE2, 43, 3, 16);
    check_geometry(MMU_A64_STAGE2, 44, 4, 1);
    check_geometry(MMU_A64_STAGE2, 48, 4, 1);
    check_geometry(MMU_A64_EL2, 39, 3, 1);
    check_geometry(MMU_A64_EL2, 40, 4, 1);
    check_geometry(MMU_A64_EL2, 48, 4, 1);
    check_geometry(MMU_EPT, 40, 4, 1);
    check_geometry(MMU_EPT, 48, 4, 1);
    check_geometry(MMU_GSTAGE, 41, 3, 4);
    check_geometry(MMU_GSTAGE, 50, 4, 4);
    check_geometry(MMU_GSTAGE, 59, 5, 4);
    check_geometry(MMU_GSTAGE_SVPBMT, 50, 4, 4);
    check_geometry(MMU_HS, 38, 3, 1);
    check_geometry(MMU_HS, 39, 4, 1);
    check_geometry(MMU_HS, 47, 4, 1);
    check_geometry(MMU_HS, 48, 5, 1);
    check_geometry(MMU_HS, 56, 5, 1);
}

static void test_geometry_that_no_format_has_is_refused(void **state)
{
    static const struct {
        enum mmu_kind kind;
        unsigned bits;
    } rows[] = {{MMU_A64_STAGE2, 31}, {MMU_A64_STAGE2, 49}, {MMU_A64_STAGE2, 0},  {MMU_A64_STAGE2, UINT32_MAX},
                {MMU_A64_EL2, 49},    {MMU_EPT, 49},        {MMU_GSTAGE, 40},     {MMU_GSTAGE, 60},
                {MMU_HS, 37},         {MMU_HS, 57}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(pagetable_init(&table, mmu_format(rows[i].kind), rows[i].bits, NULL), AXVM_EUNSUPPORTED);
        assert_null(table.format);
    }
    fake_hal_fail_allocation(1);
    assert_int_equal(pagetable_init(&table, &pt_aarch64_stage2, 40, NULL), AXVM_ENOMEM);
    pagetable_destroy(&table);
}

static void test_vtcr_has_the_values_of_the_manual(void **state)
{
    (void)state;
    begin_at(MMU_A64_STAGE2, 40, 0, AXVM_PAGE_SIZE);
    assert_int_equal(stage2_vtcr(&table, 40), 0x80023558); /* PS 40 bits, SL0 = 1, T0SZ = 24 */
    assert_int_equal(stage2_vtcr(&table, 52), 0x80053558);
    assert_int_equal(stage2_vtcr(&table, 47), 0x80043558);
    end();
    begin_at(MMU_A64_STAGE2, 48, 0, AXVM_PAGE_SIZE);
    assert_int_equal(stage2_vtcr(&table, 48), 0x80053590); /* SL0 = 2, T0SZ = 16 */
    end();
    assert_int_equal(stage2_gpa_bits(32), 32);
    assert_int_equal(stage2_gpa_bits(40), 40);
    assert_int_equal(stage2_gpa_bits(44), 44);
    assert_int_equal(stage2_gpa_bits(52), 48);
    assert_int_equal(stage2_gpa_bits(0), 32);
}

/* ---- Entries ----------------------------------------------------------------------------------------------------- */

static void test_entries_are_the_manuals_bit_for_bit(void **state)
{
    static const struct {
        enum mmu_kind kind;
        uint64_t size;
        uint32_t flags;
        uint64_t value; /* for hpa 2^36 */
    } rows[] = {
        {MMU_A64_STAGE2, KIB(4), AXVM_MEM_RWX, 0x10000007ff},
        {MMU_A64_STAGE2, MIB(2), AXVM_MEM_RWX, 0x10000007fd},
        {MMU_A64_STAGE2, GIB(1), AXVM_MEM_RW, 0x400010000007fd},
        {MMU_A64_STAGE2, KIB(4), AXVM_MEM_READ | AXVM_MEM_EXEC, 0x100000077f},
        {MMU_A64_STAGE2, KIB(4), AXVM_MEM_RW | AXVM_MEM_DEVICE | AXVM_MEM_USER, 0x400010000007c7},
        {MMU_A64_STAGE2, KIB(4), AXVM_MEM_RW | AXVM_MEM_UNCACHED, 0x400010000007d7},
        {MMU_A64_EL2, MIB(2), AXVM_MEM_RW, 0x40001000000745},
        {MMU_A64_EL2, KIB(4), AXVM_MEM_READ | AXVM_MEM_EXEC, 0x10000007c7},
        {MMU_A64_EL2, GIB(1), AXVM_MEM_RW | AXVM_MEM_DEVICE, 0x40001000000741},
        {MMU_EPT, KIB(4), AXVM_MEM_RWX, 0x1000000037},
        {MMU_EPT, MIB(2), AXVM_MEM_RW, 0x10000000b3},
        {MMU_EPT, GIB(1), AXVM_MEM_READ | AXVM_MEM_DEVICE, 0x1000000081},
        {MMU_GSTAGE, KIB(4), AXVM_MEM_RWX, 0x4000000df},
        {MMU_GSTAGE, MIB(2), AXVM_MEM_READ, 0x4000000d3},
        {MMU_GSTAGE, KIB(4), AXVM_MEM_RW | AXVM_MEM_DEVICE, 0x4000000d7},
        {MMU_GSTAGE_SVPBMT, KIB(4), AXVM_MEM_RWX, 0x4000000df},
        {MMU_GSTAGE_SVPBMT, KIB(4), AXVM_MEM_RW | AXVM_MEM_DEVICE, 0x40000004000000d7},
        {MMU_GSTAGE_SVPBMT, MIB(2), AXVM_MEM_RW | AXVM_MEM_UNCACHED, 0x20000004000000d7},
        {MMU_HS, KIB(4), AXVM_MEM_READ | AXVM_MEM_EXEC, 0x4000000eb},
        {MMU_HS, MIB(2), AXVM_MEM_RW | AXVM_MEM_DEVICE, 0x4000000e7},
        {MMU_HS, GIB(1), AXVM_MEM_READ, 0x4000000e3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(rows[i].kind);
        assert_int_equal(map(GIB(3), TARGET, rows[i].size, rows[i].flags), AXVM_OK);
        assert_int_equal(raw(GIB(3)), rows[i].value);
        end();
    }
}

static void test_the_largest_leaves_that_fit_are_used(void **state)
{
    (void)state;
    for (enum mmu_kind kind = 0; kind < MMU_KIND_COUNT; kind++) {
        begin(kind);
        /* 4 KiB up to a 2 MiB boundary, 2 MiB up to a 1 GiB boundary, 1 GiB, and back down. */
        assert_int_equal(map(GIB(1) - MIB(2) - KIB(4), TARGET - MIB(2) - KIB(4), GIB(2) + MIB(4) + KIB(8), AXVM_MEM_RW),
                         AXVM_OK);
        mmu_begin(&mmu);
        assert_int_equal(mmu.leaves[2], 2);
        assert_int_equal(mmu.leaves[1], 2);
        assert_int_equal(mmu.leaves[0], 2);
        end();

        begin(kind); /* the target is off by a page: nothing large is possible */
        assert_int_equal(map(GIB(1), TARGET + KIB(4), MIB(4), AXVM_MEM_RW), AXVM_OK);
        mmu_begin(&mmu);
        assert_int_equal(mmu.leaves[0], 1024);
        end();

        begin(kind); /* and not when the caller doesn't want it */
        assert_int_equal(pagetable_map(&table, gpa(GIB(1)), hpa(TARGET), GIB(1), AXVM_MEM_RW, 1), AXVM_OK);
        mmu_begin(&mmu);
        assert_int_equal(mmu.leaves[1], 512);
        end();
    }
}

static void test_what_cannot_be_mapped_is_refused(void **state)
{
    (void)state;
    for (enum mmu_kind kind = 0; kind < MMU_KIND_COUNT; kind++) {
        const uint64_t wide = UINT64_C(1) << (kind == MMU_EPT ? 52 : kind >= MMU_GSTAGE_SVPBMT ? 56 : 48);
        const uint64_t top = UINT64_C(1) << kind_bits(kind);

        begin(kind);
        assert_int_equal(map(0, TARGET, 0, AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(1, TARGET, KIB(4), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(KIB(2), TARGET, KIB(4), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(0, TARGET + KIB(2), KIB(4), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(0, TARGET, KIB(6), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(top - KIB(4), TARGET, KIB(8), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(top, TARGET, KIB(4), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(UINT64_MAX & ~UINT64_C(0xfff), TARGET, KIB(8), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(KIB(4), TARGET, UINT64_MAX & ~UINT64_C(0xfff), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(0, wide, KIB(4), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(0, wide - KIB(4), KIB(8), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(0, UINT64_MAX & ~UINT64_C(0xfff), KIB(8), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(map(0, TARGET, KIB(4), 0), AXVM_EINVAL);
        assert_int_equal(map(0, TARGET, KIB(4), AXVM_MEM_WRITE | AXVM_MEM_EXEC), AXVM_EINVAL);
        assert_int_equal(map(0, TARGET, KIB(4), AXVM_MEM_RW | 0x40), AXVM_EINVAL);
        assert_int_equal(map(0, TARGET, KIB(4), AXVM_MEM_RW | AXVM_MEM_DEVICE | AXVM_MEM_UNCACHED), AXVM_EINVAL);
        assert_int_equal(pagetable_unmap(&table, gpa(top), KIB(4), NULL, NULL), AXVM_EINVAL);
        assert_int_equal(pagetable_unmap(&table, gpa(0), 0, NULL, NULL), AXVM_EINVAL);
        assert_int_equal(pagetable_protect(&table, gpa(KIB(1)), KIB(4), AXVM_MEM_RW), AXVM_EINVAL);
        assert_int_equal(pagetable_protect(&table, gpa(0), KIB(4), AXVM_MEM_WRITE), AXVM_EINVAL);
        assert_false(pagetable_find(&table, gpa(UINT64_MAX), &(struct pt_leaf){0}));
        assert_false(pagetable_next(&table, gpa(UINT64_MAX), UINT64_MAX, &(struct pt_leaf){0}));
        assert_int_equal(mmu.seen_count, 0);
        assert_int_equal(map(top - KIB(4), wide - KIB(4), KIB(4), AXVM_MEM_RW), AXVM_OK);
        end();
    }
}

/* ---- Random operations ------------------------------------------------------------------------------------------- */

static const uint32_t flag_choices[] = {
    AXVM_MEM_READ, AXVM_MEM_RW, AXVM_MEM_READ | AXVM_MEM_EXEC, AXVM_MEM_RWX, AXVM_MEM_RW | AXVM_MEM_DEVICE,
    AXVM_MEM_RW | AXVM_MEM_UNCACHED, AXVM_MEM_READ | AXVM_MEM_USER,
};

static uint32_t random_flags(void)
{
    return flag_choices[random_below(sizeof flag_choices / sizeof flag_choices[0])];
}

static enum pt_memory memory_of(uint32_t flags)
{
    if (mmu.kind >= MMU_GSTAGE) {
        return PT_NORMAL;
    }
    return (flags & AXVM_MEM_DEVICE) != 0 ? PT_DEVICE : (flags & AXVM_MEM_UNCACHED) != 0 ? PT_UNCACHED : PT_NORMAL;
}

static void check_unit(unsigned i)
{
    uint64_t offset = random_below(unit / KIB(4)) * KIB(4);
    uint64_t addr = window + i * unit + offset;
    struct mmu_result seen = mmu_walk(&mmu, addr);
    struct pt_leaf leaf;
    bool found = pagetable_find(&table, gpa(addr), &leaf);

    assert_int_equal(seen.valid, model[i].mapped);
    assert_int_equal(found, model[i].mapped);
    if (model[i].mapped) {
        assert_int_equal(seen.hpa, model[i].hpa + offset);
        assert_int_equal(seen.perms, model[i].flags & AXVM_MEM_PERMS);
        assert_int_equal(seen.memory, memory_of(model[i].flags));
        assert_int_equal(leaf.hpa.v + (addr - leaf.gpa.v), seen.hpa);
        assert_int_equal(leaf.size, seen.leaf_size);
        assert_int_equal(leaf.size, AXVM_PAGE_SIZE << 9 * leaf.level);
        assert_int_equal(leaf.perms, seen.perms);
    }
}

static size_t root_frames(void)
{
    return (size_t)1 << (table.root_bits > 9 ? table.root_bits - 9 : 0);
}

static void check_model(void)
{
    for (unsigned i = 0; i < UNITS; i++) {
        check_unit(i);
    }
    assert_int_equal(table.frames, root_frames() + mmu.live_tables);
    assert_int_equal(fake_hal_frames_used(), table.frames);
}

struct range {
    unsigned first, count;
};

static struct range random_range(void)
{
    struct range range;

    range.first = (unsigned)random_below(UNITS);
    range.count = 1 + (unsigned)random_below(random_below(4) == 0 ? 1200 : 20);
    if (random_below(3) == 0) { /* at a boundary of a larger leaf */
        uint64_t addr = (window + range.first * unit) & ~(unit * 512 - 1);

        range.first = addr > window ? (unsigned)((addr - window) / unit) : 0;
        range.count = random_below(2) == 0 ? 512 : 1024;
    }
    if (range.count > UNITS - range.first) {
        range.count = UNITS - range.first;
    }
    return range;
}

static void random_map(struct range range)
{
    uint64_t start = window + range.first * unit;
    uint64_t size = range.count * unit;
    uint64_t target = random_below(2) == 0 ? start + TARGET : TARGET + random_below(1U << 20) * unit;
    uint32_t flags = random_flags();
    unsigned max_level = unit == KIB(4) ? (unsigned)random_below(3) : 1 + (unsigned)random_below(2);
    bool taken = false;

    for (unsigned i = range.first; i < range.first + range.count; i++) {
        taken = taken || model[i].mapped;
    }
    assert_int_equal(pagetable_map(&table, gpa(start), hpa(target), size, flags, max_level),
                     taken ? AXVM_EEXIST : AXVM_OK);
    for (unsigned i = range.first; !taken && i < range.first + range.count; i++) {
        model[i] = (struct unit){true, target + (i - range.first) * unit, flags};
    }
}

/* What is released is what was mapped, each unit once, and no translation to it remains. */
static void released(void *context, const struct pt_leaf *leaf)
{
    const struct range *range = context;

    for (uint64_t offset = 0; offset < leaf->size; offset += unit) {
        uint64_t index = (leaf->gpa.v - window + offset) / unit;

        assert_in_range(index, range->first, range->first + range->count - 1);
        assert_false(mmu.tlb[index].valid);
        assert_true(model[index].mapped);
        assert_int_equal(model[index].hpa + (leaf->gpa.v + offset - window) % unit, leaf->hpa.v + offset);
        model[index].mapped = leaf->size < unit && (leaf->gpa.v + leaf->size - window) % unit != 0;
    }
}

static void random_unmap(struct range range)
{
    assert_int_equal(pagetable_unmap(&table, gpa(window + range.first * unit), range.count * unit, released, &range),
                     AXVM_OK);
    for (unsigned i = range.first; i < range.first + range.count; i++) {
        assert_false(model[i].mapped);
    }
}

static void random_protect(struct range range)
{
    uint32_t flags = random_flags();

    assert_int_equal(pagetable_protect(&table, gpa(window + range.first * unit), range.count * unit, flags), AXVM_OK);
    for (unsigned i = range.first; i < range.first + range.count; i++) {
        model[i].flags = flags;
    }
}

static void random_split(struct range range)
{
    struct pt_leaf leaf;
    uint64_t addr = window + range.first * unit + random_below(unit / KIB(4)) * KIB(4);

    assert_int_equal(pagetable_split(&table, gpa(addr)), AXVM_OK);
    assert_true(!pagetable_find(&table, gpa(addr), &leaf) || leaf.gpa.v == addr);
}

static void random_merge(struct range range)
{
    pagetable_merge(&table, gpa(window + range.first * unit), range.count * unit);
}

/* pagetable_next() visits every mapped unit of the range, in order. */
static void random_visit(struct range range)
{
    uint64_t at = window + range.first * unit;
    uint64_t last = window + (range.first + range.count) * unit;
    struct pt_leaf leaf;
    unsigned i = range.first;

    while (pagetable_next(&table, gpa(at), last - at, &leaf)) {
        for (; window + i * unit < leaf.gpa.v; i++) {
            assert_true(!model[i].mapped || window + (i + 1) * unit > leaf.gpa.v);
        }
        i = (unsigned)((leaf.gpa.v + leaf.size - window) / unit);
        at = leaf.gpa.v + leaf.size;
        if (at >= last) {
            return;
        }
    }
    for (; i < range.first + range.count; i++) {
        assert_false(model[i].mapped);
    }
}

static void random_run(enum mmu_kind kind, unsigned bits, uint64_t first, uint64_t piece, unsigned rounds)
{
    static void (*const operations[])(struct range) = {random_map,   random_map,   random_map,   random_unmap,
                                                       random_split, random_merge, random_visit, random_protect};

    begin_at(kind, bits, first, piece);
    for (unsigned i = 0; i < rounds; i++) {
        mmu_begin(&mmu);
        operations[random_below(sizeof operations / sizeof operations[0])](random_range());
        mmu_end(&mmu);
        check_model();
    }
    pagetable_merge(&table, gpa(window & ~(GIB(1) - 1)), GIB(8));
    mmu_end(&mmu);
    check_model();
    assert_int_equal(pagetable_unmap(&table, gpa(0), UINT64_C(1) << bits, NULL, NULL), AXVM_OK);
    assert_int_equal(table.frames, root_frames());
    end();
}

static void test_random_operations_agree_with_a_plain_array(void **state)
{
    (void)state;
    random_start("pagetable");
    for (enum mmu_kind kind = 0; kind < MMU_KIND_COUNT; kind++) {
        random_run(kind, kind_bits(kind), GIB(5) - 700 * KIB(4), KIB(4), 300);
        random_run(kind, kind_bits(kind), GIB(5) - 700 * MIB(2), MIB(2), 100);
    }
    random_run(MMU_A64_STAGE2, 48, GIB(512) - 700 * KIB(4), KIB(4), 100);
    random_run(MMU_A64_STAGE2, 43, GIB(512) - 700 * MIB(2), MIB(2), 50);
    random_run(MMU_GSTAGE, 59, GIB(512) * 512 - 700 * KIB(4), KIB(4), 100);
}

/* ---- Splitting, merging, flushing -------------------------------------------------------------------------------- */

static void test_a_split_page_merges_back_to_one_leaf(void **state)
{
    (void)state;
    for (enum mmu_kind kind = 0; kind < MMU_KIND_COUNT; kind++) {
        size_t frames;

        begin(kind);
        assert_int_equal(map(GIB(4), TARGET, GIB(1), AXVM_MEM_RWX), AXVM_OK);
        frames = table.frames;
        mmu_begin(&mmu);
        assert_int_equal(pagetable_protect(&table, gpa(GIB(5) - MIB(2)), KIB(4), AXVM_MEM_READ), AXVM_OK);
        mmu_end(&mmu);
        assert_int_equal(table.frames, frames + 2);
        assert_int_equal(mmu_walk(&mmu, GIB(5) - MIB(2)).perms, AXVM_MEM_READ);
        assert_int_equal(mmu_walk(&mmu, GIB(5) - MIB(2)).leaf_size, KIB(4));
        assert_int_equal(mmu_walk(&mmu, GIB(5) - MIB(4)).leaf_size, MIB(2));

        pagetable_merge(&table, gpa(GIB(4)), GIB(1)); /* not alike: nothing to merge */
        assert_int_equal(table.frames, frames + 2);
        assert_int_equal(pagetable_protect(&table, gpa(GIB(5) - MIB(2)), KIB(4), AXVM_MEM_RWX), AXVM_OK);
        pagetable_merge(&table, gpa(GIB(4)), GIB(1) - KIB(4)); /* only whole tables */
        pagetable_merge(&table, gpa(GIB(5) - MIB(2) + KIB(4)), MIB(2));
        assert_int_equal(table.frames, frames + 2);
        mmu_begin(&mmu);
        pagetable_merge(&table, gpa(GIB(4)), GIB(1));
        mmu_end(&mmu);
        assert_int_equal(table.frames, frames);
        assert_int_equal(mmu_walk(&mmu, GIB(5) - 1).leaf_size, GIB(1));
        end();
    }
}

static void test_pages_that_are_not_contiguous_do_not_merge(void **state)
{
    (void)state;
    begin(MMU_A64_STAGE2);
    for (unsigned i = 0; i < 512; i++) { /* in order, but from a target that isn't aligned */
        assert_int_equal(map(GIB(4) + i * KIB(4), TARGET + KIB(4) + i * KIB(4), KIB(4), AXVM_MEM_RW), AXVM_OK);
    }
    pagetable_merge(&table, gpa(GIB(4)), MIB(2));
    assert_int_equal(mmu_walk(&mmu, GIB(4)).leaf_size, KIB(4));
    for (unsigned i = 0; i < 512; i++) { /* aligned, with the last two exchanged */
        assert_int_equal(map(GIB(6) + i * KIB(4), TARGET + (i < 510 ? i : 1021 - i) * KIB(4), KIB(4), AXVM_MEM_RW),
                         AXVM_OK);
    }
    pagetable_merge(&table, gpa(GIB(6)), MIB(2));
    assert_int_equal(mmu_walk(&mmu, GIB(6)).leaf_size, KIB(4));
    end();
}

static void test_nothing_merges_beyond_the_largest_leaf(void **state)
{
    static const enum mmu_kind kinds[] = {MMU_A64_STAGE2, MMU_EPT, MMU_GSTAGE};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        begin_at(kinds[i], kinds[i] == MMU_GSTAGE ? 50 : 48, GIB(512), GIB(1));
        assert_int_equal(map(GIB(512), GIB(512), GIB(512), AXVM_MEM_RW), AXVM_OK);
        pagetable_merge(&table, gpa(0), GIB(2048));
        mmu_end(&mmu);
        assert_int_equal(mmu.leaves[2], 512);
        end();
    }
}

static void test_a_new_page_costs_one_publish_and_no_flush(void **state)
{
    (void)state;
    begin(MMU_A64_STAGE2);
    mmu.publishes = mmu.flushes = 0;
    assert_int_equal(map(window, TARGET, KIB(8), AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(mmu.publishes, 1);
    assert_int_equal(mmu.flushes, 0);
    end();
}

static void test_permissions_change_in_place_with_one_flush(void **state)
{
    (void)state;
    begin(MMU_A64_STAGE2);
    assert_int_equal(map(window, TARGET, 64 * KIB(4), AXVM_MEM_RW), AXVM_OK);
    mmu.flushes = 0;
    assert_int_equal(pagetable_protect(&table, gpa(window), 64 * KIB(4), AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(mmu.flushes, 1);
    assert_int_equal(pagetable_protect(&table, gpa(window), 64 * KIB(4), AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(mmu.flushes, 1); /* nothing changed */
    end();
}

static void test_a_table_that_is_not_in_use_needs_no_hardware(void **state)
{
    (void)state;
    assert_int_equal(pagetable_init(&table, &pt_aarch64_el2, 48, NULL), AXVM_OK);
    assert_int_equal(map(0, TARGET, GIB(1), AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(pagetable_protect(&table, gpa(MIB(3)), KIB(4), AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(pagetable_unmap(&table, gpa(0), MIB(2), NULL, NULL), AXVM_OK);
    pagetable_destroy(&table);
}

/* ---- Failing allocations ----------------------------------------------------------------------------------------- */

static int try_map(void)
{
    /* Far from everything else: needs tables of every level, at both ends. */
    return map(GIB(512) - MIB(2) - KIB(4), TARGET - MIB(2) - KIB(4), GIB(1) + MIB(4) + KIB(8), AXVM_MEM_RW);
}

static int try_unmap(void)
{
    return pagetable_unmap(&table, gpa(GIB(4) + KIB(4)), GIB(1), NULL, NULL);
}

static int try_protect(void)
{
    return pagetable_protect(&table, gpa(GIB(4) + KIB(4)), GIB(1), AXVM_MEM_READ);
}

static int try_split(void)
{
    return pagetable_split(&table, gpa(GIB(4) + KIB(4)));
}

static void check_unchanged(void)
{
    for (uint64_t addr = GIB(4); addr < GIB(6); addr += MIB(1)) {
        struct mmu_result seen = mmu_walk(&mmu, addr);

        assert_true(seen.valid);
        assert_int_equal(seen.hpa, TARGET + addr - GIB(4));
        assert_int_equal(seen.perms, AXVM_MEM_RW);
    }
    assert_false(mmu_walk(&mmu, GIB(512)).valid);
    assert_false(mmu_walk(&mmu, GIB(512) - MIB(2) - KIB(4)).valid);
}

static void test_every_allocation_may_fail_and_nothing_has_changed(void **state)
{
    static int (*const operations[])(void) = {try_map, try_unmap, try_protect, try_split};

    (void)state;
    for (enum mmu_kind kind = 0; kind < MMU_KIND_COUNT; kind++) {
        for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
            unsigned failures = 0;

            begin(kind);
            assert_int_equal(map(GIB(4), TARGET, GIB(2), AXVM_MEM_RW), AXVM_OK);
            for (unsigned n = 1; n < 100; n++) {
                size_t frames = table.frames;
                int error;

                mmu_begin(&mmu);
                fake_hal_fail_allocation(n);
                error = operations[i]();
                mmu_end(&mmu);
                if (!fake_hal_allocation_failed()) {
                    assert_int_equal(error, AXVM_OK);
                    break;
                }
                failures++;
                assert_int_equal(error, AXVM_ENOMEM);
                check_unchanged();
                assert_int_equal(fake_hal_frames_used(), table.frames);
                if (operations[i] == try_map) {
                    assert_int_equal(table.frames, frames);
                } else { /* split leaves say the same as whole ones, and merge back */
                    pagetable_merge(&table, gpa(GIB(4)), GIB(2));
                    assert_int_equal(table.frames, frames);
                }
            }
            assert_true(failures >= (operations[i] == try_map ? 4 : 2));
            fake_hal_fail_allocation(0);
            end();
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_hal_setup, fake_hal_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_geometry_has_the_fewest_levels_that_the_width_allows),
        TEST(test_geometry_that_no_format_has_is_refused),
        TEST(test_vtcr_has_the_values_of_the_manual),
        TEST(test_entries_are_the_manuals_bit_for_bit),
        TEST(test_the_largest_leaves_that_fit_are_used),
        TEST(test_what_cannot_be_mapped_is_refused),
        TEST(test_random_operations_agree_with_a_plain_array),
        TEST(test_a_split_page_merges_back_to_one_leaf),
        TEST(test_pages_that_are_not_contiguous_do_not_merge),
        TEST(test_nothing_merges_beyond_the_largest_leaf),
        TEST(test_a_new_page_costs_one_publish_and_no_flush),
        TEST(test_permissions_change_in_place_with_one_flush),
        TEST(test_a_table_that_is_not_in_use_needs_no_hardware),
        TEST(test_every_allocation_may_fail_and_nothing_has_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
