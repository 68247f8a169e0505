/* SPDX-License-Identifier: Apache-2.0 */
#include "device/goldfish_rtc.h"

#include "support/one_device.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NS UINT64_C(1000000000) /* a second */
#define EPOCH (UINT64_C(1700000000) * NS)
#define SECOND FAKE_TICK_HZ
#define TICK_NS (NS / FAKE_TICK_HZ) /* 16, without a rest */

enum {
    TIME_LOW = 0x00, TIME_HIGH = 0x04, ALARM_LOW = 0x08, ALARM_HIGH = 0x0c, IRQ_ENABLED = 0x10, CLEAR_ALARM = 0x14,
    ALARM_STATUS = 0x18, CLEAR_INTERRUPT = 0x1c,
};

static int setup(void **state)
{
    struct axvm_emu_config config = {
        .name = "rtc", .length = 0x1000, .type = AXVM_EMU_RTC, .cfg = {EPOCH / NS}, .cfg_count = 1};

    return one_device_setup(state, goldfish_rtc_create, config, 4);
}

/* As drivers do it: reading, the low half comes first; writing, the high one. */
static uint64_t rd_time(void)
{
    uint32_t low = rd(TIME_LOW);

    return (uint64_t)rd(TIME_HIGH) << 32 | low;
}

static void wr_time(uint64_t ns)
{
    wr(TIME_HIGH, (uint32_t)(ns >> 32));
    wr(TIME_LOW, (uint32_t)ns);
}

static void wr_alarm(uint64_t ns)
{
    wr(ALARM_HIGH, (uint32_t)(ns >> 32));
    wr(ALARM_LOW, (uint32_t)ns);
}

static void it_counts_nanoseconds_from_its_base(void **state)
{
    (void)state;
    assert_true(rd_time() == EPOCH);
    fake_hal_advance(1);
    assert_true(rd_time() == EPOCH + TICK_NS);
    fake_hal_advance(1000 * SECOND);
    assert_true(rd_time() == EPOCH + 1000 * NS + TICK_NS);
    fake_hal_advance(UINT64_C(3000000000) * SECOND); /* a century: no product overflows */
    assert_true(rd_time() == EPOCH + UINT64_C(3000001000) * NS + TICK_NS);
}

static void without_a_base_time_it_begins_with_the_hosts(void **state)
{
    struct axvm_emu_config config = {
        .name = "rtc", .base = {DEVICE_BASE + 0x1000}, .length = 0x1000, .type = AXVM_EMU_RTC};
    uint64_t low, high;

    (void)state;
    fake_hal_advance(77 * SECOND);
    assert_int_equal(goldfish_rtc_create(device_vm, &config), AXVM_OK);
    fake_hal_advance(2 * SECOND);
    assert_int_equal(rd_sized(0x1000, 4, &low), AXVM_OK);
    assert_int_equal(rd_sized(0x1004, 4, &high), AXVM_OK);
    assert_int_equal(high << 32 | low, FAKE_WALL_CLOCK + 2 * NS);
}

static void reading_the_low_half_keeps_the_high_half_that_belongs_to_it(void **state)
{
    (void)state;
    wr_time(UINT64_C(0x5fffffff0));
    assert_int_equal(rd(TIME_LOW), 0xfffffff0);
    fake_hal_advance(SECOND);
    assert_int_equal(rd(TIME_HIGH), 5);
    assert_true(rd(TIME_LOW) < 0xfffffff0);
    assert_int_equal(rd(TIME_HIGH), 6);
}

static void the_time_can_be_set(void **state)
{
    (void)state;
    fake_hal_advance(5 * SECOND);
    wr_time(UINT64_C(0x123456789abcdef0));
    assert_true(rd_time() == UINT64_C(0x123456789abcdef0));
    fake_hal_advance(3 * SECOND);
    assert_true(rd_time() == UINT64_C(0x123456789abcdef0) + 3 * NS);
}

static void the_alarm_comes_on_time_and_stays_until_cleared(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_alarm(EPOCH + 10 * NS);
    assert_int_equal(rd(ALARM_STATUS), 1);
    assert_true(((uint64_t)rd(ALARM_HIGH) << 32 | rd(ALARM_LOW)) == EPOCH + 10 * NS);
    fake_hal_advance(10 * SECOND - 1);
    assert_false(line());
    fake_hal_advance(1);
    assert_true(line());
    assert_int_equal(rd(ALARM_STATUS), 0);
    fake_hal_advance(SECOND);
    assert_true(line());
    wr(CLEAR_INTERRUPT, 0); /* any value does it */
    assert_false(line());
    fake_hal_advance(10 * SECOND);
    assert_false(line());
}

