/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pending and active state that another vCPU has in its list registers while it runs: what is read was so during the
 * access, and what is written has its effect when the access is done. Here that vCPU's guest does things of which the
 * hypervisor knows nothing.
 */
#include "device/bus.h"
#include "support/fake_hal.h"
#include "support/gic_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SPI 40U
#define BIT (1U << SPI % 32)
#define OTHER_WORDS_SPI 72U
#define PPI 20U
#define SGI 3U

static struct gic_machine *const m = &gic_machine;

/* ---- What the guest does without an exit: vCPU n is on pCPU n ---- */

static void be_on(unsigned v)
{
    fake_hal_set_pcpu(v);
    ich_model_select(v);
}

static uint32_t unseen_ack(unsigned v)
{
    be_on(v);
    return ich_model_ack(1);
}

static void unseen_eoi(unsigned v, uint32_t irq)
{
    be_on(v);
    ich_model_eoi(1, irq);
}

/* ---- One try of an access; each vCPU serves its own requests before it comes again ---- */

static int try_read(unsigned v, struct axvm_device *device, uint64_t offset, uint32_t *value)
{
    uint64_t word = UINT64_C(0xdeaddeaddeaddead);
    int result;

    gic_enter(v);
    result = device->ops->read(device, &m->vcpus[v], offset, 4, &word);
    *value = (uint32_t)word;
    return result;
}

static int try_write(unsigned v, struct axvm_device *device, uint64_t offset, uint32_t value)
{
    gic_enter(v);
    return device->ops->write(device, &m->vcpus[v], offset, 4, value);
}

/* Of the word that the SPIs are in. */
static int spi_read(unsigned v, unsigned reg, uint32_t *value)
{
    return try_read(v, &m->gic.dist, reg + SPI / 32 * 4, value);
}

static int spi_write(unsigned v, unsigned reg, uint32_t value)
{
    return try_write(v, &m->gic.dist, reg + SPI / 32 * 4, value);
}

static int private_read(unsigned v, unsigned of, unsigned reg, uint32_t *value)
{
    return try_read(v, &m->gic.redist, of * VGICV3_REDIST_SIZE + GICR_SGI_BASE + reg, value);
}

/* It begins now, and the others then do what they are asked, at once. */
static uint32_t spi_state(unsigned v, unsigned reg)
{
    uint32_t value;

    assert_int_equal(spi_read(v, reg, &value), BUS_AGAIN);
    gic_serve_all();
    assert_int_equal(spi_read(v, reg, &value), AXVM_OK);
    return value;
}

static void give_spi_to(unsigned v)
{
    gic_set_edge(0, SPI, true);
    gic_route(0, SPI, v);
    gic_pulse(0, SPI);
    gic_enter(v);
}

/* ---- Reads ---- */

static void a_read_is_exact_whatever_the_guest_did_unseen(void **state)
{
    uint32_t value;

    (void)state;
    give_spi_to(1);
    assert_int_equal(spi_state(0, GIC_ISPENDR), BIT);
    assert_int_equal(spi_state(0, GIC_ISACTIVER), 0);
    assert_int_equal(unseen_ack(1), SPI);
    assert_int_equal(spi_state(0, GIC_ISPENDR), 0);
    assert_int_equal(spi_state(0, GIC_ICPENDR), 0);
    assert_int_equal(spi_state(0, GIC_ISACTIVER), BIT);
    assert_int_equal(spi_state(0, GIC_ICACTIVER), BIT);
    unseen_eoi(1, SPI);
    assert_int_equal(spi_state(0, GIC_ISACTIVER), 0);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), AXVM_OK); /* it has no list register any more */
    assert_int_equal(value, 0);
}

