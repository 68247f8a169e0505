/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/frames.h"
#include "lib/host.h"
#include "support/fake_hal.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_hal_setup, fake_hal_teardown)

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void memory_is_zeroed_and_aligned_to_64_bytes(void **state)
{
    static const size_t sizes[] = {1, 64, 65, 1000, 5000, 3};
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned char *object = arena_alloc(&arena, sizes[i]);

        assert_non_null(object);
        assert_int_equal((uintptr_t)object % 64, 0);
        assert_true(is_zero(object, sizes[i]));
        memset(object, 0xff, sizes[i]); /* the next object must not lie in this one */
    }
    arena_free_all(&arena);
}

static void small_objects_share_a_frame(void **state)
{
    struct arena arena = {0};

    (void)state;
    for (unsigned i = 0; i < 63; i++) {
        assert_non_null(arena_alloc(&arena, 64));
    }
    assert_int_equal(fake_hal_frames_used(), 1);
    assert_non_null(arena_alloc(&arena, 1));
    assert_int_equal(fake_hal_frames_used(), 2);
    assert_int_equal(arena.bytes, 8192);
    arena_free_all(&arena);
}

static void a_large_object_takes_no_more_frames_than_it_needs(void **state)
{
    struct arena arena = {0};

    (void)state;
    assert_non_null(arena_alloc(&arena, 4 * 4096 + 1));
    assert_int_equal(fake_hal_frames_used(), 5);
    assert_int_equal(arena.bytes, 5 * 4096);
    arena_free_all(&arena);
    assert_int_equal(fake_hal_frames_used(), 0);
}

static void room_left_is_used_after_a_large_object(void **state)
{
    struct arena arena = {0};

    (void)state;
    assert_non_null(arena_alloc(&arena, 64));
    assert_non_null(arena_alloc(&arena, 8192 - 128)); /* leaves 64 bytes of its own two frames */
    assert_int_equal(fake_hal_frames_used(), 3);
    assert_non_null(arena_alloc(&arena, 2048));
    assert_int_equal(fake_hal_frames_used(), 3);
    arena_free_all(&arena);
}

static void a_host_without_frames_gives_null_and_the_arena_stays_usable(void **state)
{
    struct arena arena = {0};

    (void)state;
    assert_non_null(arena_alloc(&arena, 4000));
    fake_hal_fail_allocation(1);
    assert_null(arena_alloc(&arena, 4000));
    assert_true(fake_hal_allocation_failed());
    assert_non_null(arena_alloc(&arena, 4000));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 64));
    arena_free_all(&arena);
}

static void strings_are_copied(void **state)
{
    struct arena arena = {0};
    char text[] = "hello";
    char *copy = arena_strdup(&arena, text);

    (void)state;
    text[0] = 'j';
    assert_string_equal(copy, "hello");
    assert_null(arena_strdup(&arena, NULL));
    assert_string_equal(arena_strdup(&arena, ""), "");
    arena_free_all(&arena);
}

static void an_arena_can_be_filled_again_after_it_was_freed(void **state)
{
    struct arena arena = {0};

    (void)state;
    arena_free_all(&arena);
    assert_non_null(arena_alloc(&arena, 10));
    arena_free_all(&arena);
    assert_int_equal(arena.bytes, 0);
    assert_non_null(arena_alloc(&arena, 10));
    arena_free_all(&arena);
}

static void a_run_of_any_length_takes_just_its_frames(void **state)
{
    (void)state;
    for (uint64_t pages = 1; pages < 40; pages++) {
        hpa_t base;

        assert_int_equal(frames_take(pages * AXVM_PAGE_SIZE, &base), AXVM_OK);
        assert_int_equal(fake_hal_frames_used(), pages);
        memset(hal->hpa_to_hva(base), 1, pages * AXVM_PAGE_SIZE);
        frames_give(base, pages * AXVM_PAGE_SIZE);
        assert_int_equal(fake_hal_frames_used(), 0);
    }
}

static void a_run_can_go_back_in_parts(void **state)
{
    hpa_t base;

    (void)state;
    assert_int_equal(frames_take(7 * AXVM_PAGE_SIZE, &base), AXVM_OK);
    frames_give(hpa(base.v + AXVM_PAGE_SIZE), 3 * AXVM_PAGE_SIZE);
    assert_int_equal(fake_hal_frames_used(), 4);
    frames_give(base, AXVM_PAGE_SIZE);
    frames_give(hpa(base.v + 4 * AXVM_PAGE_SIZE), 3 * AXVM_PAGE_SIZE);
}

static void a_run_that_no_host_has_is_refused(void **state)
{
    hpa_t base;

    (void)state;
    assert_int_equal(frames_take((UINT64_C(1) << 63) + AXVM_PAGE_SIZE, &base), AXVM_ENOMEM);
    fake_hal_fail_allocation(1);
    assert_int_equal(frames_take(3 * AXVM_PAGE_SIZE, &base), AXVM_ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_is_zeroed_and_aligned_to_64_bytes),
        TEST(small_objects_share_a_frame),
        TEST(a_large_object_takes_no_more_frames_than_it_needs),
        TEST(room_left_is_used_after_a_large_object),
        TEST(a_host_without_frames_gives_null_and_the_arena_stays_usable),
        TEST(strings_are_copied),
        TEST(an_arena_can_be_filled_again_after_it_was_freed),
        TEST(a_run_of_any_length_takes_just_its_frames),
        TEST(a_run_can_go_back_in_parts),
        TEST(a_run_that_no_host_has_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
