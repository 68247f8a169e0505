/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#define TOP UINT64_MAX

static const int fields[8];
static char overlaps[1024];

static void note(void *context, const struct planner_range *later, const struct planner_range *earlier)
{
    size_t length = strlen(overlaps);

    (void)context;
    snprintf(overlaps + length, sizeof(overlaps) - length, "%s>%s ", later->name, earlier->name);
}

static const char *check(struct planner *planner)
{
    overlaps[0] = '\0';
    planner_check(planner, note, NULL);
    return overlaps;
}

static void add(struct planner *planner, const char *name, uint64_t start, uint64_t size)
{
    assert_int_equal(planner_add(planner, name, &fields[planner->count % 8], start, size, 1, TOP), PLANNER_OK);
}

static void test_refuses_ranges_that_are_unsound(void **state)
{
    struct planner planner = {0};

    (void)state;
    assert_int_equal(planner_add(&planner, "r", NULL, 0x1000, 0, 1, TOP), PLANNER_EMPTY);
    assert_int_equal(planner_add(&planner, "r", NULL, TOP, 2, 1, TOP), PLANNER_OVERFLOW);
    assert_int_equal(planner_add(&planner, "r", NULL, 1, TOP, 1, TOP), PLANNER_OK);
    assert_int_equal(planner_add(&planner, "r", NULL, 2, TOP, 1, TOP), PLANNER_OVERFLOW);
    assert_int_equal(planner_add(&planner, "r", NULL, 0xf000, 0x1001, 1, 0xffff), PLANNER_TOO_HIGH);
    assert_int_equal(planner_add(&planner, "r", NULL, 0xf000, 0x1000, 1, 0xffff), PLANNER_OK);
    assert_int_equal(planner_add(&planner, "r", NULL, 0x800, 0x1000, 0x1000, TOP), PLANNER_MISALIGNED);
    assert_int_equal(planner_add(&planner, "r", NULL, 0x1000, 0x800, 0x1000, TOP), PLANNER_MISALIGNED);
    assert_int_equal(planner.count, 2);
}

static void test_refuses_more_ranges_than_it_holds(void **state)
{
    struct planner planner = {0};

    (void)state;
    for (unsigned i = 0; i < PLANNER_MAX_RANGES; i++) {
        add(&planner, "r", i, 1);
    }
    assert_int_equal(planner_add(&planner, "r", NULL, PLANNER_MAX_RANGES, 1, 1, TOP), PLANNER_FULL);
    assert_string_equal(check(&planner), "");
}

static void test_neighbours_do_not_overlap(void **state)
{
    struct planner planner = {0};

    (void)state;
    assert_string_equal(check(&planner), "");
    add(&planner, "high", 0x2000, TOP - 0x1fff);
    add(&planner, "low", 0, 0x1000);
    add(&planner, "middle", 0x1000, 0x1000);
    assert_string_equal(check(&planner), "");
}

static void test_names_the_one_added_later_first(void **state)
{
    struct planner planner = {0};

    (void)state;
    add(&planner, "first", 0x1000, 0x1001);
    add(&planner, "second", 0x2000, 0x1000);
    assert_string_equal(check(&planner), "second>first ");
    planner.count = 0;
    add(&planner, "first", 0x2000, 0x1000);
    add(&planner, "second", 0x1000, 0x1001);
    assert_string_equal(check(&planner), "second>first ");
}

static void test_finds_what_a_long_range_covers(void **state)
{
    struct planner planner = {0};

    (void)state;
    add(&planner, "long", 0, 0x10000);
    add(&planner, "a", 0x1000, 0x1000);
    add(&planner, "b", 0x8000, 0x1000);
    add(&planner, "c", 0x10000, 0x1000);
    assert_string_equal(check(&planner), "a>long b>long ");
}

static void test_finds_equal_ranges_and_ends_of_the_address_space(void **state)
{
    struct planner planner = {0};

    (void)state;
    add(&planner, "a", TOP, 1);
    add(&planner, "b", TOP, 1);
    add(&planner, "c", 0, 1);
    add(&planner, "d", 0, 1);
    assert_string_equal(check(&planner), "d>c b>a ");
}

static void test_keeps_the_field_with_its_range(void **state)
{
    struct planner planner = {0};

    (void)state;
    add(&planner, "a", 0x3000, 1);
    add(&planner, "b", 0x1000, 1);
    check(&planner);
    assert_ptr_equal(planner.ranges[0].field, &fields[1]);
    assert_ptr_equal(planner.ranges[1].field, &fields[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_ranges_that_are_unsound),
        cmocka_unit_test(test_refuses_more_ranges_than_it_holds),
        cmocka_unit_test(test_neighbours_do_not_overlap),
        cmocka_unit_test(test_names_the_one_added_later_first),
        cmocka_unit_test(test_finds_what_a_long_range_covers),
        cmocka_unit_test(test_finds_equal_ranges_and_ends_of_the_address_space),
        cmocka_unit_test(test_keeps_the_field_with_its_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
