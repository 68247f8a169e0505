/* SPDX-License-Identifier: Apache-2.0 */
/* host/metal/frames.c and ranges.c, against a model that has a flag for every frame. */
#include "frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRAMES 2048U
#define ROUNDS 60000U
#define MAX_RUNS 512U

/* Memory of two ranges with a hole between them that the host doesn't own. */
#define HOLE_FIRST 1100U
#define HOLE_END 1164U

struct run {
    unsigned first, count;
};

struct world {
    struct frames frames;
    uint64_t base;
    bool used[FRAMES];
    struct run runs[MAX_RUNS];
    unsigned run_count;
    uint32_t seed;
};

static struct world world;

static unsigned pick(unsigned limit)
{
    world.seed = world.seed * 1664525U + 1013904223U;
    return (unsigned)(((uint64_t)(world.seed >> 8) * limit) >> 24);
}

static uint64_t addr(unsigned frame)
{
    return world.base + frame * AXVM_PAGE_SIZE;
}

static bool owned(unsigned frame)
{
    return frame < HOLE_FIRST || frame >= HOLE_END;
}

static bool all_free(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        if (!owned(i) || world.used[i]) {
            return false;
        }
    }
    return true;
}

static unsigned free_count(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FRAMES; i++) {
        n += owned(i) && !world.used[i];
    }
    return n;
}

static void mark(unsigned first, unsigned count, bool used)
{
    memset(&world.used[first], used, count);
    /* What a guest leaves in its memory must not matter to the books. */
    if (used) {
        memset((void *)(uintptr_t)addr(first), 0xa5, count * AXVM_PAGE_SIZE);
    }
}

static int setup(void **state)
{
    void *memory = aligned_alloc(FRAMES * AXVM_PAGE_SIZE, FRAMES * AXVM_PAGE_SIZE);

    (void)state;
    assert_non_null(memory);
    memset(&world, 0, sizeof(world));
    world.base = (uint64_t)(uintptr_t)memory;
    world.seed = 1;
    assert_true(ranges_add(&world.frames.owned, addr(0), addr(HOLE_FIRST)));
    assert_true(ranges_add(&world.frames.owned, addr(HOLE_END), addr(FRAMES)));
    frames_release(&world.frames, addr(0), HOLE_FIRST * AXVM_PAGE_SIZE);
    frames_release(&world.frames, addr(HOLE_END), (FRAMES - HOLE_END) * AXVM_PAGE_SIZE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free((void *)(uintptr_t)world.base);
    return 0;
}

static void remember(unsigned first, unsigned count)
{
    mark(first, count, true);
    if (world.run_count < MAX_RUNS) {
        world.runs[world.run_count++] = (struct run){first, count};
    }
}

static void random_alloc(void)
{
    unsigned order = pick(3) ? 0 : pick(8), count = 1U << order, first;
    hpa_t run;

    if (frames_alloc(&world.frames, order, &run) != AXVM_OK) {
        for (first = 0; first + count <= FRAMES; first += count) {
            assert_false(all_free(first, count));
        }
        return;
    }
    first = (unsigned)((run.v - world.base) >> AXVM_PAGE_SHIFT);
    assert_true(run.v >= world.base && first + count <= FRAMES);
    assert_int_equal(run.v & ((AXVM_PAGE_SIZE << order) - 1), 0);
    assert_true(all_free(first, count));
    remember(first, count);
}

/* Give back a random aligned part of a run, or all of it. */
static void random_free(void)
{
    struct run *run;
    unsigned order = 0, first;

    if (world.run_count == 0) {
        return;
    }
    run = &world.runs[pick(world.run_count)];
    while ((2U << order) <= run->count && (run->first & ((2U << order) - 1)) == 0 && pick(4)) {
        order++;
    }
    first = run->first;
    frames_free(&world.frames, hpa(addr(first)), order);
    mark(first, 1U << order, false);
    run->first += 1U << order;
    run->count -= 1U << order;
    if (run->count == 0) {
        *run = world.runs[--world.run_count];
    }
}

static void random_claim(void)
{
    unsigned first = pick(FRAMES), count = 1 + pick(24), i;
    int expected = AXVM_OK;

    for (i = first; i < first + count && expected == AXVM_OK; i++) {
        expected = i < FRAMES && world.used[i] ? AXVM_EBUSY : AXVM_OK;
    }
    for (i = first; i < first + count; i++) {
        expected = i >= FRAMES || !owned(i) ? AXVM_ENOENT : expected;
    }
    assert_int_equal(frames_claim(&world.frames, addr(first), count * AXVM_PAGE_SIZE), expected);
    if (expected == AXVM_OK) {
        remember(first, count);
    }
}

static void random_operations_agree_with_a_flag_per_frame(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        /* Phases that fill memory up and phases that empty it */
        unsigned bias = (round / 4096) % 2 ? 6 : 3, what = pick(10);

        if (what < bias) {
            random_alloc();
        } else if (what < 9) {
            random_free();
        } else {
            random_claim();
        }
        assert_int_equal(world.frames.free, free_count());
    }
}

