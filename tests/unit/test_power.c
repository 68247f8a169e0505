/* SPDX-License-Identifier: Apache-2.0 */
/* How guests start and stop vCPUs and the system: what is the same for PSCI and SBI. */
#include "support/a64_machine.h"
#include "support/rv64_machine.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- The firmware's calls ---- */

enum function { START, STOP, STATUS, SUSPEND, SHUTDOWN, REBOOT };

struct call {
    enum function function;
    uint64_t cpu, entry, argument; /* of START; `cpu` also of STATUS */
};

static const struct firmware {
    uint64_t ram, nothing;     /* addresses */
    void (*make)(struct call); /* in a guest */
    uint64_t (*error)(const struct axvm *vm, uint32_t vcpu); /* of the last call; 0: none */
    uint64_t (*value)(const struct axvm *vm, uint32_t vcpu); /* of STATUS */
    uint64_t (*pc)(const struct axvm *vm, uint32_t vcpu);
    uint64_t (*argument)(const struct axvm *vm, uint32_t vcpu); /* that a vCPU was started with */
    uint64_t no_such_cpu, bad_entry, started_already, start_pending, cannot_now; /* errors */
    uint64_t is_started, is_stopped, is_start_pending, is_suspended;             /* values */
} *firmware;

static bool by_smc;

static const struct a64_frame *a64_frame(const struct axvm *vm, uint32_t vcpu)
{
    return &a64_vcpu(vm->vcpus[vcpu])->frame;
}

static void psci_make(struct call c)
{
    static const uint32_t ids[] = {
        [START] = 0xc4000003U,    [STOP] = 0x84000002U,     [STATUS] = 0xc4000004U,
        [SUSPEND] = 0xc4000001U,  [SHUTDOWN] = 0x84000008U, [REBOOT] = 0x84000009U,
    };

    (by_smc ? a64_guest_smc : a64_guest_hvc)(a64_model_cpu()->frame, ids[c.function], c.cpu, c.entry, c.argument);
}

static uint64_t psci_result(const struct axvm *vm, uint32_t vcpu)
{
    return a64_frame(vm, vcpu)->x[0];
}

static uint64_t a64_pc(const struct axvm *vm, uint32_t vcpu)
{
    return a64_frame(vm, vcpu)->pc;
}

static const struct firmware psci = {
    .ram = A64_RAM,
    .nothing = MACHINE_UART,
    .make = psci_make,
    .error = psci_result,
    .value = psci_result,
    .pc = a64_pc,
    .argument = psci_result,
    .no_such_cpu = (uint64_t)-2,
    .bad_entry = (uint64_t)-9,
    .started_already = (uint64_t)-4,
    .start_pending = (uint64_t)-5,
    .cannot_now = (uint64_t)-6,
    .is_started = 0,
    .is_stopped = 1,
    .is_start_pending = 2,
    .is_suspended = 0,
};

static const struct rv64_frame *rv64_frame(const struct axvm *vm, uint32_t vcpu)
{
    return &rv64_vcpu(vm->vcpus[vcpu])->frame;
}

static void sbi_make(struct call c)
{
    static const struct {
        uint32_t eid, fid;
    } ids[] = {
        [START] = {0x48534d, 0},    [STOP] = {0x48534d, 1},       [STATUS] = {0x48534d, 2},
        [SUSPEND] = {0x48534d, 3},  [SHUTDOWN] = {0x53525354, 0}, [REBOOT] = {0x53525354, 0},
    };
    uint64_t a0 = c.function == REBOOT ? 1 : c.cpu;

    rv64_guest_sbi(rv64_model_cpu()->frame, ids[c.function].eid, ids[c.function].fid, a0, c.entry, c.argument);
}

static uint64_t sbi_error(const struct axvm *vm, uint32_t vcpu)
{
    return rv64_frame(vm, vcpu)->x[X_A0];
}

static uint64_t sbi_value(const struct axvm *vm, uint32_t vcpu)
{
    assert_int_equal(sbi_error(vm, vcpu), 0);
    return rv64_frame(vm, vcpu)->x[X_A1];
}

static uint64_t rv64_pc(const struct axvm *vm, uint32_t vcpu)
{
    return rv64_frame(vm, vcpu)->pc;
}

static uint64_t rv64_argument(const struct axvm *vm, uint32_t vcpu)
{
    assert_int_equal(rv64_frame(vm, vcpu)->x[X_A0], vcpu);
    return rv64_frame(vm, vcpu)->x[X_A1];
}

static const struct firmware sbi = {
    .ram = RV64_RAM,
    .nothing = MACHINE_NOTHING,
    .make = sbi_make,
    .error = sbi_error,
    .value = sbi_value,
    .pc = rv64_pc,
    .argument = rv64_argument,
    .no_such_cpu = (uint64_t)-3,
    .bad_entry = (uint64_t)-5,
    .started_already = (uint64_t)-6,
    .start_pending = (uint64_t)-6,
    .cannot_now = (uint64_t)-1,
    .is_started = 0,
    .is_stopped = 1,
    .is_start_pending = 2,
    .is_suspended = 4,
};

