/* SPDX-License-Identifier: Apache-2.0 */
#include "device/pl031.h"

#include "support/one_device.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define EPOCH 1700000000U
#define SECOND FAKE_TICK_HZ

enum { DR = 0x00, MR = 0x04, LR = 0x08, CR = 0x0c, IMSC = 0x10, RIS = 0x14, MIS = 0x18, ICR = 0x1c };

static int setup(void **state)
{
    struct axvm_emu_config config = {
        .name = "rtc", .length = 0x1000, .type = AXVM_EMU_RTC, .cfg = {EPOCH}, .cfg_count = 1};

    return one_device_setup(state, pl031_create, config, 4);
}

static void it_counts_seconds_from_its_base(void **state)
{
    (void)state;
    assert_int_equal(rd(DR), EPOCH);
    fake_hal_advance(SECOND - 1);
    assert_int_equal(rd(DR), EPOCH);
    fake_hal_advance(1);
    assert_int_equal(rd(DR), EPOCH + 1);
    fake_hal_advance(1000 * SECOND);
    assert_int_equal(rd(DR), EPOCH + 1001);
    assert_int_equal(rd(CR), 1);
}

static void without_a_base_time_it_begins_with_the_hosts(void **state)
{
    struct axvm_emu_config config = {
        .name = "rtc", .base = {DEVICE_BASE + 0x1000}, .length = 0x1000, .type = AXVM_EMU_RTC};
    uint64_t value;

    (void)state;
    fake_hal_advance(77 * SECOND);
    assert_int_equal(pl031_create(device_vm, &config), AXVM_OK);
    fake_hal_advance(2 * SECOND);
    assert_int_equal(rd_sized(0x1000, 4, &value), AXVM_OK);
    assert_int_equal(value, FAKE_WALL_CLOCK / 1000000000 + 2);
}

static void the_time_can_be_set(void **state)
{
    (void)state;
    fake_hal_advance(5 * SECOND);
    wr(LR, 100);
    assert_int_equal(rd(LR), 100);
    assert_int_equal(rd(DR), 100);
    fake_hal_advance(3 * SECOND);
    assert_int_equal(rd(DR), 103);
    assert_int_equal(rd(LR), 100);
}

static void the_counter_wraps(void **state)
{
    (void)state;
    wr(LR, UINT32_MAX);
    fake_hal_advance(2 * SECOND);
    assert_int_equal(rd(DR), 1);
}

static void the_alarm_comes_on_time_and_stays_until_cleared(void **state)
{
    (void)state;
    wr(IMSC, 1);
    wr(MR, EPOCH + 10);
    fake_hal_advance(10 * SECOND - 1);
    assert_false(line());
    fake_hal_advance(1);
    assert_true(line());
    assert_int_equal(rd(RIS), 1);
    assert_int_equal(rd(MIS), 1);
    fake_hal_advance(10 * SECOND);
    assert_true(line());
    wr(ICR, 0);
    assert_true(line());
    wr(ICR, 1);
    assert_false(line());
    fake_hal_advance(10 * SECOND);
    assert_false(line());
}

static void a_masked_alarm_shows_only_in_ris(void **state)
{
    (void)state;
    wr(MR, EPOCH + 1);
    fake_hal_advance(SECOND);
    assert_false(line());
    assert_int_equal(rd(RIS), 1);
    assert_int_equal(rd(MIS), 0);
    wr(IMSC, 1);
    assert_true(line());
    wr(IMSC, 0);
    assert_false(line());
}

static void an_alarm_for_now_comes_at_once(void **state)
{
    (void)state;
    wr(IMSC, 1);
    wr(MR, EPOCH);
    assert_true(line());
}

static void a_moved_alarm_comes_at_the_new_time_only(void **state)
{
    (void)state;
    wr(IMSC, 1);
    wr(MR, EPOCH + 10);
    wr(MR, EPOCH + 20);
    fake_hal_advance(19 * SECOND);
    assert_false(line());
    fake_hal_advance(SECOND);
    assert_true(line());
}

static void setting_the_time_moves_the_alarm(void **state)
{
    (void)state;
    wr(IMSC, 1);
    wr(MR, EPOCH + 1000);
    wr(LR, EPOCH + 998);
    fake_hal_advance(SECOND);
    assert_false(line());
    fake_hal_advance(SECOND);
    assert_true(line());
}

