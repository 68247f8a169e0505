/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's timer: the hardware's with Sstc, else the host's; in each test first the one, then the other. */
#include "support/random.h"
#include "support/rv64_machine.h"

#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NOW UINT64_C(1000000) /* when the VM boots */
#define SBI_TIME 0x54494d45U
#define SBI_IPI 0x735049U
#define SIE_SSIE (UINT64_C(1) << 1)
#define SIE_STIE (UINT64_C(1) << 5)

static struct axvm *vm;
static bool sstc;

static int setup(void **state, bool has_sstc)
{
    int error = rv64_machine_setup(state);

    sstc = has_sstc;
    if (!sstc) {
        rv64_model.features &= ~(uint32_t)RV64_SSTC;
    }
    fake_hal_set_ticks(NOW);
    vm = machine_vm(1, NULL);
    return error;
}

static int setup_sstc(void **state)
{
    return setup(state, true);
}

static int setup_sbi(void **state)
{
    return setup(state, false);
}

/* ---- What a guest does with it ---- */

static void run(rv64_guest *guest)
{
    assert_int_equal(rv64_machine_run(vm, 0, guest).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void set_timer(struct rv64_frame *frame, uint64_t compare)
{
    if (sstc) {
        rv64_model_cpu()->timecmp = compare; /* stimecmp, which doesn't trap */
    } else {
        assert_int_equal(rv64_guest_sbi(frame, SBI_TIME, 0, compare, 0, 0), 0);
    }
}

static bool signalled(void)
{
    return (rv64_model_signalled(rv64_model_cpu()) & IRQ_VST) != 0;
}

/* Time goes on while the guest runs; the host's timer interrupt is one. */
static void pass(struct rv64_frame *frame, uint64_t ticks)
{
    unsigned armed = fake_hal_timers(hal->pcpu_id());

    fake_hal_advance(ticks);
    if (fake_hal_timers(hal->pcpu_id()) != armed) {
        rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 5);
    }
}

static uint64_t guest_time(void)
{
    return hal->ticks() + rv64_model_cpu()->controls.htimedelta;
}

static uint64_t compare; /* what the guests below set */

static void guest_sets_timer(struct rv64_frame *frame)
{
    rv64_model_cpu()->sys[RV64_VSIE] = SIE_STIE;
    set_timer(frame, compare);
}

static void guest_finds_it_due(struct rv64_frame *frame)
{
    rv64_model_cpu()->sys[RV64_VSIE] = SIE_STIE;
    pass(frame, 0);
    assert_true(signalled());
}

static unsigned waits;

static void guest_waits(struct rv64_frame *frame)
{
    guest_sets_timer(frame);
    waits++;
    rv64_guest_wfi(frame);
}

static enum axvm_exit_kind wait_for(uint64_t at)
{
    compare = at;
    return rv64_machine_run(vm, 0, guest_waits).kind;
}

/* ---- Time ---- */

static void guest_sees_time(struct rv64_frame *frame)
{
    frame->x[20] = guest_time();
}

static uint64_t time_seen(void)
{
    run(guest_sees_time);
    return rv64_machine_vcpu(vm, 0)->frame.x[20];
}

static void test_time_begins_at_boot(void **state)
{
    (void)state;
    assert_int_equal(time_seen(), 0);
    fake_hal_advance(77);
    assert_int_equal(time_seen(), 77);
}

/* ---- While the guest runs ---- */

static void guest_uses_the_timer(struct rv64_frame *frame)
{
    rv64_model_cpu()->sys[RV64_VSIE] = SIE_STIE;
    assert_false(signalled()); /* nothing is set at first */
    pass(frame, 10);
    assert_false(signalled());
    set_timer(frame, 110);
    pass(frame, 99);
    assert_false(signalled());
    pass(frame, 1);
    assert_true(signalled());
    pass(frame, 1000);
    assert_true(signalled());
    rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 9);
    assert_true(signalled()); /* until it is set anew */
    set_timer(frame, guest_time() + 5);
    assert_false(signalled());
    pass(frame, 5);
    assert_true(signalled());
    set_timer(frame, UINT64_MAX);
    assert_false(signalled());
    pass(frame, UINT64_C(1) << 62);
    assert_false(signalled());
}