/* Between two ticks: at the later one. */
static void the_alarm_never_comes_early(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    for (uint64_t i = 1; i <= TICK_NS; i++) {
        wr_alarm(rd_time() + 5 * TICK_NS + i);
        fake_hal_advance(5);
        assert_false(line());
        fake_hal_advance(1);
        assert_true(line());
        wr(CLEAR_INTERRUPT, 1);
    }
}

static void a_masked_alarm_is_kept(void **state)
{
    (void)state;
    wr_alarm(EPOCH + NS);
    fake_hal_advance(SECOND);
    assert_false(line());
    wr(IRQ_ENABLED, 3);
    assert_int_equal(rd(IRQ_ENABLED), 1);
    assert_true(line());
    wr(IRQ_ENABLED, 2);
    assert_int_equal(rd(IRQ_ENABLED), 0);
    assert_false(line());
}

static void an_alarm_that_is_over_comes_at_once(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_alarm(EPOCH);
    assert_true(line());
    assert_int_equal(rd(ALARM_STATUS), 0);
    wr(CLEAR_INTERRUPT, 1);
    wr_alarm(0);
    assert_true(line());
}

static void only_the_low_half_sets_the_alarm(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr(ALARM_HIGH, (uint32_t)(EPOCH >> 32) + 1);
    assert_int_equal(rd(ALARM_STATUS), 0);
    wr(ALARM_LOW, 0);
    assert_int_equal(rd(ALARM_STATUS), 1);
    wr(ALARM_HIGH, 0); /* would be over */
    assert_false(line());
    fake_hal_advance(5 * SECOND);
    assert_true(line());
}

static void a_cleared_alarm_does_not_come(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_alarm(EPOCH + 10 * NS);
    wr(CLEAR_ALARM, 1);
    assert_int_equal(rd(ALARM_STATUS), 0);
    fake_hal_advance(20 * SECOND);
    assert_false(line());
}

static void a_moved_alarm_comes_at_the_new_time_only(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_alarm(EPOCH + 10 * NS);
    wr_alarm(EPOCH + 20 * NS);
    fake_hal_advance(19 * SECOND);
    assert_false(line());
    fake_hal_advance(SECOND);
    assert_true(line());
}

static void setting_the_time_moves_the_alarm_and_sets_none(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_time(EPOCH + 5 * NS);
    assert_int_equal(rd(ALARM_STATUS), 0);
    wr_alarm(EPOCH + 1000 * NS);
    wr_time(EPOCH + 998 * NS);
    fake_hal_advance(SECOND);
    assert_false(line());
    fake_hal_advance(SECOND);
    assert_true(line());
}

static void an_alarm_at_the_end_of_time_is_harmless(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_time(0);
    wr_alarm(UINT64_MAX);
    assert_int_equal(rd(ALARM_STATUS), 1);
    fake_hal_advance(1000 * SECOND);
    assert_false(line());
    wr(CLEAR_ALARM, 1);
}

static void an_alarm_beyond_the_counter_never_comes(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_time(0);
    fake_hal_set_ticks(UINT64_MAX - 100 * SECOND);
    wr_time(0);
    wr_alarm(1000 * NS);
    assert_int_equal(rd(ALARM_STATUS), 1);
    fake_hal_advance(99 * SECOND);
    assert_false(line());
    wr(CLEAR_ALARM, 1);
}

static void the_alarm_may_be_moved_from_another_pcpu(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_alarm(EPOCH + 10 * NS);
    assert_int_equal(fake_hal_timers(0), 1);
    fake_hal_set_pcpu(1);
    wr_alarm(EPOCH + 20 * NS);
    assert_int_equal(fake_hal_timers(0), 0);
    assert_int_equal(fake_hal_timers(1), 1);
    fake_hal_set_pcpu(0);
    fake_hal_advance(20 * SECOND);
    assert_true(line());
}

static void an_alarm_does_not_outlive_the_vm(void **state)
{
    (void)state;
    wr_alarm(EPOCH + 10 * NS);
    assert_int_equal(fake_hal_timers(0), 1); /* teardown fails for timers that are armed */
}

