/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-physical address spaces: against a naive model (an array of bytes and an array of pages), with guest accesses
 * that go through an MMU of the test's own (support/mmu.h) and fault as a guest's would. AXVM_SEED=n replays a run.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/host.h"
#include "mem/addrspace.h"
#include "support/fake_hal.h"
#include "support/mmu.h"
#include "support/random.h"

#define PAGES 1600U
#define BASE (GIB(1) - 600 * KIB(4)) /* the window straddles a 1 GiB boundary */
#define LINEAR_PAGES 1024U           /* host memory that linear areas are made of */

static struct addrspace as;
static struct mmu mmu;
static struct axvm_hal spying;
static hpa_t linear; /* the claimed region */
static size_t zeroed, written, flushed_all;

/* ---- The hardware ------------------------------------------------------------------------------------------------ */

static void hw_flush_range(struct addrspace *of, gpa_t start, uint64_t size)
{
    assert_ptr_equal(of, &as);
    mmu_flush(&mmu, start.v, size);
}

static void hw_flush_all(struct addrspace *of)
{
    flushed_all++;
    hw_flush_range(of, gpa(0), UINT64_C(1) << of->table.input_bits);
}

static void hw_publish(void)
{
    mmu_publish(&mmu);
}

static void hw_zero(void *start, uint64_t size)
{
    assert_int_equal((uintptr_t)start & (AXVM_PAGE_SIZE - 1), 0);
    memset(start, 0, size);
    zeroed += size;
}

static void hw_written(const void *start, uint64_t size)
{
    (void)start;
    written += size;
}

static const struct addrspace_tlb hardware = {
    .flush_range = hw_flush_range,
    .flush_all = hw_flush_all,
    .publish = hw_publish,
    .zero = hw_zero,
    .written = hw_written,
};

/* What only flushes: publish, zero and written may be missing. */
static const struct addrspace_tlb plain_hardware = {.flush_range = hw_flush_range, .flush_all = hw_flush_all};

static void spy_free(hpa_t frames, unsigned order)
{
    if (mmu.table != NULL && as.table.format != NULL) {
        mmu_frame_freed(&mmu, frames.v, AXVM_PAGE_SIZE << order);
    }
    fake_hal.frames_free(frames, order);
}

static void begin_with(enum mmu_kind kind, const struct addrspace_tlb *tlb)
{
    spying = fake_hal;
    spying.frames_free = spy_free;
    hal = &spying;
    linear = hpa(FAKE_RAM_BASE + MIB(64));
    assert_int_equal(hal->region_claim(linear, LINEAR_PAGES * KIB(4)), AXVM_OK);
    assert_int_equal(addrspace_init(&as, mmu_format(kind), kind == MMU_GSTAGE ? 41 : 40, tlb, 7), AXVM_OK);
    mmu_init(&mmu, kind, &as.table, BASE, KIB(4), PAGES);
    mmu_begin(&mmu);
    zeroed = written = flushed_all = 0;
}

static void begin(void)
{
    begin_with(MMU_A64_STAGE2, &hardware);
}

static void end(void)
{
    addrspace_destroy(&as);
    mmu_fini(&mmu);
    assert_int_equal(fake_hal_frames_used(), 0);
    hal->region_release(linear, LINEAR_PAGES * KIB(4));
    addrspace_destroy(&as); /* does no harm */
}

/* ---- The guest --------------------------------------------------------------------------------------------------- */

/* Access one byte as the guest: through the MMU, and the fault handler if it must be; what the last fault said. */
static int guest_access(uint64_t addr, uint32_t access, uint8_t *byte)
{
    for (unsigned tries = 0; tries < 2; tries++) {
        struct mmu_result result = mmu_walk(&mmu, addr);
        int error;

        if (result.valid && (result.perms & access) != 0) {
            uint8_t *memory = fake_hal_peek(hpa(result.hpa));

            if (access == AXVM_MEM_WRITE) {
                *memory = *byte;
            } else {
                *byte = *memory;
            }
            return AXVM_OK;
        }
        error = addrspace_fault(&as, gpa(addr), access);
        if (error != AXVM_OK) {
            return error;
        }
    }
    fail_msg("the fault at %#llx was said to be resolved", (unsigned long long)addr);
    return AXVM_EFAULT;
}

static uint8_t guest_read(uint64_t addr)
{
    uint8_t byte = 0;

    assert_int_equal(guest_access(addr, AXVM_MEM_READ, &byte), AXVM_OK);
    return byte;
}

static void guest_write(uint64_t addr, uint8_t byte)
{
    assert_int_equal(guest_access(addr, AXVM_MEM_WRITE, &byte), AXVM_OK);
}

static bool page_is(uint64_t addr, uint8_t byte)
{
    for (uint64_t i = 0; i < KIB(4); i++) {
        if (guest_read(addr + i) != byte) {
            return false;
        }
    }
    return true;
}

static bool is_mapped(uint64_t addr)
{
    return addrspace_translate(&as, gpa(addr), NULL, NULL, NULL) == AXVM_OK;
}

static uint64_t leaf_size(uint64_t addr)
{
    return mmu_walk(&mmu, addr).leaf_size;
}

/* ---- What areas are ---------------------------------------------------------------------------------------------- */

static void test_linear_areas_map_the_given_memory(void **state)
{
    hpa_t target;
    uint32_t flags;
    uint64_t run;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE), linear, KIB(16), AXVM_MEM_RW | AXVM_MEM_USER), AXVM_OK);
    memset(fake_hal_peek(hpa(linear.v + KIB(4))), 0x5a, KIB(4));
    assert_int_equal(guest_read(BASE + KIB(4)), 0x5a);
    assert_int_equal(addrspace_translate(&as, gpa(BASE + KIB(4) + 3), &target, &flags, &run), AXVM_OK);
    assert_int_equal(target.v, linear.v + KIB(4) + 3);
    assert_int_equal(flags, AXVM_MEM_RW | AXVM_MEM_USER);
    assert_int_equal(run, KIB(4) - 3);
    assert_int_equal(addrspace_translate(&as, gpa(BASE + KIB(16)), &target, &flags, &run), AXVM_ENOENT);
    assert_int_equal(addrspace_translate(&as, gpa(UINT64_MAX), NULL, NULL, NULL), AXVM_ENOENT);
    assert_int_equal(zeroed, 0);
    end();
}

static void test_allocated_areas_are_zeroed_and_mapped_at_once(void **state)
{
    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(64), AXVM_MEM_RWX, false), AXVM_OK);
    for (uint64_t addr = BASE; addr < BASE + KIB(64); addr += KIB(4)) {
        assert_true(is_mapped(addr));
        assert_true(page_is(addr, 0));
    }
    assert_int_equal(zeroed, KIB(64));
    end();
    begin_with(MMU_EPT, &plain_hardware);
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(64), AXVM_MEM_RWX, false), AXVM_OK);
    assert_true(page_is(BASE + KIB(60), 0));
    assert_int_equal(addrspace_load(&as, gpa(BASE), "x", 1), AXVM_OK);
    end();
}

