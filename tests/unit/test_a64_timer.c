/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic timer of EL1 (Arm ARM D12.2): the virtual one is the hardware's, the physical one is emulated.
 * test_timer.c tests what they have in common with other architectures'.
 */
#include "support/a64_machine.h"
#include "support/random.h"

#include "arch/aarch64/hcr.h"
#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NOW UINT64_C(1000000) /* when the VM boots */
#define PPI_CNTV 27U
#define PPI_CNTP 30U

#define TVAL 0U
#define CTL 1U
#define CVAL 2U

static struct axvm *vm;

static int setup(void **state)
{
    int error = a64_machine_setup(state);

    fake_hal_set_ticks(NOW);
    vm = machine_vm(1, NULL);
    return error;
}

static uint64_t cntp_read(struct a64_frame *frame, unsigned reg)
{
    return a64_guest_mrs(frame, 3, 3, 14, 2, reg);
}

static void cntp_write(struct a64_frame *frame, unsigned reg, uint64_t value)
{
    a64_guest_msr(frame, 3, 3, 14, 2, reg, value);
}

static void run(a64_guest *guest)
{
    assert_int_equal(a64_machine_run(vm, 0, guest).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void guest_enables_interrupts(struct a64_frame *frame)
{
    frame->x[1] = 2; /* GICD_CTLR: group 1 */
    a64_guest_store(frame, 0x08000000, 4, 1);
    frame->x[1] = 1U << PPI_CNTV | 1U << PPI_CNTP; /* GICR_ISENABLER0 */
    a64_guest_store(frame, 0x080b0100, 4, 1);
    ich_model_set_pmr(0xf8);
    ich_model_set_group(1, true);
}

/* ---- The physical timer's registers ---- */

static void guest_uses_cntp(struct a64_frame *frame)
{
    cntp_write(frame, CVAL, NOW + 500);
    assert_int_equal(cntp_read(frame, CVAL), NOW + 500);
    assert_int_equal(cntp_read(frame, TVAL), 500);
    cntp_write(frame, CTL, UINT64_MAX);
    assert_int_equal(cntp_read(frame, CTL), 3); /* not due */
    cntp_write(frame, CTL, 2);
    assert_int_equal(cntp_read(frame, CTL) & 3, 2);
    cntp_write(frame, CTL, 1);
    fake_hal_advance(499);
    assert_int_equal(cntp_read(frame, CTL), 1);
    fake_hal_advance(1);
    assert_int_equal(cntp_read(frame, CTL), 5);
    assert_int_equal(cntp_read(frame, TVAL), 0);
    fake_hal_advance(1);
    assert_int_equal(cntp_read(frame, TVAL), 0xffffffff); /* -1, of 32 bits */
    cntp_write(frame, CTL, 3);
    assert_int_equal(cntp_read(frame, CTL), 7); /* the condition holds, masked or not */
}

static void test_cntp_registers_count_as_the_manual_says(void **state)
{
    (void)state;
    run(guest_uses_cntp);
}

static void guest_uses_tval(struct a64_frame *frame)
{
    static const struct {
        uint64_t tval, offset; /* CVAL - count */
    } table[] = {
        {0, 0}, {1, 1}, {0x7fffffff, 0x7fffffff}, {0x80000000, UINT64_C(0xffffffff80000000)}, {0xffffffff, UINT64_MAX},
        {UINT64_C(0x1234567800000005), 5},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        cntp_write(frame, TVAL, table[i].tval);
        assert_int_equal(cntp_read(frame, CVAL), hal->ticks() + table[i].offset);
        assert_int_equal(cntp_read(frame, TVAL), (uint32_t)table[i].tval);
    }
}

static void test_tval_is_a_signed_32_bit_view_of_cval(void **state)
{
    (void)state;
    run(guest_uses_tval);
    fake_hal_set_ticks(5); /* TVAL = -5 and less wraps */
    run(guest_uses_tval);
    fake_hal_set_ticks(UINT64_MAX - 5);
    run(guest_uses_tval);
}

/* CVAL is compared unsigned: what lies before the count is due, what is past 2^63 isn't. */
static void guest_uses_extremes(struct a64_frame *frame)
{
    cntp_write(frame, CTL, 1);
    cntp_write(frame, CVAL, 0);
    assert_int_equal(cntp_read(frame, CTL), 5);
    cntp_write(frame, CVAL, UINT64_MAX);
    assert_int_equal(cntp_read(frame, CTL), 1);
    cntp_write(frame, CVAL, UINT64_C(1) << 63);
    assert_int_equal(cntp_read(frame, CTL), 1);
}

static void test_extreme_compare_values(void **state)
{
    (void)state;
    run(guest_uses_extremes);
}

/* ---- The physical timer's interrupt ---- */

static void guest_arms_cntp(struct a64_frame *frame)
{
    guest_enables_interrupts(frame);
    cntp_write(frame, CVAL, NOW + 100);
    cntp_write(frame, CTL, 1);
    assert_false(ich_model_signalled(1));
    fake_hal_advance(99);
    a64_guest_irq(frame, AXVM_IRQ_HANDLED, 0);
    assert_false(ich_model_signalled(1));
    fake_hal_advance(1); /* the host's timer interrupt */
    a64_guest_irq(frame, AXVM_IRQ_HANDLED, 26);
    assert_true(ich_model_signalled(1));
    assert_int_equal(ich_model_ack(1), PPI_CNTP);
    cntp_write(frame, CVAL, NOW + 200); /* the guest's handler */
    ich_model_eoi(1, PPI_CNTP);
    a64_guest_irq(frame, AXVM_IRQ_MAINTENANCE, 25);
    assert_false(ich_model_signalled(1));
    fake_hal_advance(100);
    a64_guest_irq(frame, AXVM_IRQ_HANDLED, 26);
    assert_int_equal(ich_model_ack(1), PPI_CNTP);
    ich_model_eoi(1, PPI_CNTP); /* without quieting it: it is still due */
    a64_guest_irq(frame, AXVM_IRQ_MAINTENANCE, 25);
    assert_int_equal(ich_model_ack(1), PPI_CNTP);
    cntp_write(frame, CTL, 0);
    ich_model_eoi(1, PPI_CNTP);
    a64_guest_irq(frame, AXVM_IRQ_MAINTENANCE, 25);
    assert_false(ich_model_signalled(1));
}

static void test_cntp_interrupt_is_the_level_of_its_condition(void **state)
{
    (void)state;
    run(guest_arms_cntp);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void guest_masks_cntp(struct a64_frame *frame)
{
    guest_enables_interrupts(frame);
    cntp_write(frame, CVAL, NOW);
    cntp_write(frame, CTL, 3);
    assert_false(ich_model_signalled(1));
    cntp_write(frame, CTL, 1);
    assert_true(ich_model_signalled(1));
    cntp_write(frame, CTL, 3);
    assert_false(ich_model_signalled(1));
    cntp_write(frame, CTL, 1);
    cntp_write(frame, TVAL, 10);
    assert_false(ich_model_signalled(1));
    assert_int_equal(fake_hal_next_deadline(0), NOW + 10);
    cntp_write(frame, CTL, 0);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void test_cntp_is_masked_and_moved_at_once(void **state)
{
    (void)state;
    run(guest_masks_cntp);
}

/* ---- The virtual timer ---- */

static uint64_t cntv_cval;

static void guest_arms_cntv(struct a64_frame *frame)
{
    (void)frame;
    a64_model_cpu()->cntv_cval = cntv_cval;
    a64_model_cpu()->cntv_ctl = CNT_CTL_ENABLE;
}

static void guest_waits_for_cntv(struct a64_frame *frame)
{
    guest_enables_interrupts(frame);
    guest_arms_cntv(frame);
    a64_guest_wfi(frame);
}

static enum axvm_exit_kind wait_for_cntv(uint64_t cval)
{
    cntv_cval = cval;
    return a64_machine_run(vm, 0, guest_waits_for_cntv).kind;
}

/* The hardware interrupts nobody else; while it waits, a host timer stands in. */
static void test_cntv_is_off_while_its_vcpu_is_not_there(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(wait_for_cntv(500), AXVM_EXIT_HALT);
    assert_int_equal(a64_model_cpu()->cntv_ctl, 0);
    run(guest_arms_cntv);
    machine_run(other, 0, NULL);
    assert_int_equal(a64_model_cpu()->cntv_ctl, 0);
    run(NULL);
    assert_int_equal(a64_model_cpu()->cntv_ctl & 3, CNT_CTL_ENABLE);
    assert_int_equal(a64_model_cpu()->cntv_cval, 500);
}

static void guest_waits_with_timer_off(struct a64_frame *frame)
{
    a64_model_cpu()->cntv_cval = 0;
    a64_model_cpu()->cntv_ctl = frame->x[20];
    a64_guest_wfi(frame);
}

static void test_a_timer_that_is_off_or_masked_wakes_nobody(void **state)
{
    static const uint64_t ctl[] = {0, CNT_CTL_IMASK, CNT_CTL_IMASK | CNT_CTL_ENABLE};

    (void)state;
    run(NULL);
    for (unsigned i = 0; i < 3; i++) {
        a64_machine_vcpu(vm, 0)->frame.x[20] = ctl[i];
        assert_int_equal(a64_machine_run(vm, 0, guest_waits_with_timer_off).kind, AXVM_EXIT_HALT);
        assert_int_equal(fake_hal_timers(0), 0);
        assert_false(axvm_vcpu_runnable(vm, 0));
    }
}

/* ---- An interrupt that can't be delivered ends no wait ---- */

#define GICR_ICENABLER0 0x080b0180
#define GICR_ISENABLER0 0x080b0100

static struct axvm *pair;

static void store(struct a64_frame *frame, uint64_t at, uint64_t value)
{
    frame->x[1] = value;
    a64_guest_store(frame, at, 4, 1);
}

/* The ways in which it can't, by x20. */
enum { DISABLED, GROUP_OFF, MASKED, GROUP_OFF_AT_CPU, ACTIVE, WAYS };

static void guest_waits_for_nothing(struct a64_frame *frame)
{
    guest_enables_interrupts(frame);
    switch (frame->x[20]) {
    case DISABLED:
        store(frame, GICR_ICENABLER0, 1U << PPI_CNTV);
        break;
    case GROUP_OFF:
        store(frame, 0x08000000, 0);
        break;
    case MASKED:
        ich_model_set_pmr(0);
        break;
    case GROUP_OFF_AT_CPU:
        ich_model_set_group(1, false);
        break;
    default:
        if (!fake_hal_irq_active(0, PPI_CNTV)) {
            a64_guest_irq(frame, AXVM_IRQ_GUEST, PPI_CNTV);
            assert_int_equal(ich_model_ack(1), PPI_CNTV);
        }
        break;
    }
    guest_arms_cntv(frame);
    a64_guest_wfi(frame);
}

static void test_a_timer_that_is_due_and_cannot_interrupt_ends_no_wait(void **state)
{
    (void)state;
    run(NULL);
    for (unsigned way = 0; way < WAYS; way++) {
        for (unsigned due = 0; due < 2; due++) {
            cntv_cval = due != 0 ? hal->ticks() - NOW : hal->ticks() - NOW + 1000;
            a64_machine_vcpu(vm, 0)->frame.x[20] = way;
            assert_int_equal(a64_machine_run(vm, 0, guest_waits_for_nothing).kind, AXVM_EXIT_HALT);
            assert_int_equal(fake_hal_timers(0), due != 0 ? 0 : 1);
            fake_hal_advance(5000);
            assert_false(axvm_vcpu_runnable(vm, 0));
            assert_int_equal(fake_hal_timers(0), 0);
        }
    }
}

static void guest_enables_another(struct a64_frame *frame)
{
    store(frame, GICR_ISENABLER0, 1U << PPI_CNTV); /* of the first vCPU */
}

/* Before it is due, and after. */
static void test_a_wait_ends_when_another_vcpu_enables_the_interrupt(void **state)
{
    (void)state;
    for (cntv_cval = 500; cntv_cval <= 100500; cntv_cval += 100000) {
        pair = machine_vm(2, NULL);
        machine_cpu_on(pair, 1);
        fake_hal_advance(1000);
        a64_machine_vcpu(pair, 0)->frame.x[20] = DISABLED;
        assert_int_equal(a64_machine_run(pair, 0, guest_waits_for_nothing).kind, AXVM_EXIT_HALT);
        a64_machine_run(pair, 1, NULL);
        assert_false(axvm_vcpu_runnable(pair, 0));
        fake_hal_forget();
        a64_machine_run(pair, 1, guest_enables_another);
        assert_int_equal(fake_hal_kicks_of(axvm_id(pair), 0), cntv_cval == 500 ? 1 : 0);
        assert_int_equal(axvm_vcpu_runnable(pair, 0), cntv_cval == 500);
        fake_hal_advance(200000);
        assert_int_equal(fake_hal_kicks_of(axvm_id(pair), 0), 1);
        assert_true(axvm_vcpu_runnable(pair, 0));
        a64_machine_run(pair, 0, NULL);
        assert_true(a64_model_cntv_up(a64_model_cpu()));
    }
}

/* ---- The virtual timer's interrupt is the hardware's ---- */

static void guest_takes_cntv(struct a64_frame *frame)
{
    guest_enables_interrupts(frame);
    guest_arms_cntv(frame);
    a64_guest_irq(frame, AXVM_IRQ_GUEST, PPI_CNTV);
    assert_int_equal(ich_model_ack(1), PPI_CNTV);
}

static void guest_ends_cntv(struct a64_frame *frame)
{
    (void)frame;
    assert_true(fake_hal_irq_active(0, PPI_CNTV));
    ich_model_eoi(1, PPI_CNTV);
    assert_false(fake_hal_irq_active(0, PPI_CNTV));
}

static void guest_sees_ppi_inactive(struct a64_frame *frame)
{
    (void)frame;
    assert_false(fake_hal_irq_active(0, PPI_CNTV));
}

/* While it is being handled the physical PPI stays active, for this guest alone. */
static void test_physical_interrupt_is_active_while_its_guest_handles_it(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    cntv_cval = 0;
    run(guest_takes_cntv);
    assert_true(fake_hal_irq_active(0, PPI_CNTV));
    a64_machine_run(other, 0, guest_sees_ppi_inactive);
    run(guest_ends_cntv);
    a64_machine_run(other, 0, guest_sees_ppi_inactive);
    run(guest_sees_ppi_inactive);
}

/* What makes the output fall after it fired: by x20. */
static void guest_quiets_cntv(uint64_t how)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    switch (how) {
    case 0:
        cpu->cntv_cval += 100;
        break;
    case 1:
        cpu->cntv_ctl = CNT_CTL_ENABLE | CNT_CTL_IMASK;
        break;
    default:
        cpu->cntv_ctl = 0;
        break;
    }
}

#define GICR_ISPENDR0 0x080b0200

static uint64_t guest_load(struct a64_frame *frame, uint64_t at)
{
    a64_guest_load(frame, at, 4, 1, 0);
    return frame->x[1];
}

static void guest_quiets_cntv_with_interrupts_masked(struct a64_frame *frame)
{
    guest_enables_interrupts(frame);
    guest_arms_cntv(frame);
    a64_guest_irq(frame, AXVM_IRQ_GUEST, PPI_CNTV);
    assert_int_equal(guest_load(frame, GICR_ISPENDR0), 1U << PPI_CNTV);
    assert_true(ich_model_signalled(1));
    guest_quiets_cntv(frame->x[20]);
    assert_int_equal(guest_load(frame, GICR_ISPENDR0), 0);
    assert_false(ich_model_signalled(1));
    assert_false(fake_hal_irq_active(0, PPI_CNTV));
    guest_arms_cntv(frame);
    a64_guest_irq(frame, AXVM_IRQ_GUEST, PPI_CNTV);
    assert_int_equal(ich_model_ack(1), PPI_CNTV);
    ich_model_eoi(1, PPI_CNTV);
    assert_false(fake_hal_irq_active(0, PPI_CNTV));
}

static void test_no_interrupt_of_a_timer_that_was_quieted_first(void **state)
{
    (void)state;
    cntv_cval = 0;
    for (uint64_t how = 0; how < 3; how++) {
        a64_machine_vcpu(vm, 0)->frame.x[20] = how;
        run(guest_quiets_cntv_with_interrupts_masked);
    }
}

/* ---- Suspend ---- */

static void guest_arms_both(struct a64_frame *frame)
{
    cntp_write(frame, CVAL, NOW + 1000);
    cntp_write(frame, CTL, 1);
    guest_arms_cntv(frame);
}

static void test_reset_turns_the_timers_off(void **state)
{
    (void)state;
    cntv_cval = 500;
    run(guest_arms_both);
    assert_int_equal(axvm_shutdown(vm), 0);
    assert_int_equal(axvm_reset(vm), 0);
    assert_int_equal(fake_hal_timers(0), 0);
    assert_int_equal(axvm_boot(vm), 0);
    run(NULL);
    assert_int_equal(a64_model_cpu()->cntv_ctl & 3, 0);
}

/* ---- Both, against a model ---- */

static struct {
    uint64_t p_ctl, p_cval, v_ctl, v_cval;
} model;

static bool due(uint64_t ctl, uint64_t cval, uint64_t now)
{
    return (ctl & 3) == 1 && now >= cval;
}

static uint64_t random_cval(uint64_t now)
{
    return random_below(8) == 0 ? random_u64() : now + random_below(200) - 50;
}

static void guest_acts_at_random(struct a64_frame *frame)
{
    uint64_t virtual_now = hal->ticks() - a64_model_cpu()->controls.cntvoff;

    assert_int_equal(a64_model_cpu()->cntv_ctl & 3, model.v_ctl);
    assert_int_equal(a64_model_cpu()->cntv_cval, model.v_cval);
    switch (random_below(4)) {
    case 0:
        model.p_cval = random_cval(hal->ticks());
        cntp_write(frame, CVAL, model.p_cval);
        break;
    case 1:
        model.p_ctl = random_below(4);
        cntp_write(frame, CTL, model.p_ctl);
        break;
    case 2:
        model.v_ctl = a64_model_cpu()->cntv_ctl = random_below(4);
        model.v_cval = a64_model_cpu()->cntv_cval = random_cval(virtual_now);
        break;
    default:
        break;
    }
    assert_int_equal(cntp_read(frame, CVAL), model.p_cval);
    assert_int_equal(cntp_read(frame, CTL) & 3, model.p_ctl);
    assert_int_equal(cntp_read(frame, CTL) >> 2 & 1, hal->ticks() >= model.p_cval ? 1 : 0);
    assert_int_equal(ich_model_signalled(1), due(model.p_ctl, model.p_cval, hal->ticks()));
    if (random_below(2) != 0) {
        a64_guest_wfi(frame);
    }
}

/* At all times, a waiting vCPU is runnable exactly when one of its timers is due. */
static void test_random_use_against_a_model(void **state)
{
    uint64_t offset = NOW;

    (void)state;
    random_start("timers");
    run(guest_enables_interrupts);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t now = hal->ticks();
        bool is_due = due(model.p_ctl, model.p_cval, now) || due(model.v_ctl, model.v_cval, now - offset);

        if (axvm_vcpu_state(vm, 0) == AXVM_VCPU_BLOCKED) {
            assert_int_equal(axvm_vcpu_runnable(vm, 0), is_due);
        }
        if (random_below(4) != 0) {
            offset += machine_disturb(vm, 0);
        } else if (!due(model.v_ctl, model.v_cval, now - offset)) { /* its interrupt isn't played here */
            a64_machine_run(vm, 0, guest_acts_at_random);
        } else {
            model.v_ctl = 0;
            run(NULL);
            a64_model_cpu()->cntv_ctl = 0;
        }
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cntp_registers_count_as_the_manual_says),
        TEST(test_tval_is_a_signed_32_bit_view_of_cval),
        TEST(test_extreme_compare_values),
        TEST(test_cntp_interrupt_is_the_level_of_its_condition),
        TEST(test_cntp_is_masked_and_moved_at_once),
        TEST(test_cntv_is_off_while_its_vcpu_is_not_there),
        TEST(test_a_timer_that_is_off_or_masked_wakes_nobody),
        TEST(test_a_timer_that_is_due_and_cannot_interrupt_ends_no_wait),
        TEST(test_a_wait_ends_when_another_vcpu_enables_the_interrupt),
        TEST(test_physical_interrupt_is_active_while_its_guest_handles_it),
        TEST(test_no_interrupt_of_a_timer_that_was_quieted_first),
        TEST(test_reset_turns_the_timers_off),
        TEST(test_random_use_against_a_model),
    };

    return cmocka_run_group_tests_name("a64_timer", tests, NULL, NULL);
}