static void private_interrupts_of_another_vcpu_are_exact(void **state)
{
    uint32_t value;

    (void)state;
    gic_pulse(1, PPI);
    gic_send_sgi(0, 1, SGI);
    gic_enter(1);
    assert_int_equal(unseen_ack(1), SGI);
    assert_int_equal(private_read(0, 1, GIC_ISACTIVER, &value), BUS_AGAIN);
    gic_enter(1);
    assert_int_equal(private_read(0, 1, GIC_ISACTIVER, &value), AXVM_OK);
    assert_int_equal(value, 1U << SGI);
    unseen_eoi(1, SGI);
    assert_int_equal(unseen_ack(1), PPI);
    assert_int_equal(private_read(0, 1, GIC_ISPENDR, &value), BUS_AGAIN);
    gic_enter(1);
    assert_int_equal(private_read(0, 1, GIC_ISPENDR, &value), AXVM_OK);
    assert_int_equal(value, 0);
}

static void who_holds_it_is_kicked_once_and_nobody_else(void **state)
{
    uint32_t value;

    (void)state;
    give_spi_to(1);
    be_on(0);
    fake_hal_forget();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(spi_read(0, GIC_ISACTIVER, &value), BUS_AGAIN);
    }
    assert_int_equal(fake_hal_kicks_of(1, 1), 1);
    assert_int_equal(fake_hal_kicks(), 1);
}

/* Own list registers are read here; what is in none needs nobody. */
static void what_nobody_else_holds_is_answered_at_once(void **state)
{
    uint32_t value;

    (void)state;
    gic_wire(SPI + 1, true);
    gic_pulse(0, SPI);
    gic_enter(0);
    assert_int_equal(unseen_ack(0), SPI);
    gic_route(0, SPI + 2, GIC_VCPUS); /* nobody's */
    gic_pulse(0, SPI + 2);
    be_on(0);
    fake_hal_forget();
    assert_int_equal(spi_read(0, GIC_ISACTIVER, &value), AXVM_OK);
    assert_int_equal(value, BIT);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), AXVM_OK);
    assert_int_equal(value, BIT << 1 | BIT << 2);
    assert_int_equal(spi_write(0, GIC_ICPENDR, BIT << 2), AXVM_OK);
    assert_int_equal(fake_hal_kicks(), 0);
}

static void all_that_hold_some_are_awaited_each_once(void **state)
{
    uint32_t value;

    (void)state;
    give_spi_to(1);
    gic_route(0, SPI + 1, 2);
    gic_wire(SPI + 1, true);
    gic_enter(2);
    assert_int_equal(unseen_ack(1), SPI);
    assert_int_equal(spi_read(0, GIC_ISACTIVER, &value), BUS_AGAIN);
    gic_enter(1);
    assert_int_equal(spi_read(0, GIC_ISACTIVER, &value), BUS_AGAIN);
    unseen_eoi(1, SPI); /* later than the moment for which the first answered */
    assert_int_equal(unseen_ack(2), SPI + 1);
    gic_enter(2);
    assert_int_equal(spi_read(0, GIC_ISACTIVER, &value), AXVM_OK);
    assert_int_equal(value, BIT | BIT << 1);
}

/* Whatever comes into list registers after the access began is known: so it ends, however busy the others are. */
static void who_comes_to_hold_one_later_is_not_awaited(void **state)
{
    uint32_t value;

    (void)state;
    give_spi_to(1);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), BUS_AGAIN);
    gic_route(2, SPI, 3);
    gic_enter(1); /* gives it up */
    gic_enter(3); /* has it */
    gic_pulse(1, SPI + 1);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), AXVM_OK);
    assert_int_equal(value & BIT, BIT);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), BUS_AGAIN); /* another access */
}

static void two_that_ask_each_other_both_get_an_answer(void **state)
{
    uint32_t value;

    (void)state;
    gic_pulse(0, PPI);
    gic_pulse(1, PPI);
    gic_serve_all();
    assert_int_equal(unseen_ack(0), PPI);
    assert_int_equal(unseen_ack(1), PPI);
    assert_int_equal(private_read(0, 1, GIC_ISACTIVER, &value), BUS_AGAIN);
    assert_int_equal(private_read(1, 0, GIC_ISACTIVER, &value), BUS_AGAIN); /* on the way, 0's request is served */
    assert_int_equal(private_read(0, 1, GIC_ISACTIVER, &value), AXVM_OK);
    assert_int_equal(value, 1U << PPI);
    assert_int_equal(private_read(1, 0, GIC_ISACTIVER, &value), AXVM_OK);
    assert_int_equal(value, 1U << PPI);
}