static void test_allocated_areas_use_the_largest_runs_the_host_has(void **state)
{
    (void)state;
    fake_hal_set_ram(GIB(2));
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(1) - MIB(2) - KIB(4)), KIB(4) + MIB(2) + GIB(1) + MIB(2) + KIB(4),
                                         AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(fake_hal_max_order(), 18);
    assert_int_equal(leaf_size(GIB(1) - MIB(2) - KIB(4)), KIB(4));
    assert_int_equal(leaf_size(GIB(1) - MIB(2)), MIB(2));
    assert_int_equal(leaf_size(GIB(1)), GIB(1));
    assert_int_equal(leaf_size(GIB(2)), MIB(2));
    assert_int_equal(leaf_size(GIB(2) + MIB(2)), KIB(4));
    assert_int_equal(guest_read(GIB(2) - 1), 0);
    assert_int_equal(addrspace_unmap(&as, gpa(GIB(1) + MIB(1)), KIB(4)), AXVM_OK); /* a hole in the largest */
    assert_false(is_mapped(GIB(1) + MIB(1)));
    assert_int_equal(leaf_size(GIB(2) - 1), MIB(2));
    end();
}

static void test_allocated_areas_fall_back_to_smaller_runs(void **state)
{
    (void)state;
    begin();
    fake_hal_fail_orders_from(9);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(4), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(leaf_size(GIB(2)), KIB(4));
    assert_int_equal(leaf_size(GIB(2) + MIB(4) - 1), KIB(4));
    end();
}

/* Pages mapped from `start` on, of `count`. */
static unsigned mapped_of(uint64_t start, unsigned count)
{
    unsigned mapped = 0;

    for (unsigned i = 0; i < count; i++) {
        mapped += is_mapped(start + i * AXVM_PAGE_SIZE);
    }
    return mapped;
}

static void test_lazy_areas_take_zeroed_pages_on_the_first_touch(void **state)
{
    size_t frames;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), GIB(8), AXVM_MEM_RW, true), AXVM_OK);
    frames = fake_hal_frames_used();
    assert_int_equal(mapped_of(BASE, 16), 0);
    for (unsigned i = 0; i < 4; i++) { /* four at a time, whichever it is */
        assert_true(page_is(BASE + (5 * i) * KIB(4), 0));
        assert_int_equal(mapped_of(BASE, 16), 4 * (i + 1));
        assert_int_equal(fake_hal_frames_used(), frames + 4 * (i + 1) + 2); /* and two tables */
        assert_int_equal(zeroed, KIB(16) * (i + 1));
    }
    for (unsigned i = 0; i < 16; i++) {
        assert_true(page_is(BASE + i * KIB(4), 0));
        guest_write(BASE + i * KIB(4), (uint8_t)(i + 1));
    }
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(guest_read(BASE + i * KIB(4)), i + 1); /* each is another frame */
    }
    assert_int_equal(fake_hal_frames_used(), frames + 18);
    end();
}

static void test_a_lazy_page_comes_alone_where_its_neighbours_cannot(void **state)
{
    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + KIB(4)), KIB(40), AXVM_MEM_RW, true), AXVM_OK);
    guest_write(BASE + KIB(12), 1); /* not all of the four are the area's */
    assert_int_equal(mapped_of(BASE, 12), 1);
    guest_write(BASE + KIB(40), 1);
    assert_int_equal(mapped_of(BASE, 12), 2);
    guest_write(BASE + KIB(20), 1);
    assert_int_equal(mapped_of(BASE, 12), 6);
    assert_int_equal(addrspace_unmap(&as, gpa(BASE + KIB(4)), KIB(40)), AXVM_OK);

    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(64), AXVM_MEM_RW, true), AXVM_OK);
    fake_hal_fail_orders_from(1);
    guest_write(BASE + KIB(8), 7); /* no run of four frames */
    assert_int_equal(mapped_of(BASE, 16), 1);
    fake_hal_fail_orders_from(UINT_MAX);
    guest_write(BASE + KIB(4), 8); /* one of the four is there */
    assert_int_equal(mapped_of(BASE, 16), 2);
    assert_int_equal(guest_read(BASE + KIB(8)), 7);

    assert_int_equal(addrspace_log_start(&as), AXVM_OK); /* pages are looked at one by one */
    guest_write(BASE + KIB(32), 1);
    assert_int_equal(mapped_of(BASE, 16), 3);
    assert_int_equal(addrspace_log_stop(&as), AXVM_OK);
    end();
}

static void test_a_lazy_fault_costs_one_publish_and_no_flush(void **state)
{
    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(64), AXVM_MEM_RW, true), AXVM_OK);
    mmu.publishes = mmu.flushes = 0;
    assert_int_equal(addrspace_fault(&as, gpa(BASE + 5), AXVM_MEM_WRITE), AXVM_OK);
    assert_int_equal(mmu.publishes, 1);
    assert_int_equal(mmu.flushes, 0);
    end();
}

static void test_a_lazy_fault_is_not_misled_by_a_table_that_is_gone(void **state)
{
    const uint64_t page = GIB(2) + KIB(12);

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(4), AXVM_MEM_RW, true), AXVM_OK);
    guest_write(page, 1);
    assert_int_equal(addrspace_fault(&as, gpa(page), AXVM_MEM_READ), AXVM_OK); /* found where the last one ended */
    assert_int_equal(addrspace_unmap(&as, gpa(GIB(2)), MIB(2)), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(2), AXVM_MEM_RW, true), AXVM_OK);
    assert_int_equal(guest_read(page), 0);
    guest_write(page + MIB(2), 2);
    assert_int_equal(guest_read(page), 0);
    end();
}

static void test_what_cannot_be_an_area_is_refused(void **state)
{
    const uint64_t top = GIB(1024);

    (void)state;
    begin();
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE), linear, 0, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + 1), linear, KIB(4), AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE), hpa(linear.v + 1), KIB(4), AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE), hpa(UINT64_MAX - 0xfff), KIB(8), AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE), linear, KIB(4), AXVM_MEM_WRITE), AXVM_EINVAL);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE), linear, KIB(4), 0x40 | AXVM_MEM_RW), AXVM_EINVAL);
    for (unsigned lazy = 0; lazy < 2; lazy++) {
        assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(4) + 1, AXVM_MEM_RW, lazy == 1), AXVM_EINVAL);
        assert_int_equal(addrspace_map_alloc(&as, gpa(top - KIB(4)), KIB(8), AXVM_MEM_RW, lazy == 1), AXVM_EINVAL);
        assert_int_equal(addrspace_map_alloc(&as, gpa(top), KIB(4), AXVM_MEM_RW, lazy == 1), AXVM_EINVAL);
        assert_int_equal(addrspace_map_alloc(&as, gpa(KIB(4)), UINT64_MAX - 0xfff, AXVM_MEM_RW, lazy == 1),
                         AXVM_EINVAL);
        assert_int_equal(addrspace_map_alloc(&as, gpa(UINT64_MAX - 0xfff), KIB(8), AXVM_MEM_RW, lazy == 1),
                         AXVM_EINVAL);
    }
    assert_int_equal(addrspace_unmap(&as, gpa(BASE), KIB(4)), AXVM_ENOENT);
    assert_int_equal(addrspace_unmap(&as, gpa(BASE), 0), AXVM_EINVAL);
    assert_int_equal(addrspace_unmap(&as, gpa(UINT64_MAX - 0xfff), KIB(8)), AXVM_EINVAL);
    assert_int_equal(addrspace_protect(&as, gpa(BASE), KIB(4), AXVM_MEM_RW), AXVM_ENOENT);
    assert_int_equal(addrspace_protect(&as, gpa(BASE), KIB(4), 0), AXVM_EINVAL);
    assert_int_equal(as.area_count, 0);
    end();
    assert_int_equal(addrspace_init(&as, &pt_aarch64_stage2, 20, &hardware, 1), AXVM_EUNSUPPORTED);
    addrspace_destroy(&as);
}