/* The timer is of the pCPU that set the alarm; another may move it. */
static void the_alarm_may_be_moved_from_another_pcpu(void **state)
{
    (void)state;
    wr(IMSC, 1);
    wr(MR, EPOCH + 10);
    assert_int_equal(fake_hal_timers(0), 1);
    fake_hal_set_pcpu(1);
    wr(MR, EPOCH + 20);
    assert_int_equal(fake_hal_timers(0), 0);
    assert_int_equal(fake_hal_timers(1), 1);
    fake_hal_set_pcpu(0);
    fake_hal_advance(20 * SECOND);
    assert_true(line());
}

static void an_alarm_does_not_outlive_the_vm(void **state)
{
    (void)state;
    wr(MR, EPOCH + 10);
    assert_int_equal(fake_hal_timers(0), 1); /* teardown fails for timers that are armed */
}

static void reset_takes_the_alarm_back_and_the_time_goes_on(void **state)
{
    (void)state;
    wr(IMSC, 1);
    wr(LR, 5);
    wr(MR, 6);
    fake_hal_advance(2 * SECOND);
    assert_true(line());
    device_reset();
    assert_false(line());
    assert_int_equal(rd(DR), EPOCH + 2);
    assert_int_equal(rd(MR), 0);
    assert_int_equal(rd(LR), 0);
    assert_int_equal(rd(IMSC), 0);
    assert_int_equal(rd(RIS), 0);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void drivers_recognize_it(void **state)
{
    static const uint8_t ids[8] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(rd(0xfe0 + 4 * i), ids[i]);
    }
}

static void registers_read_back_and_ignore_what_is_not_a_word(void **state)
{
    uint64_t value;

    (void)state;
    wr(MR, 0x12345678);
    wr_sized(MR, 2, 1);
    wr_sized(MR, 8, 1);
    wr_sized(MR + 2, 4, 1);
    assert_int_equal(rd(MR), 0x12345678);
    rd_sized(MR, 8, &value);
    assert_int_equal(value, 0);
    wr(IMSC, UINT32_MAX);
    assert_int_equal(rd(IMSC), 1);
    wr(CR, 0);
    assert_int_equal(rd(CR), 1);
    wr(0x80, 1);
    assert_int_equal(rd(0x80), 0);
}

static void it_survives_any_access(void **state)
{
    (void)state;
    random_start("pl031");
    for (int i = 0; i < 100000; i++) {
        unsigned size = 1U << random_below(4);
        uint64_t offset = random_below(4) != 0 ? random_below(0x20) : random_below(0x1000 - 8);
        uint64_t value;

        if (random_below(2) != 0) {
            value = random_below(2) != 0 ? random_u64() : rd(DR) + random_below(3);
            wr_sized(offset, size, value);
        } else {
            rd_sized(offset, size, &value);
        }
        fake_hal_advance(random_below(SECOND));
        assert_int_equal(line(), rd(MIS));
    }
}

static void the_device_tree_describes_it(void **state)
{
    int node = described("pl031", "arm,pl031");

    (void)state;
    assert_true(described_string(node, "compatible", 1, "arm,primecell"));
    assert_true(described_string(node, "clock-names", 0, "apb_pclk"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, one_device_teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_counts_seconds_from_its_base),
        TEST(without_a_base_time_it_begins_with_the_hosts),
        TEST(the_time_can_be_set),
        TEST(the_counter_wraps),
        TEST(the_alarm_comes_on_time_and_stays_until_cleared),
        TEST(a_masked_alarm_shows_only_in_ris),
        TEST(an_alarm_for_now_comes_at_once),
        TEST(a_moved_alarm_comes_at_the_new_time_only),
        TEST(setting_the_time_moves_the_alarm),
        TEST(the_alarm_may_be_moved_from_another_pcpu),
        TEST(an_alarm_does_not_outlive_the_vm),
        TEST(reset_takes_the_alarm_back_and_the_time_goes_on),
        TEST(drivers_recognize_it),
        TEST(registers_read_back_and_ignore_what_is_not_a_word),
        TEST(it_survives_any_access),
        TEST(the_device_tree_describes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