static void two_that_ask_a_third_both_get_an_answer(void **state)
{
    uint32_t value;

    (void)state;
    give_spi_to(2);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), BUS_AGAIN);
    assert_int_equal(spi_read(1, GIC_ISPENDR, &value), BUS_AGAIN);
    gic_enter(2);
    assert_int_equal(unseen_ack(2), SPI);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), AXVM_OK);
    assert_int_equal(value, BIT);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), BUS_AGAIN); /* this one begins after the acknowledgement */
    assert_int_equal(spi_read(1, GIC_ISPENDR, &value), AXVM_OK);
    assert_int_equal(value, BIT);
    gic_enter(2);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), AXVM_OK);
    assert_int_equal(value, 0);
}

static void a_vcpu_that_loses_its_pcpu_has_answered(void **state)
{
    uint32_t value;

    (void)state;
    give_spi_to(1);
    assert_int_equal(unseen_ack(1), SPI);
    assert_int_equal(spi_read(0, GIC_ISACTIVER, &value), BUS_AGAIN);
    gic_save(1);
    assert_int_equal(spi_read(0, GIC_ISACTIVER, &value), AXVM_OK);
    assert_int_equal(value, BIT);
    assert_int_equal(spi_read(0, GIC_ISACTIVER, &value), AXVM_OK);
    assert_int_equal(value, BIT);
    gic_load(1, 1);
    assert_int_equal(spi_state(0, GIC_ISACTIVER), BIT);
}

/* Of nested handlers, the outermost has no list register: that it ended is only counted at first. */
static void an_end_that_is_only_counted_is_seen(void **state)
{
    static const uint32_t nested[] = {SPI, OTHER_WORDS_SPI, OTHER_WORDS_SPI + 1};

    (void)state;
    gic_start(2);
    for (uint32_t i = 0; i < 3; i++) {
        gic_route(0, nested[i], 1);
        gic_set_edge(0, nested[i], true);
        gic_set_priority(0, nested[i], (uint8_t)(0x80 - 0x20 * i));
        gic_pulse(0, nested[i]);
        assert_int_equal(gic_ack(1), nested[i]);
    }
    assert_int_equal(spi_state(0, GIC_ISACTIVER), BIT);
    for (uint32_t i = 3; i-- > 0;) {
        unseen_eoi(1, nested[i]);
    }
    assert_int_equal(spi_state(0, GIC_ISACTIVER), 0);
}

/* ---- Writes ---- */

static void a_pending_state_that_was_cleared_is_taken_by_nobody(void **state)
{
    (void)state;
    give_spi_to(1);
    assert_int_equal(spi_write(0, GIC_ICPENDR, BIT), BUS_AGAIN);
    gic_enter(1);
    assert_int_equal(spi_write(0, GIC_ICPENDR, BIT), AXVM_OK);
    assert_int_equal(unseen_ack(1), GIC_SPURIOUS);
}

static void taken_before_the_clearing_is_done_it_is_active_and_no_more(void **state)
{
    (void)state;
    give_spi_to(1);
    assert_int_equal(spi_write(0, GIC_ICPENDR, BIT), BUS_AGAIN);
    assert_int_equal(unseen_ack(1), SPI);
    gic_enter(1);
    assert_int_equal(spi_write(0, GIC_ICPENDR, BIT), AXVM_OK);
    assert_int_equal(spi_state(0, GIC_ISACTIVER), BIT);
    unseen_eoi(1, SPI);
    assert_int_equal(spi_state(0, GIC_ISPENDR), 0);
    assert_int_equal(gic_ack(1), GIC_SPURIOUS);
}

static void a_write_is_made_once_however_often_it_comes_again(void **state)
{
    (void)state;
    give_spi_to(1);
    assert_int_equal(unseen_ack(1), SPI);
    assert_int_equal(spi_write(0, GIC_ISPENDR, BIT), BUS_AGAIN);
    assert_int_equal(spi_write(0, GIC_ISPENDR, BIT), BUS_AGAIN);
    gic_enter(1);
    unseen_eoi(1, SPI);
    assert_int_equal(unseen_ack(1), SPI); /* it was set pending while active, and comes once more */
    unseen_eoi(1, SPI);
    assert_int_equal(spi_write(0, GIC_ISPENDR, BIT), AXVM_OK);
    assert_int_equal(gic_ack(1), GIC_SPURIOUS);
}