static void test_overlapping_areas_are_refused_naming_both(void **state)
{
    static const struct {
        uint64_t start, size;
    } overlapping[] = {{BASE, KIB(16)},          {BASE + KIB(4), KIB(4)}, {BASE - KIB(4), KIB(8)},
                       {BASE + KIB(12), KIB(8)}, {BASE - KIB(4), KIB(64)}};

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(16), AXVM_MEM_RW, true), AXVM_OK);
    for (size_t i = 0; i < sizeof overlapping / sizeof overlapping[0]; i++) {
        assert_int_equal(addrspace_map_linear(&as, gpa(overlapping[i].start), linear, overlapping[i].size, AXVM_MEM_RW),
                         AXVM_EEXIST);
        assert_int_equal(addrspace_map_alloc(&as, gpa(overlapping[i].start), overlapping[i].size, AXVM_MEM_RW, true),
                         AXVM_EEXIST);
    }
    assert_true(fake_hal_logged("0x3fda7000, size 0x2000, overlaps the area at 0x3fda8000, size 0x4000"));
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE - KIB(4)), linear, KIB(4), AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(16)), linear, KIB(4), AXVM_MEM_RW), AXVM_OK);
    end();
}

static void test_there_are_no_more_areas_than_there_is_room_for(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < ADDRSPACE_MAX_AREAS - 2; i++) {
        assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + i * KIB(16)), KIB(12), AXVM_MEM_RW, true), AXVM_OK);
    }
    /* What is cut out of the middle takes two more, which there are; not again. */
    assert_int_equal(addrspace_protect(&as, gpa(BASE + KIB(4)), KIB(4), AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(as.area_count, ADDRSPACE_MAX_AREAS);
    assert_int_equal(addrspace_unmap(&as, gpa(BASE + KIB(20)), KIB(4)), AXVM_ENOMEM);
    assert_int_equal(addrspace_protect(&as, gpa(BASE + KIB(20)), KIB(4), AXVM_MEM_READ), AXVM_ENOMEM);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(4)), KIB(4), AXVM_MEM_RW, false), AXVM_ENOMEM);
    guest_write(BASE + KIB(20), 1);
    assert_int_equal(addrspace_unmap(&as, gpa(BASE + KIB(16)), KIB(12)), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(4)), KIB(4), AXVM_MEM_RW, false), AXVM_OK);
    end();
}

/* ---- Faults ------------------------------------------------------------------------------------------------------ */

static void test_faults_are_answered_by_what_the_area_allows(void **state)
{
    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(8), AXVM_MEM_READ, true), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(8)), linear, KIB(4), AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(addrspace_fault(&as, gpa(BASE - 1), AXVM_MEM_READ), AXVM_ENOENT);
    assert_int_equal(addrspace_fault(&as, gpa(BASE + KIB(12)), AXVM_MEM_READ), AXVM_ENOENT);
    assert_int_equal(addrspace_fault(&as, gpa(UINT64_MAX), AXVM_MEM_WRITE), AXVM_ENOENT);
    assert_int_equal(addrspace_fault(&as, gpa(BASE), AXVM_MEM_WRITE), AXVM_EFAULT);
    assert_int_equal(addrspace_fault(&as, gpa(BASE), AXVM_MEM_EXEC), AXVM_EFAULT);
    assert_false(is_mapped(BASE));
    assert_int_equal(addrspace_fault(&as, gpa(BASE + 0xfff), AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(addrspace_fault(&as, gpa(BASE), AXVM_MEM_WRITE), AXVM_EFAULT); /* now that it is there */
    assert_int_equal(addrspace_fault(&as, gpa(BASE + KIB(8)), AXVM_MEM_EXEC), AXVM_EFAULT);
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_ERROR), 0); /* a guest can't fill the log */
    end();
}

static void test_a_fault_on_what_is_mapped_already_is_a_stale_tlb(void **state)
{
    size_t frames;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(8), AXVM_MEM_RW, true), AXVM_OK);
    guest_write(BASE, 0x11);
    frames = fake_hal_frames_used();
    mmu.flushes = 0;
    assert_int_equal(addrspace_fault(&as, gpa(BASE), AXVM_MEM_WRITE), AXVM_OK); /* a second vCPU's, a moment later */
    assert_int_equal(addrspace_fault(&as, gpa(BASE), AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(mmu.flushes, 2);
    assert_int_equal(fake_hal_frames_used(), frames);
    assert_int_equal(guest_read(BASE), 0x11);
    end();
}

static void test_a_fault_without_memory_is_an_error_that_can_be_tried_again(void **state)
{
    size_t frames;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(8), AXVM_MEM_RW, true), AXVM_OK);
    frames = fake_hal_frames_used();
    for (unsigned n = 1; n <= 3; n++) {
        fake_hal_fail_allocation(n);
        fake_hal_forget();
        assert_int_equal(addrspace_fault(&as, gpa(BASE), AXVM_MEM_WRITE), AXVM_ENOMEM);
        assert_int_equal(fake_hal_log_lines(AXVM_LOG_ERROR), 0); /* a guest could do that all day */
        assert_int_equal(fake_hal_frames_used(), frames);
    }
    fake_hal_fail_allocation(0);
    guest_write(BASE, 1);
    end();
}

/* ---- Changing areas ---------------------------------------------------------------------------------------------- */

static void test_unmapping_gives_back_the_frames_and_leaves_the_rest(void **state)
{
    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(4), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(GIB(2) + MIB(4)), linear, KIB(64), AXVM_MEM_RW), AXVM_OK);
    guest_write(GIB(2) + MIB(1) - 1, 0x21);
    guest_write(GIB(2) + MIB(4) + KIB(8), 0x22);
    mmu_begin(&mmu);
    assert_int_equal(addrspace_unmap(&as, gpa(GIB(2) + MIB(1)), MIB(3) + KIB(8)), AXVM_OK);
    mmu_end(&mmu);
    assert_int_equal(as.area_count, 2);
    assert_int_equal(as.areas[1].hpa.v, linear.v + KIB(8));
    assert_int_equal(guest_read(GIB(2) + MIB(1) - 1), 0x21);
    assert_int_equal(guest_read(GIB(2) + MIB(4) + KIB(8)), 0x22);
    assert_int_equal(addrspace_fault(&as, gpa(GIB(2) + MIB(1)), AXVM_MEM_READ), AXVM_ENOENT);
    assert_int_equal(addrspace_fault(&as, gpa(GIB(2) + MIB(4) + KIB(8) - 1), AXVM_MEM_READ), AXVM_ENOENT);
    assert_int_equal(fake_hal_frames_used() - as.table.frames, 256);
    assert_int_equal(addrspace_unmap(&as, gpa(GIB(2)), MIB(4)), AXVM_ENOENT); /* there is a hole in it now */
    end();
}

