/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <axvm/axvm.h>

#undef fail /* cmocka's */
#include "lib/host.h"
#include "lib/log.h"
#include "support/fake_hal.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_hal_setup, fake_hal_teardown)

static void a_line_goes_to_the_host_with_its_level(void **state)
{
    (void)state;
    log_warn("%u of %s", 3U, "five");
    assert_true(fake_hal_logged("3 of five"));
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_WARN), 1);
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_ERROR), 0);
}

static void fail_logs_an_error_and_returns_it(void **state)
{
    (void)state;
    assert_int_equal(fail(AXVM_ENOENT, "no %s", "such thing"), AXVM_ENOENT);
    assert_true(fake_hal_logged("no such thing"));
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_ERROR), 1);
}

static void a_long_line_is_cut(void **state)
{
    char text[2 * LOG_LINE_MAX];
    char kept[LOG_LINE_MAX + 1];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    log_info("%s", text);
    memset(kept, 'x', sizeof(kept));
    kept[LOG_LINE_MAX] = '\0';
    assert_false(fake_hal_logged(kept));
    kept[LOG_LINE_MAX - 1] = '\0';
    assert_true(fake_hal_logged(kept));
}

static void what_a_guest_can_cause_is_limited(void **state)
{
    struct log_limit limit = {0}, other = {0};

    (void)state;
    fake_hal_set_ticks(UINT64_C(1) << 40);
    for (unsigned i = 0; i < 1000; i++) {
        log_limited(&limit, AXVM_LOG_INFO, "again %u", i);
    }
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_INFO), LOG_BURST);
    assert_true(fake_hal_logged("again 0"));
    log_limited(&other, AXVM_LOG_INFO, "somebody else's");
    assert_true(fake_hal_logged("somebody else's"));
    fake_hal_forget();
    for (unsigned i = 0; i < 100; i++) { /* ten seconds */
        fake_hal_advance(FAKE_TICK_HZ / 10);
        log_limited(&limit, AXVM_LOG_INFO, "and again %u", i);
    }
    assert_true(fake_hal_logged("961 lines like the next are left out"));
    assert_in_range(fake_hal_log_lines(AXVM_LOG_INFO), 2 * 10 * LOG_A_SECOND - 2, 2 * 10 * LOG_A_SECOND);
    fake_hal_advance(FAKE_TICK_HZ * 3600);
    fake_hal_forget();
    for (unsigned i = 0; i < 1000; i++) {
        log_limited(&limit, AXVM_LOG_INFO, "a burst");
    }
    assert_in_range(fake_hal_log_lines(AXVM_LOG_INFO), LOG_BURST, LOG_BURST + 1);
}

static void before_there_is_a_host_nothing_is_logged(void **state)
{
    struct log_limit limit = {0};

    (void)state;
    hal = NULL;
    assert_int_equal(fail(AXVM_EINVAL, "nobody hears this"), AXVM_EINVAL);
    log_info("nor this");
    log_limited(&limit, AXVM_LOG_INFO, "nor this");
    hal = &fake_hal;
    assert_false(fake_hal_logged("this"));
}

static void every_error_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(axvm_error_name(AXVM_OK), "OK");
    assert_string_equal(axvm_error_name(AXVM_EINVAL), "EINVAL");
    assert_string_equal(axvm_error_name(AXVM_EUNSUPPORTED), "EUNSUPPORTED");
    assert_string_equal(axvm_error_name(AXVM_EBADSTATE), "EBADSTATE");
    assert_string_equal(axvm_error_name(AXVM_EEXIST), "EEXIST");
    assert_string_equal(axvm_error_name(AXVM_ENOMEM), "ENOMEM");
    assert_string_equal(axvm_error_name(AXVM_ENOENT), "ENOENT");
    assert_string_equal(axvm_error_name(AXVM_EFAULT), "EFAULT");
    assert_string_equal(axvm_error_name(AXVM_EBUSY), "EBUSY");
    assert_string_equal(axvm_error_name(1), "?");
    assert_string_equal(axvm_error_name(-9), "?");
    assert_string_equal(axvm_error_name(INT32_MIN), "?");
    assert_string_equal(axvm_error_name(INT32_MAX), "?");
}

static void every_exit_and_state_has_its_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AXVM_EXIT_KIND_COUNT; i++) {
        assert_non_null(axvm_exit_name((enum axvm_exit_kind)i));
        assert_string_not_equal(axvm_exit_name((enum axvm_exit_kind)i), "?");
    }
    for (unsigned i = 0; i < AXVM_STATE_COUNT; i++) {
        assert_non_null(axvm_state_name((enum axvm_state)i));
    }
    for (unsigned i = 0; i < AXVM_VCPU_STATE_COUNT; i++) {
        assert_non_null(axvm_vcpu_state_name((enum axvm_vcpu_state)i));
    }
    assert_string_equal(axvm_exit_name(AXVM_EXIT_MMIO_READ), "MmioRead");
    assert_string_equal(axvm_exit_name(AXVM_EXIT_SEND_IPI), "SendIPI");
    assert_string_equal(axvm_state_name(AXVM_STATE_SUSPENDED), "suspended");
    assert_string_equal(axvm_vcpu_state_name(AXVM_VCPU_BLOCKED), "blocked");
    assert_string_equal(axvm_exit_name(AXVM_EXIT_KIND_COUNT), "?");
    assert_string_equal(axvm_state_name(AXVM_STATE_COUNT), "?");
    assert_string_equal(axvm_vcpu_state_name(AXVM_VCPU_STATE_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_goes_to_the_host_with_its_level),
        TEST(fail_logs_an_error_and_returns_it),
        TEST(a_long_line_is_cut),
        TEST(what_a_guest_can_cause_is_limited),
        TEST(before_there_is_a_host_nothing_is_logged),
        TEST(every_error_has_its_name),
        TEST(every_exit_and_state_has_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
