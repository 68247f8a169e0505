/* SPDX-License-Identifier: Apache-2.0 */
/* What is the same for the timers of all architectures. Times are the guest's own: ticks since its VM was booted. */
#include "support/a64_machine.h"
#include "support/random.h"
#include "support/rv64_machine.h"

#include "arch/aarch64/hcr.h"
#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NOW UINT64_C(1000000) /* when the VM boots */

static struct axvm *vm;

/* ---- The timers ---- */

/* What a guest does with one, on the calling pCPU. */
struct timer {
    int (*setup)(void **state); /* the machine's */
    uint32_t without;           /* features that its harts lack: enum rv64_feature */
    bool hardware;              /* the host needs no timer while the guest runs */
    void (*enable)(void);       /* its interrupt, and those of other vCPUs; */
    void (*disable)(void);      /* these alone */
    void (*set)(uint64_t compare);
    bool (*signalled)(void); /* while it is enabled: the interrupt is up */
    uint64_t (*time)(void);
    void (*wake_first)(void); /* by vCPU 1: an interrupt to vCPU 0 */
};

static const struct timer *timer;

#define PPI_CNTV 27U
#define PPI_CNTP 30U
#define CNTP_CTL 1U
#define CNTP_CVAL 2U

static void a64_store(uint64_t at, uint32_t value)
{
    struct a64_frame *frame = a64_model_cpu()->frame;

    frame->x[1] = value;
    a64_guest_store(frame, at, 4, 1);
}

static void a64_enable_gic(void)
{
    a64_store(0x08000000, 2);                                    /* GICD_CTLR: group 1 */
    a64_store(0x080b0100, 1U << PPI_CNTV | 1U << PPI_CNTP | 1U); /* GICR_ISENABLER0: SGI 0, too */
    ich_model_set_pmr(0xf8);
    ich_model_set_group(1, true);
}

static void a64_wake_first(void)
{
    a64_guest_msr(a64_model_cpu()->frame, 3, 0, 12, 11, 5, 1); /* ICC_SGI1R_EL1: SGI 0, to 0.0.0.0 */
}

static uint64_t a64_time(void)
{
    return hal->ticks() - a64_model_cpu()->controls.cntvoff;
}

static void cntv_enable(void)
{
    a64_enable_gic();
    a64_model_cpu()->cntv_ctl &= ~CNT_CTL_IMASK;
}

static void cntv_disable(void)
{
    a64_enable_gic();
    a64_model_cpu()->cntv_ctl |= CNT_CTL_IMASK;
}

static void cntv_set(uint64_t compare)
{
    a64_model_cpu()->cntv_cval = compare;
    a64_model_cpu()->cntv_ctl = CNT_CTL_ENABLE;
}

static bool cntv_signalled(void)
{
    return a64_model_cntv_up(a64_model_cpu());
}

static uint64_t cntp_read(unsigned reg)
{
    return a64_guest_mrs(a64_model_cpu()->frame, 3, 3, 14, 2, reg);
}

static void cntp_write(unsigned reg, uint64_t value)
{
    a64_guest_msr(a64_model_cpu()->frame, 3, 3, 14, 2, reg, value);
}

static void cntp_enable(void)
{
    a64_enable_gic();
    cntp_write(CNTP_CTL, cntp_read(CNTP_CTL) & CNT_CTL_ENABLE);
}

static void cntp_disable(void)
{
    a64_enable_gic();
    cntp_write(CNTP_CTL, cntp_read(CNTP_CTL) | CNT_CTL_IMASK);
}

/* It counts the machine's time. UINT64_MAX: never. */
static void cntp_set(uint64_t compare)
{
    cntp_write(CNTP_CVAL, compare + a64_model_cpu()->controls.cntvoff);
    cntp_write(CNTP_CTL, compare == UINT64_MAX ? 0 : CNT_CTL_ENABLE);
}

static bool cntp_signalled(void)
{
    return ich_model_signalled(1) && (cntp_read(CNTP_CTL) & CNT_CTL_ISTATUS) != 0;
}

#define SBI_TIME 0x54494d45U
#define SBI_IPI 0x735049U
#define SIE_SSIE (UINT64_C(1) << 1)
#define SIE_STIE (UINT64_C(1) << 5)

static void rv64_enable(void)
{
    rv64_model_cpu()->sys[RV64_VSIE] = SIE_STIE | SIE_SSIE;
}

static void rv64_disable(void)
{
    rv64_model_cpu()->sys[RV64_VSIE] = SIE_SSIE;
}