static void freed_memory_merges_into_the_largest_run(void **state)
{
    hpa_t run, pages[1024];

    (void)state;
    assert_int_equal(frames_alloc(&world.frames, 10, &run), AXVM_OK);
    assert_int_equal(run.v, addr(0));
    frames_free(&world.frames, run, 10);
    for (unsigned i = 0; i < 1024; i++) {
        assert_int_equal(frames_alloc(&world.frames, 0, &pages[i]), AXVM_OK);
    }
    assert_int_equal(frames_claim(&world.frames, addr(0), AXVM_PAGE_SIZE), AXVM_EBUSY);
    /* Odd ones first, then even ones: every free but the last leaves its neighbours in use */
    for (unsigned i = 0; i < 2048; i++) {
        if (i % 2 == (i < 1024)) {
            frames_free(&world.frames, pages[i % 1024], 0);
        }
    }
    assert_int_equal(frames_alloc(&world.frames, 10, &run), AXVM_OK);
    assert_int_equal(run.v, addr(0));
}

static void small_runs_share_the_lowest_addresses(void **state)
{
    hpa_t frame, run;

    (void)state;
    assert_int_equal(frames_alloc(&world.frames, 0, &frame), AXVM_OK);
    assert_int_equal(frame.v, addr(127));
    for (unsigned i = 0; i < 31; i++) { /* the one that isn't whole any more goes to single frames */
        assert_int_equal(frames_alloc(&world.frames, 2, &run), AXVM_OK);
        assert_int_equal(run.v, addr(4 * i));
    }
    assert_int_equal(frames_alloc(&world.frames, 0, &frame), AXVM_OK);
    assert_int_equal(frame.v, addr(126));
    assert_int_equal(frames_alloc(&world.frames, 2, &run), AXVM_OK);
    assert_true(run.v >= addr(128) && run.v % (4 * AXVM_PAGE_SIZE) == 0);
}

static void every_frame_can_be_had_once(void **state)
{
    unsigned total = free_count();
    hpa_t run;

    (void)state;
    for (unsigned i = 0; i < total; i++) {
        assert_int_equal(frames_alloc(&world.frames, 0, &run), AXVM_OK);
        mark((unsigned)((run.v - world.base) >> AXVM_PAGE_SHIFT), 1, true);
    }
    assert_int_equal(free_count(), 0);
    assert_int_equal(frames_alloc(&world.frames, 0, &run), AXVM_ENOMEM);
}

static void claims_outside_owned_memory_are_unknown(void **state)
{
    struct frames *frames = &world.frames;

    (void)state;
    assert_int_equal(frames_claim(frames, addr(HOLE_FIRST - 1), 2 * AXVM_PAGE_SIZE), AXVM_ENOENT);
    assert_int_equal(frames_claim(frames, addr(HOLE_FIRST), AXVM_PAGE_SIZE), AXVM_ENOENT);
    assert_int_equal(frames_claim(frames, addr(FRAMES), AXVM_PAGE_SIZE), AXVM_ENOENT);
    assert_int_equal(frames_claim(frames, addr(HOLE_FIRST - 1), AXVM_PAGE_SIZE), AXVM_OK);
    assert_int_equal(frames_claim(frames, addr(HOLE_FIRST - 2), 2 * AXVM_PAGE_SIZE), AXVM_EBUSY);
}