static void test_destruction_flushes_all_at_once(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + i * KIB(16)), KIB(8), AXVM_MEM_RW, false), AXVM_OK);
    }
    end();
    assert_int_equal(flushed_all, 2); /* before the frames and before the tables are given back */
}

static void test_protecting_changes_what_the_guest_may_do(void **state)
{
    uint8_t byte = 0x33;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(2), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2) + MIB(2)), MIB(2), AXVM_MEM_RW, true), AXVM_OK);
    guest_write(GIB(2) + MIB(1), 1);
    assert_int_equal(addrspace_protect(&as, gpa(GIB(2) + MIB(1)), MIB(2), AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(guest_access(GIB(2) + MIB(1), AXVM_MEM_WRITE, &byte), AXVM_EFAULT);
    assert_int_equal(guest_access(GIB(2) + MIB(3) - 1, AXVM_MEM_WRITE, &byte), AXVM_EFAULT);
    assert_int_equal(guest_read(GIB(2) + MIB(1)), 1);
    guest_write(GIB(2) + MIB(1) - 1, 2);
    guest_write(GIB(2) + MIB(3), 3);
    assert_int_equal(addrspace_protect(&as, gpa(GIB(2)), MIB(4), AXVM_MEM_RW | AXVM_MEM_DEVICE), AXVM_EINVAL);
    assert_int_equal(addrspace_protect(&as, gpa(GIB(2)), MIB(4), AXVM_MEM_RWX | AXVM_MEM_UNCACHED), AXVM_OK);
    assert_int_equal(mmu_walk(&mmu, GIB(2)).memory, PT_UNCACHED);
    assert_int_equal(guest_access(GIB(2) + MIB(1), AXVM_MEM_EXEC, &byte), AXVM_OK);
    end();
}

/* ---- The host's access ------------------------------------------------------------------------------------------- */

static void test_copies_cross_pages_and_areas(void **state)
{
    uint8_t out[KIB(12)], in[KIB(12)];

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(8), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + KIB(8)), KIB(4), AXVM_MEM_RW, true), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(12)), linear, KIB(4), AXVM_MEM_RW), AXVM_OK);
    for (size_t i = 0; i < sizeof out; i++) {
        out[i] = (uint8_t)(i * 7 + i / 256);
    }
    assert_int_equal(addrspace_write(&as, gpa(BASE + KIB(4) - 5), out, sizeof out), AXVM_OK);
    assert_int_equal(addrspace_read(&as, gpa(BASE + KIB(4) - 5), in, sizeof in), AXVM_OK);
    assert_memory_equal(in, out, sizeof in);
    assert_int_equal(guest_read(BASE + KIB(12) - 1), out[KIB(8) + 4]);
    assert_int_equal(guest_read(BASE + KIB(12)), out[KIB(8) + 5]);
    assert_int_equal(guest_read(BASE + KIB(4) - 6), 0);
    assert_int_equal(written, 0);
    assert_int_equal(addrspace_write(&as, gpa(BASE), NULL, 0), AXVM_OK);
    end();
}

static void test_copies_are_refused_outside_ram_and_without_permission(void **state)
{
    uint8_t buffer[KIB(8)] = {1, 2, 3};
    void *data;
    uint64_t run;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(4), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + KIB(4)), KIB(4), AXVM_MEM_READ, true), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(8)), linear, KIB(4), AXVM_MEM_RW | AXVM_MEM_DEVICE),
                     AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(12)), hpa(GIB(1)), KIB(4), AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(addrspace_read(&as, gpa(BASE - 1), buffer, 2), AXVM_EFAULT);
    assert_int_equal(addrspace_read(&as, gpa(BASE + KIB(4)), buffer, KIB(4) + 1), AXVM_EFAULT);
    assert_int_equal(addrspace_read(&as, gpa(BASE + KIB(12)), buffer, 1), AXVM_EFAULT); /* not the host's */
    assert_int_equal(addrspace_read(&as, gpa(BASE), buffer, UINT64_MAX), AXVM_EFAULT);
    assert_int_equal(addrspace_read(&as, gpa(UINT64_MAX), buffer, 1), AXVM_EFAULT);
    assert_int_equal(addrspace_read(&as, gpa(UINT64_MAX), buffer, 2), AXVM_EFAULT);
    assert_int_equal(addrspace_write(&as, gpa(BASE + KIB(4)), buffer, 1), AXVM_EFAULT);
    assert_int_equal(addrspace_write(&as, gpa(BASE + KIB(8)), buffer, 1), AXVM_EFAULT);
    assert_int_equal(addrspace_load(&as, gpa(BASE + KIB(8)), buffer, 1), AXVM_EFAULT);
    assert_int_equal(addrspace_buffer(&as, gpa(BASE + KIB(8)), &data, &run), AXVM_EFAULT);
    assert_int_equal(addrspace_buffer(&as, gpa(BASE - 1), &data, &run), AXVM_EFAULT);
    /* What came before the bad page has been copied, what comes after it hasn't. */
    buffer[0] = 0x66;
    buffer[KIB(4) - 1] = 0x67;
    assert_int_equal(addrspace_write(&as, gpa(BASE + 1), buffer, KIB(8)), AXVM_EFAULT);
    assert_int_equal(guest_read(BASE + 1), 0x66);
    assert_int_equal(guest_read(BASE + KIB(4)), 0);
    end();
}

static void test_loading_ignores_permissions_and_tells_the_caches(void **state)
{
    static const uint8_t image[KIB(6)] = {[0] = 0x41, [KIB(6) - 1] = 0x42};

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(16), AXVM_MEM_READ | AXVM_MEM_EXEC, true), AXVM_OK);
    assert_int_equal(addrspace_load(&as, gpa(BASE + 0x800), image, sizeof image), AXVM_OK);
    assert_int_equal(guest_read(BASE + 0x800), 0x41);
    assert_int_equal(guest_read(BASE + 0x800 + KIB(6) - 1), 0x42);
    assert_int_equal(written, KIB(6));
    assert_int_equal(addrspace_load(&as, gpa(BASE + 0x800), NULL, 1), AXVM_OK);
    assert_int_equal(guest_read(BASE + 0x800), 0);
    assert_int_equal(addrspace_load(&as, gpa(BASE + KIB(15)), image, KIB(2)), AXVM_EFAULT);
    assert_true(fake_hal_logged("is not all RAM"));
    end();
}

static void test_buffers_populate_and_reach_to_the_end_of_the_leaf(void **state)
{
    void *data;
    uint64_t run;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(2), AXVM_MEM_READ, false), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2) + MIB(2)), MIB(2), AXVM_MEM_READ, true), AXVM_OK);
    assert_int_equal(addrspace_buffer(&as, gpa(GIB(2) + KIB(4) + 1), &data, &run), AXVM_OK);
    assert_int_equal(run, MIB(2) - KIB(4) - 1);
    memset(data, 0x77, run);
    assert_int_equal(guest_read(GIB(2) + KIB(4)), 0);
    assert_int_equal(guest_read(GIB(2) + KIB(4) + 1), 0x77);
    assert_int_equal(addrspace_buffer(&as, gpa(GIB(2) + MIB(2) + 8), &data, &run), AXVM_OK);
    assert_int_equal(run, KIB(4) - 8);
    assert_int_equal(*(uint8_t *)data, 0);
    end();
}