static void reset_takes_the_alarm_back_and_the_time_goes_on(void **state)
{
    (void)state;
    wr(IRQ_ENABLED, 1);
    wr_alarm(EPOCH + NS);
    fake_hal_advance(2 * SECOND);
    assert_true(line());
    wr_time(UINT64_C(5) << 32);
    (void)rd_time();
    wr_alarm(EPOCH);
    device_reset();
    assert_false(line());
    assert_int_equal(fake_hal_timers(0), 0);
    assert_int_equal(rd(TIME_HIGH), 0);
    assert_true(rd_time() == EPOCH + 2 * NS);
    assert_int_equal(rd(ALARM_LOW), 0);
    assert_int_equal(rd(ALARM_HIGH), 0);
    assert_int_equal(rd(ALARM_STATUS), 0);
    assert_int_equal(rd(IRQ_ENABLED), 0);
    wr(IRQ_ENABLED, 1);
    assert_false(line());
}

static void only_aligned_words_are_accessible(void **state)
{
    uint64_t value;

    (void)state;
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned offset = IRQ_ENABLED; offset < IRQ_ENABLED + 4; offset++) {
            bool right = size == 4 && offset == IRQ_ENABLED;

            assert_int_equal(rd_sized(offset, size, &value) == AXVM_OK, right);
            assert_int_equal(wr_sized(offset, size, 1) == AXVM_OK, right);
            assert_int_equal(rd(IRQ_ENABLED), right);
            wr(IRQ_ENABLED, 0);
        }
    }
}

static void what_is_not_a_register_reads_as_zero(void **state)
{
    static const unsigned offsets[] = {CLEAR_ALARM, CLEAR_INTERRUPT, 0x20, 0x24, 0xffc};

    (void)state;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        wr(offsets[i], UINT32_MAX);
        assert_int_equal(rd(offsets[i]), 0);
    }
    wr(ALARM_STATUS, 1);
    assert_int_equal(rd(ALARM_STATUS), 0);
}

/* Whatever is done to it: the line stays up until it is cleared or masked, and follows the mask. */
static void it_survives_any_access(void **state)
{
    bool was;

    (void)state;
    random_start("goldfish_rtc");
    for (int i = 0; i < 100000; i++) {
        unsigned size = 1U << random_below(4);
        uint64_t offset = random_below(8) != 0 ? random_below(8) * 4 : random_below(0x1000 - 8);
        uint64_t value = random_below(2) != 0 ? random_u64() : (uint32_t)rd_time() + random_below(100000000);

        if (random_below(8) != 0) {
            (void)wr_sized(offset, random_below(8) != 0 ? 4 : size, value);
        } else {
            (void)rd_sized(offset, size, &value);
        }
        was = line();
        fake_hal_advance(random_below(SECOND));
        assert_true(!was || line());
        if (was || rd(IRQ_ENABLED) == 0) {
            assert_int_equal(line(), rd(IRQ_ENABLED));
            wr(CLEAR_INTERRUPT, 1);
            assert_false(line());
        }
    }
}

static void the_device_tree_describes_it(void **state)
{
    (void)state;
    described("rtc", "google,goldfish-rtc");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, one_device_teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_counts_nanoseconds_from_its_base),
        TEST(without_a_base_time_it_begins_with_the_hosts),
        TEST(reading_the_low_half_keeps_the_high_half_that_belongs_to_it),
        TEST(the_time_can_be_set),
        TEST(the_alarm_comes_on_time_and_stays_until_cleared),
        TEST(the_alarm_never_comes_early),
        TEST(a_masked_alarm_is_kept),
        TEST(an_alarm_that_is_over_comes_at_once),
        TEST(only_the_low_half_sets_the_alarm),
        TEST(a_cleared_alarm_does_not_come),
        TEST(a_moved_alarm_comes_at_the_new_time_only),
        TEST(setting_the_time_moves_the_alarm_and_sets_none),
        TEST(an_alarm_at_the_end_of_time_is_harmless),
        TEST(an_alarm_beyond_the_counter_never_comes),
        TEST(the_alarm_may_be_moved_from_another_pcpu),
        TEST(an_alarm_does_not_outlive_the_vm),
        TEST(reset_takes_the_alarm_back_and_the_time_goes_on),
        TEST(only_aligned_words_are_accessible),
        TEST(what_is_not_a_register_reads_as_zero),
        TEST(it_survives_any_access),
        TEST(the_device_tree_describes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