static bool rv64_signalled(void)
{
    return (rv64_model_signalled(rv64_model_cpu()) & IRQ_VST) != 0;
}

static uint64_t rv64_time(void)
{
    return hal->ticks() + rv64_model_cpu()->controls.htimedelta;
}

static void rv64_wake_first(void)
{
    assert_int_equal(rv64_guest_sbi(rv64_model_cpu()->frame, SBI_IPI, 0, 1, 0, 0), 0);
}

static void sstc_set(uint64_t compare)
{
    rv64_model_cpu()->timecmp = compare; /* stimecmp, which doesn't trap */
}

static void sbi_set(uint64_t compare)
{
    assert_int_equal(rv64_guest_sbi(rv64_model_cpu()->frame, SBI_TIME, 0, compare, 0, 0), 0);
}

static const struct timer
    cntv = {a64_machine_setup, 0, true, cntv_enable, cntv_disable, cntv_set, cntv_signalled, a64_time, a64_wake_first},
    cntp = {a64_machine_setup, 0, false, cntp_enable, cntp_disable, cntp_set, cntp_signalled, a64_time, a64_wake_first},
    sstc = {rv64_machine_setup, 0, true, rv64_enable, rv64_disable, sstc_set, rv64_signalled, rv64_time,
            rv64_wake_first},
    sbi = {rv64_machine_setup, RV64_SSTC, false, rv64_enable, rv64_disable, sbi_set, rv64_signalled,
            rv64_time, rv64_wake_first};

/* The test's initial state is the timer. */
static int setup(void **state)
{
    int error;

    timer = *state;
    error = timer->setup(state);
    rv64_model.features &= ~timer->without;
    fake_hal_set_ticks(NOW);
    vm = machine_vm(1, NULL);
    return error;
}

/* ---- What a guest does with them ---- */