static void test_ram_is_what_areas_cover_without_gaps(void **state)
{
    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(8), AXVM_MEM_RW, true), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + KIB(8)), KIB(8), AXVM_MEM_READ, false), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(16)), linear, KIB(4), AXVM_MEM_RW | AXVM_MEM_DEVICE),
                     AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + KIB(24)), KIB(8), AXVM_MEM_RW, true), AXVM_OK);
    assert_true(addrspace_is_ram(&as, gpa(BASE), KIB(16)));
    assert_true(addrspace_is_ram(&as, gpa(BASE + 1), KIB(16) - 1));
    assert_false(addrspace_is_ram(&as, gpa(BASE), 0));
    assert_false(addrspace_is_ram(&as, gpa(BASE - 1), 2));
    assert_false(addrspace_is_ram(&as, gpa(BASE), KIB(16) + 1));
    assert_false(addrspace_is_ram(&as, gpa(BASE + KIB(16)), 1));
    assert_false(addrspace_is_ram(&as, gpa(BASE + KIB(20)), KIB(8)));
    assert_false(addrspace_is_ram(&as, gpa(BASE + KIB(24)), UINT64_MAX));
    assert_false(addrspace_is_ram(&as, gpa(UINT64_MAX), 1));
    end();
}

static unsigned zero_all(void)
{
    gpa_t at = gpa(0);
    unsigned parts = 0;

    while (addrspace_zero(&as, &at)) {
        parts++;
    }
    return parts;
}

static void test_zeroing_brings_back_the_state_after_power_on(void **state)
{
    size_t frames;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(8), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + KIB(8)), KIB(8), AXVM_MEM_RW, true), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(16)), linear, KIB(4), AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(20)), hpa(linear.v + KIB(4)), KIB(4),
                                          AXVM_MEM_RW | AXVM_MEM_DEVICE), AXVM_OK);
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(24)), hpa(GIB(1)), KIB(4), AXVM_MEM_RW), AXVM_OK);
    frames = fake_hal_frames_used();
    memset(fake_hal_peek(linear), 0x99, KIB(8));
    for (uint64_t offset = 0; offset < KIB(16); offset += KIB(4)) {
        guest_write(BASE + offset + 9, 0x99);
    }
    mmu_begin(&mmu);
    zero_all();
    mmu_end(&mmu);
    assert_int_equal(fake_hal_frames_used(), frames);
    assert_false(is_mapped(BASE + KIB(8)));
    for (uint64_t offset = 0; offset < KIB(20); offset += KIB(4)) {
        assert_true(page_is(BASE + offset, 0));
    }
    assert_true(page_is(BASE + KIB(20), 0x99)); /* a device's registers are none of ours */
    end();
}

static void test_zeroing_goes_by_small_parts(void **state)
{
    gpa_t at = gpa(GIB(2) + MIB(1));

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(4), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2) + MIB(5)), MIB(4), AXVM_MEM_RW, true), AXVM_OK);
    guest_write(GIB(2) + MIB(1) - 1, 0x99);
    guest_write(GIB(2) + MIB(1), 0x99);
    guest_write(GIB(2) + MIB(1) + KIB(256), 0x99);
    guest_write(GIB(2) + MIB(6) - 1, 0x99);
    guest_write(GIB(2) + MIB(6), 0x99);
    assert_true(addrspace_zero(&as, &at));
    assert_int_equal(at.v, GIB(2) + MIB(1) + KIB(256));
    assert_int_equal(guest_read(GIB(2) + MIB(1)), 0);
    assert_int_equal(guest_read(GIB(2) + MIB(1) - 1), 0x99);
    assert_int_equal(guest_read(GIB(2) + MIB(1) + KIB(256)), 0x99);
    at = gpa(GIB(2) + MIB(4));
    assert_true(addrspace_zero(&as, &at));
    assert_int_equal(at.v, GIB(2) + MIB(6));
    assert_false(is_mapped(GIB(2) + MIB(6) - 1));
    assert_int_equal(guest_read(GIB(2) + MIB(6)), 0x99);
    assert_int_equal(zero_all(), 16 + 3);
    assert_false(is_mapped(GIB(2) + MIB(6)));
    assert_int_equal(leaf_size(GIB(2)), MIB(2));
    assert_int_equal(guest_read(GIB(2) + MIB(1) - 1), 0);
    end();
}

/* ---- The dirty log ----------------------------------------------------------------------------------------------- */

static bool fetched(uint64_t addr)
{
    uint8_t bit = 0xff;

    assert_int_equal(addrspace_log_fetch(&as, gpa(addr), KIB(4), &bit), AXVM_OK);
    assert_true(bit <= 1);
    return bit != 0;
}

static void test_the_dirty_log_notes_writes_until_they_are_fetched(void **state)
{
    uint8_t bitmap[3], byte = 5;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(4), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2) + MIB(4)), MIB(2), AXVM_MEM_RW, true), AXVM_OK);
    guest_write(GIB(2) + KIB(4), 1);
    assert_int_equal(addrspace_log_start(&as), AXVM_OK);
    assert_false(fetched(GIB(2) + KIB(4))); /* that was before */

    guest_write(GIB(2) + KIB(8), 1);
    guest_write(GIB(2) + KIB(8) + 5, 1);
    guest_write(GIB(2) + KIB(17 * 4), 1);
    assert_int_equal(guest_read(GIB(2) + KIB(12)), 0);
    assert_int_equal(leaf_size(GIB(2) + KIB(8)), KIB(4)); /* split to write-protect the rest of the leaf */
    assert_int_equal(leaf_size(GIB(2) + MIB(2)), MIB(2));
    assert_int_equal(addrspace_log_fetch(&as, gpa(GIB(2)), KIB(18 * 4), bitmap), AXVM_OK);
    assert_int_equal(bitmap[0], 1 << 2);
    assert_int_equal(bitmap[1], 0);
    assert_int_equal(bitmap[2], 1 << 1);
    assert_false(fetched(GIB(2) + KIB(8)));
    guest_write(GIB(2) + KIB(8), 2);
    assert_true(fetched(GIB(2) + KIB(8)));

    guest_write(GIB(2) + MIB(4), 1); /* lazy, first touched by a write, then by a read */
    assert_true(fetched(GIB(2) + MIB(4)));
    assert_int_equal(guest_read(GIB(2) + MIB(5)), 0);
    assert_false(fetched(GIB(2) + MIB(5)));
    guest_write(GIB(2) + MIB(5), 1);
    assert_true(fetched(GIB(2) + MIB(5)));

    assert_int_equal(addrspace_read(&as, gpa(GIB(2) + MIB(5) + KIB(4)), bitmap, 1), AXVM_OK); /* or by the host */
    guest_write(GIB(2) + MIB(5) + KIB(4), 1);
    assert_true(fetched(GIB(2) + MIB(5) + KIB(4)));

    assert_int_equal(addrspace_write(&as, gpa(GIB(2) + MIB(3) - 1), bitmap, 2), AXVM_OK); /* the host's writes, too */
    assert_true(fetched(GIB(2) + MIB(3) - KIB(4)));
    assert_true(fetched(GIB(2) + MIB(3)));
    assert_int_equal(leaf_size(GIB(2) + MIB(3)), MIB(2)); /* which the guest can't write anyway: not split */
    assert_int_equal(addrspace_load(&as, gpa(GIB(2) + MIB(3)), bitmap, 2), AXVM_OK);
    assert_true(fetched(GIB(2) + MIB(3)));
    zero_all();
    assert_true(fetched(GIB(2) + MIB(1)));
    assert_true(fetched(GIB(2) + MIB(4) + KIB(64)));

    assert_int_equal(addrspace_log_stop(&as), AXVM_OK);
    assert_int_equal(leaf_size(GIB(2) + KIB(8)), MIB(2)); /* merged again */
    assert_int_equal(guest_access(GIB(2) + KIB(12), AXVM_MEM_WRITE, &byte), AXVM_OK);
    end();
}