static void active_states_are_in_the_list_register_when_the_write_is_done(void **state)
{
    (void)state;
    give_spi_to(1);
    assert_int_equal(spi_write(0, GIC_ISACTIVER, BIT), BUS_AGAIN);
    gic_enter(1);
    assert_int_equal(spi_write(0, GIC_ISACTIVER, BIT), AXVM_OK);
    assert_int_equal(unseen_ack(1), GIC_SPURIOUS);
    assert_int_equal(spi_write(0, GIC_ICACTIVER, BIT), BUS_AGAIN);
    gic_enter(1);
    assert_int_equal(spi_write(0, GIC_ICACTIVER, BIT), AXVM_OK);
    assert_int_equal(unseen_ack(1), SPI);
}

/* What happens after the write is done is none of its business. */
static void an_interrupt_that_is_taken_after_a_clearing_stays_active(void **state)
{
    (void)state;
    give_spi_to(1);
    assert_int_equal(unseen_ack(1), SPI);
    assert_int_equal(spi_write(0, GIC_ISPENDR, BIT), BUS_AGAIN);
    gic_enter(1);
    assert_int_equal(spi_write(0, GIC_ISPENDR, BIT), AXVM_OK);
    assert_int_equal(spi_write(0, GIC_ICACTIVER, BIT), BUS_AGAIN);
    gic_enter(1);
    assert_int_equal(spi_write(0, GIC_ICACTIVER, BIT), AXVM_OK);
    unseen_eoi(1, SPI); /* drops the priority */
    assert_int_equal(unseen_ack(1), SPI);
    assert_int_equal(spi_state(0, GIC_ISACTIVER), BIT);
}

static void a_write_concerns_whom_it_names(void **state)
{
    (void)state;
    give_spi_to(1);
    assert_int_equal(spi_write(0, GIC_ICPENDR, BIT << 1), AXVM_OK);
    assert_int_equal(spi_write(0, GIC_ICACTIVER, 0), AXVM_OK);
    assert_int_equal(spi_write(0, GIC_ICPENDR, BIT | BIT << 1), BUS_AGAIN);
}

/* ---- Its end ---- */

static void after_a_reset_nobody_waits(void **state)
{
    uint32_t value;

    (void)state;
    give_spi_to(1);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), BUS_AGAIN);
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gic_save(v);
    }
    vgicv3_reset(&m->gic);
    gic_load(0, 0);
    assert_int_equal(spi_write(0, GIC_ISPENDR, BIT), AXVM_OK);
    assert_int_equal(spi_read(0, GIC_ISPENDR, &value), AXVM_OK);
    assert_int_equal(value, BIT); /* the write was made */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, gic_setup, gic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_read_is_exact_whatever_the_guest_did_unseen),
        TEST(private_interrupts_of_another_vcpu_are_exact),
        TEST(who_holds_it_is_kicked_once_and_nobody_else),
        TEST(what_nobody_else_holds_is_answered_at_once),
        TEST(all_that_hold_some_are_awaited_each_once),
        TEST(who_comes_to_hold_one_later_is_not_awaited),
        TEST(two_that_ask_each_other_both_get_an_answer),
        TEST(two_that_ask_a_third_both_get_an_answer),
        TEST(a_vcpu_that_loses_its_pcpu_has_answered),
        TEST(an_end_that_is_only_counted_is_seen),
        TEST(a_pending_state_that_was_cleared_is_taken_by_nobody),
        TEST(taken_before_the_clearing_is_done_it_is_active_and_no_more),
        TEST(a_write_is_made_once_however_often_it_comes_again),
        TEST(active_states_are_in_the_list_register_when_the_write_is_done),
        TEST(an_interrupt_that_is_taken_after_a_clearing_stays_active),
        TEST(a_write_concerns_whom_it_names),
        TEST(after_a_reset_nobody_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