static void ill_formed_ranges_are_refused(void **state)
{
    struct frames *frames = &world.frames;
    hpa_t run;

    (void)state;
    assert_int_equal(frames_claim(frames, addr(0), 0), AXVM_EINVAL);
    assert_int_equal(frames_claim(frames, addr(0) + 1, AXVM_PAGE_SIZE), AXVM_EINVAL);
    assert_int_equal(frames_claim(frames, addr(0), AXVM_PAGE_SIZE + 512), AXVM_EINVAL);
    assert_int_equal(frames_claim(frames, addr(0), -addr(0)), AXVM_EINVAL);
    assert_int_equal(frames_claim(frames, addr(1), -addr(0)), AXVM_EINVAL);
    assert_int_equal(frames_alloc(frames, 52, &run), AXVM_ENOMEM);
    assert_int_equal(frames_alloc(frames, 64, &run), AXVM_ENOMEM);
    assert_int_equal(frames_alloc(frames, 51, &run), AXVM_ENOMEM);
}

static void a_second_free_is_refused(void **state)
{
    uint64_t before = world.frames.free;
    hpa_t run;

    (void)state;
    assert_int_equal(frames_alloc(&world.frames, 0, &run), AXVM_OK);
    frames_free(&world.frames, hpa(run.v + AXVM_PAGE_SIZE), 0); /* free, and about to be dealt */
    assert_int_equal(world.frames.free, before - 1);
    frames_free(&world.frames, run, 0);
    assert_int_equal(world.frames.free, before);
    frames_free(&world.frames, run, 0);
    frames_free(&world.frames, run, 3);
    frames_free(&world.frames, hpa(addr(HOLE_FIRST)), 0);
    assert_int_equal(world.frames.free, before);
}

static void ranges_that_touch_become_one(void **state)
{
    struct ranges list = {.count = 0};

    (void)state;
    assert_true(ranges_add(&list, 0x3000, 0x5000));
    assert_true(ranges_add(&list, 0x9000, 0xa000));
    assert_true(ranges_add(&list, 0x1000, 0x2000));
    assert_true(ranges_add(&list, 0x7000, 0x7000));
    assert_int_equal(list.count, 3);
    assert_true(ranges_add(&list, 0x2000, 0x9000));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.range[0].base, 0x1000);
    assert_int_equal(list.range[0].end, 0xa000);
}

static void a_full_list_of_ranges_refuses_or_loses_the_highest(void **state)
{
    struct ranges list = {.count = 0};

    (void)state;
    for (uint64_t i = 0; i < RANGES_MAX; i++) {
        assert_true(ranges_add(&list, i * 0x100000, i * 0x100000 + 0x3000));
    }
    assert_false(ranges_add(&list, 0xfff00000, 0xfff01000));
    assert_true(ranges_add(&list, 0x103000, 0x104000));
    assert_int_equal(list.count, RANGES_MAX);
    ranges_remove(&list, 0x3f01000, 0x3f02000);
    assert_int_equal(list.count, RANGES_MAX);
    assert_true(ranges_hold(&list, 0x3f00000, 0x3f01000));
    assert_false(ranges_hold(&list, 0x3f02000, 0x3f03000));
    ranges_remove(&list, 0x1000, 0x2000);
    assert_int_equal(list.count, RANGES_MAX);
    assert_true(ranges_hold(&list, 0x2000, 0x3000));
    assert_false(ranges_hold(&list, 0x3f00000, 0x3f01000));
}

static void removal_agrees_with_a_flag_per_address(void **state)
{
    struct ranges list = {.count = 0};
    bool flag[200] = {false};

    (void)state;
    world.seed = 7;
    for (unsigned round = 0; round < 4000; round++) {
        unsigned base = pick(200), end = base + pick(201 - base), pieces = 0;
        bool add = pick(2);

        if (add) {
            assert_true(ranges_add(&list, base, end));
        } else {
            ranges_remove(&list, base, end);
        }
        memset(&flag[base], add, end - base);
        for (unsigned i = 0; i < 200; i++) {
            assert_int_equal(ranges_hold(&list, i, i + 1), flag[i]);
            pieces += flag[i] && (i == 0 || !flag[i - 1]);
        }
        assert_int_equal(list.count, pieces);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_operations_agree_with_a_flag_per_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(freed_memory_merges_into_the_largest_run, setup, teardown),
        cmocka_unit_test_setup_teardown(small_runs_share_the_lowest_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(every_frame_can_be_had_once, setup, teardown),
        cmocka_unit_test_setup_teardown(claims_outside_owned_memory_are_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(ill_formed_ranges_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_free_is_refused, setup, teardown),
        cmocka_unit_test(ranges_that_touch_become_one),
        cmocka_unit_test(a_full_list_of_ranges_refuses_or_loses_the_highest),
        cmocka_unit_test(removal_agrees_with_a_flag_per_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