static void run(machine_guest *guest)
{
    assert_int_equal(machine_run(vm, 0, guest).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* Time goes on while the guest runs; the host's timer interrupt is one. */
static void pass(uint64_t ticks)
{
    unsigned armed = fake_hal_timers(hal->pcpu_id());

    fake_hal_advance(ticks);
    if (fake_hal_timers(hal->pcpu_id()) != armed) {
        machine->irq(AXVM_IRQ_HANDLED, 5);
    }
}

static uint64_t compare; /* what the guests below set */

static void guest_sets_timer(void)
{
    timer->enable();
    timer->set(compare);
}

static void guest_is_signalled(void)
{
    pass(0);
    assert_true(timer->signalled());
}

static void guest_is_not_signalled(void)
{
    pass(0);
    assert_false(timer->signalled());
}

static void guest_waits(void)
{
    guest_sets_timer();
    machine->wfi();
}

static enum axvm_exit_kind wait_for(uint64_t at)
{
    compare = at;
    return machine_run(vm, 0, guest_waits).kind;
}

/* ---- Time ---- */

static uint64_t seen;

static void guest_sees_time(void)
{
    seen = timer->time();
}

static uint64_t time_seen(void)
{
    run(guest_sees_time);
    return seen;
}

static void test_time_begins_at_boot(void **state)
{
    (void)state;
    assert_int_equal(time_seen(), 0);
    fake_hal_advance(77);
    assert_int_equal(time_seen(), 77);
}

/* ---- While the guest runs ---- */

static void guest_uses_the_timer(void)
{
    timer->enable();
    assert_false(timer->signalled()); /* nothing is set at first */
    pass(10);
    assert_false(timer->signalled());
    timer->set(110);
    pass(99);
    assert_false(timer->signalled());
    pass(1);
    assert_true(timer->signalled());
    pass(1000);
    assert_true(timer->signalled());
    machine->irq(AXVM_IRQ_HANDLED, 9);
    assert_true(timer->signalled()); /* until it is set anew */
    timer->set(timer->time() + 5);
    assert_false(timer->signalled());
    pass(5);
    assert_true(timer->signalled());
    timer->set(UINT64_MAX);
    assert_false(timer->signalled());
    pass(UINT64_C(1) << 62);
    assert_false(timer->signalled());
}

static void test_the_timer_is_up_from_its_tick_until_it_is_set_again(void **state)
{
    (void)state;
    run(guest_uses_the_timer);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void guest_takes_it_back(void)
{
    timer->enable();
    timer->set(1000);
    timer->set(2000);
    assert_int_equal(fake_hal_next_deadline(0), timer->hardware ? UINT64_MAX : NOW + 2000);
    timer->set(UINT64_MAX);
    assert_int_equal(fake_hal_timers(0), 0);
}

static void test_a_deadline_that_is_moved_or_taken_back(void **state)
{
    (void)state;
    run(guest_takes_it_back);
}

static void guest_sets_what_is_past(void)
{
    timer->enable();
    for (unsigned i = 0; i < 3; i++) {
        timer->set(UINT64_MAX);
        assert_false(timer->signalled());
        timer->set(i == 0 ? 0 : timer->time() - (i - 1));
        pass(0);
        assert_true(timer->signalled());
    }
}

static void test_a_deadline_that_has_passed_is_due_at_once(void **state)
{
    (void)state;
    fake_hal_advance(1000);
    run(guest_sets_what_is_past);
}

static void test_the_hardware_needs_no_timer_of_the_host(void **state)
{
    (void)state;
    compare = 500;
    run(guest_sets_timer);
    run(NULL);
    assert_int_equal(fake_hal_timers(0), timer->hardware ? 0 : 1);
}

/* ---- While the vCPU waits ---- */

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
    assert_int_equal(fake_hal_timers(0), timer->hardware ? 0 : 1);
    fake_hal_advance(400);
    run(guest_is_signalled);
}

static unsigned waits;

static void guest_waits_once(void)
{
    if (waits++ == 0) {
        guest_waits();
    }
}

static void test_no_wait_for_a_deadline_that_has_passed(void **state)
{
    (void)state;
    fake_hal_advance(1000);
    compare = 1000;
    waits = 0;
    run(guest_waits_once);
    assert_int_equal(fake_hal_timers(0), 0);
    run(guest_is_signalled);
}

static void guest_waits_for_another(void)
{
    timer->set(compare);
    timer->disable();
    waits++;
    machine->wfi();
}

/* Neither that which is due already, nor that which comes to be; and the host isn't asked to look. */
static void test_a_timer_that_is_not_enabled_wakes_nobody(void **state)
{
    (void)state;
    fake_hal_advance(1000);
    waits = 0;
    for (compare = 0; compare <= 2000; compare += 1000) {
        assert_int_equal(machine_run(vm, 0, guest_waits_for_another).kind, AXVM_EXIT_HALT);
        assert_int_equal(fake_hal_timers(0), 0);
        fake_hal_forget();
        fake_hal_advance(1500);
        assert_int_equal(fake_hal_kicks(), 0);
        assert_false(axvm_vcpu_runnable(vm, 0));
    }
    assert_int_equal(waits, 3);
}

static void guest_wakes_first(void)
{
    timer->wake_first();
}

static void guest_finds_it_due(void)
{
    timer->enable();
    guest_is_signalled();
}

/* What is enabled ends the wait, and the timer is due as before. */
static void test_a_wait_with_the_timer_off_ends_for_another_reason(void **state)
{
    (void)state;
    vm = machine_vm(2, NULL);
    machine_cpu_on(vm, 1);
    compare = 0;
    assert_int_equal(machine_run(vm, 0, guest_waits_for_another).kind, AXVM_EXIT_HALT);
    machine_run(vm, 1, NULL);
    assert_false(axvm_vcpu_runnable(vm, 0));
    fake_hal_forget();
    machine_run(vm, 1, guest_wakes_first);
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

static void guest_begins(void)
{
    timer->enable();
    guest_is_not_signalled();
}

static void test_a_wait_ends_while_another_vm_runs(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    machine_run(other, 0, guest_begins);
    assert_int_equal(fake_hal_next_deadline(0), NOW + 500);
    fake_hal_forget();
    fake_hal_advance(499);
    assert_false(axvm_vcpu_runnable(vm, 0));
    fake_hal_advance(1);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    assert_true(axvm_vcpu_runnable(vm, 0));
    machine_run(other, 0, guest_is_not_signalled);
    run(guest_is_signalled);
}

/* Who could run, and doesn't, needs nobody to wake it: with hardware, the other isn't interrupted. */
static void test_a_ready_vcpu_has_no_timer(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    compare = 500;
    run(guest_sets_timer);
    machine_run(other, 0, guest_begins);
    assert_int_equal(fake_hal_timers(0), timer->hardware ? 0 : 1);
    fake_hal_advance(500);
    machine_run(other, 0, guest_is_not_signalled);
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
    assert_int_equal(fake_hal_next_deadline(1), timer->hardware ? UINT64_MAX : NOW + 1000);
    fake_hal_advance(1000);
    run(guest_is_signalled);
    axvm_release_vcpu(vm, 0);
    machine_pcpu(0);
    run(guest_is_signalled); /* also where it wasn't when it fired */
}

/* ---- Suspend, reset ---- */

static void test_time_stands_still_while_suspended(void **state)
{
    (void)state;
    fake_hal_advance(100);
    assert_int_equal(time_seen(), 100);
    machine_suspend_for(vm, 5000);
    assert_int_equal(time_seen(), 100);
    machine_suspend_for(vm, 1);
    fake_hal_advance(3);
    assert_int_equal(time_seen(), 103);
}

static void test_a_wait_lasts_longer_by_the_time_it_was_suspended(void **state)
{
    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    fake_hal_advance(100);
    machine_suspend_for(vm, 200);
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
    machine_suspend_for(vm, 10000);
    assert_false(axvm_vcpu_runnable(vm, 0));
    run(guest_is_not_signalled);
    fake_hal_advance(399);
    run(guest_is_not_signalled);
    fake_hal_advance(1);
    run(guest_is_signalled);
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

/* The machine's teardown destroys it, and fails for a timer that is armed. */
static void test_no_timer_outlives_its_vm(void **state)
{
    (void)state;
    assert_int_equal(wait_for(500), AXVM_EXIT_HALT);
    assert_int_equal(fake_hal_timers(0), 1);
}

/* ---- Against a model ---- */

static uint64_t model; /* the compare value */
static bool enabled;

static uint64_t random_compare(uint64_t now)
{
    return random_below(8) == 0 ? random_u64() : now + random_below(200) - 50;
}

static void check_signalled(void)
{
    assert_true(!enabled || timer->signalled() == (timer->time() >= model));
}

static void guest_acts_at_random(void)
{
    pass(random_below(2) * random_below(50));
    check_signalled();
    if (random_below(2) != 0) {
        model = random_compare(timer->time());
        timer->set(model);
    }
    enabled = random_below(4) != 0;
    if (enabled) {
        timer->enable();
    } else {
        timer->disable();
    }
    pass(0);
    check_signalled();
    if (random_below(2) != 0) {
        machine->wfi();
    }
}

/* At all times, a waiting vCPU is runnable exactly when its timer is due. */
static void test_random_use_against_a_model(void **state)
{
    uint64_t offset = NOW;

    (void)state;
    random_start("timers");
    model = UINT64_MAX;
    enabled = false;
    for (unsigned i = 0; i < 20000; i++) {
        bool due = hal->ticks() - offset >= model;

        if (axvm_vcpu_state(vm, 0) == AXVM_VCPU_BLOCKED) {
            assert_int_equal(axvm_vcpu_runnable(vm, 0), due && enabled);
        }
        if (random_below(4) != 0) {
            offset += machine_disturb(vm, 0);
        } else {
            machine_run(vm, 0, guest_acts_at_random);
        }
    }
    axvm_release_vcpu(vm, 0);
    machine_pcpu(0);
}

#define ROW(name, f, timer) {name ": " #f, f, setup, machine_teardown, (void *)&(timer)}

/* Of the guest's own time: the physical timer counts the machine's, also while the VM is suspended. */
#define OWN_TIME(f) ROW("virtual timer", f, cntv), ROW("Sstc", f, sstc), ROW("SBI", f, sbi)
#define ALL(f) OWN_TIME(f), ROW("physical timer", f, cntp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(test_time_begins_at_boot),
        ALL(test_the_timer_is_up_from_its_tick_until_it_is_set_again),
        ALL(test_a_deadline_that_is_moved_or_taken_back),
        ALL(test_a_deadline_that_has_passed_is_due_at_once),
        ALL(test_the_hardware_needs_no_timer_of_the_host),
        ALL(test_a_wait_ends_at_the_very_tick),
        ALL(test_a_wait_that_ends_early_for_another_reason),
        ALL(test_no_wait_for_a_deadline_that_has_passed),
        ALL(test_a_timer_that_is_not_enabled_wakes_nobody),
        OWN_TIME(test_deadlines_beyond_the_counter_wake_nobody),
        ALL(test_a_wait_with_the_timer_off_ends_for_another_reason),
        ALL(test_a_wait_ends_while_another_vm_runs),
        ALL(test_a_ready_vcpu_has_no_timer),
        ALL(test_it_moves_with_its_vcpu),
        OWN_TIME(test_time_stands_still_while_suspended),
        OWN_TIME(test_a_wait_lasts_longer_by_the_time_it_was_suspended),
        OWN_TIME(test_a_deadline_that_passes_while_suspended_has_not_passed),
        ALL(test_reset_stops_the_timer),
        ALL(test_no_timer_outlives_its_vm),
        OWN_TIME(test_random_use_against_a_model),
    };

    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