static int setup_hvc(void **state)
{
    firmware = &psci;
    by_smc = false;
    return a64_machine_setup(state);
}

static int setup_smc(void **state)
{
    firmware = &psci;
    by_smc = true;
    return a64_machine_setup(state);
}

static int setup_sbi(void **state)
{
    firmware = &sbi;
    return rv64_machine_setup(state);
}

/* ---- One call, and what became of it ---- */

static struct call call;

static void guest_calls(void)
{
    firmware->make(call);
}

static struct axvm_exit exit_of(struct axvm *vm, uint32_t vcpu, struct call c)
{
    call = c;
    return machine_run(vm, vcpu, guest_calls);
}

/* Of a call that doesn't leave the guest. */
static uint64_t error_of(struct axvm *vm, uint32_t vcpu, struct call c)
{
    assert_int_equal(exit_of(vm, vcpu, c).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    return firmware->error(vm, vcpu);
}

static uint64_t status_of(struct axvm *vm, uint64_t cpu)
{
    assert_int_equal(exit_of(vm, 0, (struct call){STATUS, cpu, 0, 0}).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    return firmware->value(vm, 0);
}

static struct call start(uint64_t cpu, uint64_t offset, uint64_t argument)
{
    return (struct call){START, cpu, firmware->ram + offset, argument};
}

static const struct call stop = {STOP, 0, 0, 0};

static void run(struct axvm *vm, uint32_t vcpu)
{
    assert_int_equal(machine_run(vm, vcpu, NULL).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* ---- Start, stop, status ---- */

static void test_a_started_vcpu_begins_at_its_entry_with_its_argument(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);
    struct axvm_exit exit = exit_of(vm, 0, start(1, 0x1000, 42));

    (void)state;
    assert_int_equal(exit.kind, AXVM_EXIT_CPU_UP);
    assert_int_equal(exit.cpu_up.target, 1);
    assert_int_equal(firmware->error(vm, 0), 0);
    assert_true(axvm_vcpu_runnable(vm, 1));
    machine_pcpu(1);
    run(vm, 1);
    assert_int_equal(firmware->pc(vm, 1), firmware->ram + 0x1000);
    assert_int_equal(firmware->argument(vm, 1), 42);
}

static void test_start_of_a_cpu_that_is_none(void **state)
{
    static const uint64_t cpus[] = {2, 16, 0x100, 0x80000001, UINT64_C(0x100000001), UINT64_MAX};
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(error_of(vm, 0, start(cpus[i], 0, 0)), firmware->no_such_cpu);
    }
    assert_int_equal(vm->vcpus[1]->power, VCPU_OFF);
}

static void test_start_with_an_entry_outside_ram(void **state)
{
    const uint64_t entries[] = {0, firmware->ram - 4, firmware->ram + MACHINE_RAM_SIZE, firmware->nothing,
                                UINT64_MAX - 3, UINT64_MAX, UINT64_C(1) << 52, UINT64_C(1) << 60};
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(error_of(vm, 0, (struct call){START, 1, entries[i], 0}), firmware->bad_entry);
    }
    assert_int_equal(vm->vcpus[1]->power, VCPU_OFF);
    assert_int_equal(exit_of(vm, 0, start(1, MACHINE_RAM_SIZE - 4, 0)).kind, AXVM_EXIT_CPU_UP);
}

static void test_start_of_itself_and_of_one_that_is_started_or_pending(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    assert_int_equal(error_of(vm, 0, start(0, 0, 0)), firmware->started_already);
    assert_int_equal(exit_of(vm, 0, start(1, 0, 0)).kind, AXVM_EXIT_CPU_UP);
    assert_int_equal(error_of(vm, 0, start(1, 8, 0)), firmware->start_pending);
    run(vm, 1);
    assert_int_equal(firmware->pc(vm, 1), firmware->ram);
    assert_int_equal(error_of(vm, 0, start(1, 0, 0)), firmware->started_already);
}

static void guest_waits(void)
{
    machine->wfi();
}

static void test_status_follows(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    assert_int_equal(status_of(vm, 0), firmware->is_started);
    assert_int_equal(status_of(vm, 1), firmware->is_stopped);
    assert_int_equal(exit_of(vm, 0, start(1, 0, 0)).kind, AXVM_EXIT_CPU_UP);
    assert_int_equal(status_of(vm, 1), firmware->is_start_pending);
    run(vm, 1);
    assert_int_equal(status_of(vm, 1), firmware->is_started);
    assert_int_equal(exit_of(vm, 1, (struct call){SUSPEND, 0, 0, 0}).kind, AXVM_EXIT_HALT);
    assert_int_equal(status_of(vm, 1), firmware->is_suspended);
    run(vm, 1);
    assert_int_equal(status_of(vm, 1), firmware->is_started);
    assert_int_equal(machine_run(vm, 1, guest_waits).kind, AXVM_EXIT_HALT);
    assert_int_equal(status_of(vm, 1), firmware->is_started); /* that is no suspend */
    assert_int_equal(exit_of(vm, 1, stop).kind, AXVM_EXIT_CPU_DOWN);
    assert_int_equal(status_of(vm, 1), firmware->is_stopped);
}

static void test_a_stopped_vcpu_is_not_run_by_mistake(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    machine_cpu_on(vm, 1);
    assert_int_equal(exit_of(vm, 1, stop).kind, AXVM_EXIT_CPU_DOWN);
    assert_false(axvm_vcpu_runnable(vm, 1));
    assert_int_equal(machine_run(vm, 1, NULL).kind, AXVM_EXIT_CPU_DOWN);
}

static void test_suspend_waits_and_then_succeeds(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(exit_of(vm, 0, (struct call){SUSPEND, 0, 0, 0}).kind, AXVM_EXIT_HALT);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED);
    assert_int_equal(firmware->error(vm, 0), 0);
    assert_int_equal(firmware->pc(vm, 0), firmware->ram + 4);
}

