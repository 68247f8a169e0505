/* SPDX-License-Identifier: Apache-2.0 */
/* host/metal/claims.c: what a guest may have of the machine, and what it may not. */
#include "claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The machine, in frames from `base` on: RAM of the host's, RAM set aside, firmware's RAM, nothing. */
#define OWNED 64U
#define ASIDE 96U    /* where what is set aside ends */
#define FIRMWARE 128U
#define END 160U

#define REGISTERS UINT64_C(0x8000000)

static struct frames frames;
static struct claims claims;
static uint64_t base;

static uint64_t addr(unsigned frame)
{
    return base + frame * AXVM_PAGE_SIZE;
}

static int take(unsigned first, unsigned count)
{
    return claims_take(&claims, addr(first), count * AXVM_PAGE_SIZE);
}

static void give_back(unsigned first, unsigned count)
{
    claims_release(&claims, addr(first), count * AXVM_PAGE_SIZE);
}

/* The host keeps frames 16 to 19 (its image), 80 to 83 (its bundle), and some registers. */
static int setup(void **state)
{
    (void)state;
    base = (uint64_t)(uintptr_t)aligned_alloc(KIB(1024), END * AXVM_PAGE_SIZE + KIB(384));
    assert_true(base != 0);
    frames = (struct frames){0};
    claims = (struct claims){.frames = &frames};
    assert_true(ranges_add(&frames.owned, addr(0), addr(OWNED)));
    assert_true(ranges_add(&claims.aside, addr(OWNED), addr(ASIDE)));
    assert_true(ranges_add(&claims.unclaimed, addr(OWNED), addr(ASIDE)));
    assert_true(ranges_add(&claims.used, addr(16), addr(20)));
    assert_true(ranges_add(&claims.used, addr(80), addr(84)));
    assert_true(ranges_add(&claims.used, REGISTERS, REGISTERS + 0x10000));
    frames_release(&frames, addr(0), 16 * AXVM_PAGE_SIZE);
    frames_release(&frames, addr(20), (OWNED - 20) * AXVM_PAGE_SIZE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free((void *)(uintptr_t)base);
    return 0;
}

static void free_memory_is_given_once(void **state)
{
    (void)state;
    assert_int_equal(take(32, 8), AXVM_OK);
    assert_int_equal(take(39, 2), AXVM_EBUSY);
    assert_int_equal(frames.free, OWNED - 4 - 8);
    give_back(32, 8);
    assert_int_equal(frames.free, OWNED - 4);
    assert_int_equal(take(39, 2), AXVM_OK);
    give_back(39, 2);
}

static void memory_that_is_set_aside_is_given_once(void **state)
{
    uint64_t before = frames.free;

    (void)state;
    assert_int_equal(take(OWNED, 4), AXVM_OK);
    assert_int_equal(take(OWNED + 4, 4), AXVM_OK);
    assert_int_equal(take(OWNED + 3, 1), AXVM_EBUSY);
    assert_int_equal(take(OWNED, 12), AXVM_EBUSY);
    give_back(OWNED, 4);
    assert_int_equal(take(OWNED + 4, 1), AXVM_EBUSY);
    assert_int_equal(take(OWNED + 3, 1), AXVM_OK);
    assert_int_equal(frames.free, before);
}

static void what_the_host_uses_is_busy(void **state)
{
    (void)state;
    assert_int_equal(take(16, 4), AXVM_EBUSY);
    assert_int_equal(take(15, 2), AXVM_EBUSY);
    assert_int_equal(take(80, 4), AXVM_EBUSY);
    assert_int_equal(take(79, 2), AXVM_EBUSY);
    assert_int_equal(take(0, END), AXVM_EBUSY);
    assert_int_equal(claims_take(&claims, REGISTERS, AXVM_PAGE_SIZE), AXVM_EBUSY);
    assert_int_equal(claims_take(&claims, REGISTERS - AXVM_PAGE_SIZE, 2 * AXVM_PAGE_SIZE), AXVM_EBUSY);
    assert_int_equal(claims_take(&claims, REGISTERS + 0xf000, 2 * AXVM_PAGE_SIZE), AXVM_EBUSY);
    assert_int_equal(claims_take(&claims, AXVM_PAGE_SIZE, UINT64_C(1) << 47), AXVM_EBUSY);
}

static void what_is_no_memory_for_guests_is_refused(void **state)
{
    (void)state;
    assert_int_equal(take(FIRMWARE, 1), AXVM_EINVAL);
    assert_int_equal(take(ASIDE, 1), AXVM_EINVAL);
    assert_int_equal(take(ASIDE - 1, 2), AXVM_EINVAL);
    assert_int_equal(take(OWNED - 1, 2), AXVM_EINVAL); /* some of either kind */
    assert_int_equal(claims_take(&claims, REGISTERS + 0x10000, AXVM_PAGE_SIZE), AXVM_EINVAL);
    assert_int_equal(claims_take(&claims, 0, AXVM_PAGE_SIZE), AXVM_EINVAL);
    assert_int_equal(claims_take(&claims, UINT64_MAX - 0xfff, AXVM_PAGE_SIZE), AXVM_EINVAL);
}

static void ill_formed_ranges_are_refused(void **state)
{
    (void)state;
    assert_int_equal(take(32, 0), AXVM_EINVAL);
    assert_int_equal(claims_take(&claims, addr(32) + 1, AXVM_PAGE_SIZE), AXVM_EINVAL);
    assert_int_equal(claims_take(&claims, addr(32), 100), AXVM_EINVAL);
    assert_int_equal(claims_take(&claims, addr(32), -addr(32)), AXVM_EINVAL);
    assert_int_equal(claims_take(&claims, addr(32), -addr(31)), AXVM_EINVAL);
}

static void what_is_in_too_many_pieces_is_lost_but_never_given_twice(void **state)
{
    bool given[END] = {false};

    (void)state;
    claims.aside = (struct ranges){.count = 0};
    claims.used = (struct ranges){.count = 0};
    frames.owned = (struct ranges){.count = 0};
    assert_true(ranges_add(&claims.aside, addr(0), addr(END)));
    claims.unclaimed = claims.aside;
    for (unsigned i = 1; i < END; i += 2) {
        given[i] = take(i, 1) == AXVM_OK;
    }
    assert_true(given[1]);
    for (unsigned i = 0; i < END; i++) {
        if (given[i]) {
            assert_int_equal(take(i, 1), AXVM_EBUSY);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(free_memory_is_given_once),
        TEST(memory_that_is_set_aside_is_given_once),
        TEST(what_the_host_uses_is_busy),
        TEST(what_is_no_memory_for_guests_is_refused),
        TEST(ill_formed_ranges_are_refused),
        TEST(what_is_in_too_many_pieces_is_lost_but_never_given_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
