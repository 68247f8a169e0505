/* SPDX-License-Identifier: Apache-2.0 */
/* host/metal/rtc.c, with memory where its registers are. */
#include "rtc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint32_t regs[2] = {0x9abcdef0, 0x12345678};

static struct rtc rtc_at(uint64_t (*read)(const struct rtc *rtc))
{
    uint64_t base = (uint64_t)(uintptr_t)regs;

    return (struct rtc){read, {base, base + sizeof(regs)}};
}

static void a_pl031_counts_seconds(void **state)
{
    struct rtc rtc = rtc_at(rtc_pl031_read);

    (void)state;
    assert_int_equal(rtc.read(&rtc), UINT64_C(0x9abcdef0) * 1000000000);
}

static void a_goldfish_counts_nanoseconds(void **state)
{
    struct rtc rtc = rtc_at(rtc_goldfish_read);

    (void)state;
    assert_int_equal(rtc.read(&rtc), UINT64_C(0x123456789abcdef0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pl031_counts_seconds),
        cmocka_unit_test(a_goldfish_counts_nanoseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