/* ---- Two at once ---- */

static struct axvm *the_vm;
static pthread_barrier_t both_are_there;
static bool won[2];

/* Again from the beginning, if the host has to hear of it: then it has won. */
static void guest_races_to_start(void)
{
    unsigned self = hal->pcpu_id();

    if (!won[self]) {
        won[self] = true;
        firmware->make(start(2, 0x1000 * self, self));
        won[self] = false;
    }
}

static void *starter(void *argument)
{
    unsigned self = (unsigned)(uintptr_t)argument;

    machine_pcpu(self);
    won[self] = false;
    pthread_barrier_wait(&both_are_there);
    machine_run(the_vm, self, guest_races_to_start);
    return NULL;
}

/* pCPU 0 starts vCPU 2 while pCPU 1 does that. */
static void race(void *(*other)(void *))
{
    pthread_t thread;

    pthread_barrier_init(&both_are_there, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, other, (void *)1), 0);
    starter((void *)0);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&both_are_there);
    machine_pcpu(0);
}

static void test_of_two_that_race_for_a_start_one_wins_with_its_own_entry(void **state)
{
    (void)state;
    the_vm = machine_vm(3, NULL);
    machine_cpu_on(the_vm, 1);
    for (unsigned round = 0; round < 200; round++) {
        race(starter);
        assert_true(won[0] != won[1]);
        assert_int_equal(firmware->error(the_vm, won[0] ? 1 : 0), firmware->start_pending);
        run(the_vm, 2);
        assert_int_equal(firmware->pc(the_vm, 2), firmware->ram + 0x1000 * won[1]);
        assert_int_equal(firmware->argument(the_vm, 2), won[1]);
        assert_int_equal(exit_of(the_vm, 2, stop).kind, AXVM_EXIT_CPU_DOWN);
        axvm_release_vcpu(the_vm, 0);
    }
}

static void guest_stops(void)
{
    firmware->make(stop);
    fail_msg("stop returned");
}

/* It may be started again meanwhile, and stop again. */
static void *stopper(void *argument)
{
    (void)argument;
    machine_pcpu(1);
    pthread_barrier_wait(&both_are_there);
    machine_run(the_vm, 2, guest_stops);
    return NULL;
}

/* A start while its target is stopping finds it started, or off; then it starts, and isn't lost with the stop. */
static void test_a_start_while_the_target_stops(void **state)
{
    (void)state;
    the_vm = machine_vm(3, NULL);
    assert_int_equal(exit_of(the_vm, 0, start(2, 0, 0)).kind, AXVM_EXIT_CPU_UP);
    for (unsigned round = 0; round < 200; round++) {
        machine_pcpu(1);
        run(the_vm, 2);
        machine_pcpu(0);
        race(stopper);
        if (!won[0]) { /* it is off now */
            assert_int_equal(firmware->error(the_vm, 0), firmware->started_already);
            assert_int_equal(status_of(the_vm, 2), firmware->is_stopped);
        }
        if (status_of(the_vm, 2) == firmware->is_stopped) {
            assert_int_equal(exit_of(the_vm, 0, start(2, 0, 0)).kind, AXVM_EXIT_CPU_UP);
        }
    }
}

/* ---- The end ---- */