static void test_the_dirty_log_follows_changes_of_areas(void **state)
{
    uint8_t byte = 1;

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(64), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_log_start(&as), AXVM_OK);
    guest_write(BASE, 1);
    guest_write(BASE + KIB(20), 1);
    guest_write(BASE + KIB(60), 1);
    assert_int_equal(addrspace_unmap(&as, gpa(BASE + KIB(4)), KIB(12)), AXVM_OK); /* two areas of it, with their bits */
    assert_int_equal(addrspace_protect(&as, gpa(BASE + KIB(32)), KIB(8), AXVM_MEM_READ), AXVM_OK);
    assert_true(fetched(BASE));
    assert_true(fetched(BASE + KIB(20)));
    assert_false(fetched(BASE + KIB(24)));
    assert_true(fetched(BASE + KIB(60)));
    assert_int_equal(guest_access(BASE + KIB(32), AXVM_MEM_WRITE, &byte), AXVM_EFAULT);
    assert_false(fetched(BASE + KIB(32)));
    assert_false(fetched(BASE + KIB(8))); /* the hole */

    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE + KIB(4)), KIB(4), AXVM_MEM_RW, false), AXVM_OK); /* meanwhile */
    assert_int_equal(addrspace_map_linear(&as, gpa(BASE + KIB(8)), linear, KIB(4), AXVM_MEM_RW | AXVM_MEM_DEVICE),
                     AXVM_OK);
    assert_false(fetched(BASE + KIB(4)));
    guest_write(BASE + KIB(4), 1);
    guest_write(BASE + KIB(8), 1); /* a device: not logged */
    assert_true(fetched(BASE + KIB(4)));
    assert_false(fetched(BASE + KIB(8)));
    guest_write(BASE + KIB(44), 1);
    assert_int_equal(addrspace_protect(&as, gpa(BASE + KIB(40)), KIB(8), AXVM_MEM_RWX), AXVM_OK);
    assert_true(fetched(BASE + KIB(44)));
    assert_false(fetched(BASE + KIB(40)));
    guest_write(BASE + KIB(40), 1);
    assert_true(fetched(BASE + KIB(40)));
    end(); /* still logging: nothing leaks */
}

static void test_the_dirty_log_is_refused_out_of_order_and_out_of_range(void **state)
{
    uint8_t bitmap[8];

    (void)state;
    begin();
    assert_int_equal(addrspace_map_alloc(&as, gpa(BASE), KIB(64), AXVM_MEM_RW, true), AXVM_OK);
    assert_int_equal(addrspace_log_stop(&as), AXVM_EBADSTATE);
    assert_int_equal(addrspace_log_fetch(&as, gpa(BASE), KIB(64), bitmap), AXVM_EBADSTATE);
    assert_int_equal(addrspace_log_start(&as), AXVM_OK);
    assert_int_equal(addrspace_log_start(&as), AXVM_EBADSTATE);
    assert_int_equal(addrspace_log_fetch(&as, gpa(BASE), 0, bitmap), AXVM_EINVAL);
    assert_int_equal(addrspace_log_fetch(&as, gpa(BASE + 1), KIB(4), bitmap), AXVM_EINVAL);
    assert_int_equal(addrspace_log_fetch(&as, gpa(UINT64_MAX - 0xfff), KIB(8), bitmap), AXVM_EINVAL);
    assert_int_equal(addrspace_log_fetch(&as, gpa(0), UINT64_MAX - 0xfff, bitmap), AXVM_EINVAL);
    assert_int_equal(addrspace_log_stop(&as), AXVM_OK);
    assert_int_equal(addrspace_log_start(&as), AXVM_OK);
    end();
}

/* ---- Failing allocations ----------------------------------------------------------------------------------------- */

static int try_alloc(void)
{
    return addrspace_map_alloc(&as, gpa(GIB(3) - KIB(8)), KIB(64), AXVM_MEM_RW, false);
}

static int try_linear(void)
{
    return addrspace_map_linear(&as, gpa(GIB(3) - KIB(8)), linear, KIB(16), AXVM_MEM_RW);
}

static int try_unmap(void)
{
    return addrspace_unmap(&as, gpa(GIB(2) + KIB(4)), MIB(2));
}

static int try_protect(void)
{
    return addrspace_protect(&as, gpa(GIB(2) + KIB(4)), MIB(2), AXVM_MEM_READ);
}

static int try_log_start(void)
{
    return addrspace_log_start(&as);
}

static int try_write_while_logging(void)
{
    return addrspace_fault(&as, gpa(GIB(2) + MIB(1)), AXVM_MEM_WRITE);
}

static void check_failures(int (*operation)(void), bool logging, unsigned at_least)
{
    unsigned failures = 0;

    begin();
    fake_hal_fail_orders_from(10);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2)), MIB(4), AXVM_MEM_RW, false), AXVM_OK);
    assert_int_equal(addrspace_map_alloc(&as, gpa(GIB(2) + MIB(4)), KIB(8), AXVM_MEM_RW, true), AXVM_OK);
    assert_int_equal(addrspace_write(&as, gpa(GIB(2) + MIB(1)), "x", 1), AXVM_OK);
    assert_int_equal(logging ? addrspace_log_start(&as) : AXVM_OK, AXVM_OK);
    for (unsigned n = 1; n < 100; n++) {
        size_t frames = fake_hal_frames_used();
        unsigned areas = as.area_count;
        int error;

        mmu_begin(&mmu);
        fake_hal_fail_allocation(n);
        error = operation();
        mmu_end(&mmu);
        if (!fake_hal_allocation_failed()) {
            assert_int_equal(error, AXVM_OK);
            break;
        }
        failures++;
        assert_int_equal(error, AXVM_ENOMEM);
        pagetable_merge(&as.table, gpa(GIB(2)), MIB(4)); /* leaves may have been split, to the same effect */
        if (as.area_count == areas) {
            assert_int_equal(fake_hal_frames_used(), frames);
        } else { /* and so may areas, which then have dirty bits each */
            assert_true(logging && operation == try_unmap);
            assert_int_equal(fake_hal_frames_used(), frames + as.area_count - areas);
        }
        assert_int_equal(as.logging, logging);
        assert_false(is_mapped(GIB(3) - KIB(8)));
        assert_int_equal(guest_read(GIB(2) + MIB(1)), 'x');
        assert_int_equal(mmu_walk(&mmu, GIB(2)).perms, logging ? AXVM_MEM_READ : AXVM_MEM_RW);
        assert_int_equal(mmu_walk(&mmu, GIB(2) + MIB(4) - 1).perms, logging ? AXVM_MEM_READ : AXVM_MEM_RW);
    }
    assert_in_range(failures, at_least, 98);
    fake_hal_fail_allocation(0);
    fake_hal_fail_orders_from(UINT_MAX);
    end();
}

