/* SPDX-License-Identifier: Apache-2.0 */
/* set_timer of SBI with Sstc and without. test_timer.c tests what both ways have in common with all timers. */
#include "support/rv64_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NOW UINT64_C(1000000) /* when the VM boots */
#define SBI_TIME 0x54494d45U

static void guest_sets_by_sbi(struct rv64_frame *frame)
{
    rv64_guest_sbi(frame, SBI_TIME, 0, 1234, 0, 0);
}

static void set_by_sbi(void)
{
    fake_hal_set_ticks(NOW);
    rv64_machine_run(machine_vm(1, NULL), 0, guest_sets_by_sbi);
}

static void test_set_timer_is_the_hardwares_timer(void **state)
{
    (void)state;
    set_by_sbi();
    assert_int_equal(rv64_model_cpu()->timecmp, 1234);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void test_set_timer_is_a_timer_of_the_host_without_sstc(void **state)
{
    (void)state;
    rv64_model.features &= ~(uint32_t)RV64_SSTC;
    set_by_sbi();
    assert_int_equal(fake_hal_next_deadline(0), NOW + 1234);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rv64_machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_set_timer_is_the_hardwares_timer),
        TEST(test_set_timer_is_a_timer_of_the_host_without_sstc),
    };

    return cmocka_run_group_tests_name("rv64_timer", tests, NULL, NULL);
}