static void check_system_down(enum function function, enum axvm_system_event event)
{
    struct axvm *vm = machine_vm(2, NULL);
    struct axvm_exit exit;

    machine_cpu_on(vm, 1);
    machine_pcpu(1);
    run(vm, 1);
    machine_pcpu(0);
    exit = exit_of(vm, 0, (struct call){function, 0, 0, 0});
    assert_int_equal(exit.kind, AXVM_EXIT_SYSTEM_DOWN);
    assert_int_equal(exit.system_down.event, event);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
    assert_true(fake_hal_kicks_of(axvm_id(vm), 1) > 0);
    machine_pcpu(1);
    assert_int_equal(machine_run(vm, 1, guest_calls).kind, AXVM_EXIT_STOPPED);
    machine_pcpu(0);
}

static void test_shutdown_and_reboot_stop_the_vm(void **state)
{
    (void)state;
    check_system_down(SHUTDOWN, AXVM_SYSTEM_OFF);
    check_system_down(REBOOT, AXVM_SYSTEM_RESET);
}

/* The second vCPU asks before it has seen that the VM stops. */
static void guest_asks_late(void)
{
    machine_pcpu(0);
    assert_int_equal(exit_of(the_vm, 0, (struct call){REBOOT, 0, 0, 0}).kind, AXVM_EXIT_SYSTEM_DOWN);
    machine_pcpu(1);
    firmware->make((struct call){SHUTDOWN, 0, 0, 0});
    fail_msg("the shutdown returned");
}

static void test_of_two_that_end_the_system_the_first_decides(void **state)
{
    (void)state;
    the_vm = machine_vm(2, NULL);
    machine_cpu_on(the_vm, 1);
    machine_pcpu(1);
    assert_int_equal(machine_run(the_vm, 1, guest_asks_late).kind, AXVM_EXIT_STOPPED);
    machine_pcpu(0);
    assert_int_equal(axvm_state(the_vm), AXVM_STATE_STOPPED);
}

static void test_a_start_after_the_end_leaves_the_target_off(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    assert_int_equal(exit_of(vm, 0, (struct call){SHUTDOWN, 0, 0, 0}).kind, AXVM_EXIT_SYSTEM_DOWN);
    assert_int_equal(exit_of(vm, 0, start(1, 0, 0)).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(vm->vcpus[1]->power, VCPU_OFF);
}

static int (*leave_running)(struct axvm *vm);

static void guest_starts_late(void)
{
    machine_pcpu(1);
    assert_int_equal(leave_running(the_vm), 0);
    machine_pcpu(0);
    firmware->make(start(1, 0, 0x77));
}

/* The guest is not to notice that it was suspended meanwhile. */
static void test_a_start_while_the_vm_is_suspended_comes_with_its_resume(void **state)
{
    (void)state;
    the_vm = machine_vm(2, NULL);
    leave_running = axvm_suspend;
    assert_int_equal(machine_run(the_vm, 0, guest_starts_late).kind, AXVM_EXIT_CPU_UP);
    assert_int_equal(firmware->error(the_vm, 0), 0);
    machine_pcpu(1);
    assert_int_equal(machine_run(the_vm, 1, NULL).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_resume(the_vm), 0);
    assert_true(axvm_vcpu_runnable(the_vm, 1));
    run(the_vm, 1);
    assert_int_equal(firmware->argument(the_vm, 1), 0x77);
}

static void test_a_start_while_the_vm_stops_fails(void **state)
{
    (void)state;
    the_vm = machine_vm(2, NULL);
    leave_running = axvm_shutdown;
    assert_int_equal(machine_run(the_vm, 0, guest_starts_late).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(firmware->error(the_vm, 0), firmware->cannot_now);
    assert_int_equal(the_vm->vcpus[1]->power, VCPU_OFF);
}

#define ROW(name, f, its_setup) {name ": " #f, f, its_setup, machine_teardown, NULL}
#define ALL(f) ROW("hvc", f, setup_hvc), ROW("smc", f, setup_smc), ROW("sbi", f, setup_sbi)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(test_a_started_vcpu_begins_at_its_entry_with_its_argument),
        ALL(test_start_of_a_cpu_that_is_none),
        ALL(test_start_with_an_entry_outside_ram),
        ALL(test_start_of_itself_and_of_one_that_is_started_or_pending),
        ALL(test_status_follows),
        ALL(test_a_stopped_vcpu_is_not_run_by_mistake),
        ALL(test_suspend_waits_and_then_succeeds),
        ALL(test_of_two_that_race_for_a_start_one_wins_with_its_own_entry),
        ALL(test_a_start_while_the_target_stops),
        ALL(test_shutdown_and_reboot_stop_the_vm),
        ALL(test_of_two_that_end_the_system_the_first_decides),
        ALL(test_a_start_after_the_end_leaves_the_target_off),
        ALL(test_a_start_while_the_vm_is_suspended_comes_with_its_resume),
        ALL(test_a_start_while_the_vm_stops_fails),
    };

    return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
