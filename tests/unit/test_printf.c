/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor image's printf, under another name, against the C library's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int image_snprintf(char *restrict to, size_t size, const char *restrict format, ...);
int image_vsnprintf(char *restrict to, size_t size, const char *restrict format, va_list args);

#define snprintf image_snprintf
#define vsnprintf image_vsnprintf
#include "lib/freestanding/printf.c"
#undef snprintf
#undef vsnprintf

/* Most formats here are made at run time, or wrong on purpose. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

#define TEXT_MAX 400

/* Both print the same text and return the same length, into a buffer of `size` bytes and no byte further. */
#define assert_same(size, ...)                                        \
    do {                                                              \
        char *ours = malloc(size);                                    \
        char *theirs = malloc(size);                                  \
        int our_length = image_snprintf(ours, size, __VA_ARGS__);     \
        int their_length = snprintf(theirs, size, __VA_ARGS__);       \
                                                                      \
        assert_string_equal(ours, theirs);                            \
        assert_int_equal(our_length, their_length);                   \
        free(ours);                                                   \
        free(theirs);                                                 \
    } while (0)

static const intmax_t values[] = {
    0, 1, -1, 7, 8, 9, 10, -10, 42, 255, 256, 4096, SCHAR_MIN, SCHAR_MAX, SHRT_MIN, SHRT_MAX, USHRT_MAX, INT_MIN,
    INT_MAX, UINT_MAX, 0x123456789abcdef, INTMAX_MIN, INTMAX_MAX,
};

#define VALUES (sizeof(values) / sizeof(values[0]))

/* The argument with the type that the length modifier names. */
static void compare_number(const char *format, const char *length, intmax_t value, size_t size)
{
    switch (length[0]) {
    case 'h':
    case '\0': assert_same(size, format, (int)value); break;
    case 'l':
        if (length[1] == 'l') {
            assert_same(size, format, (long long)value);
        } else {
            assert_same(size, format, (long)value);
        }
        break;
    case 'j': assert_same(size, format, value); break;
    case 'z': assert_same(size, format, (size_t)value); break;
    default: assert_same(size, format, (ptrdiff_t)value); break;
    }
}

static void compare_values(const char *flags, const char *width, const char *length, char conversion)
{
    char format[32];

    snprintf(format, sizeof(format), "<%%%s%s%s%c>", flags, width, length, conversion);
    for (size_t i = 0; i < VALUES; i++) {
        compare_number(format, length, values[i], TEXT_MAX);
    }
}

static void integers_print_as_the_c_library_prints_them(void **state)
{
    static const char *const flags[] = {"", "-", "0", "+", " ", "#", "-0", "+ ", "0+", "#0", "-#", "+-0 #"};
    static const char *const widths[] = {"", "1", "5", "30", ".", ".0", ".1", ".7", "12.", "12.0", "3.8", "20.15"};
    static const char *const lengths[] = {"", "hh", "h", "l", "ll", "j", "z", "t"};
    const size_t combinations = 12 * 12 * 8 * 6;

    (void)state;
    for (size_t i = 0; i < combinations; i++) {
        compare_values(flags[i % 12], widths[i / 12 % 12], lengths[i / 144 % 8], "diuoxX"[i / 1152]);
    }
}

static void text_prints_as_the_c_library_prints_it(void **state)
{
    char open_ended[3] = {'a', 'b', 'c'};

    (void)state;
    assert_same(TEXT_MAX, "%s", "");
    assert_same(TEXT_MAX, "plain");
    assert_same(TEXT_MAX, "100%%, %s", "really");
    assert_same(TEXT_MAX, "[%s][%10s][%-10s][%.2s][%10.2s][%-10.2s][%.s][%.10s]", "abc", "abc", "abc", "abc", "abc",
                "abc", "abc", "abc");
    assert_same(TEXT_MAX, "[%c][%5c][%-5c]", 'a', 'b', 'c');
    assert_same(TEXT_MAX, "[%.3s]", open_ended);
    assert_same(TEXT_MAX, "%s: %d of %u, %#lx\n", "image", -3, 4U, 0x40080000UL);
}

static void a_nul_character_is_printed(void **state)
{
    char text[8];

    (void)state;
    assert_int_equal(image_snprintf(text, sizeof(text), "a%cb", 0), 3);
    assert_memory_equal(text, "a\0b", 4);
}

static void pointers_print_in_hexadecimal(void **state)
{
    char text[32];

    (void)state;
    assert_same(TEXT_MAX, "[%p][%24p][%-24p]", (void *)text, (void *)text, (void *)text);
    image_snprintf(text, sizeof(text), "%p", NULL);
    assert_string_equal(text, "0x0");
}

static void a_null_string_is_no_fault(void **state)
{
    char text[32];
    const char *volatile none = NULL;

    (void)state;
    image_snprintf(text, sizeof(text), "%s", none);
    assert_string_equal(text, "(null)");
}

