/* SPDX-License-Identifier: Apache-2.0 */
/* What the hostile guest (guests/aarch64/hostile.c) found in the emulated GIC. */
#include "support/gic_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SPI 40U

/* gic_enter() ends the program when a vCPU never gets back into its guest. */
static void more_active_interrupts_than_list_registers_despite_false_alarms(void **state)
{
    (void)state;
    gic_start(2);
    ich_model_false_alarms(true);
    for (uint32_t i = 0; i < 4; i++) {
        gic_set_priority(0, SPI + i, (uint8_t)(0x80 - 8 * i));
        gic_pulse(0, SPI + i);
        assert_int_equal(gic_ack(0), SPI + i);
    }
    for (uint32_t i = 4; i > 0; i--) {
        gic_eoi(0, SPI + i - 1);
    }
    gic_pulse(0, SPI + 4); /* whatever comes next brings the EOIs that found no list register */
    assert_int_equal(gic_ack(0), SPI + 4);
    gic_eoi(0, SPI + 4);
    for (uint32_t i = 0; i < 5; i++) {
        assert_false(gic_bit_read(0, GIC_ISACTIVER, SPI + i));
    }
}

static void more_pending_interrupts_than_list_registers_despite_false_alarms(void **state)
{
    (void)state;
    gic_start(2);
    ich_model_false_alarms(true);
    gic_enter(0);
    ich_model_set_group(1, false);
    for (uint32_t i = 0; i < 4; i++) {
        gic_pulse(0, SPI + i);
    }
    assert_false(gic_signalled(0));
    ich_model_set_group(1, true);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t irq = gic_ack(0);

        assert_in_range(irq, SPI, SPI + 3);
        gic_eoi(0, irq);
    }
    assert_int_equal(gic_ack(0), GIC_SPURIOUS);
}

/* A group is turned off while what is asked for is another's. */
static void an_interrupt_of_group_0_that_anyone_may_have_despite_false_alarms(void **state)
{
    (void)state;
    gic_start(4);
    ich_model_false_alarms(true);
    gicd_write(0, GIC_IGROUPR + SPI / 32 * 4, 4, 0);
    gicd_write(0, GICD_IROUTER + 8 * SPI, 8, UINT64_C(1) << 31);
    gic_pulse(0, SPI);
    gic_serve_all();
    gic_enter(0);
    ich_model_set_group(1, false);
    gic_enter(0);
    assert_true(ich_model_signalled(0));
    ich_model_set_group(1, true);
    gic_enter(0);
    assert_true(ich_model_signalled(0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, gic_setup, gic_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(more_active_interrupts_than_list_registers_despite_false_alarms),
        TEST(more_pending_interrupts_than_list_registers_despite_false_alarms),
        TEST(an_interrupt_of_group_0_that_anyone_may_have_despite_false_alarms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
