/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor image's string functions, under other names, against the C library's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *image_memcpy(void *restrict to, const void *restrict from, size_t size);
void *image_memmove(void *to, const void *from, size_t size);
void *image_memset(void *to, int byte, size_t size);
int image_memcmp(const void *a, const void *b, size_t size);
void *image_memchr(const void *in, int byte, size_t size);
size_t image_strlen(const char *s);
size_t image_strnlen(const char *s, size_t max);
int image_strcmp(const char *a, const char *b);
int image_strncmp(const char *a, const char *b, size_t max);
char *image_strchr(const char *s, int c);
char *image_strrchr(const char *s, int c);

#define memcpy image_memcpy
#define memmove image_memmove
#define memset image_memset
#define memcmp image_memcmp
#define memchr image_memchr
#define strlen image_strlen
#define strnlen image_strnlen
#define strcmp image_strcmp
#define strncmp image_strncmp
#define strchr image_strchr
#define strrchr image_strrchr
#include "lib/freestanding/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr

#define SIZE_MAX_TESTED 200
#define OFFSETS 9
#define AREA (SIZE_MAX_TESTED + 2 * OFFSETS)

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

/* `AREA` bytes that differ from their neighbours. */
static void fill(unsigned char *area, unsigned int seed)
{
    for (size_t i = 0; i < AREA; i++) {
        area[i] = (unsigned char)(i * 7 + seed);
    }
}

static void memcpy_copies_exactly_its_size_at_every_alignment(void **state)
{
    unsigned char from[AREA], ours[AREA], theirs[AREA];

    (void)state;
    fill(from, 1);
    for (size_t size = 0; size <= SIZE_MAX_TESTED; size++) {
        for (size_t offsets = 0; offsets < OFFSETS * OFFSETS; offsets++) {
            size_t to = offsets / OFFSETS, at = offsets % OFFSETS;

            fill(ours, 100);
            fill(theirs, 100);
            assert_ptr_equal(image_memcpy(ours + to, from + at, size), ours + to);
            memcpy(theirs + to, from + at, size);
            assert_memory_equal(ours, theirs, AREA);
        }
    }
}

static void memmove_copies_overlapping_areas_both_ways(void **state)
{
    unsigned char ours[AREA], theirs[AREA];

    (void)state;
    for (size_t size = 0; size <= SIZE_MAX_TESTED; size++) {
        for (size_t offsets = 0; offsets < 2 * OFFSETS * OFFSETS; offsets++) {
            size_t to = offsets / OFFSETS % (2 * OFFSETS), from = offsets % OFFSETS;

            fill(ours, 5);
            fill(theirs, 5);
            assert_ptr_equal(image_memmove(ours + to, ours + from, size), ours + to);
            memmove(theirs + to, theirs + from, size);
            assert_memory_equal(ours, theirs, AREA);
        }
    }
}

static void memmove_copies_between_areas_far_apart(void **state)
{
    unsigned char area[4 * AREA];

    (void)state;
    fill(area, 9);
    fill(area + 3 * AREA, 77);
    image_memmove(area + 3 * AREA, area, AREA);
    assert_memory_equal(area, area + 3 * AREA, AREA);
    fill(area + 3 * AREA, 77);
    image_memmove(area, area + 3 * AREA, AREA);
    assert_memory_equal(area, area + 3 * AREA, AREA);
}

static void memset_sets_exactly_its_size_at_every_alignment(void **state)
{
    static const int bytes[] = {0, 0x5a, 0xff, -1, 0x1a5};
    unsigned char ours[AREA], theirs[AREA];

    (void)state;
    for (size_t size = 0; size <= SIZE_MAX_TESTED; size++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            int byte = bytes[(size + offset) % 5];

            fill(ours, 3);
            fill(theirs, 3);
            assert_ptr_equal(image_memset(ours + offset, byte, size), ours + offset);
            memset(theirs + offset, byte, size);
            assert_memory_equal(ours, theirs, AREA);
        }
    }
}

static void memcmp_finds_the_first_difference(void **state)
{
    unsigned char a[AREA], b[AREA];

    (void)state;
    for (size_t size = 1; size < 40; size++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            for (size_t at = 0; at < size; at++) {
                fill(a, 0);
                fill(b, 0);
                assert_int_equal(image_memcmp(a + offset, b + offset, size), 0);
                a[offset + at] = 0x80;
                b[offset + at] = 0x7f;
                b[offset + size - 1] |= 0x80;
                assert_int_equal(sign(image_memcmp(a + offset, b + offset, size)),
                                 sign(memcmp(a + offset, b + offset, size)));
                assert_int_equal(image_memcmp(a + offset, b + offset, at), 0);
            }
        }
    }
}

static void memchr_stays_within_its_size(void **state)
{
    char *text = malloc(3);

    (void)state;
    memcpy(text, "abc", 3);
    assert_ptr_equal(image_memchr(text, 'c', 3), text + 2);
    assert_null(image_memchr(text, 'c', 2));
    assert_null(image_memchr(text, 'd', 3));
    assert_ptr_equal(image_memchr(text, 'a' + 256, 3), text);
    free(text);
}

static void strnlen_stays_within_its_maximum(void **state)
{
    char *text = malloc(3);

    (void)state;
    memcpy(text, "abc", 3);
    assert_int_equal(image_strnlen(text, 3), 3);
    assert_int_equal(image_strnlen(text, 0), 0);
    free(text);
    assert_int_equal(image_strnlen("abc", 100), 3);
    assert_int_equal(image_strlen("abc"), 3);
    assert_int_equal(image_strlen(""), 0);
}

static void strings_compare_as_unsigned_characters(void **state)
{
    static const char *const texts[] = {"", "a", "ab", "abc", "b", "\x80", "\xff", "a\xff", "abd"};
    const size_t count = sizeof(texts) / sizeof(texts[0]);

    (void)state;
    for (size_t i = 0; i < count * count; i++) {
        const char *a = texts[i / count], *b = texts[i % count];

        assert_int_equal(sign(image_strcmp(a, b)), sign(strcmp(a, b)));
        for (size_t max = 0; max < 5; max++) {
            assert_int_equal(sign(image_strncmp(a, b, max)), sign(strncmp(a, b, max)));
        }
    }
}

static void strchr_finds_the_first_and_strrchr_the_last(void **state)
{
    const char *text = "/soc/uart@0/reg";

    (void)state;
    assert_ptr_equal(image_strchr(text, '/'), text);
    assert_ptr_equal(image_strrchr(text, '/'), text + 11);
    assert_ptr_equal(image_strchr(text, '\0'), text + 15);
    assert_ptr_equal(image_strrchr(text, '\0'), text + 15);
    assert_null(image_strchr(text, 'x'));
    assert_null(image_strrchr(text, 'x'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memcpy_copies_exactly_its_size_at_every_alignment),
        cmocka_unit_test(memmove_copies_overlapping_areas_both_ways),
        cmocka_unit_test(memmove_copies_between_areas_far_apart),
        cmocka_unit_test(memset_sets_exactly_its_size_at_every_alignment),
        cmocka_unit_test(memcmp_finds_the_first_difference),
        cmocka_unit_test(memchr_stays_within_its_size),
        cmocka_unit_test(strnlen_stays_within_its_maximum),
        cmocka_unit_test(strings_compare_as_unsigned_characters),
        cmocka_unit_test(strchr_finds_the_first_and_strrchr_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