static void test_every_allocation_may_fail_and_nothing_has_changed(void **state)
{
    (void)state;
    check_failures(try_linear, false, 3);
    check_failures(try_alloc, false, 19);
    check_failures(try_unmap, false, 2);
    check_failures(try_protect, false, 2);
    check_failures(try_log_start, false, 2);
    check_failures(try_unmap, true, 5);
    check_failures(try_write_while_logging, true, 1);
    check_failures(try_linear, true, 4);
}

/* ---- Random operations ------------------------------------------------------------------------------------------- */

struct page {
    bool there;
    enum area_backing backing;
    uint32_t flags;
    bool dirty;
};

static struct page pages[PAGES];
static uint8_t bytes[PAGES * KIB(4)];
static bool logging;

static bool model_ram(unsigned page)
{
    return pages[page].there && (pages[page].flags & AXVM_MEM_DEVICE) == 0;
}

struct range {
    unsigned first, count;
};

static struct range random_range(void)
{
    struct range range = {(unsigned)random_below(PAGES), 1 + (unsigned)random_below(40)};

    if (random_below(4) == 0) { /* large leaves */
        range.first = (unsigned)random_below(2) * 512 + 88;
        range.count = 512;
    } else if (random_below(6) == 0) {
        range.count = 1 + (unsigned)random_below(PAGES);
    }
    if (range.count > PAGES - range.first) {
        range.count = PAGES - range.first;
    }
    return range;
}

static unsigned count_there(struct range range)
{
    unsigned there = 0;

    for (unsigned i = range.first; i < range.first + range.count; i++) {
        there += pages[i].there ? 1U : 0U;
    }
    return there;
}

static gpa_t address(struct range range)
{
    return gpa(BASE + range.first * KIB(4));
}

static uint64_t size_of(struct range range)
{
    return range.count * KIB(4);
}

static uint32_t random_flags(void)
{
    static const uint32_t choices[] = {AXVM_MEM_READ, AXVM_MEM_RW, AXVM_MEM_RW, AXVM_MEM_RWX,
                                       AXVM_MEM_READ | AXVM_MEM_EXEC, AXVM_MEM_RW | AXVM_MEM_UNCACHED};

    return choices[random_below(sizeof choices / sizeof choices[0])];
}

/* Areas run out before pages do: then the model keeps what it has. */
static bool accepted(int error, int otherwise)
{
    if (error == AXVM_ENOMEM && as.area_count >= ADDRSPACE_MAX_AREAS - 1) {
        return false;
    }
    assert_int_equal(error, otherwise);
    return error == AXVM_OK;
}

static void op_map(struct range range)
{
    enum area_backing backing = (enum area_backing)random_below(3);
    uint32_t flags = random_flags();
    unsigned offset = 0;
    int error;

    if (backing == AREA_LINEAR) {
        range.count = range.count > 16 ? 16 : range.count;
        /* Each guest page has linear memory of its own, so that nothing aliases; beyond it, there is none. */
        if (range.first + range.count > LINEAR_PAGES) {
            return;
        }
        offset = range.first;
        flags |= random_below(4) == 0 && (flags & AXVM_MEM_UNCACHED) == 0 ? AXVM_MEM_DEVICE : 0U;
        error = addrspace_map_linear(&as, address(range), hpa(linear.v + offset * KIB(4)), size_of(range), flags);
    } else {
        error = addrspace_map_alloc(&as, address(range), size_of(range), flags, backing == AREA_LAZY);
    }
    if (!accepted(error, count_there(range) != 0 ? AXVM_EEXIST : AXVM_OK)) {
        return;
    }
    for (unsigned i = range.first; i < range.first + range.count; i++) {
        pages[i] = (struct page){.there = true, .backing = backing, .flags = flags};
        if (backing == AREA_LINEAR) {
            memcpy(&bytes[i * KIB(4)], fake_hal_peek(hpa(linear.v + i * KIB(4))), KIB(4));
        } else {
            memset(&bytes[i * KIB(4)], 0, KIB(4));
        }
    }
}

static void op_unmap(struct range range)
{
    if (accepted(addrspace_unmap(&as, address(range), size_of(range)),
                 count_there(range) != range.count ? AXVM_ENOENT : AXVM_OK)) {
        memset(&pages[range.first], 0, range.count * sizeof pages[0]);
    }
}

static void op_protect(struct range range)
{
    uint32_t flags = random_flags();
    int expected = count_there(range) != range.count ? AXVM_ENOENT : AXVM_OK;

    for (unsigned i = range.first; i < range.first + range.count; i++) {
        if (pages[i].there && !model_ram(i)) {
            expected = AXVM_EINVAL;
        }
    }
    if (accepted(addrspace_protect(&as, address(range), size_of(range), flags), expected)) {
        for (unsigned i = range.first; i < range.first + range.count; i++) {
            pages[i].flags = flags;
        }
    }
}

/* The guest writes a byte, reads one, or fetches an instruction. */
static void op_access(struct range range)
{
    for (unsigned i = 0; i < 40; i++) {
        uint32_t access = UINT32_C(1) << random_below(3);
        unsigned page = range.first + (unsigned)random_below(range.count);
        uint64_t offset = page * KIB(4) + random_below(KIB(4));
        uint8_t byte = (uint8_t)random_u64();
        int error = guest_access(BASE + offset, access, &byte);

        if (!pages[page].there) {
            assert_int_equal(error, AXVM_ENOENT);
        } else if ((pages[page].flags & access) == 0) {
            assert_int_equal(error, AXVM_EFAULT);
        } else {
            assert_int_equal(error, AXVM_OK);
            if (access == AXVM_MEM_WRITE) {
                bytes[offset] = byte;
                pages[page].dirty = logging && model_ram(page);
            } else {
                assert_int_equal(byte, bytes[offset]);
            }
        }
    }
}

/* How much of [offset, offset + size) of the window the host may access, from its start. */
static uint64_t legal(uint64_t offset, uint64_t size, uint32_t access)
{
    uint64_t at = offset;

    while (at < offset + size && at / KIB(4) < PAGES && model_ram((unsigned)(at / KIB(4))) &&
           (pages[at / KIB(4)].flags & access) == access) {
        at = (at / KIB(4) + 1) * KIB(4);
    }
    return at < offset + size ? (at > offset ? at - offset : 0) : size;
}