static void test_the_timer_is_up_from_its_tick_until_it_is_set_again(void **state)
{
    (void)state;
    run(guest_uses_the_timer);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void guest_takes_it_back(struct rv64_frame *frame)
{
    set_timer(frame, 1000);
    set_timer(frame, 2000);
    assert_int_equal(fake_hal_next_deadline(0), sstc ? UINT64_MAX : NOW + 2000);
    set_timer(frame, UINT64_MAX);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void test_a_deadline_that_is_moved_or_taken_back(void **state)
{
    (void)state;
    run(guest_takes_it_back);
}

static void guest_sets_what_is_past(struct rv64_frame *frame)
{
    rv64_model_cpu()->sys[RV64_VSIE] = SIE_STIE;
    for (unsigned i = 0; i < 3; i++) {
        set_timer(frame, UINT64_MAX);
        assert_false(signalled());
        set_timer(frame, i == 0 ? 0 : guest_time() - (i - 1));
        pass(frame, 0);
        assert_true(signalled());
    }
}

static void test_a_deadline_that_has_passed_is_due_at_once(void **state)
{
    (void)state;
    fake_hal_advance(1000);
    run(guest_sets_what_is_past);
}

/* With Sstc by SBI, too. */
static void guest_sets_by_sbi(struct rv64_frame *frame)
{
    rv64_guest_sbi(frame, SBI_TIME, 0, 1234, 0, 0);
}

static void test_set_timer_is_the_same_timer(void **state)
{
    (void)state;
    run(guest_sets_by_sbi);
    if (sstc) {
        assert_int_equal(rv64_model_cpu()->timecmp, 1234);
        assert_int_equal(fake_hal_timers(0), 0);
    } else {
        assert_int_equal(fake_hal_next_deadline(0), NOW + 1234);
    }
}

static void test_the_hardware_needs_no_timer_of_the_host(void **state)
{
    (void)state;
    compare = 500;
    run(guest_sets_timer);
    run(NULL);
    assert_int_equal(fake_hal_timers(0), sstc ? 0 : 1);
}

/* ---- While the vCPU waits ---- */

static void guest_is_signalled(struct rv64_frame *frame)
{
    pass(frame, 0);
    assert_true(signalled());
}

static void guest_is_not_signalled(struct rv64_frame *frame)
{
    pass(frame, 0);
    assert_false(signalled());
}

static void test_a_wait_ends_at_the_very_tick(void **state)
{
    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    assert_int_equal(fake_hal_next_deadline(0), NOW + 500);
    assert_false(axvm_vcpu_runnable(vm, 0));
    fake_hal_forget();
    fake_hal_advance(499);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(fake_hal_kicks(), 0);
    fake_hal_advance(1);
    assert_true(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    run(guest_is_signalled);
    run(guest_is_signalled);
}

static void test_a_wait_that_ends_early_for_another_reason(void **state)
{
    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    fake_hal_advance(100);
    run(guest_is_not_signalled);
    assert_int_equal(fake_hal_timers(0), sstc ? 0 : 1);
    fake_hal_advance(400);
    run(guest_is_signalled);
}

static void guest_waits_once(struct rv64_frame *frame)
{
    if (waits == 0) {
        guest_waits(frame);
    }
}

static void test_no_wait_for_a_deadline_that_has_passed(void **state)
{
    (void)state;
    fake_hal_advance(1000);
    compare = 1000;
    waits = 0;
    run(guest_waits_once);
    assert_int_equal(waits, 1);
    assert_true(signalled() || !sstc);
}

static void guest_waits_for_another(struct rv64_frame *frame)
{
    set_timer(frame, compare);
    rv64_model_cpu()->sys[RV64_VSIE] = SIE_SSIE;
    waits++;
    rv64_guest_wfi(frame);
}

/* Neither that which is due already, nor that which comes to be; and the host isn't asked to look. */
static void test_a_timer_that_is_not_enabled_wakes_nobody(void **state)
{
    (void)state;
    fake_hal_advance(1000);
    waits = 0;
    for (compare = 0; compare <= 2000; compare += 1000) {
        assert_int_equal(rv64_machine_run(vm, 0, guest_waits_for_another).kind, AXVM_EXIT_HALT);
        assert_int_equal(fake_hal_timers(0), 0);
        fake_hal_forget();
        fake_hal_advance(1500);
        assert_int_equal(fake_hal_kicks(), 0);
        assert_false(axvm_vcpu_runnable(vm, 0));
    }
    assert_int_equal(waits, 3);
}

static void guest_wakes_another(struct rv64_frame *frame)
{
    assert_int_equal(rv64_guest_sbi(frame, SBI_IPI, 0, 1, 0, 0), 0);
}

/* What is enabled ends the wait, and the timer is due as before. */
static void test_a_wait_with_the_timer_off_ends_for_another_reason(void **state)
{
    struct axvm *pair = machine_vm(2, NULL);

    (void)state;
    vm = pair;
    machine_cpu_on(vm, 1);
    compare = 0;
    assert_int_equal(rv64_machine_run(vm, 0, guest_waits_for_another).kind, AXVM_EXIT_HALT);
    rv64_machine_run(vm, 1, NULL);
    assert_false(axvm_vcpu_runnable(vm, 0));
    fake_hal_forget();
    rv64_machine_run(vm, 1, guest_wakes_another);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    assert_true(axvm_vcpu_runnable(vm, 0));
    run(guest_finds_it_due);
}

/* Times that the host's counter can't reach, since the guest's began later. */
static void test_deadlines_beyond_the_counter_wake_nobody(void **state)
{
    static const uint64_t beyond[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - NOW + 1, UINT64_MAX - NOW};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(wait_for(beyond[i]), AXVM_EXIT_HALT);
        assert_int_equal(fake_hal_timers(0), 0);
        assert_false(axvm_vcpu_runnable(vm, 0));
    }
    assert_int_equal(wait_for(UINT64_MAX - NOW - 1), AXVM_EXIT_HALT);
    assert_int_equal(fake_hal_next_deadline(0), UINT64_MAX - 1);
}

/* ---- While another has its pCPU, and elsewhere ---- */

static void test_a_wait_ends_while_another_vm_runs(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    rv64_machine_run(other, 0, NULL);
    assert_int_equal(fake_hal_next_deadline(0), NOW + 500);
    fake_hal_forget();
    fake_hal_advance(500);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    assert_true(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(rv64_model_cpu()->hvip, 0); /* of the other */
    run(guest_is_signalled);
}

/* Who could run, and doesn't, needs nobody to wake it: with Sstc, the other isn't interrupted. */
static void test_a_ready_vcpu_has_no_timer(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    compare = 500;
    run(guest_sets_timer);
    rv64_machine_run(other, 0, NULL);
    assert_int_equal(fake_hal_timers(0), sstc ? 0 : 1);
    fake_hal_advance(500);
    assert_int_equal(rv64_model_cpu()->hvip, 0);
    run(guest_is_signalled);
}

static void test_it_moves_with_its_vcpu(void **state)
{
    (void)state;
    compare = 1000;
    run(guest_sets_timer);
    axvm_release_vcpu(vm, 0);
    machine_pcpu(1);
    run(guest_is_not_signalled);
    assert_int_equal(fake_hal_timers(0), 0);
    if (!sstc) {
        assert_int_equal(fake_hal_next_deadline(1), NOW + 1000);
    }
    fake_hal_advance(1000);
    run(guest_is_signalled);
    axvm_release_vcpu(vm, 0);
    machine_pcpu(0);
    run(guest_is_signalled); /* also where it wasn't when it fired */
}

/* ---- Suspend, reset ---- */

static void suspend_for(uint64_t ticks)
{
    assert_int_equal(axvm_suspend(vm), 0);
    fake_hal_advance(ticks);
    assert_int_equal(axvm_resume(vm), 0);
}

static void test_time_stands_still_while_suspended(void **state)
{
    (void)state;
    fake_hal_advance(100);
    assert_int_equal(time_seen(), 100);
    suspend_for(5000);
    assert_int_equal(time_seen(), 100);
    suspend_for(1);
    fake_hal_advance(3);
    assert_int_equal(time_seen(), 103);
}

static void test_a_wait_lasts_longer_by_the_time_it_was_suspended(void **state)
{
    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    fake_hal_advance(100);
    suspend_for(200);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(fake_hal_next_deadline(0), NOW + 700);
    fake_hal_forget();
    fake_hal_advance(399);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(fake_hal_kicks(), 0);
    fake_hal_advance(1);
    assert_true(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    run(guest_is_signalled);
}

static void test_a_deadline_that_passes_while_suspended_has_not_passed(void **state)
{
    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    fake_hal_advance(100);
    suspend_for(10000);
    assert_false(axvm_vcpu_runnable(vm, 0));
    run(guest_is_not_signalled);
    fake_hal_advance(399);
    run(guest_is_not_signalled);
    fake_hal_advance(1);
    run(guest_is_signalled);
}

static void guest_begins(struct rv64_frame *frame)
{
    rv64_model_cpu()->sys[RV64_VSIE] = SIE_STIE;
    guest_is_not_signalled(frame);
}

static void test_reset_stops_the_timer(void **state)
{
    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    assert_int_equal(fake_hal_timers(0), 1);
    assert_int_equal(axvm_shutdown(vm), 0);
    assert_int_equal(axvm_reset(vm), 0);
    assert_int_equal(fake_hal_timers(0), 0);
    fake_hal_advance(12345);
    assert_int_equal(axvm_boot(vm), 0);
    assert_int_equal(time_seen(), 0);
    fake_hal_advance(1000);
    run(guest_begins);
}

static void test_no_timer_outlives_its_vm(void **state)
{
    struct axvm *other = machine_vm(1, NULL);
    struct axvm *first = vm;

    (void)state;
    vm = other;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    vm = first;
    assert_int_equal(fake_hal_timers(0), 1);
    /* The machine's teardown destroys it, and fails for a timer that is armed. */
}

/* ---- Against a model ---- */

static uint64_t model; /* the compare value */
static bool enabled;

static uint64_t random_compare(uint64_t now)
{
    return random_below(8) == 0 ? random_u64() : now + random_below(200) - 50;
}

static void guest_acts_at_random(struct rv64_frame *frame)
{
    pass(frame, random_below(2) * random_below(50));
    assert_int_equal((rv64_model_hip(rv64_model_cpu()) & IRQ_VST) != 0, guest_time() >= model);
    if (random_below(2) != 0) {
        model = random_compare(guest_time());
        set_timer(frame, model);
        pass(frame, 0);
        assert_int_equal((rv64_model_hip(rv64_model_cpu()) & IRQ_VST) != 0, guest_time() >= model);
    }
    enabled = random_below(4) != 0;
    rv64_model_cpu()->sys[RV64_VSIE] = enabled ? SIE_STIE : 0;
    if (random_below(2) != 0) {
        rv64_guest_wfi(frame);
    }
}

/* At all times, a waiting vCPU is runnable exactly when its timer is due. */
static void test_random_use_against_a_model(void **state)
{
    uint64_t offset = NOW;

    (void)state;
    random_start("timers");
    model = UINT64_MAX;
    for (unsigned i = 0; i < 20000; i++) {
        bool due = hal->ticks() - offset >= model;

        if (axvm_vcpu_state(vm, 0) == AXVM_VCPU_BLOCKED) {
            assert_int_equal(axvm_vcpu_runnable(vm, 0), due && enabled);
        }
        switch (random_below(4)) {
        case 0:
            fake_hal_advance(random_below(100));
            break;
        case 1:
            axvm_release_vcpu(vm, 0);
            machine_pcpu((unsigned)random_below(2));
            break;
        case 2:
            if (random_below(8) == 0) {
                uint64_t ticks = random_below(1000);

                suspend_for(ticks);
                offset += ticks;
            }
            break;
        default:
            rv64_machine_run(vm, 0, guest_acts_at_random);
        }
    }
    axvm_release_vcpu(vm, 0);
    machine_pcpu(0);
}

#define BOTH(f)                                                                                                        \
    {"sstc: " #f, f, setup_sstc, machine_teardown, NULL}, {"sbi: " #f, f, setup_sbi, machine_teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_time_begins_at_boot),
        BOTH(test_the_timer_is_up_from_its_tick_until_it_is_set_again),
        BOTH(test_a_deadline_that_is_moved_or_taken_back),
        BOTH(test_a_deadline_that_has_passed_is_due_at_once),
        BOTH(test_set_timer_is_the_same_timer),
        BOTH(test_the_hardware_needs_no_timer_of_the_host),
        BOTH(test_a_wait_ends_at_the_very_tick),
        BOTH(test_a_wait_that_ends_early_for_another_reason),
        BOTH(test_no_wait_for_a_deadline_that_has_passed),
        BOTH(test_a_timer_that_is_not_enabled_wakes_nobody),
        BOTH(test_deadlines_beyond_the_counter_wake_nobody),
        BOTH(test_a_wait_with_the_timer_off_ends_for_another_reason),
        BOTH(test_a_wait_ends_while_another_vm_runs),
        BOTH(test_a_ready_vcpu_has_no_timer),
        BOTH(test_it_moves_with_its_vcpu),
        BOTH(test_time_stands_still_while_suspended),
        BOTH(test_a_wait_lasts_longer_by_the_time_it_was_suspended),
        BOTH(test_a_deadline_that_passes_while_suspended_has_not_passed),
        BOTH(test_reset_stops_the_timer),
        BOTH(test_no_timer_outlives_its_vm),
        BOTH(test_random_use_against_a_model),
    };

    return cmocka_run_group_tests_name("rv64_timer", tests, NULL, NULL);
}