static void width_and_precision_may_be_arguments(void **state)
{
    (void)state;
    assert_same(TEXT_MAX, "[%*d][%*d][%-*d]", 8, 42, -8, 42, 8, 42);
    assert_same(TEXT_MAX, "[%.*d][%.*d][%.*s][%.*s]", 5, 42, -5, 42, 2, "abc", -1, "abc");
    assert_same(TEXT_MAX, "[%*.*x][%0*x]", 12, 4, 0xaU, 12, 0xaU);
}

static void what_does_not_fit_is_cut_and_counted(void **state)
{
    char byte = 'x';

    (void)state;
    for (size_t size = 1; size < 40; size++) {
        assert_same(size, "%s=%#010x [%-6d] %6s", "register", 0xabcdU, -12, "end");
    }
    assert_int_equal(image_snprintf(&byte, 0, "%d", 12345), 5);
    assert_int_equal(byte, 'x');
    assert_int_equal(image_snprintf(NULL, 0, "%30s", "a"), 30);
}

static void huge_widths_are_counted_without_being_written(void **state)
{
    char text[8];

    (void)state;
    assert_int_equal(image_snprintf(text, sizeof(text), "%*d", INT_MAX, 1), INT_MAX);
    assert_string_equal(text, "       ");
    assert_int_equal(image_snprintf(text, sizeof(text), "%*d", INT_MIN, 1), -1);
    assert_string_equal(text, "1      ");
    assert_int_equal(image_snprintf(text, sizeof(text), "%.*d", INT_MAX, 1), INT_MAX);
    assert_int_equal(image_snprintf(text, sizeof(text), "%2147483647d%d", 1, 1), -1);
    assert_int_equal(image_snprintf(text, sizeof(text), "%18446744073709551617d%d", 1, 1), -1);
}

static void unknown_directives_are_printed_as_they_stand(void **state)
{
    char text[32];

    (void)state;
    assert_int_equal(image_snprintf(text, sizeof(text), "a%y %d", 7), 5);
    assert_string_equal(text, "a%y 7");
    image_snprintf(text, sizeof(text), "%-8.3ly|%d", 7);
    assert_string_equal(text, "%-8.3ly|7");
    image_snprintf(text, sizeof(text), "end%");
    assert_string_equal(text, "end%");
    image_snprintf(text, sizeof(text), "end%08l");
    assert_string_equal(text, "end%08l");
}

static uint64_t random_next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* A directive for an integer, of all that a directive may have. Returns its length modifier. */
static const char *random_directive(uint64_t *seed, char *format, size_t size)
{
    static const char *const lengths[] = {"", "hh", "h", "l", "ll", "j", "z", "t"};
    const char *length = lengths[random_next(seed) % 8];
    char width[8] = "", precision[8] = "", flags[5] = "";
    size_t flag_count = random_next(seed) % 5;

    for (size_t i = 0; i < flag_count; i++) {
        flags[i] = "-0#+ "[random_next(seed) % 5];
    }
    if (random_next(seed) % 2 == 0) {
        snprintf(width, sizeof(width), "%u", (unsigned int)(random_next(seed) % 40 + 1));
    }
    if (random_next(seed) % 2 == 0) {
        snprintf(precision, sizeof(precision), ".%u", (unsigned int)(random_next(seed) % 40));
    }
    snprintf(format, size, "%s%%%s%s%s%s%c|", random_next(seed) % 4 == 0 ? "text " : "", flags, width, precision,
             length, "diuoxX"[random_next(seed) % 6]);
    return length;
}

static void random_directives_print_as_the_c_library_prints_them(void **state)
{
    uint64_t seed = 1;
    char format[64];

    (void)state;
    for (int i = 0; i < 100000; i++) {
        const char *length = random_directive(&seed, format, sizeof(format));
        intmax_t value = (intmax_t)(random_next(&seed) << 31 ^ random_next(&seed) << 62 ^ random_next(&seed));

        compare_number(format, length, value >> random_next(&seed) % 64, random_next(&seed) % 60 + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_print_as_the_c_library_prints_them),
        cmocka_unit_test(text_prints_as_the_c_library_prints_it),
        cmocka_unit_test(a_nul_character_is_printed),
        cmocka_unit_test(pointers_print_in_hexadecimal),
        cmocka_unit_test(a_null_string_is_no_fault),
        cmocka_unit_test(width_and_precision_may_be_arguments),
        cmocka_unit_test(what_does_not_fit_is_cut_and_counted),
        cmocka_unit_test(huge_widths_are_counted_without_being_written),
        cmocka_unit_test(unknown_directives_are_printed_as_they_stand),
        cmocka_unit_test(random_directives_print_as_the_c_library_prints_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