/* The host reads, writes or loads some pages. */
static void op_copy(struct range range)
{
    static uint8_t buffer[5 * KIB(4)];
    uint64_t offset = range.first * KIB(4) + random_below(KIB(4));
    uint64_t size = random_below(sizeof buffer);
    unsigned which = (unsigned)random_below(3);
    uint32_t access = which == 0 ? AXVM_MEM_READ : which == 1 ? AXVM_MEM_WRITE : 0;
    uint64_t done = legal(offset, size, access);
    int expected = done == size ? AXVM_OK : AXVM_EFAULT;

    if (which == 0) {
        assert_int_equal(addrspace_read(&as, gpa(BASE + offset), buffer, size), expected);
        assert_memory_equal(buffer, &bytes[offset], done);
        return;
    }
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)random_u64();
    }
    if (which == 1) {
        assert_int_equal(addrspace_write(&as, gpa(BASE + offset), buffer, size), expected);
    } else {
        assert_int_equal(addrspace_load(&as, gpa(BASE + offset), buffer, size), expected);
    }
    memcpy(&bytes[offset], buffer, done);
    for (uint64_t at = offset; at < offset + done; at = (at / KIB(4) + 1) * KIB(4)) {
        pages[at / KIB(4)].dirty = logging;
    }
}

static void op_log(struct range range)
{
    uint8_t bitmap[(PAGES + 7) / 8];

    if (!logging || random_below(8) == 0) {
        assert_int_equal(logging ? addrspace_log_stop(&as) : addrspace_log_start(&as), AXVM_OK);
        logging = !logging;
        for (unsigned i = 0; i < PAGES; i++) {
            pages[i].dirty = false;
        }
        return;
    }
    memset(bitmap, 0xff, sizeof bitmap);
    assert_int_equal(addrspace_log_fetch(&as, address(range), size_of(range), bitmap), AXVM_OK);
    for (unsigned i = 0; i < range.count; i++) {
        assert_int_equal(bitmap[i / 8] >> i % 8 & 1, pages[range.first + i].dirty);
        pages[range.first + i].dirty = false;
    }
}

static void op_zero(struct range range)
{
    if (range.count > 3) {
        return; /* seldom */
    }
    zero_all();
    for (unsigned i = 0; i < PAGES; i++) {
        if (model_ram(i)) {
            memset(&bytes[i * KIB(4)], 0, KIB(4));
            pages[i].dirty = logging;
        }
    }
}

static void check_page(unsigned i)
{
    uint64_t addr = BASE + i * KIB(4);
    struct mmu_result seen = mmu_walk(&mmu, addr);
    hpa_t target = {0};
    uint32_t flags = 0;
    int error = addrspace_translate(&as, gpa(addr), &target, &flags, NULL);

    assert_int_equal(error, seen.valid ? AXVM_OK : AXVM_ENOENT);
    assert_int_equal(addrspace_is_ram(&as, gpa(addr), KIB(4)), model_ram(i));
    if (!pages[i].there) {
        assert_false(seen.valid);
    } else if (pages[i].backing != AREA_LAZY) {
        assert_true(seen.valid);
    }
    if (seen.valid) {
        uint32_t perms = pages[i].flags & AXVM_MEM_PERMS;

        if (logging && model_ram(i) && (seen.perms & AXVM_MEM_WRITE) == 0) {
            perms &= ~(uint32_t)AXVM_MEM_WRITE;
        } else if (logging && model_ram(i)) {
            assert_true(pages[i].dirty);
        }
        assert_int_equal(seen.perms, perms);
        assert_int_equal(target.v, seen.hpa);
        assert_int_equal(flags, pages[i].flags);
        assert_memory_equal(fake_hal_peek(target), &bytes[i * KIB(4)], KIB(4));
    }
}

static void check_frames(void)
{
    size_t frames = as.table.frames;

    for (unsigned i = 0; i < PAGES; i++) {
        frames += pages[i].there && pages[i].backing != AREA_LINEAR && mmu_walk(&mmu, BASE + i * KIB(4)).valid;
    }
    for (unsigned i = 0; i < as.area_count; i++) {
        frames += as.areas[i].dirty != NULL; /* one frame is enough for 128 MiB */
    }
    assert_int_equal(fake_hal_frames_used(), frames);
}

static void random_run(enum mmu_kind kind, unsigned rounds)
{
    static void (*const operations[])(struct range) = {
        op_map,    op_map,    op_map,  op_map,  op_unmap, op_protect, op_access,
        op_access, op_access, op_copy, op_copy, op_log,   op_zero,
    };

    begin_with(kind, &hardware);
    memset(pages, 0, sizeof pages);
    logging = false;
    for (unsigned round = 0; round < rounds; round++) {
        fake_hal_fail_orders_from(random_below(3) == 0 ? 9 : UINT_MAX);
        mmu_begin(&mmu);
        operations[random_below(sizeof operations / sizeof operations[0])](random_range());
        mmu_end(&mmu);
        for (unsigned i = round % 8; i < PAGES; i += 8) { /* all of them within eight rounds */
            check_page(i);
        }
        check_frames();
    }
    fake_hal_fail_orders_from(UINT_MAX);
    end();
}

static void test_random_operations_agree_with_a_naive_model(void **state)
{
    (void)state;
    random_start("addrspace");
    random_run(MMU_A64_STAGE2, 400);
    random_run(MMU_EPT, 200);
    random_run(MMU_GSTAGE, 200);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_hal_setup, fake_hal_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_linear_areas_map_the_given_memory),
        TEST(test_allocated_areas_are_zeroed_and_mapped_at_once),
        TEST(test_allocated_areas_use_the_largest_runs_the_host_has),
        TEST(test_allocated_areas_fall_back_to_smaller_runs),
        TEST(test_lazy_areas_take_zeroed_pages_on_the_first_touch),
        TEST(test_a_lazy_page_comes_alone_where_its_neighbours_cannot),
        TEST(test_a_lazy_fault_costs_one_publish_and_no_flush),
        TEST(test_a_lazy_fault_is_not_misled_by_a_table_that_is_gone),
        TEST(test_what_cannot_be_an_area_is_refused),
        TEST(test_overlapping_areas_are_refused_naming_both),
        TEST(test_there_are_no_more_areas_than_there_is_room_for),
        TEST(test_faults_are_answered_by_what_the_area_allows),
        TEST(test_a_fault_on_what_is_mapped_already_is_a_stale_tlb),
        TEST(test_a_fault_without_memory_is_an_error_that_can_be_tried_again),
        TEST(test_unmapping_gives_back_the_frames_and_leaves_the_rest),
        TEST(test_destruction_flushes_all_at_once),
        TEST(test_protecting_changes_what_the_guest_may_do),
        TEST(test_copies_cross_pages_and_areas),
        TEST(test_copies_are_refused_outside_ram_and_without_permission),
        TEST(test_loading_ignores_permissions_and_tells_the_caches),
        TEST(test_buffers_populate_and_reach_to_the_end_of_the_leaf),
        TEST(test_ram_is_what_areas_cover_without_gaps),
        TEST(test_zeroing_brings_back_the_state_after_power_on),
        TEST(test_zeroing_goes_by_small_parts),
        TEST(test_the_dirty_log_notes_writes_until_they_are_fetched),
        TEST(test_the_dirty_log_follows_changes_of_areas),
        TEST(test_the_dirty_log_is_refused_out_of_order_and_out_of_range),
        TEST(test_every_allocation_may_fail_and_nothing_has_changed),
        TEST(test_random_operations_agree_with_a_naive_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
